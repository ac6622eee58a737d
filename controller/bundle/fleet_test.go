package bundle

import (
	"testing"

	fleet "flotilla.io/flotilla/api/v1alpha1"
)

func TestFleetsOwnAgentIsKnownByItsBundle(t *testing.T) {
	for _, row := range []struct {
		rule   string
		change func(*fleet.Bundle)
		want   bool
	}{
		{"the Bundle that Fleet makes for a cluster's agent", func(*fleet.Bundle) {}, true},
		{"a long name is cut as Fleet cuts it", func(b *fleet.Bundle) {
			b.Spec.Targets[0].ClusterName = "a-cluster-whose-name-is-as-long-as-a-label-lets-it-be-0123456789"
			b.Name = fleet.SafeConcatName("fleet-agent", b.Spec.Targets[0].ClusterName)
		}, true},
		{"a bundle of Git may be called so", func(b *fleet.Bundle) { b.Labels = map[string]string{fleet.RepoLabel: "fleet-agent"} }, false},
		{"and one of a HelmOp", func(b *fleet.Bundle) { b.Labels = map[string]string{fleet.HelmOpLabel: "fleet-agent-edge-1"} }, false},
		{"a person's own that begins so is deployed", func(b *fleet.Bundle) { b.Name = "fleet-agent-tools" }, false},
		{"so is one for more than one target", func(b *fleet.Bundle) { b.Spec.Targets = append(b.Spec.Targets, b.Spec.Targets[0]) }, false},
		{"and one for a group", func(b *fleet.Bundle) { b.Spec.Targets[0] = fleet.BundleTarget{ClusterGroup: "edge-1"} }, false},
	} {
		b := &fleet.Bundle{}
		b.Name = "fleet-agent-edge-1"
		b.Spec.Targets = []fleet.BundleTarget{{ClusterName: "edge-1"}}
		row.change(b)
		if got := fleetAgent(b); got != row.want {
			t.Errorf("%s: %v", row.rule, got)
		}
	}
}

func TestWhatFleetWroteIsOvertaken(t *testing.T) {
	in := &run{byNamespace: map[string]*fleet.Cluster{"ns": {}}}
	for _, row := range []struct {
		rule           string
		sequence, seen int64
		wentBack       bool
	}{
		{"one of Fleet's that no agent of ours has seen begins as a new one", 0, 0, false},
		{"one that Fleet wrote over is later than all that was seen of it", 0, 9_000_000_000, false},
		{"one of ours that is behind what was seen is held", 5, 9, true},
	} {
		bd := &fleet.BundleDeployment{}
		bd.Namespace, bd.Spec.Sequence, bd.Status.ObservedSequence = "ns", row.sequence, row.seen
		if got := in.wentBack(bd); got != row.wentBack {
			t.Errorf("%s: held %v", row.rule, got)
		}
		if next := in.nextSequence(&place{have: bd, cluster: &fleet.Cluster{}}); row.sequence == 0 && (next <= row.seen || next < 1_700_000_000) {
			t.Errorf("%s: its next sequence is %d", row.rule, next)
		}
	}
}
