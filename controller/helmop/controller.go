// Package helmop turns HelmOps into Bundles: find the version of the chart, fetch it, seal its files into Content, and write one
// Bundle of the HelmOp's name.
//
// Clusters never ask a Helm repository: the chart is among the Bundle's files, at the version that is pinned in its spec. A pinned
// version moves only when the HelmOp changes, or by polling. Whatever cannot be found or fetched leaves the Bundle as it is.
package helmop

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/events"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/predicate"

	fleet "flotilla.io/flotilla/api/v1alpha1"
	"flotilla.io/flotilla/bundle/source/charts"
	"flotilla.io/flotilla/controller/content"
	"flotilla.io/flotilla/controller/origin"
	"flotilla.io/flotilla/controller/policy"
	"flotilla.io/flotilla/controller/status"
)

const (
	retry   = 30 * time.Second // after what was wrong: nobody tells when a repository or a Secret was put right
	workers = 4
	// walkTimeout bounds one look at repositories, so that a dead one holds a worker for no longer.
	walkTimeout = 2 * time.Minute
)

// Reconciler moves HelmOps forward. All fields are set before Setup.
type Reconciler struct {
	Client client.Client
	Reader client.Reader // live reads, for Secrets
	Store  *content.Store
	Charts *charts.Fetcher
	Events events.EventRecorder

	mu     sync.Mutex
	polled map[client.ObjectKey]time.Time // when repositories were asked last
}

// Setup registers the reconciler.
func (r *Reconciler) Setup(mgr ctrl.Manager) error {
	r.polled = map[client.ObjectKey]time.Time{}
	return ctrl.NewControllerManagedBy(mgr).Named("helmop").
		For(&fleet.HelmOp{}, builder.WithPredicates(predicate.GenerationChangedPredicate{})).
		Watches(&fleet.Bundle{}, handler.EnqueueRequestsFromMapFunc(opOf), builder.WithPredicates(origin.BundleTouched)).
		Watches(&fleet.Policy{}, handler.EnqueueRequestsFromMapFunc(r.opsOfWorkspace)).
		Watches(&fleet.GitRepoRestriction{}, handler.EnqueueRequestsFromMapFunc(r.opsOfWorkspace)).
		WithOptions(controller.Options{MaxConcurrentReconciles: workers}).
		Complete(r)
}

func opOf(_ context.Context, obj client.Object) []ctrl.Request {
	name := obj.GetLabels()[fleet.HelmOpLabel]
	if name == "" {
		return nil
	}
	return []ctrl.Request{{NamespacedName: client.ObjectKey{Namespace: obj.GetNamespace(), Name: name}}}
}

// opsOfWorkspace wakes the HelmOps that the rules of a workspace concern.
func (r *Reconciler) opsOfWorkspace(ctx context.Context, obj client.Object) []ctrl.Request {
	list := &fleet.HelmOpList{}
	if err := r.Client.List(ctx, list, client.InNamespace(obj.GetNamespace())); err != nil {
		return nil
	}
	out := make([]ctrl.Request, len(list.Items))
	for i := range list.Items {
		out[i].NamespacedName = client.ObjectKeyFromObject(&list.Items[i])
	}
	return out
}

// run is what one walk learns.
type run struct {
	op      *fleet.HelmOp
	asked   policy.ResolvedHelmOp // the spec, with the defaults of the workspace
	have    *fleet.Bundle         // nil: there is none yet
	session *charts.Session
	pins    pins   // the versions that are deployed from now on
	fresh   bool   // they have to be fetched
	version string // of the bundle's own chart
	polls   bool   // repositories are asked for new versions
	polled  error  // what that failed with; what was pinned stays
}

// Reconcile brings the Bundle of a HelmOp to what the HelmOp asks for.
func (r *Reconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	op := &fleet.HelmOp{}
	if err := r.Client.Get(ctx, req.NamespacedName, op); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	in := &run{op: op.DeepCopy()}
	if !op.DeletionTimestamp.IsZero() {
		return r.finalize(ctx, in.op)
	}
	if controllerutil.AddFinalizer(in.op, fleet.HelmOpFinalizer) {
		if err := r.Client.Patch(ctx, in.op, client.MergeFrom(op)); err != nil {
			return ctrl.Result{}, err
		}
	}
	walkCtx, cancel := context.WithTimeout(ctx, walkTimeout)
	defer cancel()
	err := r.walk(walkCtx, in)
	if apierrors.IsConflict(err) {
		return ctrl.Result{RequeueAfter: time.Second}, nil
	}
	if reportErr := r.report(ctx, in, err); reportErr != nil {
		if apierrors.IsConflict(reportErr) {
			return ctrl.Result{RequeueAfter: 100 * time.Millisecond}, nil
		}
		return ctrl.Result{}, reportErr
	}
	switch every := polling(&in.op.Spec); {
	case every > 0:
		return ctrl.Result{RequeueAfter: every}, nil
	case err != nil:
		return ctrl.Result{RequeueAfter: retry}, nil
	}
	return ctrl.Result{}, nil
}

// walk goes through the steps; each may end the walk with a failure, and then what was there stays.
func (r *Reconciler) walk(ctx context.Context, in *run) error {
	for _, step := range []func(context.Context, *run) error{
		r.accept,  // what is asked, by the rules of the workspace
		r.resolve, // ranges -> versions
		r.write,   // versions -> Content, Secret, Bundle
	} {
		if err := step(ctx, in); err != nil {
			return err
		}
	}
	return nil
}

// polling is how often repositories are asked for new versions; 0 is never.
func polling(spec *fleet.HelmOpSpec) time.Duration {
	if spec.PollingInterval == nil || spec.PollingInterval.Duration <= 0 || spec.Helm == nil {
		return 0
	}
	for _, ref := range refs(spec) {
		if ref.Moving() {
			return spec.PollingInterval.Duration
		}
	}
	return 0
}

// report writes the conditions that this reconciler owns. Ready belongs to controller/status.
func (r *Reconciler) report(ctx context.Context, in *run, err error) error {
	cached := &fleet.HelmOp{}
	if getErr := r.Client.Get(ctx, client.ObjectKeyFromObject(in.op), cached); getErr != nil {
		return client.IgnoreNotFound(getErr)
	}
	now := cached.DeepCopy()
	return status.Patch(ctx, r.Client, now, func() {
		st := &now.Status
		set := func(kind string, value corev1.ConditionStatus, reason, message string) bool {
			return fleet.SetCondition(&st.Conditions, kind, value, reason, message)
		}
		fleet.RemoveCondition(&st.Conditions, fleet.ConditionNotServed)
		if err != nil {
			reason, message := explain(in, err)
			if set(fleet.ConditionAccepted, "False", reason, message) {
				r.Events.Eventf(now, nil, corev1.EventTypeWarning, reason, "Fetch", "%s", message)
			}
			return
		}
		defaulted := ""
		if in.asked.Defaults != "" {
			defaulted = fleet.ReasonDefaulted
		}
		set(fleet.ConditionAccepted, "True", defaulted, in.asked.Defaults)
		switch {
		case polling(&in.op.Spec) == 0:
			fleet.RemoveCondition(&st.Conditions, fleet.ConditionPolled)
		case in.polled != nil:
			reason, message := explain(in, in.polled)
			if set(fleet.ConditionPolled, "False", reason, message) {
				r.Events.Eventf(now, nil, corev1.EventTypeWarning, reason, "Poll", "%s", message)
			}
		case in.polls:
			set(fleet.ConditionPolled, "True", "", "")
			if st.Version != in.version { // not at each look: one that finds nothing writes nothing
				st.LastPollingTime = metav1.Now()
			}
		}
		if files := in.op.Spec.Helm.ValuesFiles; len(files) > 0 {
			set(fleet.ConditionNotServed, "True", "Ignored", "spec.helm.valuesFiles: a HelmOp has no files beside it; write them into helm.values, or name them in helm.valuesFrom")
		}
		if in.version != "" { // an archive tells its version only when it is fetched
			st.Version = in.version
		}
	})
}

// explain is the reason and the message of what was wrong, with what goes on nevertheless.
func explain(in *run, err error) (reason, message string) {
	reason = fleet.ReasonError
	if f, ok := err.(*origin.Failure); ok {
		reason = f.Reason
	}
	message = strings.Join(strings.Split(err.Error(), "\n"), "; ")
	if in.op.Status.Version != "" {
		message += fmt.Sprintf("; version %s stays deployed", in.op.Status.Version)
	}
	return reason, message
}
