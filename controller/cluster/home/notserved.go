package home

import (
	"fmt"
	"strings"

	fleet "flotilla.io/flotilla/api/v1alpha1"
)

// notServed names the fields that have no effect in a Cluster that joined by itself: the hub does not reach into it. Empty for
// none.
func notServed(spec *fleet.ClusterSpec) string {
	if spec.KubeConfigSecret != "" {
		return ""
	}
	var ofChart []string
	for _, field := range []struct {
		name string
		set  bool
	}{
		{"agentAffinity", spec.AgentAffinity != nil},
		{"agentEnvVars", len(spec.AgentEnvVars) > 0},
		{"agentNamespace", spec.AgentNamespace != "" && spec.AgentNamespace != fleet.SystemNamespace},
		{"agentPullSecrets", spec.AgentPullSecrets != nil},
		{"agentResources", spec.AgentResources != nil},
		{"agentSchedulingCustomization", spec.AgentSchedulingCustomization != nil},
		{"agentTolerations", len(spec.AgentTolerations) > 0},
		{"hostNetwork", spec.HostNetwork != nil},
		{"privateRepoURL", spec.PrivateRepoURL != ""},
		{"redeployAgentGeneration", spec.RedeployAgentGeneration != 0},
	} {
		if field.set {
			ofChart = append(ofChart, field.name)
		}
	}
	if len(ofChart) == 0 {
		return ""
	}
	return fmt.Sprintf("spec.%s: no effect on a cluster that joined by itself, which the hub does not reach; set it where the agent's chart is installed, "+
		"or name a kubeconfig in spec.kubeConfigSecret", strings.Join(ofChart, ", "))
}
