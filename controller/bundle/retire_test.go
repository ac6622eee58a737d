package bundle

import (
	"testing"

	fleet "flotilla.io/flotilla/api/v1alpha1"
)

func TestOfWhatWasSaidAboutKeepingTheMostProtectiveCounts(t *testing.T) {
	for _, row := range []struct {
		rule                     string
		deployed, staged, bundle bool
		want                     fleet.DeletionPolicy
	}{
		{"nobody asked to keep anything", false, false, false, fleet.DeletionPolicyDelete},
		{"what is deployed says so", true, false, false, fleet.DeletionPolicyOrphan},
		{"what is staged says so, on a cluster that is paused", false, true, false, fleet.DeletionPolicyOrphan},
		{"the bundle says so by now, and did not get there", false, false, true, fleet.DeletionPolicyOrphan},
	} {
		bd := &fleet.BundleDeployment{}
		bd.Spec.Options.KeepResources, bd.Spec.StagedOptions.KeepResources = row.deployed, row.staged
		in := &run{bundle: &fleet.Bundle{}}
		in.bundle.Spec.KeepResources = row.bundle
		if got := in.policyOf(bd); got != row.want {
			t.Errorf("%s: %s", row.rule, got)
		}
	}
}
