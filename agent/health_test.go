package agent_test

import (
	"strings"
	"testing"

	fleet "flotilla.io/flotilla/api/v1alpha1"
	"flotilla.io/flotilla/controller/status"
)

// definition defines kind Thing, as a controller would in answer to an object of the bundle.
var definition = "\n---\n" + stays[strings.Index(stays, "apiVersion: apiextensions"):]

func judged(rules ...fleet.HealthRule) func(*fleet.BundleDeployment) {
	return func(bd *fleet.BundleDeployment) {
		for i := range rules {
			rules[i].Group, rules[i].Kind = bd.Spec.Options.DefaultNamespace+".example.com", "Thing"
		}
		bd.Spec.Options.Health = &fleet.HealthOptions{Rules: rules}
	}
}

// One world for all: a kind that comes late, and then how its object is.
func TestAnObjectOfAKindThatComesLater(t *testing.T) {
	w := newWorldAlone(t)
	w.startAgent()
	phases := judged(fleet.HealthRule{
		Healthy: "self.status.phase == 'Up'", Ready: "self.status.phase == 'Joined'", Failed: "self.status.phase == 'Dead'", Message: "'phase ' + self.status.phase",
	})
	w.deploy("web", configMap("one", `a: "1"`)+thing, phases)
	w.deploy("other", strings.Replace(thing, "name: thing", "name: second", 1), judged(fleet.HealthRule{Healthy: "true"}))
	notServed := "kind Thing of " + w.app + ".example.com/v1 is not served by this cluster"
	t.Run("it is waited for, and that is no failure", func(t *testing.T) {
		for _, name := range []string{"web", "other"} {
			if bd := w.reads(name, fleet.HealthWaiting, notServed); status.StateOf(bd) != fleet.WaitApplied {
				t.Errorf("%s is %s", name, status.StateOf(bd))
			}
		}
		w.field("v1", "ConfigMap", "one", "1", "data", "a")
	})
	t.Run("nothing is pruned meanwhile", func(t *testing.T) {
		w.deploy("web", configMap("two", `a: "2"`)+thing, phases)
		w.field("v1", "ConfigMap", "two", "2", "data", "a")
		if bd := w.reads("web", fleet.HealthWaiting, notServed); status.StateOf(bd) != fleet.WaitApplied {
			t.Errorf("it is %s", status.StateOf(bd))
		}
		if w.live("v1", "ConfigMap", "one") == nil {
			t.Error("what left the bundle was deleted before the rest was there")
		}
	})
	w.deploy("kinds", definition)
	t.Run("it comes with its kind, also where another bundle brings that", func(t *testing.T) {
		w.healthy("other")
		bd := w.reads("web", fleet.HealthProgressing, `health.rules: failed: there is no "status" yet`)
		if status.StateOf(bd) != fleet.NotReady {
			t.Errorf("it is %s", status.StateOf(bd))
		}
		w.eventually("what left the bundle goes", func() string { return want(w.live("v1", "ConfigMap", "one") == nil) })
	})
	patch := func(phase string) {
		w.kubectl("", "patch", "things."+w.app+".example.com", "thing", "--type=merge", "-p", `{"status":{"phase":"`+phase+`"}}`)
	}
	t.Run("what has joined is ready, and not healthy", func(t *testing.T) {
		patch("Joined")
		bd := w.reads("web", fleet.HealthProgressing, "phase Joined")
		if c := fleet.Condition(bd.Status.Conditions, fleet.ConditionReady); status.StateOf(bd) != fleet.Ready || bd.Status.ReadyDeploymentID != bd.Spec.DeploymentID ||
			c.Status != "True" || c.Reason != fleet.ReasonNotVerified {
			t.Errorf("%s, Ready %+v", status.StateOf(bd), c)
		}
	})
	t.Run("what is verified is healthy", func(t *testing.T) {
		patch("Up")
		w.healthy("web")
	})
	t.Run("what failed for good is told", func(t *testing.T) {
		patch("Dead")
		if bd := w.reads("web", fleet.HealthFailed, "phase Dead"); status.StateOf(bd) != fleet.NotReady {
			t.Errorf("it is %s", status.StateOf(bd))
		}
	})
	t.Run("another rule judges anew, without another revision", func(t *testing.T) {
		before := w.bd("web").Spec.DeploymentID
		w.write("web", judged(fleet.HealthRule{Healthy: "self.status.phase == 'Dead'"}))
		if bd := w.healthy("web"); bd.Spec.DeploymentID != before {
			t.Errorf("the revision is %s", bd.Spec.DeploymentID)
		}
	})
}
