package output

import (
	"testing"

	agentapi "flotilla.io/flotilla/api/flotilla/v1alpha1"
	fleet "flotilla.io/flotilla/api/v1alpha1"
	"flotilla.io/flotilla/bundle/expression"
)

func TestExpressionsSeeFacts(t *testing.T) {
	a := &agentapi.Agent{Status: agentapi.AgentStatus{KubernetesVersion: "v1.37.2", APIs: []string{"apps/v1", "apps/v1/Deployment"}, Facts: &agentapi.Facts{Nodes: 3}}}
	c := &fleet.Cluster{}
	c.Name, c.Labels = "edge", map[string]string{"region": "eu"}
	for _, row := range []struct {
		rule, source string
		agent        *agentapi.Agent
		want         any
	}{
		{"the version", "cluster.facts.kubernetesVersion", a, "v1.37.2"},
		{"whether an API is served", "'apps/v1/Deployment' in cluster.facts.apis", a, true},
		{"a number", "cluster.facts.nodes", a, 3.0},
		{"a label", "cluster.labels.region", nil, "eu"},
		{"what no agent told is not there", "has(cluster.facts.apis)", nil, false},
	} {
		t.Run(row.rule, func(t *testing.T) {
			compiled, err := expression.Compile(row.source, expression.Cluster)
			if err != nil {
				t.Fatal(err)
			}
			got, err := compiled.Value(t.Context(), map[string]any{expression.Cluster: Seen(c, row.agent)})
			if err != nil || got != row.want {
				t.Errorf("got %#v, %v, want %#v", got, err, row.want)
			}
		})
	}
}
