package pipeline

import (
	"testing"

	"flotilla.io/flotilla/agent/hooks"
	fleet "flotilla.io/flotilla/api/v1alpha1"
)

func TestHooksGoOnWhereTheyWere(t *testing.T) {
	under := &hooks.Run{ID: "under way", Install: true}
	for _, row := range []struct {
		rule    string
		state   state
		install bool
		same    bool // the run goes on
	}{
		{"the first deploy is an install", state{}, true, false},
		{"one that was interrupted goes on", state{Revision: "r", Hooks: under}, true, true},
		{"another revision begins anew", state{Revision: "q", Hooks: under}, true, false},
		{"one that failed begins anew, and is an install still", state{Revision: "r", Hooks: &hooks.Run{ID: "under way", Failed: "x"}}, true, false},
		{"the same again is an upgrade", state{Revision: "r", Deployed: true}, false, false},
		{"an upgrade that was interrupted goes on", state{Revision: "r", Deployed: true, Hooks: &hooks.Run{ID: "under way"}}, false, true},
	} {
		t.Run(row.rule, func(t *testing.T) {
			p := past{state: row.state}
			p.begin("r", true)
			if same := p.Hooks.ID == "under way"; same != row.same || p.Hooks.Install != row.install || p.Revision != "r" {
				t.Errorf("the run is %+v of %s", p.Hooks, p.Revision)
			}
			if p.begin("r", false); p.Hooks != nil {
				t.Error("a bundle without hooks has a run")
			}
			p.end()
			if p.begin("r", true); p.Hooks.Install {
				t.Error("once a deploy went well, the next one is an install")
			}
		})
	}
}

func TestTheNamespaceOfACommandLine(t *testing.T) {
	for _, row := range []struct {
		rule    string
		options fleet.BundleDeploymentOptions
		flag    string
		want    string
	}{
		{"is for a bundle that names none", fleet.BundleDeploymentOptions{}, "x", "x"},
		{"leaves a bundle its own", fleet.BundleDeploymentOptions{DefaultNamespace: "own"}, "x", "own"},
		{"leaves a bundle its forced one", fleet.BundleDeploymentOptions{TargetNamespace: "own"}, "x", ""},
		{"is none by default", fleet.BundleDeploymentOptions{}, "", ""},
	} {
		t.Run(row.rule, func(t *testing.T) {
			bd := &fleet.BundleDeployment{}
			bd.Spec.Options = row.options
			if got := (Deployment{Object: bd}).In(row.flag).input().Options.DefaultNamespace; got != row.want {
				t.Errorf("it is %q, want %q", got, row.want)
			}
			if bd.Spec.Options.DefaultNamespace != row.options.DefaultNamespace {
				t.Error("the input was changed")
			}
		})
	}
}
