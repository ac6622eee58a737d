package registration

import (
	"maps"
	"testing"

	fleet "flotilla.io/flotilla/api/v1alpha1"
)

func TestLabelsOfANewCluster(t *testing.T) {
	for _, row := range []struct {
		rule   string
		ignore bool
		want   map[string]string
	}{
		{"an agent's labels are taken, and the cluster's name is one", false, map[string]string{"env": "test", fleet.ClusterLabel: "edge"}},
		{"ignoreClusterRegistrationLabels leaves the name alone", true, map[string]string{fleet.ClusterLabel: "edge"}},
	} {
		t.Run(row.rule, func(t *testing.T) {
			asked := map[string]string{"env": "test"}
			reg := &fleet.ClusterRegistration{Spec: fleet.ClusterRegistrationSpec{ClusterName: "edge", ClusterLabels: asked}}
			if got := (&Reconciler{IgnoreLabels: row.ignore}).labels(reg); !maps.Equal(got, row.want) || len(asked) != 1 {
				t.Errorf("got %v; the request has %v", got, asked)
			}
		})
	}
}
