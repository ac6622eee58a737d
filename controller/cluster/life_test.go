package cluster_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	fleet "flotilla.io/flotilla/api/v1alpha1"
	"flotilla.io/flotilla/controller/cluster"
	"flotilla.io/flotilla/controller/cluster/liveness"
)

// renew does what an agent does. Its clock is wrong by a day, which must not matter.
func renew(ctx context.Context, agent client.Client, ns string) error {
	patch := fmt.Sprintf(`{"spec":{"holderIdentity":"a","renewTime":%q}}`, time.Now().Add(-24*time.Hour).UTC().Format(metav1.RFC3339Micro))
	lease := &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: fleet.AgentName}}
	return agent.Patch(ctx, lease, client.RawPatch("application/merge-patch+json", []byte(patch)), client.FieldOwner(fleet.AgentFieldManager))
}

// alive renews until the test ends, or what it returns is called: one lease may run out before a busy machine has looked at it.
func alive(t *testing.T, agent client.Client, ns string) (end func()) {
	t.Helper()
	must(t, renew(t.Context(), agent, ns))
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for renew(ctx, agent, ns) == nil {
			select {
			case <-time.After(leaseSeconds * time.Second):
			case <-ctx.Done():
			}
		}
	}()
	end = func() { stop(); <-done }
	t.Cleanup(end)
	return end
}

func TestALostClusterIsUnknown(t *testing.T) {
	t.Parallel()
	ws := workspace(t)
	v := newToken(t, ws, "join", fleet.ClusterRegistrationTokenSpec{})
	c := newJoiner(t, v, "edge").named("edge").join()
	agent := as(t, c.Token)
	shows := func(state string, ready corev1.ConditionStatus, reason string) {
		t.Helper()
		eventually(t, func() error {
			st := get(t, ws, "edge", &fleet.Cluster{}).Status
			got := fleet.Condition(st.Conditions, fleet.ConditionReady)
			if st.Display.State != state || got == nil || got.Status != ready || got.Reason != reason {
				return fmt.Errorf("state %q, Ready %+v; want %q, %s %s", st.Display.State, got, state, ready, reason)
			}
			return nil
		})
	}
	shows(fleet.DisplayWaitCheckIn, corev1.ConditionUnknown, "WaitCheckIn")
	end := alive(t, agent, c.ClusterNamespace)
	shows("", corev1.ConditionTrue, "")
	end()
	seen := get(t, ws, "edge", &fleet.Cluster{}).Status.Agent.LastSeen
	if age := time.Since(seen.Time); age < -time.Second || age > time.Minute {
		t.Errorf("lastSeen is %s old: it is not by the hub's clock", age)
	}

	var last time.Time
	keepsRenewing(t, func() {
		must(t, renew(t.Context(), agent, c.ClusterNamespace))
		last = time.Now()
	}, func() string {
		now := get(t, ws, "edge", &fleet.Cluster{}).Status
		return fmt.Sprintf("state %q, last seen %s", now.Display.State, now.Agent.LastSeen.UTC())
	})
	shows(string(fleet.Unknown), corev1.ConditionUnknown, "AgentLost")
	if took := time.Since(last); took < 2*leaseSeconds*time.Second {
		t.Errorf("it was called lost %s after its last renewal, with a lease of %ds", took, 3*leaseSeconds)
	}
	if !anotherController(t).Lost(c.ClusterNamespace) {
		t.Error("a controller that was started anew takes a lost cluster for well")
	}
	alive(t, agent, c.ClusterNamespace)
	shows("", corev1.ConditionTrue, "")
	if anotherController(t).Lost(c.ClusterNamespace) {
		t.Error("a controller that was started anew takes a well cluster for lost")
	}
	edge, join := get(t, ws, "edge", &fleet.Cluster{}), get(t, ws, "join", &fleet.ClusterRegistrationToken{})
	for _, row := range []struct {
		rule         string
		about        client.Object
		reason, says string
	}{
		{"a token that is ready is told of", join, "Issued", "the values for an agent are in secret join"},
		{"the first report of a cluster is", edge, liveness.ReasonCheckedIn, "the agent reports for the first time"},
		{"a cluster that is lost is", edge, liveness.ReasonAgentLost, ""},
		{"and one that is back", edge, liveness.ReasonAgentBack, "the agent renews its lease again"},
	} {
		t.Run(row.rule, func(t *testing.T) { wantEvent(t, row.about, row.reason, row.says) })
	}
}

// keepsRenewing renews for longer than a lease lasts, and fails if what is looked at moves meanwhile. On a machine that is so
// busy that a renewal came late, it begins anew.
func keepsRenewing(t *testing.T, renew func(), look func() string) {
	t.Helper()
	eventually(t, func() error {
		renew()
		before, longest := look(), time.Duration(0)
		for range 5 {
			began := time.Now()
			<-time.After(leaseSeconds * time.Second)
			renew()
			longest = max(longest, time.Since(began))
		}
		after := look()
		if longest > 2*leaseSeconds*time.Second {
			return fmt.Errorf("a renewal came %s after the one before", longest)
		}
		if after != before {
			t.Fatalf("a cluster that renews should not move; it was\n%s\nand is\n%s", before, after)
		}
		return nil
	})
}

// anotherController is what a controller knows that was started just now.
func anotherController(t *testing.T) *liveness.Liveness {
	t.Helper()
	mgr, err := ctrl.NewManager(theHub.config, ctrl.Options{
		Scheme: scheme(), Metrics: metricsserver.Options{BindAddress: "0"},
		Cache: cache.Options{DefaultTransform: cache.TransformStripManagedFields(), ByObject: cluster.ByObject()},
	})
	must(t, err)
	l := liveness.New(clock.RealClock{})
	must(t, l.Setup(mgr))
	go func() { _ = mgr.Start(t.Context()) }()
	if !mgr.GetCache().WaitForCacheSync(t.Context()) {
		t.Fatal("the cache did not come up")
	}
	return l
}

func TestASettledFleetIsNotWritten(t *testing.T) {
	t.Parallel()
	ws := workspace(t)
	v := newToken(t, ws, "join", fleet.ClusterRegistrationTokenSpec{})
	c := newJoiner(t, v, "edge").named("edge").join()
	agent := as(t, c.Token)
	end := alive(t, agent, c.ClusterNamespace)
	must(t, theHub.client.Create(t.Context(), &fleet.ClusterGroup{
		ObjectMeta: metav1.ObjectMeta{Namespace: ws, Name: "all"}, Spec: fleet.ClusterGroupSpec{Selector: &metav1.LabelSelector{}},
	}))
	versions := func() string {
		out := map[string]string{}
		for kind, list := range map[string]client.ObjectList{
			"Cluster": &fleet.ClusterList{}, "Group": &fleet.ClusterGroupList{}, "Token": &fleet.ClusterRegistrationTokenList{}, "Registration": &fleet.ClusterRegistrationList{},
		} {
			must(t, theHub.client.List(t.Context(), list, client.InNamespace(ws)))
			out[kind] = fmt.Sprint(versionsOf(t, list))
		}
		return fmt.Sprint(out)
	}
	eventually(t, func() error {
		g := get(t, ws, "all", &fleet.ClusterGroup{})
		if g.Status.Display.ReadyClusters != "1/1" {
			return fmt.Errorf("the group shows %+v", g.Status)
		}
		return nil
	})
	eventually(t, func() error { // the last words of joining
		before := versions()
		<-time.After(leaseSeconds * time.Second)
		if after := versions(); after != before {
			return fmt.Errorf("it is not settled: %s, before %s", after, before)
		}
		return nil
	})
	end()
	keepsRenewing(t, func() { must(t, renew(t.Context(), agent, c.ClusterNamespace)) }, versions)
}
