package liveness

import (
	"context"
	"errors"
	"fmt"
	"math"
	"runtime"
	"slices"
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/util/workqueue"
	clocktesting "k8s.io/utils/clock/testing"
	"k8s.io/utils/ptr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/handler"

	fleet "flotilla.io/flotilla/api/v1alpha1"
)

var began = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// world is a Liveness on a clock of the test's, and what it tells.
type world struct {
	*Liveness
	t     *testing.T
	clock *clocktesting.FakeClock
	queue workqueue.TypedRateLimitingInterface[ctrl.Request]
}

func newWorld(t *testing.T) *world {
	w := &world{t: t, clock: clocktesting.NewFakeClock(began)}
	w.Liveness = New(w.clock)
	w.queue = workqueue.NewTypedRateLimitingQueue(workqueue.DefaultTypedControllerRateLimiter[ctrl.Request]())
	if err := w.Source(&handler.EnqueueRequestForObject{}).Start(t.Context(), w.queue); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.queue.ShutDown)
	return w
}

// never renewed.
const never = time.Duration(math.MaxInt64)

// lease is one of 30 seconds that was renewed at a time after began.
func lease(name string, renewed time.Duration) *coordinationv1.Lease {
	l := &coordinationv1.Lease{
		ObjectMeta: metav1.ObjectMeta{
			Name: fleet.AgentName, Namespace: "cluster-ws-" + name,
			Annotations: map[string]string{fleet.ClusterAnnotation: name, fleet.ClusterNamespaceAnnotation: "ws"},
		},
		Spec: coordinationv1.LeaseSpec{LeaseDurationSeconds: ptr.To[int32](30)},
	}
	if renewed != never {
		at := metav1.NewTime(began.Add(renewed))
		l.ManagedFields = []metav1.ManagedFieldsEntry{
			{Manager: "flotilla-controller", Time: ptr.To(metav1.NewTime(at.Add(time.Hour))), FieldsV1: metav1.NewFieldsV1(`{"f:metadata":{}}`)},
			{Manager: "agent", Time: &at, FieldsV1: metav1.NewFieldsV1(`{"f:spec":{"f:renewTime":{}}}`)},
		}
	}
	return l
}

// pass lets time go by in steps of a second, with the timer standing at each.
func (w *world) pass(d time.Duration) {
	for end := w.clock.Now().Add(d); w.clock.Now().Before(end); {
		w.clock.Step(time.Second)
		w.expire(w.t.Context())
	}
}

func (w *world) wantLost(name string, want bool) {
	w.t.Helper()
	if w.Lost("cluster-ws-"+name) != want {
		w.t.Fatalf("%s after %s: lost = %v, want %v", name, w.clock.Now().Sub(began), !want, want)
	}
}

// wantTold takes the clusters that were told of from the queue.
func (w *world) wantTold(names ...string) {
	w.t.Helper()
	if n := w.queue.Len(); n != len(names) {
		w.t.Fatalf("%d clusters were told of, want %v", n, names)
	}
	for range names {
		item, _ := w.queue.Get()
		w.queue.Done(item)
		if !slices.Contains(names, item.Name) {
			w.t.Fatalf("%s was told of, want %v", item.Name, names)
		}
	}
}

func TestTheTimerStandsAtTheNextExpiry(t *testing.T) {
	w := newWorld(t)
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); _ = w.Start(ctx) }()
	for _, second := range []time.Duration{0, 1000, 2000} { // each lease wakes the timer, to no avail
		w.Observe(lease(fmt.Sprint("c", int(second)), second*time.Second))
		w.wantTold(fmt.Sprint("c", int(second)))
	}
	for _, second := range []time.Duration{0, 1000, 2000} {
		name, expiry := fmt.Sprint("c", int(second)), began.Add((second+30)*time.Second)
		w.clock.SetTime(expiry.Add(-time.Second))
		w.wantTold()
		for w.queue.Len() == 0 { // the timer may be set just now, for a moment after this one
			w.clock.Step(time.Second)
			for wait := time.After(10 * time.Millisecond); w.queue.Len() == 0 && len(wait) == 0; {
				runtime.Gosched()
			}
		}
		w.wantTold(name)
		w.wantLost(name, true)
	}
	stop()
	<-done
}

func TestAClusterIsLostWhenItsLeaseRunsOut(t *testing.T) {
	w := newWorld(t)
	w.Observe(lease("a", 0))
	w.Observe(lease("b", 0))
	w.wantTold("a", "b")
	w.pass(20 * time.Second)
	w.Observe(lease("b", 20*time.Second))
	w.pass(9 * time.Second)
	w.wantLost("a", false)
	w.wantTold()
	w.pass(time.Second)
	w.wantLost("a", true)
	w.wantTold("a")
	w.wantLost("b", false)
	w.pass(20 * time.Second)
	w.wantLost("b", true)
	w.wantTold("b")
}

func TestAClusterIsBackWithItsFirstRenewal(t *testing.T) {
	w := newWorld(t)
	w.Observe(lease("a", 0))
	w.pass(31 * time.Second)
	w.wantLost("a", true)
	w.wantTold("a")
	w.Observe(lease("a", 0)) // the hub changed the lease; nobody renewed it
	w.wantLost("a", true)
	w.Observe(lease("a", 31*time.Second))
	w.wantLost("a", false)
	w.wantTold("a")
}

func TestAnUnsteadyClusterIsGivenLonger(t *testing.T) {
	w := newWorld(t)
	at := time.Duration(0)
	for _, patience := range []time.Duration{1, 2, 4, 8, 8} {
		w.Observe(lease("a", at))
		w.wantLost("a", false)
		w.pass(patience*30*time.Second - time.Second)
		w.wantLost("a", false)
		w.pass(time.Second)
		w.wantLost("a", true)
		at = w.clock.Now().Sub(began)
	}
	// Renewed for ten leases, it is judged like any other.
	for range 32 {
		w.Observe(lease("a", at))
		w.pass(10 * time.Second)
		at = w.clock.Now().Sub(began)
	}
	w.Observe(lease("a", at))
	w.pass(31 * time.Second)
	w.wantLost("a", true)
}

func TestWhoNeverRenewedIsNotLost(t *testing.T) {
	w := newWorld(t)
	w.Observe(lease("a", never))
	w.pass(2 * time.Hour)
	w.wantLost("a", false)
	w.wantTold()
	if got := w.LastSeen("cluster-ws-a"); !got.IsZero() {
		t.Errorf("LastSeen = %s, want never", got)
	}
}

func TestANewControllerTakesTheWordOfTheOldOne(t *testing.T) {
	w := newWorld(t)
	w.before = func(c *fleet.Cluster) bool { return c.Name == "lost" }
	w.Observe(lease("lost", -time.Hour))
	w.Observe(lease("silent", -time.Hour)) // nobody listened while the old one was down
	w.Observe(lease("well", -10*time.Second))
	w.wantTold("lost", "silent", "well")
	w.wantLost("lost", true)
	w.pass(29 * time.Second)
	w.wantLost("silent", false)
	w.wantLost("well", false)
	w.pass(time.Second)
	w.wantLost("silent", true)
	w.wantLost("well", true)
	w.wantTold("silent", "well")
}

func TestNobodyIsLostBecauseTheHubWasAway(t *testing.T) {
	w := newWorld(t)
	away := errors.New("connection refused")
	answer := away
	w.live = func(context.Context, string) (*coordinationv1.Lease, error) { return nil, answer }
	w.Observe(lease("a", 0))
	w.Observe(lease("b", 0))
	w.wantTold("a", "b")
	w.pass(10 * time.Minute)
	w.wantTold()
	answer = nil
	w.pass(10 * time.Second)
	w.Observe(lease("a", 10*time.Minute+10*time.Second))
	w.pass(19 * time.Second)
	w.wantLost("b", false)
	w.pass(2 * time.Second)
	w.wantLost("a", false)
	w.wantLost("b", true)
	w.wantTold("b")
}

func TestALeaseIsReadOnceMoreBeforeItsClusterIsLost(t *testing.T) {
	w := newWorld(t)
	reads := 0
	w.live = func(_ context.Context, ns string) (*coordinationv1.Lease, error) {
		reads++
		switch ns {
		case "cluster-ws-behind": // our watch is
			return lease("behind", w.clock.Now().Sub(began)-time.Second), nil
		case "cluster-ws-gone":
			return nil, apierrors.NewNotFound(coordinationv1.Resource("leases"), fleet.AgentName)
		}
		return lease("lost", 0), nil
	}
	for _, name := range []string{"behind", "gone", "lost"} {
		w.Observe(lease(name, 0))
	}
	w.wantTold("behind", "gone", "lost")
	w.pass(40 * time.Second)
	w.wantLost("behind", false)
	w.wantLost("gone", false)
	w.wantLost("lost", true)
	w.wantTold("lost")
	if reads != 3 {
		t.Errorf("%d leases were read live, want each once", reads)
	}
}

func TestAForgottenClusterIsNotToldOf(t *testing.T) {
	w := newWorld(t)
	w.Observe(lease("a", 0))
	w.wantTold("a")
	w.Forget("cluster-ws-a")
	w.pass(time.Minute)
	w.wantLost("a", false)
	w.wantTold()
	w.Observe(lease("b", time.Minute))
	w.pass(time.Minute)
	w.wantLost("b", true)
	w.Forget("cluster-ws-b")
	w.wantLost("b", false)
}

func TestOneTimerForAThousandClusters(t *testing.T) {
	w := newWorld(t)
	for i := range 1000 {
		w.Observe(lease(fmt.Sprintf("c%d", i), time.Duration(i%10)*time.Second))
	}
	for range 1000 {
		item, _ := w.queue.Get()
		w.queue.Done(item)
	}
	w.pass(25 * time.Second)
	for i := range 500 { // the first half goes on renewing
		w.Observe(lease(fmt.Sprintf("c%d", i), 25*time.Second))
	}
	w.pass(20 * time.Second)
	lost := 0
	for i := range 1000 {
		if w.Lost(fmt.Sprintf("cluster-ws-c%d", i)) {
			lost++
			if i < 500 {
				t.Fatalf("c%d renewed its lease and is lost", i)
			}
		}
	}
	if lost != 500 {
		t.Errorf("%d clusters are lost, want 500", lost)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.expiries) != 500 {
		t.Errorf("%d clusters wait for their expiry, want 500", len(w.expiries))
	}
}

func TestShow(t *testing.T) {
	const ns = "cluster-ws-a"
	ready := func(c *fleet.Cluster) *fleet.GenericCondition {
		return fleet.Condition(c.Status.Conditions, fleet.ConditionReady)
	}
	for _, row := range []struct {
		rule    string
		renewed time.Duration // of the lease
		now     time.Duration
		before  func(*fleet.Cluster)
		state   string
		ready   corev1.ConditionStatus
		seen    time.Duration // status.agent.lastSeen
	}{
		{"a cluster that never reported is Unknown", never, 0, nil, "WaitCheckIn", "Unknown", never},
		{"a lost one is Unknown since its last renewal", 0, time.Minute, nil, "Unknown", "Unknown", 0},
		{"being lost covers what its deployments say", 0, time.Minute, func(c *fleet.Cluster) { cover(c, "Modified", "", "x") }, "Unknown", "Unknown", 0},
		{"the first renewal is noted", 5 * time.Second, 6 * time.Second, nil, "", "", 5 * time.Second},
		{"later renewals are not: a settled fleet writes nothing", 5 * time.Second, 6 * time.Second, func(c *fleet.Cluster) { c.Status.Agent.LastSeen = metav1.NewTime(began) }, "", "", 0},
		{"a cluster that is back shows its counts again", 5 * time.Second, 6 * time.Second, func(c *fleet.Cluster) {
			cover(c, "Unknown", ReasonAgentLost, "x")
			c.Status.Summary = fleet.BundleSummary{Ready: 1, DesiredReady: 2, NonReadyResources: []fleet.NonReadyResource{{Name: "web", State: fleet.Modified}}}
		}, "Modified", "False", 5 * time.Second},
		{"and is ready if all were", 5 * time.Second, 6 * time.Second, func(c *fleet.Cluster) { cover(c, "WaitCheckIn", ReasonWaitCheckIn, "x") }, "", "True", 5 * time.Second},
		{"a well one keeps what its deployments say", 5 * time.Second, 6 * time.Second, func(c *fleet.Cluster) { cover(c, "Modified", "", "x") }, "Modified", "Unknown", 5 * time.Second},
	} {
		t.Run(row.rule, func(t *testing.T) {
			clock := clocktesting.NewFakeClock(began)
			l := New(clock)
			l.Observe(lease("a", row.renewed))
			clock.SetTime(began.Add(row.now))
			l.expire(t.Context())
			c := &fleet.Cluster{Status: fleet.ClusterStatus{Namespace: ns}}
			if row.before != nil {
				row.before(c)
			}
			l.Show(c)
			if c.Status.Display.State != row.state {
				t.Errorf("display.state = %q, want %q", c.Status.Display.State, row.state)
			}
			if got := ready(c); (got == nil) != (row.ready == "") || got != nil && got.Status != row.ready {
				t.Errorf("Ready = %+v, want %q", got, row.ready)
			}
			want := time.Time{}
			if row.seen != never {
				want = began.Add(row.seen)
			}
			if !c.Status.Agent.LastSeen.Time.Equal(want) {
				t.Errorf("lastSeen = %s, want %s", c.Status.Agent.LastSeen, want)
			}
			again := c.DeepCopy()
			l.Show(again)
			if again.Status.Display != c.Status.Display || again.Status.Agent != c.Status.Agent {
				t.Error("showing twice changes the status twice")
			}
		})
	}
}

func TestTheReturnIsNotedThoughTheRollUpWasFirst(t *testing.T) {
	w := newWorld(t)
	c := &fleet.Cluster{Status: fleet.ClusterStatus{Namespace: "cluster-ws-a"}}
	w.Observe(lease("a", 0))
	w.pass(time.Minute)
	w.Show(c)
	w.Observe(lease("a", time.Minute))
	fleet.SetCondition(&c.Status.Conditions, fleet.ConditionReady, corev1.ConditionTrue, "", "") // by the roll-up
	for range 2 {
		w.Show(c)
		if !c.Status.Agent.LastSeen.Time.Equal(began.Add(time.Minute)) {
			t.Errorf("lastSeen = %s, want the renewal that brought it back", c.Status.Agent.LastSeen)
		}
		w.Observe(lease("a", time.Minute+10*time.Second)) // an ordinary one
	}
}

func TestTrimKeepsWhatTellsOfRenewals(t *testing.T) {
	trimmed, err := Trim(lease("a", 7*time.Second))
	if err != nil {
		t.Fatal(err)
	}
	l := trimmed.(*coordinationv1.Lease)
	if len(l.ManagedFields) != 1 || !renewedAt(l).Equal(began.Add(7*time.Second)) {
		t.Errorf("kept %d entries, renewed at %s", len(l.ManagedFields), renewedAt(l))
	}
}
