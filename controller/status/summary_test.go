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
		t.Run(c.rule, func(t *testing.T) {
			if got := StateOf(deployment(c.change)); got != c.want {
				t.Errorf("got %s", got)
			}
		})
	}
}

// The order in which reports come in must not move a status (FLEET.md: flapping samples). The deployments of a GitRepo have
// the same name on every cluster.
func TestTallyIsTheSameInAnyOrder(t *testing.T) {
	var entries []entry
	states := []fleet.BundleState{fleet.Ready, fleet.NotReady, fleet.Modified, fleet.ErrApplied, fleet.Unknown, fleet.Pending}
	for i := range 60 {
		entries = append(entries, entry{name: "web", among: fmt.Sprintf("ws/c%02d", i), state: states[i%len(states)], message: fmt.Sprintf("m%02d", i)})
	}
	sum := func() (fleet.BundleSummary, string) {
		tl := &tally{}
		for _, e := range entries {
			tl.add(e)
		}
		return tl.result(), tl.message("Bundle")
	}
	wantSummary, wantMessage := sum()
	if n := len(wantSummary.NonReadyResources); n != sampleSize {
		t.Fatalf("%d of 50 are named, want %d", n, sampleSize)
	}
	if wantSummary.Ready != 10 || wantSummary.DesiredReady != 60 || wantSummary.Unknown != 10 {
		t.Errorf("counts are %+v", wantSummary)
	}
	if first := wantSummary.NonReadyResources[0]; first.State != fleet.ErrApplied || first.Message != "m03" {
		t.Errorf("the first that is named is %+v", first)
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
	missing := fleet.ModifiedStatus{APIVersion: "v1", Kind: "ConfigMap", Namespace: "web", Name: "a", Create: true}
	scaled := fleet.ModifiedStatus{APIVersion: "apps/v1", Kind: "Deployment", Namespace: "web", Name: "web", Patch: "/spec/replicas 3 → 5 by kubectl"}
	slow := fleet.NonReadyStatus{APIVersion: "apps/v1", Kind: "Deployment", Namespace: "web", Name: "web", Summary: fleet.Summary{Transitioning: true, Message: []string{"1 of 3"}}}
	for _, row := range []struct {
		rule    string
		entries []entry
		want    string
		state   fleet.BundleState
	}{
		{"all ready says nothing", []entry{{name: "ws/b", state: fleet.Ready}}, "", ""},
		{"a state is counted and its first named", []entry{{name: "ws/b", state: fleet.WaitApplied}, {name: "ws/a", state: fleet.WaitApplied}},
			"WaitApplied(2) [Cluster ws/a]", fleet.WaitApplied},
		{"what it says stands with it", []entry{{name: "ws/a", state: fleet.ErrApplied, message: "no"}}, "ErrApplied(1) [Cluster ws/a: no]", fleet.ErrApplied},
		{"what is wrong with its objects follows, all sorted", []entry{{name: "ws/a", state: fleet.NotReady, modified: []fleet.ModifiedStatus{scaled, missing}, nonReady: []fleet.NonReadyStatus{slow}}},
			"NotReady(1) [Cluster ws/a]; configmap.v1 web/a missing; deployment.apps web/web [progressing] 1 of 3; deployment.apps web/web modified /spec/replicas 3 → 5 by kubectl", fleet.NotReady},
		{"four objects are enough", []entry{{name: "ws/a", state: fleet.Modified, modified: []fleet.ModifiedStatus{missing, missing, missing, missing, missing}}},
			"Modified(1) [Cluster ws/a]; configmap.v1 web/a missing; configmap.v1 web/a missing; configmap.v1 web/a missing; configmap.v1 web/a missing", fleet.Modified},
		{"the worst state is shown", []entry{{name: "ws/a", state: fleet.Modified}, {name: "ws/b", state: fleet.ErrApplied}, {name: "ws/c", state: fleet.NotReady}},
			"ErrApplied(1) [Cluster ws/b]; Modified(1) [Cluster ws/a]; NotReady(1) [Cluster ws/c]", fleet.ErrApplied},
		{"states beyond the sample are named too", append(many(fleet.ErrApplied, 12), entry{name: "ws/x", state: fleet.NotReady}),
			"ErrApplied(12) [Cluster ws/00]; NotReady(1) [Cluster ws/x]", fleet.ErrApplied},
	} {
		t.Run(row.rule, func(t *testing.T) {
			tl := &tally{}
			for _, e := range row.entries {
				tl.add(e)
			}
			if got := tl.message("Cluster"); got != row.want {
				t.Errorf("got  %q\nwant %q", got, row.want)
			}
			if got := tl.state(); got != row.state {
				t.Errorf("the worst is %s, want %s", got, row.state)
			}
		})
	}
}

func many(state fleet.BundleState, n int) (out []entry) {
	for i := range n {
		out = append(out, entry{name: fmt.Sprintf("ws/%02d", i), state: state})
	}
	return out
}

func TestMessageOf(t *testing.T) {
	says := func(kind, reason, message string) func(*fleet.BundleDeployment) {
		return func(bd *fleet.BundleDeployment) {
			fleet.SetCondition(&bd.Status.Conditions, kind, "False", reason, message)
		}
	}
	for _, row := range []struct {
		rule   string
		change func(*fleet.BundleDeployment)
		want   string
	}{
		{"all well says nothing", nil, ""},
		{"why it is not deployed goes first", func(bd *fleet.BundleDeployment) {
			says(fleet.ConditionMonitored, "Error", "blind")(bd)
			says(fleet.ConditionDeployed, "Error", "denied")(bd)
		}, "denied"},
		{"then why it is not installed", says(fleet.ConditionInstalled, "Error", "half"), "half"},
		{"but not of an earlier order", func(bd *fleet.BundleDeployment) {
			says(fleet.ConditionInstalled, "Error", "half")(bd)
			bd.Status.AppliedDeploymentID = "s-0:a"
		}, ""},
		{"then why it is not watched", says(fleet.ConditionMonitored, "Error", "blind"), "blind"},
		{"being at work is no message", says(fleet.ConditionDeployed, fleet.ReasonApplying, "is being applied"), ""},
		{"a hold says why", func(bd *fleet.BundleDeployment) { bd.Status.Hold = &fleet.Hold{Message: "another hub"} }, "another hub"},
	} {
		t.Run(row.rule, func(t *testing.T) {
			if got := MessageOf(deployment(row.change)); got != row.want {
				t.Errorf("got %q, want %q", got, row.want)
			}
		})
	}
}

func TestWhatIsNotVerifiedIsReadyAndTold(t *testing.T) {
	unverified := func(message string) func(*fleet.BundleDeployment) {
		return func(bd *fleet.BundleDeployment) {
			bd.Status.Health = fleet.HealthProgressing
			fleet.SetCondition(&bd.Status.Conditions, fleet.ConditionReady, "True", fleet.ReasonNotVerified, message)
		}
	}
	waits := func(bd *fleet.BundleDeployment) {
		unverified("not this one")(bd)
		bd.Status.AppliedDeploymentID = "s-0:a"
	}
	for _, c := range []struct {
		rule            string
		entries         []entry
		ready, counted  int
		status, message string
	}{
		{"it counts as Ready, and the first is named", []entry{entryOf("b", deployment(unverified("beta"))), entryOf("a", deployment(unverified("alpha"))), entryOf("c", deployment(nil))},
			3, 2, "True", "NotVerified(2) [Cluster a: alpha]"},
		{"what is not Ready says so first", []entry{entryOf("a", deployment(unverified("alpha"))), entryOf("b", deployment(waits))}, 1, 1, "False", "WaitApplied(1) [Cluster b]"},
		{"when all is verified there is nothing to say", []entry{entryOf("c", deployment(nil))}, 1, 0, "True", ""},
	} {
		t.Run(c.rule, func(t *testing.T) {
			tl := &tally{}
			for _, e := range c.entries {
				tl.add(e)
			}
			var conditions []fleet.GenericCondition
			setReady(&conditions, tl.message("Cluster"), tl.unverified("Cluster"))
			got := fleet.Condition(conditions, fleet.ConditionReady)
			if s := tl.result(); s.Ready != c.ready || s.Unverified != c.counted || string(got.Status) != c.status || got.Message != c.message {
				t.Errorf("%+v, Ready %s %q", s, got.Status, got.Message)
			}
		})
	}
}
