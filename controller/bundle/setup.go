package bundle

import (
	"context"
	"maps"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/util/workqueue"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/source"

	agentapi "flotilla.io/flotilla/api/flotilla/v1alpha1"
	fleet "flotilla.io/flotilla/api/v1alpha1"
)

const (
	workers = 4
	// settle gathers what comes in bursts: fifty clusters that join are one walk, not fifty.
	settle = 100 * time.Millisecond
)

// Setup registers the reconciler.
func (r *Reconciler) Setup(mgr ctrl.Manager) error {
	names, err := metadata.NewForConfig(mgr.GetConfig())
	if err != nil {
		return err
	}
	r.originals = newOriginals(names)
	if err := mgr.Add(r.originals); err != nil {
		return err
	}
	if err := mgr.GetFieldIndexer().IndexField(context.Background(), &fleet.Bundle{}, dependencyIndex, dependencyKeys); err != nil {
		return err
	}
	if err := mgr.GetFieldIndexer().IndexField(context.Background(), &fleet.Bundle{}, inputIndex, inputKeys); err != nil {
		return err
	}
	written := predicate.Or[client.Object](predicate.GenerationChangedPredicate{}, predicate.LabelChangedPredicate{})
	return ctrl.NewControllerManagedBy(mgr).Named("bundle").
		For(&fleet.Bundle{}, builder.WithPredicates(predicate.Or[client.Object](
			predicate.GenerationChangedPredicate{}, predicate.AnnotationChangedPredicate{}, predicate.LabelChangedPredicate{}))).
		Watches(&fleet.Cluster{}, burst(r.bundlesOfWorkspace), builder.WithPredicates(changed(clusterMatters))).
		Watches(&fleet.ClusterGroup{}, burst(r.bundlesOfWorkspace), builder.WithPredicates(written)).
		Watches(&fleet.Schedule{}, burst(r.bundlesOfWorkspace), builder.WithPredicates(predicate.GenerationChangedPredicate{})).
		Watches(&fleet.BundleNamespaceMapping{}, burst(r.bundlesOfWorkspace)).
		Watches(&fleet.GitRepoRestriction{}, burst(r.bundlesWritten)).
		Watches(&fleet.Policy{}, burst(r.bundlesWritten)).
		Watches(&agentapi.Agent{}, burst(r.bundlesOfAgent), builder.WithPredicates(changed(agentMatters))).
		Watches(&fleet.BundleDeployment{}, handler.EnqueueRequestsFromMapFunc(bundleOf), builder.WithPredicates(deploymentMatters)).
		Watches(&fleet.Bundle{}, burst(r.dependents), builder.WithPredicates(changed(dependencyMatters))).
		Watches(&fleet.BundleDeployment{}, burst(r.dependentsOfDeployment), builder.WithPredicates(changed(orderMatters))).
		Watches(&fleet.Cluster{}, burst(r.takersOnCluster), builder.WithPredicates(changed(clusterMatters))).
		Watches(&fleet.Bundle{}, burst(r.takersOfBundle), builder.WithPredicates(changed(grantMatters))).
		Watches(&fleet.BundleDeployment{}, burst(r.takersOfDeployment), builder.WithPredicates(changed(outputMatters))).
		Watches(&fleet.BundleDeployment{}, burst(r.healthyTakers), builder.WithPredicates(changed(healthMatters))).
		Watches(&fleet.Cluster{}, burst(r.healthyTakersOnCluster), builder.WithPredicates(changed(lostMatters))).
		Watches(&fleet.GitRepo{}, burst(r.dependentsInRepo), builder.WithPredicates(changed(walkMatters))).
		WatchesRawSource(source.Channel(r.Plans.Moved(), r.dependentsOfPlan())).
		Watches(&corev1.Namespace{}, burst(r.bundlesOfNamespace), builder.WithPredicates(changed(namespaceMatters))).
		WatchesMetadata(&corev1.ConfigMap{}, burst(r.originals.ofConfigMap)).
		WatchesRawSource(source.Channel(r.originals.events, &handler.EnqueueRequestForObject{})).
		WithOptions(controller.Options{MaxConcurrentReconciles: workers}).
		Complete(r)
}

// burst maps an object to requests that wait a moment in the queue, so that more of the same fall together.
func burst(to func(context.Context, client.Object) []ctrl.Request) handler.EventHandler {
	add := func(ctx context.Context, obj client.Object, q workqueue.TypedRateLimitingInterface[ctrl.Request]) {
		for _, req := range to(ctx, obj) {
			q.AddAfter(req, settle)
		}
	}
	type queue = workqueue.TypedRateLimitingInterface[ctrl.Request]
	return handler.Funcs{
		CreateFunc: func(ctx context.Context, e event.CreateEvent, q queue) { add(ctx, e.Object, q) },
		UpdateFunc: func(ctx context.Context, e event.UpdateEvent, q queue) { add(ctx, e.ObjectNew, q) },
		DeleteFunc: func(ctx context.Context, e event.DeleteEvent, q queue) { add(ctx, e.Object, q) },
	}
}

// changed lets an update through only if what matters about the object changed.
func changed[T client.Object](matters func(T) any) predicate.Predicate {
	return predicate.Funcs{UpdateFunc: func(e event.UpdateEvent) bool {
		before, ok := e.ObjectOld.(T)
		after, ok2 := e.ObjectNew.(T)
		return !ok || !ok2 || !equality.Semantic.DeepEqual(matters(before), matters(after))
	}}
}

func clusterMatters(c *fleet.Cluster) any {
	return []any{c.Labels, c.Annotations, c.Spec, c.Status.Namespace, c.Status.Scheduled, c.Status.ActiveSchedule, c.DeletionTimestamp}
}

func agentMatters(a *agentapi.Agent) any {
	return []any{a.Status.KubernetesVersion, a.Status.APIs, a.Status.Facts}
}

func namespaceMatters(ns *corev1.Namespace) any {
	reason, held := ns.Annotations[fleet.HoldAnnotation]
	return []any{reason, held, ns.Labels} // a hold without a reason is one, too; mappings select by labels
}

// deploymentMatters: one that was deleted or edited is put right; a report matters when it ends a deletion or tells
// that the agent has seen a newer hub, or could not fetch a layer.
var deploymentMatters = predicate.Funcs{
	CreateFunc:  func(event.CreateEvent) bool { return false },
	GenericFunc: func(event.GenericEvent) bool { return false },
	DeleteFunc:  func(event.DeleteEvent) bool { return true },
	UpdateFunc: func(e event.UpdateEvent) bool {
		before, ok := e.ObjectOld.(*fleet.BundleDeployment)
		after, ok2 := e.ObjectNew.(*fleet.BundleDeployment)
		if !ok || !ok2 {
			return true
		}
		return before.Generation != after.Generation || !maps.Equal(before.Labels, after.Labels) || unfetched(after) && !unfetched(before) ||
			before.Status.Deletion != after.Status.Deletion ||
			before.Status.ObservedSequence != after.Status.ObservedSequence && (after.Status.ObservedSequence > after.Spec.Sequence || after.Spec.Deletion != nil)
	},
}

func bundleOf(_ context.Context, obj client.Object) []ctrl.Request {
	l := obj.GetLabels()
	if l[fleet.BundleLabel] == "" {
		return nil
	}
	return []ctrl.Request{{NamespacedName: client.ObjectKey{Namespace: l[fleet.BundleNamespaceLabel], Name: l[fleet.BundleLabel]}}}
}

// bundlesOfWorkspace are the bundles that may reach clusters of the object's namespace: its own, and those of workspaces
// with mappings.
func (r *Reconciler) bundlesOfWorkspace(ctx context.Context, obj client.Object) []ctrl.Request {
	return append(r.bundlesIn(ctx, obj.GetNamespace()), r.bundlesMapped(ctx, obj.GetNamespace())...)
}

// bundlesMapped are those of other workspaces with mappings.
func (r *Reconciler) bundlesMapped(ctx context.Context, but string) (out []ctrl.Request) {
	mappings := &fleet.BundleNamespaceMappingList{}
	if err := r.Client.List(ctx, mappings); err != nil {
		return nil
	}
	seen := map[string]bool{but: true}
	for _, m := range mappings.Items {
		if !seen[m.Namespace] {
			seen[m.Namespace] = true
			out = append(out, r.bundlesIn(ctx, m.Namespace)...)
		}
	}
	return out
}

func (r *Reconciler) bundlesOfAgent(ctx context.Context, obj client.Object) []ctrl.Request {
	clusters := &fleet.ClusterList{}
	if err := r.Client.List(ctx, clusters); err != nil {
		return nil
	}
	for i := range clusters.Items {
		if clusters.Items[i].Status.Namespace == obj.GetNamespace() {
			return r.bundlesOfWorkspace(ctx, &clusters.Items[i])
		}
	}
	return nil
}

// bundlesWritten are the bundles of the object's own namespace.
func (r *Reconciler) bundlesWritten(ctx context.Context, obj client.Object) []ctrl.Request {
	return r.bundlesIn(ctx, obj.GetNamespace())
}

// bundlesOfNamespace are the bundles that a hold on a Namespace concerns, and those of workspaces whose mappings may select it.
func (r *Reconciler) bundlesOfNamespace(ctx context.Context, obj client.Object) []ctrl.Request {
	if obj.GetName() == r.SystemNamespace {
		return r.bundlesIn(ctx, "")
	}
	return append(r.bundlesIn(ctx, obj.GetName()), r.bundlesMapped(ctx, obj.GetName())...)
}

func (r *Reconciler) bundlesIn(ctx context.Context, namespace string) []ctrl.Request {
	return r.bundlesThat(ctx, client.InNamespace(namespace))
}

// bundlesThat are those that an option picks.
func (r *Reconciler) bundlesThat(ctx context.Context, picks client.ListOption) []ctrl.Request {
	list := &fleet.BundleList{}
	if err := r.Client.List(ctx, list, picks, client.UnsafeDisableDeepCopy); err != nil {
		return nil
	}
	out := make([]ctrl.Request, len(list.Items))
	for i := range list.Items {
		out[i].NamespacedName = client.ObjectKeyFromObject(&list.Items[i])
	}
	return out
}
