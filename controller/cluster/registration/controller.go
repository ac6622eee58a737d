// Package registration lets clusters join: it checks an agent's request against the token that it came with, makes the
// Cluster, and answers with a credential that only the sender's key opens.
//
// Requests are handled one by one, so that counting the uses of a token is a read and a write. A request that is refused,
// or waits for a person, says why in condition Granted and in an event; the agent reads the same words.
package registration

import (
	"context"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/tools/events"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/predicate"

	flotilla "flotilla.io/flotilla/api/flotilla/v1alpha1"
	fleet "flotilla.io/flotilla/api/v1alpha1"
	"flotilla.io/flotilla/controller/cluster/access"
	"flotilla.io/flotilla/controller/status"
)

// Reconciler answers ClusterRegistrations. All fields are set before Setup.
type Reconciler struct {
	Client client.Client
	Live   client.Reader // for what must not be stale: tokens' uses, agents' keys
	Events events.EventRecorder

	HubUID    string
	HubSecret []byte
	// IgnoreLabels makes Clusters without the labels that agents ask for.
	IgnoreLabels bool
	// CredentialTTL is how long an agent's first token is good; it renews it itself.
	CredentialTTL time.Duration
}

// Setup registers the reconciler.
func (r *Reconciler) Setup(mgr ctrl.Manager) error {
	return ctrl.NewControllerManagedBy(mgr).Named("clusterregistration").
		For(&fleet.ClusterRegistration{}, builder.WithPredicates(predicate.GenerationChangedPredicate{})).
		Watches(&fleet.ClusterRegistrationToken{}, handler.EnqueueRequestsFromMapFunc(r.ofToken),
			builder.WithPredicates(predicate.GenerationChangedPredicate{})).
		Watches(&fleet.Cluster{}, handler.EnqueueRequestsFromMapFunc(r.ofCluster), builder.WithPredicates(settled)).
		Watches(&flotilla.Agent{}, handler.EnqueueRequestsFromMapFunc(r.ofAgent), builder.WithPredicates(created)).
		Complete(r)
}

// settled lets through what a waiting request may wait for: a cluster that came, went, or changed whose it is.
var settled = predicate.Funcs{
	CreateFunc:  func(event.CreateEvent) bool { return false },
	GenericFunc: func(event.GenericEvent) bool { return false },
	UpdateFunc:  func(e event.UpdateEvent) bool { return e.ObjectOld.GetGeneration() != e.ObjectNew.GetGeneration() },
}

var created = predicate.Funcs{
	UpdateFunc:  func(event.UpdateEvent) bool { return false },
	DeleteFunc:  func(event.DeleteEvent) bool { return false },
	GenericFunc: func(event.GenericEvent) bool { return false },
}

func (r *Reconciler) ofToken(ctx context.Context, obj client.Object) []ctrl.Request {
	return r.open(ctx, obj.GetNamespace(), func(reg *fleet.ClusterRegistration) bool {
		return reg.Labels[fleet.RegistrationTokenLabel] == obj.GetName()
	})
}

func (r *Reconciler) ofCluster(ctx context.Context, obj client.Object) []ctrl.Request {
	cluster := obj.(*fleet.Cluster)
	return r.open(ctx, cluster.Namespace, func(reg *fleet.ClusterRegistration) bool {
		return clusterName(reg) == cluster.Name || reg.Spec.ClientID == cluster.Spec.ClientID
	})
}

func (r *Reconciler) ofAgent(ctx context.Context, obj client.Object) []ctrl.Request {
	cluster := &fleet.Cluster{}
	key := client.ObjectKey{Namespace: obj.GetAnnotations()[fleet.ClusterNamespaceAnnotation], Name: obj.GetAnnotations()[fleet.ClusterAnnotation]}
	if r.Client.Get(ctx, key, cluster) != nil {
		return nil
	}
	return r.ofCluster(ctx, cluster)
}

// open lists the requests of a workspace that have no credential yet.
func (r *Reconciler) open(ctx context.Context, workspace string, which func(*fleet.ClusterRegistration) bool) []ctrl.Request {
	list := &fleet.ClusterRegistrationList{}
	if workspace == "" || r.Client.List(ctx, list, client.InNamespace(workspace), client.UnsafeDisableDeepCopy) != nil {
		return nil
	}
	var out []ctrl.Request
	for i := range list.Items {
		if reg := &list.Items[i]; !reg.Status.Granted && which(reg) {
			out = append(out, ctrl.Request{NamespacedName: client.ObjectKeyFromObject(reg)})
		}
	}
	return out
}

// run is what one walk learns.
type run struct {
	reg     *fleet.ClusterRegistration
	token   *fleet.ClusterRegistrationToken
	cluster *fleet.Cluster  // nil until it is made
	agent   *flotilla.Agent // nil until it is there
}

// Reconcile moves one request forward. One that was granted is done: it must not bring a deleted Cluster back.
func (r *Reconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	reg := &fleet.ClusterRegistration{}
	if err := r.Client.Get(ctx, req.NamespacedName, reg); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	if reg.Status.Granted || !reg.DeletionTimestamp.IsZero() || reg.Labels[fleet.ClusterManagementLabel] != "" {
		return ctrl.Result{}, nil // or another manager's
	}
	in := &run{reg: reg.DeepCopy()}
	err := r.walk(ctx, in)
	if apierrors.IsConflict(err) || apierrors.IsAlreadyExists(err) {
		return ctrl.Result{RequeueAfter: 100 * time.Millisecond}, nil
	}
	return ctrl.Result{}, err
}

// walk checks, then grants.
func (r *Reconciler) walk(ctx context.Context, in *run) error {
	for _, check := range []func(context.Context, *run) (*refusal, error){
		r.wellFormed,   // what is asked can be read
		r.tokenKnown,   // the token exists, and the sender holds it
		r.notReplayed,  // not somebody else's request, sent again
		r.tokenUsable,  // not over, not used up
		r.labelsProper, // no labels that only the hub may give, none that the token forbids
		r.nameFree,     // the cluster is this agent's, or nobody's
		r.approved,     // a person, or a rule, says so where one is needed
	} {
		switch no, err := check(ctx, in); {
		case err != nil:
			return err
		case no != nil:
			return r.refuse(ctx, in, no)
		}
	}
	return r.grant(ctx, in)
}

// refusal is why a request is not granted (yet).
type refusal struct{ reason, message string }

func (r *Reconciler) refuse(ctx context.Context, in *run, no *refusal) error {
	return status.Patch(ctx, r.Client, in.reg, func() {
		verdict := corev1.ConditionFalse
		if no.reason == fleet.ReasonAwaitingApproval {
			verdict = corev1.ConditionUnknown
		}
		if fleet.SetCondition(&in.reg.Status.Conditions, fleet.ConditionGranted, verdict, no.reason, no.message) {
			r.Events.Eventf(in.reg, nil, corev1.EventTypeWarning, no.reason, "Join", "%s", no.message)
		}
	})
}

func (r *Reconciler) accounts() access.Accounts {
	return access.Accounts{Client: r.Client, Live: r.Live}
}
