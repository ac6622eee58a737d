package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	fleet "flotilla.io/flotilla/api/v1alpha1"
)

// Agent is what hub and agent tell each other besides bundles. There is one in each cluster namespace, named agent. The agent
// does not watch it: the reply to its lease carries the generation, and it reads when that moved.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:path=agents
// +kubebuilder:metadata:annotations="helm.sh/resource-policy=keep"
// +kubebuilder:printcolumn:name="Version",type=string,JSONPath=`.status.version`
// +kubebuilder:printcolumn:name="Kubernetes",type=string,JSONPath=`.status.kubernetesVersion`
// +kubebuilder:printcolumn:name="Hold",type=string,JSONPath=`.status.hold.reason`
type Agent struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec   AgentSpec   `json:"spec,omitempty"`
	Status AgentStatus `json:"status,omitempty"`
}

// AgentList is a list of Agents.
//
// +kubebuilder:object:root=true
type AgentList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []Agent `json:"items"`
}

// AgentSpec is what the hub tells the agent.
type AgentSpec struct {
	// HubUID identifies the hub: the UID of its Namespace kube-system. An agent that finds another one holds.
	HubUID string `json:"hubUID,omitempty"`
	// LeaseSeconds between renewals of the agent's lease. 0 means 60.
	LeaseSeconds int32 `json:"leaseSeconds,omitempty"`
	// PublicKey of the agent as it registered, 32 bytes of X25519.
	PublicKey []byte `json:"publicKey,omitempty"`
}

// AgentStatus is what the agent tells the hub.
type AgentStatus struct {
	// Version of the agent.
	Version string `json:"version,omitempty"`
	// Namespace that the agent runs in.
	Namespace string `json:"namespace,omitempty"`
	// KubernetesVersion of the cluster, such as v1.37.2.
	KubernetesVersion string `json:"kubernetesVersion,omitempty"`
	// APIs that the cluster serves, sorted: each group/version, and each group/version/Kind.
	APIs []string `json:"apis,omitempty"`
	// Facts of the cluster, as far as its default service account may read them. They are read anew every 10 minutes.
	Facts *Facts `json:"facts,omitempty"`
	// Hold tells that, and why, the agent keeps everything as it is.
	Hold *fleet.Hold `json:"hold,omitempty"`
	// StartCounter grows with each start of the agent; two agents with one identity show as a number that goes back.
	StartCounter int64 `json:"startCounter,omitempty"`
	// Conditions of the agent.
	Conditions []fleet.GenericCondition `json:"conditions,omitempty"`
}

// Facts are what targets, templates and outputs of other bundles may go by.
type Facts struct {
	// APIServer is the URL under which the cluster's API server is reached from outside, where that is known: from ConfigMap
	// kube-public/cluster-info, or as the agent reaches it.
	APIServer string `json:"apiServer,omitempty"`
	// CABundle of the API server, PEM.
	CABundle []byte `json:"caBundle,omitempty"`
	// Nodes of the cluster.
	Nodes int32 `json:"nodes,omitempty"`
	// ReadyNodes are those of them that are ready.
	ReadyNodes int32 `json:"readyNodes,omitempty"`
	// Allocatable on all nodes.
	Allocatable Resources `json:"allocatable,omitempty"`
	// Requested by the Pods on all nodes, rounded up to twentieths of Allocatable.
	Requested Resources `json:"requested,omitempty"`
	// Architectures of the nodes, such as amd64, sorted.
	Architectures []string `json:"architectures,omitempty"`
	// Providers of the nodes, such as aws, sorted.
	Providers []string `json:"providers,omitempty"`
	// Regions that nodes are in, sorted.
	Regions []string `json:"regions,omitempty"`
	// Zones that nodes are in, sorted.
	Zones []string `json:"zones,omitempty"`
	// PodCIDRs of the nodes, sorted; at most 32.
	PodCIDRs []string `json:"podCIDRs,omitempty"`
	// ServiceCIDRs of the cluster.
	ServiceCIDRs []string `json:"serviceCIDRs,omitempty"`
	// LoadBalancers tells that Services get addresses from a load balancer.
	LoadBalancers bool `json:"loadBalancers,omitempty"`
}

// Resources are quantities as Kubernetes writes them.
type Resources struct {
	// CPU, such as 16 or 3500m.
	CPU string `json:"cpu,omitempty"`
	// Memory in bytes, such as 64Gi.
	Memory string `json:"memory,omitempty"`
	// Pods, by their number.
	Pods int64 `json:"pods,omitempty"`
}
