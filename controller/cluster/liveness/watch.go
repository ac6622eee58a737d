package liveness

import (
	"context"
	"fmt"

	coordinationv1 "k8s.io/api/coordination/v1"
	toolscache "k8s.io/client-go/tools/cache"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	fleet "flotilla.io/flotilla/api/v1alpha1"
)

// Setup lets mgr feed l with the leases of its cache, and run its timer.
func (l *Liveness) Setup(mgr ctrl.Manager) error {
	informer, err := mgr.GetCache().GetInformer(context.Background(), &coordinationv1.Lease{})
	if err != nil {
		return fmt.Errorf("watching leases: %w", err)
	}
	l.cached = mgr.GetCache()
	l.live = func(ctx context.Context, clusterNamespace string) (*coordinationv1.Lease, error) {
		lease := &coordinationv1.Lease{}
		return lease, mgr.GetAPIReader().Get(ctx, client.ObjectKey{Namespace: clusterNamespace, Name: fleet.AgentName}, lease)
	}
	l.before = func(c *fleet.Cluster) bool {
		found := &fleet.Cluster{}
		if err := l.cached.Get(context.Background(), client.ObjectKeyFromObject(c), found); err != nil {
			return false
		}
		ready := fleet.Condition(found.Status.Conditions, fleet.ConditionReady)
		return ready != nil && ready.Reason == ReasonAgentLost
	}
	_, err = informer.AddEventHandler(toolscache.ResourceEventHandlerFuncs{
		AddFunc:    func(obj any) { l.observeAny(obj) },
		UpdateFunc: func(_, obj any) { l.observeAny(obj) },
		DeleteFunc: func(obj any) {
			if gone, ok := obj.(toolscache.DeletedFinalStateUnknown); ok {
				obj = gone.Obj
			}
			if lease, ok := obj.(*coordinationv1.Lease); ok && lease.Name == fleet.AgentName {
				l.Forget(lease.Namespace)
			}
		},
	})
	if err != nil {
		return fmt.Errorf("watching leases: %w", err)
	}
	return mgr.Add(l)
}

func (l *Liveness) observeAny(obj any) {
	if lease, ok := obj.(*coordinationv1.Lease); ok && lease.Name == fleet.AgentName {
		l.Observe(lease)
	}
}

// catchUp looks up a cluster that no event has told of yet: a controller that was just started must not call a cluster
// well because its lease is still in a queue.
func (l *Liveness) catchUp(clusterNamespace string) {
	if l.cached == nil || clusterNamespace == "" || l.knows(clusterNamespace) {
		return
	}
	lease := &coordinationv1.Lease{}
	key := client.ObjectKey{Namespace: clusterNamespace, Name: fleet.AgentName}
	if err := l.cached.Get(context.Background(), key, lease); err == nil {
		l.Observe(lease)
	}
}
