package importer

import (
	"context"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/yaml"

	fleet "flotilla.io/flotilla/api/v1alpha1"
)

// imported is a Cluster whose agent was installed as it says.
func imported(change func(*fleet.ClusterSpec)) *fleet.Cluster {
	c := &fleet.Cluster{Spec: fleet.ClusterSpec{KubeConfigSecret: "kubeconfig", ClientID: "id"}}
	c.Spec.AgentEnvVars = []corev1.EnvVar{{Name: "A", Value: "b"}}
	remember(c, &run{cluster: c.DeepCopy(), values: map[string]any{"apiServerURL": "https://hub"}, order: Order{Namespace: namespaceOf(c)}})
	if change != nil {
		change(&c.Spec)
	}
	return c
}

func TestAClusterIsImportedAgainWhenWhatDescribesItsAgentChanges(t *testing.T) {
	for _, row := range []struct {
		rule   string
		change func(*fleet.ClusterSpec)
		want   bool
	}{
		{"never otherwise", nil, false},
		{"not for its values", func(s *fleet.ClusterSpec) { s.TemplateValues = &fleet.GenericMap{} }, false},
		{"not for a pause", func(s *fleet.ClusterSpec) { s.Paused = true }, false},
		{"not for another kubeconfig", func(s *fleet.ClusterSpec) { s.KubeConfigSecret = "other" }, false},
		{"redeployAgentGeneration", func(s *fleet.ClusterSpec) { s.RedeployAgentGeneration++ }, true},
		{"agentNamespace", func(s *fleet.ClusterSpec) { s.AgentNamespace = "elsewhere" }, true},
		{"not for an agentNamespace that it is in", func(s *fleet.ClusterSpec) { s.AgentNamespace = fleet.SystemNamespace }, false},
		{"agentEnvVars", func(s *fleet.ClusterSpec) { s.AgentEnvVars[0].Value = "c" }, true},
		{"agentEnvVars taken out", func(s *fleet.ClusterSpec) { s.AgentEnvVars = nil }, true},
		{"agentTolerations", func(s *fleet.ClusterSpec) { s.AgentTolerations = []corev1.Toleration{{Operator: "Exists"}} }, true},
		{"agentAffinity", func(s *fleet.ClusterSpec) { s.AgentAffinity = &corev1.Affinity{} }, true},
		{"agentResources", func(s *fleet.ClusterSpec) { s.AgentResources = &corev1.ResourceRequirements{} }, true},
		{"agentSchedulingCustomization", func(s *fleet.ClusterSpec) {
			s.AgentSchedulingCustomization = &fleet.AgentSchedulingCustomization{PriorityClass: &fleet.PriorityClassSpec{Value: 1}}
		}, true},
		{"agentPullSecrets", func(s *fleet.ClusterSpec) { s.AgentPullSecrets = &[]corev1.LocalObjectReference{{Name: "pull"}} }, true},
		{"privateRepoURL", func(s *fleet.ClusterSpec) { s.PrivateRepoURL = "registry.example" }, true},
		{"hostNetwork", func(s *fleet.ClusterSpec) { s.HostNetwork = ptr.To(true) }, true},
		{"not for a hostNetwork that says what is so", func(s *fleet.ClusterSpec) { s.HostNetwork = ptr.To(false) }, false},
	} {
		t.Run(row.rule, func(t *testing.T) {
			if got := due(imported(row.change)); got != row.want {
				t.Errorf("due = %v", got)
			}
		})
	}
	if !due(&fleet.Cluster{}) {
		t.Error("one that was never imported is not due")
	}
	changed := imported(nil)
	if changed.Status.AgentConfigChanged = true; !due(changed) {
		t.Error("one whose status asks for it is not due")
	}
}

func TestTheStatusSaysWhatWasInstalled(t *testing.T) {
	c := imported(nil)
	c.Status.AgentConfigChanged = true
	c.Spec.RedeployAgentGeneration, c.Spec.PrivateRepoURL, c.Spec.HostNetwork = 3, "registry.example", ptr.To(true)
	remember(c, &run{cluster: c.DeepCopy(), values: map[string]any{"apiServerURL": "https://hub", "apiServerCA": "PEM"}, order: Order{Namespace: "agents"}})
	st := c.Status
	if *st.AgentDeployedGeneration != 3 || st.AgentPrivateRepoURL != "registry.example" || !st.AgentHostNetwork || st.Agent.Namespace != "agents" ||
		st.APIServerURL != "https://hub" || st.AgentTLSMode != "strict" || !st.AgentMigrated || !st.AgentNamespaceMigrated || !st.CattleNamespaceMigrated || st.AgentConfigChanged {
		t.Errorf("the status is %+v", st)
	}
	// SHA-224 of [{"name":"A","value":"b"}] and of "PEM", with its quotes, as Fleet makes them.
	if st.AgentEnvVarsHash != "f38d4362da3264f11c28f9a8fabb89bfd9dba861e26c03547d21fc04" || st.APIServerCAHash == "" || st.AgentAffinityHash != "" {
		t.Errorf("the hashes are %q, %q, %q", st.AgentEnvVarsHash, st.APIServerCAHash, st.AgentAffinityHash)
	}
}

func TestFieldsBecomeValuesOfTheChart(t *testing.T) {
	for _, row := range []struct {
		rule   string
		change func(*fleet.ClusterSpec)
		want   string // besides what always stands
	}{
		{"none", func(*fleet.ClusterSpec) {}, `{}`},
		{"privateRepoURL", func(s *fleet.ClusterSpec) { s.PrivateRepoURL = "registry.example" }, `{global: {cattle: {systemDefaultRegistry: registry.example}}}`},
		{"hostNetwork", func(s *fleet.ClusterSpec) { s.HostNetwork = ptr.To(true) }, `{fleetAgent: {hostNetwork: true}}`},
		{"agentEnvVars", func(s *fleet.ClusterSpec) { s.AgentEnvVars = []corev1.EnvVar{{Name: "A", Value: "b"}} }, `{fleetAgent: {env: [{name: A, value: b}]}}`},
		{"agentTolerations", func(s *fleet.ClusterSpec) {
			s.AgentTolerations = []corev1.Toleration{{Key: "edge", Operator: "Exists"}}
		}, `{fleetAgent: {tolerations: [{key: edge, operator: Exists}]}}`},
		{"agentAffinity", func(s *fleet.ClusterSpec) { s.AgentAffinity = &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{}} }, `{fleetAgent: {affinity: {nodeAffinity: {}}}}`},
		{"agentResources", func(s *fleet.ClusterSpec) {
			s.AgentResources = &corev1.ResourceRequirements{Limits: corev1.ResourceList{"memory": resource.MustParse("1Gi")}}
		}, `{resources: {limits: {memory: 1Gi}}}`},
		{"agentPullSecrets", func(s *fleet.ClusterSpec) { s.AgentPullSecrets = &[]corev1.LocalObjectReference{{Name: "pull"}} }, `{imagePullSecrets: [{name: pull}]}`},
		{"agentSchedulingCustomization.priorityClass", func(s *fleet.ClusterSpec) {
			s.AgentSchedulingCustomization = &fleet.AgentSchedulingCustomization{PriorityClass: &fleet.PriorityClassSpec{Value: 7, PreemptionPolicy: ptr.To(corev1.PreemptNever)}}
		}, `{priorityClass: {value: 7, preemptionPolicy: Never}}`},
		{"agentSchedulingCustomization.podDisruptionBudget", func(s *fleet.ClusterSpec) {
			s.AgentSchedulingCustomization = &fleet.AgentSchedulingCustomization{PodDisruptionBudget: &fleet.PodDisruptionBudgetSpec{MinAvailable: "1", MaxUnavailable: "50%"}}
		}, `{podDisruptionBudget: {minAvailable: 1, maxUnavailable: 50%}}`},
	} {
		t.Run(row.rule, func(t *testing.T) {
			c := &fleet.Cluster{Spec: fleet.ClusterSpec{ClientID: "id"}}
			row.change(&c.Spec)
			got, err := chartValues(c, map[string]any{"token": "t"})
			if err != nil {
				t.Fatal(err)
			}
			want := map[string]any{}
			if err := yaml.Unmarshal([]byte(row.want), &want); err != nil {
				t.Fatal(err)
			}
			want["clientID"], want["token"] = "id", "t"
			agent, _ := want["fleetAgent"].(map[string]any)
			if agent == nil {
				agent = map[string]any{}
				want["fleetAgent"] = agent
			}
			if _, said := agent["hostNetwork"]; !said {
				agent["hostNetwork"] = false
			}
			if d := cmp.Diff(text(t, want), text(t, got)); d != "" {
				t.Error(d)
			}
		})
	}
}

func text(t *testing.T, values map[string]any) string {
	t.Helper()
	out, err := yaml.Marshal(values)
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

func TestWhatIsNotAllowed(t *testing.T) {
	moved := imported(func(s *fleet.ClusterSpec) { s.AgentNamespace = "elsewhere" })
	install := func(context.Context, Order) error { return nil }
	for _, row := range []struct {
		rule    string
		cluster *fleet.Cluster
		install func(context.Context, Order) error
		want    string
	}{
		{"a hub that was told not to dial does not", imported(nil), nil, "this hub was told not to dial into clusters"},
		{"an agent is not moved to another namespace", moved, install, "the agent runs in namespace cattle-fleet-system"},
		{"all else is allowed", imported(nil), install, ""},
	} {
		t.Run(row.rule, func(t *testing.T) {
			got := ""
			if err := (&Reconciler{Install: row.install}).allowed(t.Context(), &run{cluster: row.cluster}); err != nil {
				got = err.Error()
			}
			if !strings.Contains(got, row.want) || row.want == "" && got != "" {
				t.Errorf("got %q", got)
			}
		})
	}
}
