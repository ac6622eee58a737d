package report

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"flotilla.io/flotilla/agent/health"
	"flotilla.io/flotilla/api/v1alpha1"
	"flotilla.io/flotilla/bundle/layer"
)

func TestOneWordAndOneLineSayHowADeploymentIs(t *testing.T) {
	web := layer.Key{Group: "apps", Kind: "Deployment", Namespace: "ns", Name: "web"}
	base := func(change func(*Facts)) Facts {
		f := Facts{Spec: v1alpha1.BundleDeploymentSpec{DeploymentID: "new"}, Applied: "new", Total: 2}
		change(&f)
		return f
	}
	with := func(o Object) func(*Facts) {
		o.Key, o.Version = web, "v1"
		return func(f *Facts) { f.Objects = []Object{o} }
	}
	scaled := v1alpha1.DriftedField{Path: "/spec/replicas", Wanted: "3", Found: "5", Manager: "kubectl"}
	for _, row := range []struct {
		rule   string
		facts  Facts
		health v1alpha1.Health
		state  v1alpha1.BundleState
		line   string
	}{
		{"all is well", base(func(*Facts) {}), v1alpha1.HealthHealthy, v1alpha1.Ready, ""},
		{"drift names object, field, values and manager", base(with(Object{Fields: []v1alpha1.DriftedField{scaled}})), v1alpha1.HealthDrifted, v1alpha1.Modified, "deployment.apps ns/web modified /spec/replicas 3 → 5 by kubectl"},
		{"a missing object is drift", base(with(Object{Missing: true})), v1alpha1.HealthDrifted, v1alpha1.NotReady, "deployment.apps ns/web missing"},
		{"an object on its way is named", base(with(Object{Health: health.Verdict{State: health.Progressing, Message: "1 of 3"}})), v1alpha1.HealthProgressing, v1alpha1.NotReady, "deployment.apps ns/web [progressing] 1 of 3"},
		{"a failed object is named", base(with(Object{Health: health.Verdict{State: health.Failed, Message: "no"}})), v1alpha1.HealthFailed, v1alpha1.NotReady, "deployment.apps ns/web error] no"},
		{"an object that was not looked at is not ready", base(func(f *Facts) { f.Unread = 1 }), v1alpha1.HealthProgressing, v1alpha1.NotReady, "1 of 2 objects were not looked at yet"},
		{"a failure names what runs instead", base(func(f *Facts) { f.Applied, f.Running, f.Failure = "old", "abc", "it is denied" }), v1alpha1.HealthFailed, v1alpha1.ErrApplied, "it is denied; revision abc stays"},
		{"what is waited for is no failure", base(func(f *Facts) { f.Applied, f.Waiting = "old", "a kind" }), v1alpha1.HealthWaiting, v1alpha1.WaitApplied, "a kind"},
		{"an order that is not carried out yet is on its way", base(func(f *Facts) { f.Applied = "old" }), v1alpha1.HealthProgressing, v1alpha1.WaitApplied, "is being applied"},
		{"a hold says why", base(func(f *Facts) { f.Hold = &v1alpha1.Hold{Reason: "R", Message: "why"} }), v1alpha1.HealthHeld, v1alpha1.Ready, "why"},
		{"a deletion says why", base(func(f *Facts) { f.Spec.Deletion = &v1alpha1.Deletion{Reason: "gone"}; f.Deleting = []layer.Key{web} }), v1alpha1.HealthDeleting, v1alpha1.Ready, "is being taken away (gone); 1 left: deployment.apps ns/web"},
		{"an object that is not verified is named, and is no reason to wait", base(with(Object{Health: health.Verdict{State: health.Joined, Message: "alone"}})), v1alpha1.HealthProgressing, v1alpha1.Ready, "deployment.apps ns/web [progressing] alone"},
		{"a staged revision is out of sync", base(func(f *Facts) { f.Spec.StagedDeploymentID = "next" }), v1alpha1.HealthHealthy, v1alpha1.OutOfSync, ""},
	} {
		t.Run(row.rule, func(t *testing.T) {
			s := Compose(v1alpha1.BundleDeploymentStatus{}, row.facts)
			ready := v1alpha1.Condition(s.Conditions, v1alpha1.ConditionReady)
			if s.Health != row.health || s.Display.State != string(row.state) || ready.Message != row.line {
				t.Errorf("health %s, state %s, line %q", s.Health, s.Display.State, ready.Message)
			}
			if joined := ready.Reason == v1alpha1.ReasonNotVerified; (ready.Status == "True") != (row.line == "" || joined) || joined != (row.state == v1alpha1.Ready && row.health == v1alpha1.HealthProgressing) {
				t.Errorf("Ready is %s with message %q", ready.Status, row.line)
			}
			if again := Compose(s, row.facts); again.Health != s.Health {
				t.Error("the same facts gave another status")
			} else if patch, err := Patch(s, again); patch != nil || err != nil {
				t.Errorf("the same facts make a write: %s, %v", patch, err)
			}
			s.Health = ""
			if text, _ := Patch(v1alpha1.BundleDeploymentStatus{}, s); strings.Contains(string(text), "Healthy") {
				t.Errorf("the word stands elsewhere: %s", text)
			}
		})
	}
}

func TestWhatIsNotVerifiedWasReadyAndCounts(t *testing.T) {
	f := Facts{Spec: v1alpha1.BundleDeploymentSpec{DeploymentID: "new"}, Applied: "new", Total: 5}
	for range 4 {
		f.Objects = append(f.Objects, Object{Key: layer.Key{Kind: "Thing", Name: "a"}, Health: health.Verdict{State: health.Joined, Message: "alone"}})
	}
	s := Compose(v1alpha1.BundleDeploymentStatus{}, f)
	if !s.Ready || s.ReadyDeploymentID != "new" || s.ResourceCounts.Ready != 5 || len(s.NonReadyStatus) != 0 || !f.Ready() || !f.AsWanted() {
		t.Errorf("status = %+v", s)
	}
	if c := v1alpha1.Condition(s.Conditions, v1alpha1.ConditionReady); !strings.HasSuffix(c.Message, "; and 1 more") {
		t.Errorf("Ready says %q", c.Message)
	}
	f.Objects = append(f.Objects, Object{Key: layer.Key{Kind: "Thing", Name: "b"}, Health: health.Verdict{State: health.Failed, Message: "no"}})
	if s := Compose(s, f); s.Ready || s.Health != v1alpha1.HealthFailed || s.NonReadyStatus[0].Name != "b" {
		t.Errorf("one that failed: %+v", s)
	}
}

func TestTheReportFollowsTheObjectsAndTheOrder(t *testing.T) {
	f := Facts{
		Spec: v1alpha1.BundleDeploymentSpec{DeploymentID: "new", DownstreamResourcesGeneration: 3}, Applied: "new", Total: 2,
		Applies: []Object{{Key: layer.Key{Kind: "ConfigMap", Name: "a"}, Version: "v1", Created: 1e9}, {Key: layer.Key{Kind: "ConfigMap", Name: "b"}, Version: "v1"}},
	}
	done := Compose(v1alpha1.BundleDeploymentStatus{}, f)
	t.Run("an object has the time of its creation", func(t *testing.T) {
		if at := done.Resources[0].CreatedAt; at.UTC().Format(time.RFC3339) != "2001-09-09T01:46:40Z" {
			t.Errorf("created at %s", at)
		}
	})
	t.Run("one that does not exist has none", func(t *testing.T) {
		if at := done.Resources[1].CreatedAt; !at.IsZero() {
			t.Errorf("created at %s", at)
		}
	})
	t.Run("copies are as new as the order that was carried out", func(t *testing.T) {
		f.Spec.DeploymentID, f.Spec.DownstreamResourcesGeneration = "newer", 4
		if before := Compose(done, f); done.DownstreamResourcesGeneration != 3 || before.DownstreamResourcesGeneration != 3 {
			t.Errorf("carried out: %d, before: %d", done.DownstreamResourcesGeneration, before.DownstreamResourcesGeneration)
		}
		f.Applied = "newer"
		if after := Compose(done, f); after.DownstreamResourcesGeneration != 4 {
			t.Errorf("carried out: %d", after.DownstreamResourcesGeneration)
		}
	})
	t.Run("the same times, read from the hub, make no write", func(t *testing.T) {
		text, err := json.Marshal(done)
		var read v1alpha1.BundleDeploymentStatus
		if err == nil {
			err = json.Unmarshal(text, &read)
		}
		f.Spec.DeploymentID, f.Applied, f.Spec.DownstreamResourcesGeneration = "new", "new", 3
		if patch, patchErr := Patch(read, Compose(read, f)); err != nil || patchErr != nil || patch != nil {
			t.Errorf("%s %v %v", patch, err, patchErr)
		}
	})
}

func TestListsAreCutAndCountsAreExact(t *testing.T) {
	f := Facts{Spec: v1alpha1.BundleDeploymentSpec{DeploymentID: "a"}, Applied: "a", Total: 30}
	for range 12 {
		f.Objects = append(f.Objects, Object{Missing: true})
	}
	s := Compose(v1alpha1.BundleDeploymentStatus{}, f)
	if len(s.ModifiedStatus) != 10 || len(s.Drift) != 10 || !s.IncompleteState || s.ResourceCounts.Missing != 12 || s.ResourceCounts.Ready != 18 {
		t.Errorf("status = %+v", s)
	}
}

func TestAPatchTakesAwayWhatIsNotTrueAnyMore(t *testing.T) {
	before := v1alpha1.BundleDeploymentStatus{Hold: &v1alpha1.Hold{Reason: "R"}, Kept: []string{"namespace/x"}}
	patch, err := Patch(before, v1alpha1.BundleDeploymentStatus{})
	if err != nil || !strings.Contains(string(patch), `"hold":null`) || !strings.Contains(string(patch), `"kept":null`) {
		t.Errorf("patch = %s, %v", patch, err)
	}
}

func TestWhoFlapsWaitsLongerAndLonger(t *testing.T) {
	var p Pace
	now := time.Unix(1e9, 0)
	at := func(urgent bool) time.Duration {
		due := p.Due(urgent)
		if due.Before(now) {
			due = now
		}
		wait := due.Sub(now)
		now = due
		p.Wrote(now, urgent)
		return wait
	}
	for i := range burst {
		if wait := at(true); wait != 0 {
			t.Errorf("urgent write %d waits %s", i, wait)
		}
	}
	var last time.Duration
	for range 8 {
		wait := at(true)
		if wait < max(last, calm) {
			t.Errorf("a flapping deployment waits %s after %s", wait, last)
		}
		last = wait
	}
	if last != slowest {
		t.Errorf("it waits %s at last, want %s", last, slowest)
	}
	for order := range int64(2 * burst) {
		p.Ordered(order + 1)
		if wait := at(true); wait != 0 {
			t.Errorf("news of order %d waits %s", order+1, wait)
		}
	}
	for range 2 * burst {
		p.Ordered(2 * burst)
		last = at(true)
	}
	if last < calm {
		t.Errorf("a deployment that flaps under one order waits %s", last)
	}
	now = now.Add(2 * slowest)
	if wait := at(true); wait != 0 {
		t.Errorf("after a pause it waits %s", wait)
	}
	if wait := at(false); wait != calm {
		t.Errorf("what can wait waits %s, want %s", wait, calm)
	}
}

func TestTheListOfObjectsIsBounded(t *testing.T) {
	for _, row := range []struct {
		rule    string
		objects int
		whole   bool
	}{
		{"a deployment of usual size lists every object", 120, true},
		{"a large one lists what fits, and says so", 5000, false},
	} {
		t.Run(row.rule, func(t *testing.T) {
			f := Facts{Spec: v1alpha1.BundleDeploymentSpec{DeploymentID: "a"}, Applied: "a", Total: row.objects}
			for i := range min(row.objects, MostResources) {
				f.Applies = append(f.Applies, Object{Key: layer.Key{Kind: "ConfigMap", Namespace: "ns", Name: fmt.Sprintf("settings-%04d", i)}, Version: "v1"})
			}
			s := Compose(v1alpha1.BundleDeploymentStatus{}, f)
			text, err := Patch(v1alpha1.BundleDeploymentStatus{}, s)
			if err != nil || len(text) > 20<<10 {
				t.Errorf("the status has %d bytes, %v", len(text), err)
			}
			if (len(s.Resources) == row.objects) != row.whole || s.IncompleteState == row.whole || s.ResourceCounts.DesiredReady != row.objects {
				t.Errorf("%d of %d are listed, incomplete %v, counts %+v", len(s.Resources), row.objects, s.IncompleteState, s.ResourceCounts)
			}
		})
	}
}

func TestDisplayIsFleets(t *testing.T) {
	for _, row := range []struct {
		rule                string
		change              func(*Facts)
		deployed, monitored string
	}{
		{"what went well is True", func(*Facts) {}, "True", "True"},
		{"what failed is told with its message", func(f *Facts) { f.Applied, f.Failure = "old", "it is denied" }, "Error: it is denied", "True"},
	} {
		f := Facts{Spec: v1alpha1.BundleDeploymentSpec{DeploymentID: "new"}, Applied: "new", Total: 2}
		row.change(&f)
		if d := Compose(v1alpha1.BundleDeploymentStatus{}, f).Display; d.Deployed != row.deployed || d.Monitored != row.monitored {
			t.Errorf("%s: %+v", row.rule, d)
		}
	}
}
