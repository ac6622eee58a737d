package home

import (
	"fmt"
	"strings"

	fleet "flotilla.io/flotilla/api/v1alpha1"
)

// notServed names the fields of a Cluster that have no effect yet; empty for none.
func notServed(spec *fleet.ClusterSpec) string {
	var messages, ofChart []string
	if spec.KubeConfigSecret != "" {
		messages = append(messages, "spec.kubeConfigSecret: the hub does not install agents yet; install the agent's chart with the values of a ClusterRegistrationToken")
	}
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
	if len(ofChart) > 0 {
		messages = append(messages, fmt.Sprintf("spec.%s: no effect yet; set it where the agent's chart is installed", strings.Join(ofChart, ", ")))
	}
	return strings.Join(messages, "; ")
}
