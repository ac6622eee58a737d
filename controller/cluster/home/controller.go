// Package home gives each Cluster its namespace on the hub, with what its agent finds there: the key that opens its
// layers, the Agent object, and the lease that it renews.
//
// It also writes what the lease says about the cluster. Deleting a Cluster ends its agent's access and nothing else: what is
// deployed stays, and so does the namespace, marked, for when the cluster is added again.
package home

import (
	"context"
	"fmt"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/tools/events"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/predicate"

	flotilla "flotilla.io/flotilla/api/flotilla/v1alpha1"
	fleet "flotilla.io/flotilla/api/v1alpha1"
	"flotilla.io/flotilla/controller/cluster/access"
	"flotilla.io/flotilla/controller/cluster/liveness"
	"flotilla.io/flotilla/controller/status"
)

const (
	// GenerationAnnotation on a lease is the generation of the Agent beside it; agents read the Agent when it moved.
	GenerationAnnotation = "flotilla.io/agent-generation"
	// OrphanedAnnotation marks a cluster namespace whose Cluster was deleted.
	OrphanedAnnotation = "flotilla.io/orphaned"

	// missedRenewals in a row make a cluster lost.
	missedRenewals = 3
	workers        = 8
)

// Reconciler furnishes cluster namespaces. All fields are set before Setup.
type Reconciler struct {
	Client   client.Client
	Live     client.Reader // for Secrets, which are not cached
	Events   events.EventRecorder
	Liveness *liveness.Liveness
	HubUID   string
	// LeaseSeconds between two renewals of an agent's lease.
	LeaseSeconds int32
}

// Setup registers the reconciler.
func (r *Reconciler) Setup(mgr ctrl.Manager) error {
	byAnnotation := handler.EnqueueRequestsFromMapFunc(clusterOf)
	return ctrl.NewControllerManagedBy(mgr).Named("cluster").
		For(&fleet.Cluster{}, builder.WithPredicates(predicate.Or[client.Object](
			predicate.GenerationChangedPredicate{}, predicate.LabelChangedPredicate{}))).
		Watches(&flotilla.Agent{}, byAnnotation, builder.WithPredicates(predicate.Or[client.Object](predicate.GenerationChangedPredicate{}, moved))).
		Watches(&coordinationv1.Lease{}, byAnnotation, builder.WithPredicates(deleted)).
		WatchesRawSource(r.Liveness.Source(&handler.EnqueueRequestForObject{})).
		WithOptions(controller.Options{MaxConcurrentReconciles: workers}).
		Complete(r)
}

// moved lets an agent through that says for the first time, or otherwise, where it runs.
var moved = predicate.Funcs{
	CreateFunc:  func(event.CreateEvent) bool { return false },
	DeleteFunc:  func(event.DeleteEvent) bool { return false },
	GenericFunc: func(event.GenericEvent) bool { return false },
	UpdateFunc: func(e event.UpdateEvent) bool {
		before, now := e.ObjectOld.(*flotilla.Agent), e.ObjectNew.(*flotilla.Agent)
		return before.Status.Namespace != now.Status.Namespace
	},
}

// deleted lets deletions through: a lease is renewed too often to look at it each time.
var deleted = predicate.Funcs{
	CreateFunc:  func(event.CreateEvent) bool { return false },
	UpdateFunc:  func(event.UpdateEvent) bool { return false },
	GenericFunc: func(event.GenericEvent) bool { return false },
}

// clusterOf finds the Cluster that something in a cluster namespace belongs to.
func clusterOf(_ context.Context, obj client.Object) []ctrl.Request {
	name, namespace := obj.GetAnnotations()[fleet.ClusterAnnotation], obj.GetAnnotations()[fleet.ClusterNamespaceAnnotation]
	if name == "" || namespace == "" {
		return nil
	}
	return []ctrl.Request{{NamespacedName: client.ObjectKey{Namespace: namespace, Name: name}}}
}

// run is what one walk learns.
type run struct {
	cluster   *fleet.Cluster
	namespace string
	agent     *flotilla.Agent
}

// Reconcile furnishes one cluster's namespace.
func (r *Reconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	found := &fleet.Cluster{}
	if err := r.Client.Get(ctx, req.NamespacedName, found); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	in := &run{cluster: found.DeepCopy(), namespace: fleet.ClusterNamespace(found.Namespace, found.Name)}
	if !found.DeletionTimestamp.IsZero() {
		return again(r.leave(ctx, in))
	}
	if found.Labels[fleet.ClusterManagementLabel] != "" {
		return ctrl.Result{}, nil // another manager's
	}
	if controllerutil.AddFinalizer(in.cluster, fleet.ClusterFinalizer) {
		if err := r.Client.Patch(ctx, in.cluster, client.MergeFromWithOptions(found, client.MergeFromWithOptimisticLock{})); err != nil {
			return again(err)
		}
	}
	reason, err := r.walk(ctx, in)
	if stale(err) {
		return again(err)
	}
	if patchErr := r.report(ctx, in, reason, err); patchErr != nil {
		return again(patchErr)
	}
	return again(err)
}

// walk goes through the steps, in the order in which an agent needs their results: who finds the Agent finds the rest.
func (r *Reconciler) walk(ctx context.Context, in *run) (string, error) {
	for _, step := range []struct {
		reason string
		do     func(context.Context, *run) error
	}{
		{"NamespaceFailed", r.ensureNamespace},
		{"KeyFailed", r.ensureKey},
		{"AgentFailed", r.ensureAgent},
		{"LeaseFailed", r.ensureLease},
	} {
		if err := step.do(ctx, in); err != nil {
			return step.reason, err
		}
	}
	return "", nil
}

// report writes the conditions that this reconciler owns, and what the lease says.
func (r *Reconciler) report(ctx context.Context, in *run, reason string, err error) error {
	before, now := in.cluster.DeepCopy(), in.cluster
	patchErr := status.Patch(ctx, r.Client, now, func() {
		conditions := &now.Status.Conditions
		if err != nil {
			if fleet.SetCondition(conditions, fleet.ConditionProcessed, corev1.ConditionFalse, reason, err.Error()) {
				r.Events.Eventf(now, nil, corev1.EventTypeWarning, reason, "Furnish", "%s", err.Error())
			}
			return
		}
		now.Status.Namespace = in.namespace
		if said := in.agent.Status.Namespace; said != "" {
			now.Status.Agent.Namespace = said
		}
		fleet.SetCondition(conditions, fleet.ConditionProcessed, corev1.ConditionTrue, "", "")
		if message := notServed(&now.Spec); message != "" {
			fleet.SetCondition(conditions, fleet.ConditionNotServed, corev1.ConditionTrue, fleet.ConditionNotServed, message)
		} else {
			fleet.RemoveCondition(conditions, fleet.ConditionNotServed)
		}
		r.Liveness.Show(now)
	})
	if patchErr == nil {
		r.Liveness.Turned(before, now)
	}
	return patchErr
}

// leave is what deleting a Cluster does.
func (r *Reconciler) leave(ctx context.Context, in *run) error {
	if !controllerutil.ContainsFinalizer(in.cluster, fleet.ClusterFinalizer) {
		return nil
	}
	accounts := access.Accounts{Client: r.Client, Live: r.Live}
	for _, step := range []func() error{
		func() error { return accounts.Revoke(ctx, in.cluster) },
		func() error { return r.orphan(ctx, in) },
		func() error { return r.forgetRegistrations(ctx, in) },
	} {
		if err := step(); err != nil {
			r.Events.Eventf(in.cluster, nil, corev1.EventTypeWarning, "RevokeFailed", "Revoke", "%s", err.Error())
			return err
		}
	}
	before := in.cluster.DeepCopy()
	controllerutil.RemoveFinalizer(in.cluster, fleet.ClusterFinalizer)
	if err := r.Client.Patch(ctx, in.cluster, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{})); err != nil {
		return client.IgnoreNotFound(err)
	}
	r.Events.Eventf(in.cluster, nil, corev1.EventTypeNormal, "Revoked", "Revoke", "%s",
		fmt.Sprintf("the agent has no access any more; what is deployed on the cluster stays, and so does namespace %s on the hub until somebody deletes it", in.namespace))
	return nil
}

// stale tells errors that mean no more than that the cache is behind.
func stale(err error) bool { return apierrors.IsConflict(err) || apierrors.IsAlreadyExists(err) }

// again makes a stale cache an ordinary reason to look once more, not an error in the log.
func again(err error) (ctrl.Result, error) {
	if stale(err) {
		return ctrl.Result{RequeueAfter: 100 * time.Millisecond}, nil
	}
	return ctrl.Result{}, err
}
