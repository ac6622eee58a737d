package status

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"

	fleet "flotilla.io/flotilla/api/v1alpha1"
)

func deployment(change func(*fleet.BundleDeployment)) *fleet.BundleDeployment {
	bd := &fleet.BundleDeployment{}
	bd.Spec.DeploymentID, bd.Spec.StagedDeploymentID = "s-1:a", "s-1:a"
	bd.Status.AppliedDeploymentID, bd.Status.Ready, bd.Status.NonModified = "s-1:a", true, true
	if change != nil {
		change(bd)
	}
	return bd
}

func TestStateOf(t *testing.T) {
	for _, c := range []struct {
		rule   string
		change func(*fleet.BundleDeployment)
		want   fleet.BundleState
	}{
		{"applied, ready, unmodified is Ready", nil, fleet.Ready},
		{"another revision applied is WaitApplied", func(bd *fleet.BundleDeployment) { bd.Status.AppliedDeploymentID = "s-0:a" }, fleet.WaitApplied},
		{"another revision applied and Deployed False is ErrApplied", func(bd *fleet.BundleDeployment) {
			bd.Status.AppliedDeploymentID = "s-0:a"
			fleet.SetCondition(&bd.Status.Conditions, fleet.ConditionDeployed, "False", "Error", "no")
		}, fleet.ErrApplied},
		{"what is waited for is no error", func(bd *fleet.BundleDeployment) {
			bd.Status.AppliedDeploymentID = "s-0:a"
			fleet.SetCondition(&bd.Status.Conditions, fleet.ConditionDeployed, "False", "Waiting", "kind Boat is not served yet")
		}, fleet.WaitApplied},
		{"not ready goes before modified", func(bd *fleet.BundleDeployment) { bd.Status.Ready, bd.Status.NonModified = false, false }, fleet.NotReady},
		{"staged only is OutOfSync, before modified", func(bd *fleet.BundleDeployment) { bd.Spec.StagedDeploymentID, bd.Status.NonModified = "s-2:a", false }, fleet.OutOfSync},
		{"held is WaitApplied, whatever was applied before", func(bd *fleet.BundleDeployment) { bd.Status.Hold = &fleet.Hold{Message: "held"} }, fleet.WaitApplied},
		{"drift is Modified", func(bd *fleet.BundleDeployment) { bd.Status.NonModified = false }, fleet.Modified},
		{"a lost cluster is Unknown, whatever it said", func(bd *fleet.BundleDeployment) { bd.Status.Health = fleet.HealthUnknown }, fleet.Unknown},
	} {
		if got := StateOf(deployment(c.change)); got != c.want {
			t.Errorf("%s: got %s", c.rule, got)
		}
	}
}

// The order in which reports come in must not move a status (FLEET.md: flapping samples).
func TestTallyIsTheSameInAnyOrder(t *testing.T) {
	var entries []entry
	states := []fleet.BundleState{fleet.Ready, fleet.NotReady, fleet.Modified, fleet.ErrApplied, fleet.Unknown, fleet.Pending}
	for i := range 60 {
		entries = append(entries, entry{name: fmt.Sprintf("ws/c%02d", i), state: states[i%len(states)], message: fmt.Sprintf("m%d", i)})
	}
	sum := func() (fleet.BundleSummary, string) {
		tl := &tally{}
		for _, e := range entries {
			tl.add(e)
		}
		return tl.result(), tl.message("Cluster")
	}
	wantSummary, wantMessage := sum()
	if n := len(wantSummary.NonReadyResources); n != sampleSize {
		t.Fatalf("%d of 50 are named, want %d", n, sampleSize)
	}
	if wantSummary.Ready != 10 || wantSummary.DesiredReady != 60 || wantSummary.Unknown != 10 {
		t.Errorf("counts are %+v", wantSummary)
	}
	for seed := range uint64(20) {
		rand.New(rand.NewPCG(seed, 1)).Shuffle(len(entries), func(i, j int) { entries[i], entries[j] = entries[j], entries[i] })
		gotSummary, gotMessage := sum()
		if d := cmp.Diff(wantSummary, gotSummary); d != "" || gotMessage != wantMessage {
			t.Fatalf("seed %d: another order gives another status: %s\n%s", seed, d, gotMessage)
		}
	}
}

func TestMessageIsFleets(t *testing.T) {
	tl := &tally{}
	tl.add(entry{name: "fleet-default/b", state: fleet.Ready})
	if got := tl.message("Cluster"); got != "" {
		t.Errorf("all ready says %q", got)
	}
	tl.add(entry{name: "fleet-default/a", state: fleet.Modified, detail: "deployment.apps web/web modified /spec/replicas 3 → 5 by kubectl"})
	tl.add(entry{name: "fleet-default/c", state: fleet.ErrApplied, message: "no"})
	want := "ErrApplied(1) [Cluster fleet-default/c: no]; Modified(1) [Cluster fleet-default/a]; deployment.apps web/web modified /spec/replicas 3 → 5 by kubectl"
	if got := tl.message("Cluster"); got != want {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	if got := tl.state(); got != fleet.ErrApplied {
		t.Errorf("the worst is %s", got)
	}
}
