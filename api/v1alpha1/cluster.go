package v1alpha1

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Cluster is a cluster of the fleet.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:path=clusters
// +kubebuilder:metadata:annotations="helm.sh/resource-policy=keep"
// +kubebuilder:printcolumn:name="Bundles-Ready",type=string,JSONPath=`.status.display.readyBundles`
// +kubebuilder:printcolumn:name="Last-Seen",type=string,JSONPath=`.status.agent.lastSeen`
// +kubebuilder:printcolumn:name="Status",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].message`
type Cluster struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec   ClusterSpec   `json:"spec,omitempty"`
	Status ClusterStatus `json:"status,omitempty"`
}

// ClusterList is a list of Clusters.
//
// +kubebuilder:object:root=true
type ClusterList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []Cluster `json:"items"`
}

// ClusterSpec says how a cluster takes part.
type ClusterSpec struct {
	// Paused keeps the cluster at what it has.
	Paused bool `json:"paused,omitempty"`

	// ClientID that the cluster registers with.
	// +nullable
	ClientID string `json:"clientID,omitempty"`

	// KubeConfigSecret holds a kubeconfig with which the hub installs the agent, once.
	// +nullable
	KubeConfigSecret string `json:"kubeConfigSecret,omitempty"`

	// KubeConfigSecretNamespace is the namespace of that Secret. Empty means the cluster's own.
	// +nullable
	KubeConfigSecretNamespace string `json:"kubeConfigSecretNamespace,omitempty"`

	// RedeployAgentGeneration is raised to install the agent again.
	RedeployAgentGeneration int64 `json:"redeployAgentGeneration,omitempty"`

	// AgentEnvVars are added to the agent's environment.
	// +nullable
	AgentEnvVars []corev1.EnvVar `json:"agentEnvVars,omitempty"`

	// AgentNamespace is where the agent runs. Empty means cattle-fleet-system.
	// +nullable
	AgentNamespace string `json:"agentNamespace,omitempty"`

	// PrivateRepoURL is put before the agent's image.
	// +nullable
	PrivateRepoURL string `json:"privateRepoURL,omitempty"`

	// TemplateValues can be read in templates as .ClusterValues.
	// +nullable
	TemplateValues *GenericMap `json:"templateValues,omitempty"`

	// AgentTolerations are added to the agent's own.
	// +nullable
	AgentTolerations []corev1.Toleration `json:"agentTolerations,omitempty"`

	// AgentAffinity replaces the agent's own.
	// +nullable
	AgentAffinity *corev1.Affinity `json:"agentAffinity,omitempty"`

	// AgentResources replace the agent's own.
	// +nullable
	AgentResources *corev1.ResourceRequirements `json:"agentResources,omitempty"`

	// HostNetwork runs the agent in the node's network.
	// +optional
	// +nullable
	HostNetwork *bool `json:"hostNetwork,omitempty"`

	// AgentSchedulingCustomization gives the agent a priority and a disruption budget.
	// +optional
	// +nullable
	AgentSchedulingCustomization *AgentSchedulingCustomization `json:"agentSchedulingCustomization,omitempty"`

	// AgentPullSecrets are the agent's image pull Secrets.
	// +optional
	// +nullable
	AgentPullSecrets *[]corev1.LocalObjectReference `json:"agentPullSecrets,omitempty"`
}

// AgentSchedulingCustomization gives the agent a priority and a disruption budget.
type AgentSchedulingCustomization struct {
	// PriorityClass for the agent.
	PriorityClass *PriorityClassSpec `json:"priorityClass,omitempty"`
	// PodDisruptionBudget for the agent.
	PodDisruptionBudget *PodDisruptionBudgetSpec `json:"podDisruptionBudget,omitempty"`
}

// PriorityClassSpec is the agent's priority.
type PriorityClassSpec struct {
	// Value of the priority.
	Value int `json:"value,omitempty"`
	// PreemptionPolicy of the priority.
	PreemptionPolicy *corev1.PreemptionPolicy `json:"preemptionPolicy,omitempty"`
}

// PodDisruptionBudgetSpec is the agent's disruption budget; one of the two is set.
type PodDisruptionBudgetSpec struct {
	// MinAvailable pods, a number or a percentage.
	MinAvailable string `json:"minAvailable,omitempty"`
	// MaxUnavailable pods, a number or a percentage.
	MaxUnavailable string `json:"maxUnavailable,omitempty"`
}

// ClusterStatus is what is known of a cluster.
type ClusterStatus struct {
	// Conditions of the cluster.
	Conditions []GenericCondition `json:"conditions,omitempty"`

	// Namespace on the hub that holds the cluster's BundleDeployments.
	Namespace string `json:"namespace,omitempty"`

	// Summary counts the cluster's deployments by state.
	Summary BundleSummary `json:"summary,omitempty"`
	// ResourceCounts counts the cluster's objects by state.
	ResourceCounts ResourceCounts `json:"resourceCounts,omitempty"`

	// ReadyGitRepos counts GitRepos with a ready deployment here.
	// +optional
	ReadyGitRepos int `json:"readyGitRepos"`
	// DesiredReadyGitRepos counts GitRepos with any deployment here.
	// +optional
	DesiredReadyGitRepos int `json:"desiredReadyGitRepos"`
	// ReadyHelmOps counts HelmOps with a ready deployment here.
	// +optional
	ReadyHelmOps int `json:"readyHelmOps"`
	// DesiredReadyHelmOps counts HelmOps with any deployment here.
	// +optional
	DesiredReadyHelmOps int `json:"desiredReadyHelmOps"`

	// AgentEnvVarsHash of what the agent was installed with.
	// +nullable
	AgentEnvVarsHash string `json:"agentEnvVarsHash,omitempty"`
	// AgentPrivateRepoURL that the agent was installed with.
	// +nullable
	AgentPrivateRepoURL string `json:"agentPrivateRepoURL,omitempty"`
	// AgentHostNetwork that the agent was installed with.
	// +nullable
	AgentHostNetwork bool `json:"agentHostNetwork,omitempty"`
	// AgentDeployedGeneration is the redeployAgentGeneration that was carried out last.
	// +nullable
	AgentDeployedGeneration *int64 `json:"agentDeployedGeneration,omitempty"`
	// AgentMigrated is kept for Fleet's sake.
	AgentMigrated bool `json:"agentMigrated,omitempty"`
	// AgentNamespaceMigrated is kept for Fleet's sake.
	AgentNamespaceMigrated bool `json:"agentNamespaceMigrated,omitempty"`
	// CattleNamespaceMigrated is kept for Fleet's sake.
	CattleNamespaceMigrated bool `json:"cattleNamespaceMigrated,omitempty"`
	// AgentAffinityHash of what the agent was installed with.
	AgentAffinityHash string `json:"agentAffinityHash,omitempty"`
	// AgentResourcesHash of what the agent was installed with.
	// +nullable
	AgentResourcesHash string `json:"agentResourcesHash,omitempty"`
	// AgentTolerationsHash of what the agent was installed with.
	// +nullable
	AgentTolerationsHash string `json:"agentTolerationsHash,omitempty"`
	// AgentConfigChanged tells that the agent must be installed again.
	AgentConfigChanged bool `json:"agentConfigChanged,omitempty"`

	// APIServerURL of the hub that the agent was installed with.
	// +nullable
	APIServerURL string `json:"apiServerURL,omitempty"`
	// APIServerCAHash of the hub that the agent was installed with.
	// +nullable
	APIServerCAHash string `json:"apiServerCAHash,omitempty"`
	// AgentTLSMode is system-store or strict: which authorities the agent trusts for the hub.
	// +nullable
	AgentTLSMode string `json:"agentTLSMode,omitempty"`

	// Display holds what people look at.
	Display ClusterDisplay `json:"display,omitempty"`
	// Agent is the agent's own report.
	Agent AgentStatus `json:"agent,omitempty"`

	// GarbageCollectionInterval is kept for Fleet's sake.
	GarbageCollectionInterval *metav1.Duration `json:"garbageCollectionInterval,omitempty"`

	// AgentSchedulingCustomizationHash of what the agent was installed with.
	AgentSchedulingCustomizationHash string `json:"agentSchedulingCustomizationHash,omitempty"`
	// AgentPullSecretsHash of what the agent was installed with. Flotilla.
	AgentPullSecretsHash string `json:"agentPullSecretsHash,omitempty"`

	// Scheduled tells that a Schedule picks the cluster.
	Scheduled bool `json:"scheduled,omitempty"`
	// ActiveSchedule tells that the maintenance window is open.
	ActiveSchedule bool `json:"activeSchedule,omitempty"`
}

// ClusterDisplay holds what people look at.
type ClusterDisplay struct {
	// ReadyBundles is "ready/wanted".
	ReadyBundles string `json:"readyBundles,omitempty"`
	// State is the worst state of any deployment, WaitCheckIn before the first report, or Unknown for a lost cluster; empty
	// when all are Ready.
	// +nullable
	State string `json:"state,omitempty"`
}

// AgentStatus is the agent's own report.
type AgentStatus struct {
	// LastSeen is when the agent last reported a change. Whether it lives is told by its lease.
	// +optional
	// +nullable
	LastSeen metav1.Time `json:"lastSeen"`
	// Namespace that the agent runs in.
	// +optional
	// +nullable
	Namespace string `json:"namespace"`
}
