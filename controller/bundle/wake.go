package bundle

import (
	"context"

	"k8s.io/client-go/util/workqueue"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"

	fleet "flotilla.io/flotilla/api/v1alpha1"
	"flotilla.io/flotilla/controller/output"
	"flotilla.io/flotilla/controller/status"
)

// dependencyIndex finds the Bundles that depend on one: by "<namespace>/<name>", and those with selectors by anyBundle.
const (
	dependencyIndex = "flotilla.dependsOn"
	anyBundle       = "*"
)

func dependencyKeys(obj client.Object) []string {
	b, ok := obj.(*fleet.Bundle)
	if !ok {
		return nil
	}
	var keys []string
	for _, ref := range b.Spec.DependsOn {
		if ref.Name != "" {
			keys = append(keys, b.Namespace+"/"+ref.Name)
		} else {
			keys = append(keys, anyBundle)
		}
	}
	return keys
}

// inputIndex finds the Bundles that take inputs by "<namespace>/<name>" of the Bundle that they take from. Facts are of clusters of
// their own workspace, which wake all its Bundles.
const inputIndex = "flotilla.inputs"

func inputKeys(obj client.Object) []string {
	b, ok := obj.(*fleet.Bundle)
	if !ok {
		return nil
	}
	var keys []string
	for _, key := range output.Bundles(b) {
		keys = append(keys, key.String())
	}
	for i := range b.Spec.Inputs {
		if in := &b.Spec.Inputs[i]; in.Healthy && in.From.Fact != "" {
			keys = append(keys, healthy(b.Namespace))
		} else if in.Healthy {
			keys = append(keys, healthy(output.Producer(b, in).String()))
		}
	}
	return keys
}

// healthy is the key of inputIndex for those that take from healthy clusters only: of a bundle, or facts of a workspace.
func healthy(key string) string { return "healthy " + key }

// healthMatters is what a BundleDeployment shows to those that take from healthy clusters only.
func healthMatters(bd *fleet.BundleDeployment) any {
	return []any{output.Judge(bd), bd.Status.Health}
}

func lostMatters(c *fleet.Cluster) any { return output.Lost(c) }

func (r *Reconciler) healthyTakers(ctx context.Context, bd client.Object) []ctrl.Request {
	l := bd.GetLabels()
	return r.takers(ctx, healthy(l[fleet.BundleNamespaceLabel]+"/"+l[fleet.BundleLabel]))
}

func (r *Reconciler) healthyTakersOnCluster(ctx context.Context, c client.Object) []ctrl.Request {
	return append(r.onCluster(ctx, c, r.healthyTakers), r.takers(ctx, healthy(c.GetNamespace()))...)
}

// outputMatters is what a BundleDeployment shows to those that take from its bundle.
func outputMatters(bd *fleet.BundleDeployment) any {
	return []any{bd.Status.Outputs, bd.Spec.Deletion != nil}
}

// grantMatters is what a Bundle shows to those that take from it.
func grantMatters(b *fleet.Bundle) any { return []any{b.Spec.Outputs, b.DeletionTimestamp} }

func (r *Reconciler) takers(ctx context.Context, key string) []ctrl.Request {
	return r.bundlesThat(ctx, client.MatchingFields{inputIndex: key})
}

func (r *Reconciler) takersOfBundle(ctx context.Context, b client.Object) []ctrl.Request {
	return r.takers(ctx, client.ObjectKeyFromObject(b).String())
}

func (r *Reconciler) takersOfDeployment(ctx context.Context, bd client.Object) []ctrl.Request {
	l := bd.GetLabels()
	return r.takers(ctx, l[fleet.BundleNamespaceLabel]+"/"+l[fleet.BundleLabel])
}

// takersOnCluster are those that take from any bundle on a cluster: its labels say which of them do.
func (r *Reconciler) takersOnCluster(ctx context.Context, c client.Object) []ctrl.Request {
	return r.onCluster(ctx, c, r.takersOfDeployment)
}

func (r *Reconciler) onCluster(ctx context.Context, c client.Object, takers func(context.Context, client.Object) []ctrl.Request) []ctrl.Request {
	list := &fleet.BundleDeploymentList{}
	if err := r.Client.List(ctx, list, client.MatchingFields{status.ClusterIndex: client.ObjectKeyFromObject(c).String()}, client.UnsafeDisableDeepCopy); err != nil {
		return nil
	}
	var out []ctrl.Request
	for i := range list.Items {
		out = append(out, takers(ctx, &list.Items[i])...)
	}
	return out
}

// dependencyMatters is what a Bundle shows to those that depend on it.
func dependencyMatters(b *fleet.Bundle) any {
	return []any{b.Generation, b.Status.ObservedGeneration, b.Labels, b.DeletionTimestamp,
		fleet.ConditionIs(b.Status.Conditions, status.ConditionSource, "False")}
}

// orderMatters is what an order and its report show to those that depend on the bundle.
func orderMatters(bd *fleet.BundleDeployment) any {
	return []any{bd.Spec.Sequence, bd.Spec.Deletion != nil, status.StateOf(bd), bd.Status.ReadyDeploymentID == bd.Spec.DeploymentID, bd.Labels}
}

func walkMatters(repo *fleet.GitRepo) any { return repo.Status.Walk }

// dependents are the Bundles that wait, or may wait, for a Bundle. One with selectors is woken whatever they pick: it may be what a
// bundle does not have any more that counts.
func (r *Reconciler) dependents(ctx context.Context, obj client.Object) []ctrl.Request {
	return r.dependentsOn(ctx, client.ObjectKeyFromObject(obj))
}

func (r *Reconciler) dependentsOn(ctx context.Context, key client.ObjectKey) []ctrl.Request {
	var out []ctrl.Request
	for _, index := range []string{key.String(), anyBundle} {
		list := &fleet.BundleList{}
		if err := r.Client.List(ctx, list, client.MatchingFields{dependencyIndex: index}, client.UnsafeDisableDeepCopy); err != nil {
			continue
		}
		for i := range list.Items {
			if dependent := client.ObjectKeyFromObject(&list.Items[i]); dependent != key {
				out = append(out, ctrl.Request{NamespacedName: dependent})
			}
		}
	}
	return out
}

func (r *Reconciler) dependentsOfDeployment(ctx context.Context, obj client.Object) []ctrl.Request {
	l := obj.GetLabels()
	return r.dependentsOn(ctx, client.ObjectKey{Namespace: l[fleet.BundleNamespaceLabel], Name: l[fleet.BundleLabel]})
}

// dependentsInRepo are the Bundles of a GitRepo that depend on anything: it has written all of them.
func (r *Reconciler) dependentsInRepo(ctx context.Context, repo client.Object) []ctrl.Request {
	list := &fleet.BundleList{}
	err := r.Client.List(ctx, list, client.InNamespace(repo.GetNamespace()), client.MatchingLabels{fleet.RepoLabel: repo.GetName()}, client.UnsafeDisableDeepCopy)
	if err != nil {
		return nil
	}
	var out []ctrl.Request
	for i := range list.Items {
		if len(list.Items[i].Spec.DependsOn) > 0 {
			out = append(out, ctrl.Request{NamespacedName: client.ObjectKeyFromObject(&list.Items[i])})
		}
	}
	return out
}

// dependentsOfPlan wakes those that depend on a Bundle whose plan changed.
func (r *Reconciler) dependentsOfPlan() handler.TypedEventHandler[*fleet.Bundle, ctrl.Request] {
	type queue = workqueue.TypedRateLimitingInterface[ctrl.Request]
	return handler.TypedFuncs[*fleet.Bundle, ctrl.Request]{
		GenericFunc: func(ctx context.Context, e event.TypedGenericEvent[*fleet.Bundle], q queue) {
			for _, req := range r.dependents(ctx, e.Object) {
				q.AddAfter(req, settle)
			}
		},
	}
}
