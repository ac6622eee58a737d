// Package notserved tells of whole kinds that have no effect yet: condition NotServed on each ImageScan says what does
// not happen, and Ready, where a person looks first, says the same.
//
// A kind gets a controller of its own the day it is served, and leaves this list.
package notserved

import (
	"context"
	"fmt"
	"strings"

	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	corev1 "k8s.io/api/core/v1"

	fleet "flotilla.io/flotilla/api/v1alpha1"
	"flotilla.io/flotilla/bundle/target"
	"flotilla.io/flotilla/controller/status"
)

// kinds are those that are not served and do not block: what blocks is told by the GitRepos that it keeps still.
var kinds = []struct {
	name       string
	object     client.Object // of the kind, to be copied
	conditions func(client.Object) *[]fleet.GenericCondition
}{
	{"ImageScan", &fleet.ImageScan{}, func(o client.Object) *[]fleet.GenericCondition { return &o.(*fleet.ImageScan).Status.Conditions }},
}

// Setup registers a reconciler for each kind.
func Setup(mgr ctrl.Manager) error {
	for _, k := range kinds {
		unserved, ok := target.NotServedKind(k.name)
		if !ok {
			return fmt.Errorf("kind %s is served: it needs no controller that says it is not", k.name)
		}
		message := fmt.Sprintf("%s is not served yet: %s", k.name, unserved.Why)
		err := ctrl.NewControllerManagedBy(mgr).Named("notserved-"+strings.ToLower(k.name)).
			For(k.object, builder.WithPredicates(predicate.GenerationChangedPredicate{})).
			Complete(reconcile.Func(func(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
				object := k.object.DeepCopyObject().(client.Object)
				if err := mgr.GetClient().Get(ctx, req.NamespacedName, object); err != nil {
					return ctrl.Result{}, client.IgnoreNotFound(err)
				}
				return ctrl.Result{}, client.IgnoreNotFound(status.Patch(ctx, mgr.GetClient(), object, func() {
					conditions := k.conditions(object)
					fleet.SetCondition(conditions, fleet.ConditionNotServed, corev1.ConditionTrue, fleet.ConditionNotServed, message)
					fleet.SetCondition(conditions, fleet.ConditionReady, corev1.ConditionFalse, fleet.ConditionNotServed, message)
				}))
			}))
		if err != nil {
			return err
		}
	}
	return nil
}
