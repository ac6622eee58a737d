package agent

import (
	"testing"

	"flotilla.io/flotilla/api/v1alpha1"
)

func TestWhatIsToldAtOnce(t *testing.T) {
	before := v1alpha1.BundleDeploymentStatus{Health: v1alpha1.HealthHealthy, AppliedDeploymentID: "one", ObservedSequence: 2}
	for _, row := range []struct {
		rule   string
		change func(*v1alpha1.BundleDeploymentStatus)
		want   bool
	}{
		{"drift, as any other word", func(s *v1alpha1.BundleDeploymentStatus) { s.Health = v1alpha1.HealthDrifted }, true},
		{"another revision", func(s *v1alpha1.BundleDeploymentStatus) { s.AppliedDeploymentID = "two" }, true},
		{"the end of a deletion", func(s *v1alpha1.BundleDeploymentStatus) { s.Deletion = v1alpha1.DeletionDone }, true},
		{"a hold", func(s *v1alpha1.BundleDeploymentStatus) { s.Hold = &v1alpha1.Hold{} }, true},
		{"an output", func(s *v1alpha1.BundleDeploymentStatus) { s.Outputs = []v1alpha1.OutputValue{{Name: "a"}} }, true},
		{"a sequence that went back", func(s *v1alpha1.BundleDeploymentStatus) { s.ObservedSequence = 1 }, true},
		{"one more write of the same order can wait", func(s *v1alpha1.BundleDeploymentStatus) { s.ObservedSequence = 3 }, false},
		{"counts can wait", func(s *v1alpha1.BundleDeploymentStatus) { s.ResourceCounts.Modified = 1 }, false},
		{"what stays can wait", func(s *v1alpha1.BundleDeploymentStatus) { s.Kept = []string{"namespace/a"} }, false},
	} {
		after := *before.DeepCopy()
		row.change(&after)
		if got := urgent(before, after); got != row.want {
			t.Errorf("%s: %v", row.rule, got)
		}
	}
}
