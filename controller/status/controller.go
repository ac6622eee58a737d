// Package status rolls the agents' reports up: BundleDeployments into Bundle, GitRepo, HelmOp and Cluster.
//
// A report wakes just the objects it counts in, and those wait a moment for more of the same, so a thousand reports are
// a few writes. Each roll-up walks the index of its own BundleDeployments in the cache; nothing is read from the API
// server, and nothing is written that did not change.
package status

import (
	"context"
	"sync"
	"time"

	"k8s.io/client-go/util/workqueue"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	fleet "flotilla.io/flotilla/api/v1alpha1"
)

// settle is how long a roll-up waits for more reports.
const settle = 250 * time.Millisecond

// Field indexes of the cache.
const (
	BundleIndex  = "flotilla.bundle"  // BundleDeployment -> "<bundle namespace>/<bundle>"
	RepoIndex    = "flotilla.gitrepo" // BundleDeployment -> "<bundle namespace>/<gitrepo>"
	HelmOpIndex  = "flotilla.helmop"  // BundleDeployment -> "<bundle namespace>/<helmop>"
	ClusterIndex = "flotilla.cluster" // BundleDeployment -> "<cluster namespace>/<cluster>", of the Cluster object
)

// Reconciler holds what the roll-ups share.
type Reconciler struct {
	Client client.Client
	Plans  *Plans
	// Liveness knows which clusters are lost.
	Liveness Liveness
}

// Liveness is what the roll-ups ask about the agents, by cluster namespace.
type Liveness interface {
	Lost(clusterNamespace string) bool
	LastSeen(clusterNamespace string) time.Time
	// Show puts that a cluster is lost or was never seen over what its deployments say.
	Show(*fleet.Cluster)
	// Turned tells of a cluster that was first seen, lost or found again by a write of its status.
	Turned(before, after *fleet.Cluster)
	// Source brings clusters that are seen first, lost or found again.
	Source(handler.EventHandler) source.Source
}

// indexes are the labels that each field index joins.
var indexes = map[string][2]string{
	BundleIndex:  {fleet.BundleNamespaceLabel, fleet.BundleLabel},
	RepoIndex:    {fleet.BundleNamespaceLabel, fleet.RepoLabel},
	HelmOpIndex:  {fleet.BundleNamespaceLabel, fleet.HelmOpLabel},
	ClusterIndex: {fleet.ClusterNamespaceLabel, fleet.ClusterLabel},
}

// Index registers the field indexes; it must be called before the cache starts.
func Index(mgr ctrl.Manager) error {
	for field, labels := range indexes {
		if err := mgr.GetFieldIndexer().IndexField(context.Background(), &fleet.BundleDeployment{}, field, joined(labels)); err != nil {
			return err
		}
	}
	return nil
}

func joined(labels [2]string) client.IndexerFunc {
	return func(obj client.Object) []string {
		l := obj.GetLabels()
		if l[labels[1]] == "" {
			return nil
		}
		return []string{l[labels[0]] + "/" + l[labels[1]]}
	}
}

// Setup registers the roll-ups.
func (r *Reconciler) Setup(mgr ctrl.Manager) error {
	toBundle, toRepo := keyFrom(fleet.BundleNamespaceLabel, fleet.BundleLabel), keyFrom(fleet.BundleNamespaceLabel, fleet.RepoLabel)
	toHelmOp := keyFrom(fleet.BundleNamespaceLabel, fleet.HelmOpLabel)
	if err := ctrl.NewControllerManagedBy(mgr).Named("bundle-status").
		For(&fleet.Bundle{}).
		Watches(&fleet.BundleDeployment{}, later(toBundle)).
		WatchesRawSource(r.Liveness.Source(r.turned(toBundle))).
		WatchesRawSource(source.Channel(r.Plans.changed, &handler.TypedEnqueueRequestForObject[*fleet.Bundle]{})).
		Complete(resting(r.bundle)); err != nil {
		return err
	}
	if err := ctrl.NewControllerManagedBy(mgr).Named("gitrepo-status").
		For(&fleet.GitRepo{}).
		Watches(&fleet.BundleDeployment{}, later(toRepo)).
		WatchesRawSource(r.Liveness.Source(r.turned(toRepo))).
		Watches(&fleet.Bundle{}, later(ownNamespace(fleet.RepoLabel))).
		Complete(resting(r.gitRepo)); err != nil {
		return err
	}
	if err := ctrl.NewControllerManagedBy(mgr).Named("helmop-status").
		For(&fleet.HelmOp{}).
		Watches(&fleet.BundleDeployment{}, later(toHelmOp)).
		WatchesRawSource(r.Liveness.Source(r.turned(toHelmOp))).
		Watches(&fleet.Bundle{}, later(ownNamespace(fleet.HelmOpLabel))).
		Complete(resting(r.helmOp)); err != nil {
		return err
	}
	return ctrl.NewControllerManagedBy(mgr).Named("cluster-status").
		For(&fleet.Cluster{}).
		Watches(&fleet.BundleDeployment{}, later(keyFrom(fleet.ClusterNamespaceLabel, fleet.ClusterLabel))).
		WatchesRawSource(r.Liveness.Source(&handler.EnqueueRequestForObject{})).
		Complete(resting(r.cluster))
}

// resting lets a roll-up rest nine times as long as it took, so that no fleet is too large for the hub: reports that come
// meanwhile are one roll-up more.
func resting(do reconcile.Func) reconcile.Func {
	var mu sync.Mutex
	until := map[ctrl.Request]time.Time{}
	return func(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
		began := time.Now()
		mu.Lock()
		wait := until[req].Sub(began)
		mu.Unlock()
		if wait > 0 {
			return ctrl.Result{RequeueAfter: wait}, nil
		}
		result, err := do(ctx, req)
		mu.Lock()
		defer mu.Unlock()
		delete(until, req)
		if took := time.Since(began); took > settle/10 {
			until[req] = began.Add(10 * took)
		}
		return result, err
	}
}

// later enqueues an object's request after settle; more of the same in between are one.
func later(to func(client.Object) (client.ObjectKey, bool)) handler.EventHandler {
	type queue = workqueue.TypedRateLimitingInterface[ctrl.Request]
	add := func(obj client.Object, q queue) {
		if key, ok := to(obj); ok {
			q.AddAfter(ctrl.Request{NamespacedName: key}, settle)
		}
	}
	return handler.Funcs{
		CreateFunc: func(_ context.Context, e event.CreateEvent, q queue) { add(e.Object, q) },
		UpdateFunc: func(_ context.Context, e event.UpdateEvent, q queue) { add(e.ObjectNew, q) },
		DeleteFunc: func(_ context.Context, e event.DeleteEvent, q queue) { add(e.Object, q) },
	}
}

// turned enqueues what the deployments of a cluster count in, when that is lost or found again: a report may come before the
// lease that says that its cluster is there, and no other one follows.
func (r *Reconciler) turned(to func(client.Object) (client.ObjectKey, bool)) handler.EventHandler {
	return handler.Funcs{GenericFunc: func(ctx context.Context, e event.GenericEvent, q workqueue.TypedRateLimitingInterface[ctrl.Request]) {
		deployments, err := r.deployments(ctx, ClusterIndex, client.ObjectKeyFromObject(e.Object).String())
		if err != nil {
			return // the cache is ending, and this program with it
		}
		for i := range deployments {
			if key, ok := to(&deployments[i]); ok {
				q.AddAfter(ctrl.Request{NamespacedName: key}, settle)
			}
		}
	}}
}

func keyFrom(namespaceLabel, nameLabel string) func(client.Object) (client.ObjectKey, bool) {
	return func(obj client.Object) (client.ObjectKey, bool) {
		l := obj.GetLabels()
		return client.ObjectKey{Namespace: l[namespaceLabel], Name: l[nameLabel]}, l[nameLabel] != ""
	}
}

func ownNamespace(nameLabel string) func(client.Object) (client.ObjectKey, bool) {
	return func(obj client.Object) (client.ObjectKey, bool) {
		name := obj.GetLabels()[nameLabel]
		return client.ObjectKey{Namespace: obj.GetNamespace(), Name: name}, name != ""
	}
}

// conflictIsLater turns a write that lost a race into another try.
func conflictIsLater(err error) (ctrl.Result, error) {
	if isConflict(err) {
		return ctrl.Result{RequeueAfter: settle}, nil
	}
	return ctrl.Result{}, err
}
