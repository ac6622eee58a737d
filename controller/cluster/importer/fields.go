package importer

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strconv"

	"k8s.io/utils/ptr"

	fleet "flotilla.io/flotilla/api/v1alpha1"
)

// namespaceOf is where a cluster's agent is to run.
func namespaceOf(c *fleet.Cluster) string {
	return cmp.Or(c.Spec.AgentNamespace, fleet.SystemNamespace)
}

// due tells whether a cluster's agent was never installed, or otherwise than the Cluster says now.
func due(c *fleet.Cluster) bool {
	st := c.Status
	now := installed(c)
	return st.AgentDeployedGeneration == nil || *st.AgentDeployedGeneration != c.Spec.RedeployAgentGeneration ||
		st.AgentConfigChanged || c.Spec.AgentNamespace != "" && c.Spec.AgentNamespace != st.Agent.Namespace ||
		now != (fields{
			st.AgentEnvVarsHash, st.AgentAffinityHash, st.AgentResourcesHash, st.AgentTolerationsHash,
			st.AgentSchedulingCustomizationHash, st.AgentPullSecretsHash, st.AgentPrivateRepoURL, st.AgentHostNetwork,
		})
}

// fields are what a Cluster says about its agent's Deployment, as its status keeps it.
type fields struct {
	env, affinity, resources, tolerations, scheduling, pullSecrets, registry string
	hostNetwork                                                              bool
}

func installed(c *fleet.Cluster) fields {
	s := c.Spec
	return fields{
		hash(s.AgentEnvVars, len(s.AgentEnvVars) > 0), hash(s.AgentAffinity, s.AgentAffinity != nil),
		hash(s.AgentResources, s.AgentResources != nil), hash(s.AgentTolerations, len(s.AgentTolerations) > 0),
		hash(s.AgentSchedulingCustomization, s.AgentSchedulingCustomization != nil),
		hash(s.AgentPullSecrets, s.AgentPullSecrets != nil), s.PrivateRepoURL, ptr.Deref(s.HostNetwork, false),
	}
}

// hash is Fleet's: SHA-224 of the JSON; empty for what is not set.
func hash(value any, set bool) string {
	if !set {
		return ""
	}
	data, err := json.Marshal(value)
	if err != nil {
		panic(err) // API types can be encoded
	}
	sum := sha256.Sum224(data)
	return hex.EncodeToString(sum[:])
}

// remember writes down what was installed.
func remember(c *fleet.Cluster, in *run) {
	st, was := &c.Status, installed(in.cluster)
	st.AgentEnvVarsHash, st.AgentAffinityHash, st.AgentResourcesHash, st.AgentTolerationsHash = was.env, was.affinity, was.resources, was.tolerations
	st.AgentSchedulingCustomizationHash, st.AgentPullSecretsHash = was.scheduling, was.pullSecrets
	st.AgentPrivateRepoURL, st.AgentHostNetwork = was.registry, was.hostNetwork
	st.AgentDeployedGeneration = ptr.To(in.cluster.Spec.RedeployAgentGeneration)
	st.AgentMigrated, st.AgentNamespaceMigrated, st.CattleNamespaceMigrated, st.AgentConfigChanged = true, true, true, false
	st.Agent.Namespace = in.order.Namespace
	url, ca := in.values["apiServerURL"], in.values["apiServerCA"]
	st.APIServerURL, st.APIServerCAHash = fmt.Sprint(url), hash(ca, true)
	st.AgentTLSMode = "strict"
	if ca == nil || ca == "" {
		st.AgentTLSMode = "system-store"
	}
}

// chartValues are the values of the agent's chart: those of the registration token, and what the Cluster says.
func chartValues(c *fleet.Cluster, token map[string]any) (map[string]any, error) {
	s, agent := c.Spec, map[string]any{"hostNetwork": ptr.Deref(c.Spec.HostNetwork, false)}
	values := map[string]any{"clientID": s.ClientID, "fleetAgent": agent}
	for key, value := range token {
		values[key] = value
	}
	if s.PrivateRepoURL != "" {
		values["global"] = map[string]any{"cattle": map[string]any{"systemDefaultRegistry": s.PrivateRepoURL}}
	}
	for _, field := range []struct {
		set   bool
		into  map[string]any
		key   string
		value any
	}{
		{len(s.AgentEnvVars) > 0, agent, "env", s.AgentEnvVars},
		{len(s.AgentTolerations) > 0, agent, "tolerations", s.AgentTolerations},
		{s.AgentAffinity != nil, agent, "affinity", s.AgentAffinity},
		{s.AgentResources != nil, values, "resources", s.AgentResources},
		{s.AgentPullSecrets != nil, values, "imagePullSecrets", s.AgentPullSecrets},
	} {
		if !field.set {
			continue
		}
		plain, err := asPlain(field.value)
		if err != nil {
			return nil, fmt.Errorf("encoding the Cluster's %s: %w", field.key, err)
		}
		field.into[field.key] = plain
	}
	schedule(values, s.AgentSchedulingCustomization)
	return values, nil
}

func schedule(values map[string]any, s *fleet.AgentSchedulingCustomization) {
	if s == nil {
		return
	}
	if p := s.PriorityClass; p != nil {
		class := map[string]any{"value": p.Value}
		if p.PreemptionPolicy != nil {
			class["preemptionPolicy"] = string(*p.PreemptionPolicy)
		}
		values["priorityClass"] = class
	}
	if b := s.PodDisruptionBudget; b != nil {
		budget := map[string]any{}
		for key, text := range map[string]string{"minAvailable": b.MinAvailable, "maxUnavailable": b.MaxUnavailable} {
			if text == "" {
				continue
			}
			budget[key] = text // a percentage
			if n, err := strconv.Atoi(text); err == nil {
				budget[key] = n
			}
		}
		values["podDisruptionBudget"] = budget
	}
}

// asPlain turns an API type into what YAML values are made of.
func asPlain(value any) (plain any, err error) {
	data, err := json.Marshal(value)
	if err != nil {
		return nil, err
	}
	return plain, json.Unmarshal(data, &plain)
}
