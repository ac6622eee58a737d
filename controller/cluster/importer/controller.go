// Package importer brings the agent to the Clusters that name a kubeconfig.
//
// It is the one case in which anything on the hub dials into a cluster, and it is short: a process of its own, which gets
// the kubeconfig and the chart's values on its standard input and nothing else, installs the chart and ends. From then on
// the agent dials the hub like any other. The cluster is dialled again only when spec.redeployAgentGeneration or a field
// that describes the agent's Deployment changes. Removing the kubeconfig, or the Cluster, takes nothing away.
package importer

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/tools/events"
	"k8s.io/client-go/util/retry"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	fleet "flotilla.io/flotilla/api/v1alpha1"
	"flotilla.io/flotilla/controller/status"
)

const (
	// workers is how many clusters are dialled at once.
	workers = 2
	// soon and late are the first and the longest wait before a cluster is dialled again that could not be reached.
	soon, late = 5 * time.Second, 15 * time.Minute
)

// Reconciler imports Clusters. All fields are set before Setup.
type Reconciler struct {
	Client client.Client
	Live   client.Reader // for Secrets, and for what must not be stale
	Events events.EventRecorder
	Clock  clock.Clock
	// Install carries an order out. nil: the hub was told not to dial.
	Install func(context.Context, Order) error
	// PullSecrets are the Secrets beside the hub that agents' images are pulled with.
	PullSecrets []string
}

// Setup registers the reconciler.
func (r *Reconciler) Setup(mgr ctrl.Manager) error {
	return ctrl.NewControllerManagedBy(mgr).Named("cluster-import").
		For(&fleet.Cluster{}, builder.WithPredicates(predicate.Or[client.Object](
			predicate.GenerationChangedPredicate{}, predicate.LabelChangedPredicate{}))).
		Owns(&fleet.ClusterRegistrationToken{}).
		WithOptions(controller.Options{
			MaxConcurrentReconciles: workers,
			RateLimiter:             workqueue.NewTypedItemExponentialFailureRateLimiter[reconcile.Request](soon, late),
		}).
		Complete(r)
}

// run is what one walk learns.
type run struct {
	cluster *fleet.Cluster
	values  map[string]any // of the registration token
	order   Order
}

// errWaiting ends a walk until the registration token is ready, which wakes the next one.
var errWaiting = errors.New("waiting for the registration token")

// Reconcile imports one cluster, if it is due.
func (r *Reconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	found := &fleet.Cluster{}
	if err := r.Client.Get(ctx, req.NamespacedName, found); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	if !asked(found) || !due(found) {
		return ctrl.Result{}, nil
	}
	in := &run{cluster: &fleet.Cluster{}}
	if err := r.Live.Get(ctx, req.NamespacedName, in.cluster); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	if !asked(in.cluster) || !due(in.cluster) {
		return ctrl.Result{}, nil // the cache is behind: it was imported a moment ago
	}
	err := r.walk(ctx, in)
	if apierrors.IsConflict(err) || apierrors.IsAlreadyExists(err) {
		return ctrl.Result{RequeueAfter: 100 * time.Millisecond}, nil
	}
	if reportErr := r.report(ctx, in, err); reportErr != nil {
		return ctrl.Result{}, reportErr
	}
	if no := (*refusal)(nil); errors.Is(err, errWaiting) || errors.As(err, &no) {
		return ctrl.Result{}, nil
	}
	return ctrl.Result{}, err
}

// refusal is what only a change of the Cluster, or of the hub, ends.
type refusal struct{ message string }

func (r *refusal) Error() string { return r.message }

// asked tells whether a cluster shall be imported at all.
func asked(c *fleet.Cluster) bool {
	return c.Spec.KubeConfigSecret != "" && c.DeletionTimestamp.IsZero() && c.Labels[fleet.ClusterManagementLabel] == ""
}

func (r *Reconciler) walk(ctx context.Context, in *run) error {
	for _, step := range []func(context.Context, *run) error{
		r.allowed,        // by the hub, and by what was installed before
		r.ensureClientID, // by which the agent's request finds its Cluster
		r.ensureToken,    // with which it may ask
		r.compose,        // kubeconfig and values
		r.install,        // by a process of its own
	} {
		if err := step(ctx, in); err != nil {
			return err
		}
	}
	return nil
}

var errOff = &refusal{"this hub was told not to dial into clusters (chart value importClusters.enabled); " +
	"install the agent's chart with the values of a ClusterRegistrationToken"}

func (r *Reconciler) allowed(_ context.Context, in *run) error {
	if r.Install == nil {
		return errOff
	}
	have, want := in.cluster.Status.Agent.Namespace, namespaceOf(in.cluster)
	if in.cluster.Status.AgentDeployedGeneration != nil && have != "" && have != want {
		return &refusal{fmt.Sprintf("spec.agentNamespace: the agent runs in namespace %s, with all that it knows of "+
			"its deployments, and is not moved to %s; set it to %s", have, want, have)}
	}
	return nil
}

func (r *Reconciler) install(ctx context.Context, in *run) error {
	if err := r.Install(ctx, in.order); err != nil {
		return fmt.Errorf("installing the agent with the kubeconfig of Secret %s: %w", secretOf(in.cluster), err)
	}
	return nil
}

// report writes what came of it. What was installed is written down although somebody else wrote meanwhile: a cluster
// must not be dialled twice for that.
func (r *Reconciler) report(ctx context.Context, in *run, err error) error {
	return retry.RetryOnConflict(retry.DefaultBackoff, func() error {
		now := &fleet.Cluster{}
		if err := r.Live.Get(ctx, client.ObjectKeyFromObject(in.cluster), now); err != nil {
			return client.IgnoreNotFound(err)
		}
		return status.Patch(ctx, r.Client, now, func() {
			verdict, reason, message := corev1.ConditionTrue, "", ""
			switch {
			case errors.Is(err, errWaiting):
				verdict, reason, message = corev1.ConditionUnknown, fleet.ReasonImporting, err.Error()
			case errors.Is(err, errOff):
				verdict, reason, message = corev1.ConditionFalse, fleet.ReasonImportOff, err.Error()
			case err != nil:
				verdict, reason, message = corev1.ConditionFalse, fleet.ReasonError, err.Error()
			default:
				remember(now, in)
			}
			if fleet.SetCondition(&now.Status.Conditions, fleet.ConditionImported, verdict, reason, message) {
				r.tell(now, verdict, reason, message)
			}
		})
	})
}

func (r *Reconciler) tell(c *fleet.Cluster, verdict corev1.ConditionStatus, reason, message string) {
	switch verdict {
	case corev1.ConditionTrue:
		r.Events.Eventf(c, nil, corev1.EventTypeNormal, "Imported", "Import", "the agent is installed in namespace %s, and was told that the hub is at %s",
			c.Status.Agent.Namespace, c.Status.APIServerURL)
	case corev1.ConditionFalse:
		r.Events.Eventf(c, nil, corev1.EventTypeWarning, reason, "Import", "%s", message)
	}
}
