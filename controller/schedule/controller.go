// Package schedule tells of maintenance windows: it writes into each Schedule whether it is open and into each Cluster whether one
// of them lets it be changed now.
//
// What may move is not decided by these statuses: controller/bundle asks controller/rollout, by the clock, at each walk. So a
// controller that was away when a window opened or closed does the right thing from its first walk on. The statuses are for people,
// and their change is what wakes the bundles.
package schedule

import (
	"context"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/predicate"

	fleet "flotilla.io/flotilla/api/v1alpha1"
	"flotilla.io/flotilla/controller/rollout"
	"flotilla.io/flotilla/controller/status"
)

const (
	// settle gathers what comes in bursts.
	settle = 100 * time.Millisecond
	// nap bounds how long nobody looks at the clock: one that is set anew, or a machine that slept, is found out by then.
	nap = 5 * time.Minute
)

// Reconciler tells of the windows of one workspace at a time. All fields are set before Setup.
type Reconciler struct {
	Client client.Client
	Clock  clock.PassiveClock
}

// Setup registers the reconciler.
func (r *Reconciler) Setup(mgr ctrl.Manager) error {
	written := predicate.Or[client.Object](predicate.GenerationChangedPredicate{}, predicate.LabelChangedPredicate{})
	return ctrl.NewControllerManagedBy(mgr).Named("schedule").
		Watches(&fleet.Schedule{}, byWorkspace(), builder.WithPredicates(written)).
		Watches(&fleet.Cluster{}, byWorkspace(), builder.WithPredicates(written)).
		Watches(&fleet.ClusterGroup{}, byWorkspace(), builder.WithPredicates(written)).
		Complete(r)
}

// byWorkspace asks for the workspace of an object: of several Schedules that pick a cluster one open window is enough, so all of a
// workspace are looked at together.
func byWorkspace() handler.EventHandler {
	type queue = workqueue.TypedRateLimitingInterface[ctrl.Request]
	add := func(obj client.Object, q queue) {
		q.AddAfter(ctrl.Request{NamespacedName: client.ObjectKey{Name: obj.GetNamespace()}}, settle)
	}
	return handler.Funcs{
		CreateFunc: func(_ context.Context, e event.CreateEvent, q queue) { add(e.Object, q) },
		UpdateFunc: func(_ context.Context, e event.UpdateEvent, q queue) { add(e.ObjectNew, q) },
		DeleteFunc: func(_ context.Context, e event.DeleteEvent, q queue) { add(e.Object, q) },
	}
}

// run is what one walk learns.
type run struct {
	schedules []fleet.Schedule
	clusters  []fleet.Cluster
	windows   *rollout.Windows
	now       time.Time
	turn      time.Time // when the first window opens or closes; zero: never
}

// Reconcile tells of the windows of the workspace that the request names, and comes back when one of them opens or closes.
func (r *Reconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	in := &run{now: r.Clock.Now()}
	for _, step := range []func(context.Context, *run, string) error{r.observe, r.tellSchedules, r.tellClusters} {
		if err := step(ctx, in, req.Name); err != nil {
			if apierrors.IsConflict(err) || apierrors.IsNotFound(err) {
				return ctrl.Result{RequeueAfter: settle}, nil
			}
			return ctrl.Result{}, err
		}
	}
	if in.turn.IsZero() {
		return ctrl.Result{}, nil
	}
	return ctrl.Result{RequeueAfter: min(nap, max(in.turn.Sub(in.now), time.Millisecond))}, nil
}

func (r *Reconciler) observe(ctx context.Context, in *run, workspace string) error {
	schedules, clusters, groups := &fleet.ScheduleList{}, &fleet.ClusterList{}, &fleet.ClusterGroupList{}
	for _, list := range []client.ObjectList{schedules, clusters, groups} {
		if err := r.Client.List(ctx, list, client.InNamespace(workspace), client.UnsafeDisableDeepCopy); err != nil {
			return fmt.Errorf("reading workspace %s: %w", workspace, err)
		}
	}
	in.schedules, in.clusters = schedules.Items, clusters.Items
	in.windows = rollout.NewWindows(in.schedules, groups.Items, in.now)
	return nil
}

// tellSchedules writes the status of each Schedule, and lets those go that Fleet would hold back with a finalizer.
func (r *Reconciler) tellSchedules(ctx context.Context, in *run, _ string) error {
	for i := range in.schedules {
		s := in.schedules[i].DeepCopy()
		if !s.DeletionTimestamp.IsZero() {
			before := s.DeepCopy()
			if controllerutil.RemoveFinalizer(s, fleet.ScheduleFinalizer) {
				if err := client.IgnoreNotFound(r.Client.Patch(ctx, s, client.MergeFrom(before))); err != nil {
					return err
				}
			}
			continue
		}
		opening, err := in.windows.Schedule(s.Name)
		if turn := opening.Turn(); !turn.IsZero() && (in.turn.IsZero() || turn.Before(in.turn)) {
			in.turn = turn
		}
		picked := in.picked(s.Name)
		if err := status.Patch(ctx, r.Client, s, func() { tell(&s.Status, opening, picked, err) }); err != nil {
			return err
		}
	}
	return nil
}

// picked are the names of the clusters that a Schedule picks, sorted.
func (in *run) picked(name string) []string {
	var out []string
	for i := range in.clusters {
		if in.windows.Picks(name, &in.clusters[i]) {
			out = append(out, in.clusters[i].Name)
		}
	}
	slices.Sort(out)
	return out
}

func tell(st *fleet.ScheduleStatus, o rollout.Opening, picked []string, err error) {
	st.Active, st.NextStartTime, st.MatchingClusters = o.Open, metav1.Time{}, picked
	if !o.Next.IsZero() {
		st.NextStartTime = metav1.NewTime(o.Next)
	}
	fleet.RemoveCondition(&st.Conditions, fleet.ConditionNotServed)
	if err != nil {
		fleet.SetCondition(&st.Conditions, fleet.ConditionReady, corev1.ConditionFalse, fleet.ReasonError,
			err.Error()+"; the clusters that it picks are not changed until it can be read")
		return
	}
	fleet.SetCondition(&st.Conditions, fleet.ConditionReady, corev1.ConditionTrue, "", "")
}

// tellClusters writes into each Cluster whether Schedules pick it, and whether one of them is open.
func (r *Reconciler) tellClusters(ctx context.Context, in *run, _ string) error {
	for i := range in.clusters {
		access := in.windows.Of(&in.clusters[i])
		if st := in.clusters[i].Status; st.Scheduled == access.Scheduled && st.ActiveSchedule == access.Open {
			continue
		}
		c := in.clusters[i].DeepCopy()
		err := status.Patch(ctx, r.Client, c, func() { c.Status.Scheduled, c.Status.ActiveSchedule = access.Scheduled, access.Open })
		if err != nil {
			return err
		}
	}
	return nil
}
