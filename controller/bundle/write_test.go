package bundle

import (
	"testing"

	fleet "flotilla.io/flotilla/api/v1alpha1"
)

func TestDeploymentIDIsFleets(t *testing.T) {
	type options = fleet.BundleDeploymentOptions
	// The SHA-256 of {"defaultNamespace":"web"} and a line break.
	const web = "s-1:114b886d43068e738caba45711a1c52fdf2d36f801fcc6d324541722b67fadfa"
	base := options{DefaultNamespace: "web"}
	for _, c := range []struct {
		rule     string
		manifest string
		change   func(*options)
		same     bool
	}{
		{"it is of the objects and the options", "s-1", func(*options) {}, true},
		{"other objects have another", "s-2", func(*options) {}, false},
		{"other options have another", "s-1", func(o *options) { o.ServiceAccount = "tenant" }, false},
		{"forceSyncGeneration has another", "s-1", func(o *options) { o.ForceSyncGeneration = 1 }, false},
		{"diff does not count", "s-1", func(o *options) { o.Diff = &fleet.DiffOptions{ComparePatches: []fleet.ComparePatch{{Name: "a"}}} }, true},
		{"correctDrift does not count", "s-1", func(o *options) { o.CorrectDrift = &fleet.CorrectDrift{Enabled: true} }, true},
		{"how health is told does not count", "s-1", func(o *options) { o.Health = &fleet.HealthOptions{Rules: []fleet.HealthRule{{Kind: "Thing"}}} }, true},
	} {
		t.Run(c.rule, func(t *testing.T) {
			o := base
			c.change(&o)
			if got := DeploymentID(c.manifest, o); (got == web) != c.same {
				t.Errorf("it is %s", got)
			}
		})
	}
}
