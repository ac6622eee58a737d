// Package token turns a ClusterRegistrationToken into what an agent needs to ask to join: an account that may do just
// that, and a Secret with the values for the agent's chart.
//
// The account lives a day longer than the token, so that an agent that comes late hears from the hub that the token has
// expired, and not a bare 401.
package token

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/events"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	fleet "flotilla.io/flotilla/api/v1alpha1"
	"flotilla.io/flotilla/controller/status"
)

// grace is how long an account outlives its token.
const grace = 24 * time.Hour

// Reconciler makes the Secrets of registration tokens. All fields are set before Setup.
type Reconciler struct {
	Client client.Client
	Live   client.Reader // for Secrets, accounts and bindings, which are not cached
	Events events.EventRecorder
	Clock  clock.Clock

	// What agents are told about the hub.
	APIServerURL string
	APIServerCA  []byte
	HubUID       string
	HubSecret    []byte
}

// Setup registers the reconciler.
func (r *Reconciler) Setup(mgr ctrl.Manager) error {
	return ctrl.NewControllerManagedBy(mgr).Named("clusterregistrationtoken").
		For(&fleet.ClusterRegistrationToken{}).
		WatchesRawSource(source.Func(r.leftovers)).
		Complete(r)
}

// leftovers queues, once at the start, the tokens that accounts were made for: some may have been deleted meanwhile.
func (r *Reconciler) leftovers(ctx context.Context, q workqueue.TypedRateLimitingInterface[reconcile.Request]) error {
	accounts := &corev1.ServiceAccountList{}
	if err := r.Live.List(ctx, accounts, client.InNamespace(AccountNamespace), client.HasLabels{fleet.ManagedLabel}); err != nil {
		return fmt.Errorf("listing the accounts of registration tokens: %w", err)
	}
	for _, account := range accounts.Items {
		q.Add(ctrl.Request{NamespacedName: client.ObjectKey{
			Namespace: account.Annotations[tokenNamespaceAnnotation], Name: account.Annotations[tokenAnnotation],
		}})
	}
	return nil
}

// run is what one walk learns.
type run struct {
	token   *fleet.ClusterRegistrationToken
	account *corev1.ServiceAccount
	reissue time.Time // when the bound token must be made anew; zero: never
}

// Reconcile brings one token's account and Secret to what they should be.
func (r *Reconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	token := &fleet.ClusterRegistrationToken{}
	err := r.Client.Get(ctx, req.NamespacedName, token)
	if apierrors.IsNotFound(err) || err == nil && !token.DeletionTimestamp.IsZero() {
		return ctrl.Result{}, r.deleteAccount(ctx, req.NamespacedName) // binding and Secret are owned by the token
	}
	if err != nil {
		return ctrl.Result{}, err
	}
	in := &run{token: token.DeepCopy()}
	reason, err := r.walk(ctx, in)
	if patchErr := r.report(ctx, in, reason, err); patchErr != nil {
		if apierrors.IsConflict(patchErr) {
			return ctrl.Result{RequeueAfter: 100 * time.Millisecond}, nil
		}
		return ctrl.Result{}, patchErr
	}
	return ctrl.Result{RequeueAfter: r.next(in)}, err
}

func (r *Reconciler) walk(ctx context.Context, in *run) (string, error) {
	if expires := Expires(in.token); !expires.IsZero() && !r.Clock.Now().Before(expires.Add(grace)) {
		return "RevokeFailed", r.revoke(ctx, in)
	}
	for _, step := range []struct {
		reason string
		do     func(context.Context, *run) error
	}{
		{"AccountFailed", r.ensureAccount},
		{"BindingFailed", r.ensureBinding},
		{"SecretFailed", r.ensureSecret},
	} {
		if err := step.do(ctx, in); err != nil {
			return step.reason, err
		}
	}
	return "", nil
}

// report says until when the token is good, and whether it is.
func (r *Reconciler) report(ctx context.Context, in *run, reason string, err error) error {
	t := in.token
	return status.Patch(ctx, r.Client, t, func() {
		t.Status.Expires = nil
		if expires := Expires(t); !expires.IsZero() {
			at := metav1.NewTime(expires)
			t.Status.Expires = &at
		}
		condition, message := corev1.ConditionTrue, ""
		switch {
		case err != nil:
			condition, message = corev1.ConditionFalse, err.Error()
		default:
			if in.account != nil {
				t.Status.SecretName = t.Name
			}
			if reason, message = Unusable(t, r.Clock.Now()); reason != "" {
				condition = corev1.ConditionFalse
			}
		}
		if fleet.SetCondition(&t.Status.Conditions, fleet.ConditionReady, condition, reason, message) {
			r.tell(t, reason, message, err)
		}
	})
}

// tell makes an event of each turn of a token: it is good, it is over, or something is wrong.
func (r *Reconciler) tell(t *fleet.ClusterRegistrationToken, reason, message string, err error) {
	switch {
	case err != nil:
		r.Events.Eventf(t, nil, corev1.EventTypeWarning, reason, "Issue", "%s", message)
	case reason != "":
		r.Events.Eventf(t, nil, corev1.EventTypeNormal, reason, "End", "%s", message)
	default:
		r.Events.Eventf(t, nil, corev1.EventTypeNormal, "Issued", "Issue", "the values for an agent are in secret %s", t.Status.SecretName)
	}
}

// next is the time until something about the token changes by itself; 0 for never.
func (r *Reconciler) next(in *run) time.Duration {
	var next time.Duration
	moments := []time.Time{in.reissue}
	if expires := Expires(in.token); !expires.IsZero() {
		moments = append(moments, expires, expires.Add(grace))
	}
	for _, at := range moments {
		if left := at.Sub(r.Clock.Now()); left > 0 && (next == 0 || left < next) {
			next = left
		}
	}
	return next
}

// Expires is when a token ends; zero for never, which, as in Fleet, is what no TTL and a TTL of 0 mean.
func Expires(t *fleet.ClusterRegistrationToken) time.Time {
	if t.Spec.TTL == nil || t.Spec.TTL.Duration <= 0 {
		return time.Time{}
	}
	return t.CreationTimestamp.Add(t.Spec.TTL.Duration)
}

// Unusable tells why nobody can join with a token any more; empty when somebody can.
func Unusable(t *fleet.ClusterRegistrationToken, now time.Time) (reason, message string) {
	if expires := Expires(t); !expires.IsZero() && !now.Before(expires) {
		return fleet.ReasonTokenExpired, fmt.Sprintf("registration token %s expired at %s; make another ClusterRegistrationToken",
			t.Name, expires.UTC().Format(time.RFC3339))
	}
	if t.Spec.Uses > 0 && len(t.Status.UsedBy) >= t.Spec.Uses {
		return fleet.ReasonTokenUsed, fmt.Sprintf("registration token %s was used %d times, which is all that its spec.uses allows; raise it or make another ClusterRegistrationToken",
			t.Name, len(t.Status.UsedBy))
	}
	return "", ""
}
