package v1alpha1

// StatusBase is the part of the status that GitRepo and HelmOp share.
type StatusBase struct {
	// ReadyClusters counts clusters on which all deployments are ready.
	// +optional
	ReadyClusters int `json:"readyClusters"`
	// DesiredReadyClusters counts clusters with any deployment.
	// +optional
	DesiredReadyClusters int `json:"desiredReadyClusters"`
	// Summary counts the deployments by state.
	Summary BundleSummary `json:"summary,omitempty"`
	// Display holds what people look at.
	Display StatusDisplay `json:"display,omitempty"`
	// Conditions of the source.
	Conditions []GenericCondition `json:"conditions,omitempty"`
	// Resources over all clusters.
	Resources []Resource `json:"resources,omitempty"`
	// ResourceCounts counts the objects over all clusters by state.
	ResourceCounts ResourceCounts `json:"resourceCounts,omitempty"`
	// PerClusterResourceCounts counts the objects of each cluster, by "namespace/name" of the cluster.
	PerClusterResourceCounts map[string]*ResourceCounts `json:"perClusterResourceCounts,omitempty"`
}

// StatusDisplay holds what people look at.
type StatusDisplay struct {
	// ReadyBundleDeployments is "ready/wanted", counting deployments.
	ReadyBundleDeployments string `json:"readyBundleDeployments,omitempty"`
	// State is the worst state of any deployment; empty when all are Ready.
	State string `json:"state,omitempty"`
	// Message of the first deployment that is not ready.
	Message string `json:"message,omitempty"`
	// Error tells that there is a message.
	Error bool `json:"error,omitempty"`
}

// Resource is an object on one or more clusters.
type Resource struct {
	// APIVersion of the object.
	// +nullable
	APIVersion string `json:"apiVersion,omitempty"`
	// Kind of the object.
	// +nullable
	Kind string `json:"kind,omitempty"`
	// Type is the group and kind in Rancher's spelling, for example apps.deployment.
	Type string `json:"type,omitempty"`
	// ID is "namespace/name", or the name for an object without namespace.
	// +nullable
	ID string `json:"id,omitempty"`
	// Namespace of the object; empty for one without.
	// +nullable
	Namespace string `json:"namespace,omitempty"`
	// Name of the object.
	// +nullable
	Name string `json:"name,omitempty"`
	// IncompleteState tells that a cluster's report was cut.
	IncompleteState bool `json:"incompleteState,omitempty"`
	// State is the worst state on any cluster.
	State string `json:"state,omitempty"`
	// Error tells that it failed on some cluster.
	Error bool `json:"error,omitempty"`
	// Transitioning tells that it is on its way on some cluster.
	Transitioning bool `json:"transitioning,omitempty"`
	// Message says what is wrong.
	// +nullable
	Message string `json:"message,omitempty"`
	// PerClusterState lists clusters by the object's state there.
	// +optional
	// +nullable
	PerClusterState PerClusterState `json:"perClusterState"`
}

// PerClusterState lists clusters, as "namespace/name", by an object's state there.
type PerClusterState struct {
	// Ready there.
	Ready []string `json:"ready,omitempty"`
	// WaitApplied there.
	WaitApplied []string `json:"waitApplied,omitempty"`
	// Pending there.
	Pending []string `json:"pending,omitempty"`
	// Modified there.
	Modified []string `json:"modified,omitempty"`
	// Orphaned there.
	Orphaned []string `json:"orphaned,omitempty"`
	// Missing there.
	Missing []string `json:"missing,omitempty"`
	// Unknown there.
	Unknown []string `json:"unknown,omitempty"`
	// NotReady there.
	NotReady []string `json:"notReady,omitempty"`
}

// ResourceCounts counts objects by state.
type ResourceCounts struct {
	// Ready objects.
	// +optional
	Ready int `json:"ready"`
	// DesiredReady counts all objects, those that are missing too.
	// +optional
	DesiredReady int `json:"desiredReady"`
	// WaitApplied objects are not applied yet.
	// +optional
	WaitApplied int `json:"waitApplied"`
	// Modified objects have drift.
	// +optional
	Modified int `json:"modified"`
	// Orphaned objects should not be there.
	// +optional
	Orphaned int `json:"orphaned"`
	// Missing objects.
	// +optional
	Missing int `json:"missing"`
	// Unknown objects are on lost clusters.
	// +optional
	Unknown int `json:"unknown"`
	// NotReady objects.
	// +optional
	NotReady int `json:"notReady"`
}
