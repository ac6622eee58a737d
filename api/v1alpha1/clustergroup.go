package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// ClusterGroup names the clusters of its namespace that a selector picks.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:categories=fleet,path=clustergroups
// +kubebuilder:metadata:annotations="helm.sh/resource-policy=keep"
// +kubebuilder:printcolumn:name="Clusters-Ready",type=string,JSONPath=`.status.display.readyClusters`
// +kubebuilder:printcolumn:name="Bundles-Ready",type=string,JSONPath=`.status.display.readyBundles`
// +kubebuilder:printcolumn:name="Status",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].message`
type ClusterGroup struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// +optional
	Spec ClusterGroupSpec `json:"spec"`
	// +optional
	Status ClusterGroupStatus `json:"status"`
}

// ClusterGroupList is a list of ClusterGroups.
//
// +kubebuilder:object:root=true
type ClusterGroupList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []ClusterGroup `json:"items"`
}

// ClusterGroupSpec says which clusters belong to a group.
type ClusterGroupSpec struct {
	// Selector for the labels of clusters. Unset picks none, an empty one all.
	// +nullable
	Selector *metav1.LabelSelector `json:"selector,omitempty"`
}

// ClusterGroupStatus is what is known of a group.
type ClusterGroupStatus struct {
	// ClusterCount counts the clusters.
	// +optional
	ClusterCount int `json:"clusterCount"`
	// NonReadyClusterCount counts the clusters that are not ready.
	// +optional
	NonReadyClusterCount int `json:"nonReadyClusterCount"`
	// NonReadyClusters names at most 10 of them.
	// +nullable
	NonReadyClusters []string `json:"nonReadyClusters,omitempty"`
	// Conditions of the group.
	Conditions []GenericCondition `json:"conditions,omitempty"`
	// Summary counts the deployments on all clusters by state.
	Summary BundleSummary `json:"summary,omitempty"`
	// Display holds what people look at.
	Display ClusterGroupDisplay `json:"display,omitempty"`
	// ResourceCounts counts the objects on all clusters by state.
	ResourceCounts ResourceCounts `json:"resourceCounts,omitempty"`
}

// ClusterGroupDisplay holds what people look at.
type ClusterGroupDisplay struct {
	// ReadyClusters is "ready/all", and the names of some that are not.
	// +nullable
	ReadyClusters string `json:"readyClusters,omitempty"`
	// ReadyBundles is "ready/wanted".
	// +nullable
	ReadyBundles string `json:"readyBundles,omitempty"`
	// State is the worst state of any deployment; empty when all are Ready.
	// +nullable
	State string `json:"state,omitempty"`
}
