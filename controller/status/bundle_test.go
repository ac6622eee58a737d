package status

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	fleet "flotilla.io/flotilla/api/v1alpha1"
)

func TestABundleCountsItsClusters(t *testing.T) {
	const name = "ws/a"
	at := func(change func(*fleet.BundleDeployment)) *fleet.BundleDeployment {
		bd := &fleet.BundleDeployment{}
		bd.Labels = map[string]string{fleet.ClusterNamespaceLabel: "ws", fleet.ClusterLabel: "a"}
		bd.Spec.DeploymentID, bd.Spec.StagedDeploymentID = "now", "now"
		bd.Status = fleet.BundleDeploymentStatus{AppliedDeploymentID: "now", ObservedSequence: 7, Ready: true, NonModified: true}
		change(bd)
		return bd
	}
	for _, row := range []struct {
		rule                         string
		bd                           *fleet.BundleDeployment
		plan                         Plan
		created, unavailable, behind int
		state                        fleet.BundleState
	}{
		{"what is ready is available", at(func(*fleet.BundleDeployment) {}), Plan{}, 0, 0, 0, fleet.Ready},
		{"what has drift runs and is available", at(func(bd *fleet.BundleDeployment) { bd.Status.NonModified = false }), Plan{}, 0, 0, 0, fleet.Modified},
		{"what has a staged change is available, and behind", at(func(bd *fleet.BundleDeployment) { bd.Spec.StagedDeploymentID = "next" }), Plan{}, 0, 0, 1, fleet.OutOfSync},
		{"what waits for its turn is available, and behind", at(func(*fleet.BundleDeployment) {}),
			Plan{Waiting: map[string]string{name: "waits"}, Behind: map[string]string{name: "waits"}}, 0, 0, 1, fleet.Pending},
		{"what cannot be rendered anew is available, and behind", at(func(*fleet.BundleDeployment) {}),
			Plan{Errors: map[string]string{name: "wrong"}, Behind: map[string]string{name: "wrong"}}, 0, 0, 1, fleet.Ready},
		{"what is not ready is unavailable", at(func(bd *fleet.BundleDeployment) { bd.Status.Ready = false }), Plan{}, 0, 1, 1, fleet.NotReady},
		{"what is not at the revision is unavailable", at(func(bd *fleet.BundleDeployment) { bd.Status.AppliedDeploymentID = "before" }), Plan{}, 0, 1, 1, fleet.WaitApplied},
		{"what is held is unavailable", at(func(bd *fleet.BundleDeployment) { bd.Status.Hold = &fleet.Hold{} }), Plan{}, 0, 1, 1, fleet.WaitApplied},
		{"what nobody knows of is unavailable", at(func(bd *fleet.BundleDeployment) { bd.Status.Health = fleet.HealthUnknown }), Plan{}, 0, 1, 1, fleet.Unknown},
		{"what no agent has taken up is newly created", at(func(bd *fleet.BundleDeployment) { bd.Status = fleet.BundleDeploymentStatus{} }), Plan{}, 1, 1, 1, fleet.WaitApplied},
		{"what is not written yet is behind only", nil, Plan{Pending: []string{name}}, 0, 0, 1, fleet.Pending},
		{"what cannot be written is behind only", nil, Plan{Errors: map[string]string{name: "wrong"}}, 0, 0, 1, fleet.Pending},
	} {
		t.Run(row.rule, func(t *testing.T) {
			b, all := &fleet.Bundle{}, &bundled{}
			var have []fleet.BundleDeployment
			if row.bd != nil {
				all.add(row.bd, entryOf(name, row.bd), row.plan)
				have = append(have, *row.bd)
			}
			all.addMissing(row.plan, have)
			all.write(b)
			summary := fleet.BundleSummary{DesiredReady: 1}
			*counter(&summary, row.state) = 1
			b.Status.Summary.NonReadyResources, b.Status.Conditions, b.Status.Display = nil, nil, fleet.BundleDisplay{}
			if d := cmp.Diff(fleet.BundleStatus{
				Summary: summary, NewlyCreated: row.created, Unavailable: row.unavailable, MaxUnavailable: 1,
				PartitionStatus: []fleet.PartitionStatus{{Name: "All", Count: 1, MaxUnavailable: 1, Unavailable: row.behind, Summary: summary}},
			}, b.Status); d != "" {
				t.Error(d)
			}
		})
	}
	t.Run("a bundle for nobody may have one cluster unavailable, as in Fleet", func(t *testing.T) {
		b := &fleet.Bundle{}
		(&bundled{}).write(b)
		if b.Status.MaxUnavailable != 1 || b.Status.PartitionStatus[0].MaxUnavailable != 1 || b.Status.Unavailable != 0 {
			t.Errorf("%+v", b.Status)
		}
	})
}
