// Package group counts the clusters of each ClusterGroup.
//
// A group is counted anew when a cluster that it picks, or picked, changed, at most once in a while: a rollout changes
// thousands of clusters in a few seconds, and each counts for the group no more than all of them together.
package group

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/util/workqueue"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	fleet "flotilla.io/flotilla/api/v1alpha1"
	"flotilla.io/flotilla/controller/status"
)

// settle is how long changes of clusters are collected before a group is counted.
const settle = time.Second

// Reconciler counts groups. Client is set before Setup.
type Reconciler struct {
	Client client.Client
}

// Setup registers the reconciler.
func (r *Reconciler) Setup(mgr ctrl.Manager) error {
	return ctrl.NewControllerManagedBy(mgr).Named("clustergroup").
		For(&fleet.ClusterGroup{}, builder.WithPredicates(predicate.GenerationChangedPredicate{})).
		Watches(&fleet.Cluster{}, r.clusterChanged()).
		Complete(r)
}

// clusterChanged queues the groups that pick a cluster as it is, or picked it as it was.
func (r *Reconciler) clusterChanged() handler.EventHandler {
	type queue = workqueue.TypedRateLimitingInterface[reconcile.Request]
	return handler.Funcs{
		CreateFunc: func(ctx context.Context, e event.CreateEvent, q queue) { r.enqueue(ctx, q, e.Object) },
		DeleteFunc: func(ctx context.Context, e event.DeleteEvent, q queue) { r.enqueue(ctx, q, e.Object) },
		UpdateFunc: func(ctx context.Context, e event.UpdateEvent, q queue) {
			before, now := e.ObjectOld.(*fleet.Cluster), e.ObjectNew.(*fleet.Cluster)
			relabelled := !equality.Semantic.DeepEqual(before.Labels, now.Labels)
			if relabelled || !equality.Semantic.DeepEqual(before.Status, now.Status) {
				r.enqueue(ctx, q, before, now)
			}
		},
	}
}

func (r *Reconciler) enqueue(ctx context.Context, q workqueue.TypedRateLimitingInterface[reconcile.Request], clusters ...client.Object) {
	groups := &fleet.ClusterGroupList{}
	if r.Client.List(ctx, groups, client.InNamespace(clusters[0].GetNamespace()), client.UnsafeDisableDeepCopy) != nil {
		return
	}
	for i := range groups.Items {
		g := &groups.Items[i]
		selector, err := selectorOf(g)
		if err != nil {
			continue // the group says so itself
		}
		for _, c := range clusters {
			if selector.Matches(labels.Set(c.GetLabels())) {
				q.AddAfter(ctrl.Request{NamespacedName: client.ObjectKeyFromObject(g)}, settle)
				break
			}
		}
	}
}

// selectorOf reads a group's selector: none picks nothing, an empty one everything.
func selectorOf(g *fleet.ClusterGroup) (labels.Selector, error) {
	return metav1.LabelSelectorAsSelector(g.Spec.Selector)
}

// Reconcile counts one group.
func (r *Reconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	found := &fleet.ClusterGroup{}
	if err := r.Client.Get(ctx, req.NamespacedName, found); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	group := found.DeepCopy()
	selector, err := selectorOf(group)
	if err != nil {
		return again(status.Patch(ctx, r.Client, group, func() {
			fleet.SetCondition(&group.Status.Conditions, fleet.ConditionProcessed, corev1.ConditionFalse, "SelectorInvalid",
				fmt.Sprintf("spec.selector: %s", err))
		}))
	}
	clusters := &fleet.ClusterList{}
	if err := r.Client.List(ctx, clusters, client.InNamespace(group.Namespace), client.MatchingLabelsSelector{Selector: selector}, client.UnsafeDisableDeepCopy); err != nil {
		return ctrl.Result{}, fmt.Errorf("listing the clusters of group %s: %w", group.Name, err)
	}
	return again(status.Patch(ctx, r.Client, group, func() {
		count(group, clusters.Items)
		fleet.SetCondition(&group.Status.Conditions, fleet.ConditionProcessed, corev1.ConditionTrue, "", "")
	}))
}

func again(err error) (ctrl.Result, error) {
	if apierrors.IsConflict(err) {
		return ctrl.Result{RequeueAfter: settle}, nil
	}
	return ctrl.Result{}, err
}
