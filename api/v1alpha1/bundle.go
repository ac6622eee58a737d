package v1alpha1

import (
	"encoding/json"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// Bundle is what one directory of a source deploys, to whom, and how it varies.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:path=bundles
// +kubebuilder:metadata:annotations="helm.sh/resource-policy=keep"
// +kubebuilder:printcolumn:name="BundleDeployments-Ready",type=string,JSONPath=`.status.display.readyClusters`
// +kubebuilder:printcolumn:name="Status",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].message`
type Bundle struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// +optional
	Spec BundleSpec `json:"spec"`
	// +optional
	Status BundleStatus `json:"status"`
}

// BundleList is a list of Bundles.
//
// +kubebuilder:object:root=true
type BundleList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []Bundle `json:"items"`
}

// BundleSpec is what to deploy, to whom, and how it varies.
type BundleSpec struct {
	BundleDeploymentOptions `json:",inline"`

	// Paused keeps clusters at what they have; changes are staged only.
	Paused bool `json:"paused,omitempty"`

	// RolloutStrategy says how many clusters may move at a time.
	// +nullable
	RolloutStrategy *RolloutStrategy `json:"rolloutStrategy,omitempty"`

	// Resources are the bundle's files, for a bundle that was not made from a source.
	// +nullable
	Resources []BundleResource `json:"resources,omitempty"`

	// TargetCustomizationMode tells whether the first matching customization counts, or all of them, merged in order.
	// +kubebuilder:default=FirstMatch
	// +kubebuilder:validation:Enum=FirstMatch;AllMatches
	TargetCustomizationMode TargetCustomizationMode `json:"targetCustomizationMode,omitempty"`

	// Targets pick clusters, each with its own options. The first that matches a cluster counts.
	Targets []BundleTarget `json:"targets,omitempty"`

	// TargetRestrictions allow clusters; a cluster that none of them picks is not deployed to. Internal: the GitRepo's targets.
	TargetRestrictions []BundleTargetRestriction `json:"targetRestrictions,omitempty"`

	// DependsOn are bundles that must be ready on a cluster first.
	// +nullable
	DependsOn []BundleRef `json:"dependsOn,omitempty"`

	// ContentsID names the stored files when they are not in resources. Flotilla: the layer of the sealed files.
	// +nullable
	ContentsID string `json:"contentsId,omitempty"`

	// HelmOpOptions are set on a bundle made from a HelmOp.
	// +nullable
	HelmOpOptions *BundleHelmOptions `json:"helmOpOptions,omitempty"`

	// ValuesHash is the hash of the values that are kept in the bundle's Secret.
	ValuesHash string `json:"valuesHash,omitempty"`

	// Outputs are values that the bundle hands to other bundles, from each cluster that it is on. Flotilla.
	Outputs []Output `json:"outputs,omitempty"`

	// Inputs are values that the bundle takes from others. Flotilla.
	Inputs []Input `json:"inputs,omitempty"`
}

// TargetCustomizationMode says how target customizations combine.
type TargetCustomizationMode string

const (
	// TargetCustomizationModeFirstMatch takes the first matching customization alone.
	TargetCustomizationModeFirstMatch TargetCustomizationMode = "FirstMatch"
	// TargetCustomizationModeAllMatches merges all matching customizations in order.
	TargetCustomizationModeAllMatches TargetCustomizationMode = "AllMatches"
)

// BundleRef names bundles that must be ready first, by name or by labels.
type BundleRef struct {
	// Name of the bundle, in the same namespace.
	// +nullable
	Name string `json:"name,omitempty"`
	// Selector for the labels of bundles.
	// +nullable
	Selector *metav1.LabelSelector `json:"selector,omitempty"`
	// AcceptedStates that count as ready. Empty means Ready alone.
	// +nullable
	AcceptedStates []BundleState `json:"acceptedStates,omitempty"`
}

// BundleResource is one file of a bundle.
type BundleResource struct {
	// Name is the file's path within the bundle.
	// +nullable
	Name string `json:"name,omitempty"`
	// Content of the file, in the given encoding.
	// +nullable
	Content string `json:"content,omitempty"`
	// Encoding is empty for text, or base64+gz.
	// +nullable
	Encoding string `json:"encoding,omitempty"`
}

// EncodingBase64GZ is the BundleResource.Encoding of content that is compressed with gzip and then base64.
const EncodingBase64GZ = "base64+gz"

// RolloutStrategy says how many clusters may move at a time. Counts are numbers or percentages of the clusters.
type RolloutStrategy struct {
	// MaxUnavailable clusters at a time. Unset means 100%.
	// +nullable
	MaxUnavailable *intstr.IntOrString `json:"maxUnavailable,omitempty"`
	// MaxUnavailablePartitions at a time. Unset means 0.
	// +nullable
	MaxUnavailablePartitions *intstr.IntOrString `json:"maxUnavailablePartitions,omitempty"`
	// AutoPartitionSize is the size of partitions made by themselves. Unset means 25%.
	// +nullable
	AutoPartitionSize *intstr.IntOrString `json:"autoPartitionSize,omitempty"`
	// AutoPartitionThreshold is the number of clusters from which on partitions are made. Unset means 200, 0 never.
	// +nullable
	AutoPartitionThreshold *int `json:"autoPartitionThreshold,omitempty"`
	// MaxNew clusters that get the bundle for the first time at once. Unset means 50.
	// +nullable
	MaxNew *int `json:"maxNew,omitempty"`
	// Partitions move one after the other. Empty means made by themselves.
	// +nullable
	Partitions []Partition `json:"partitions,omitempty"`
}

// Partition is a set of clusters that move together.
type Partition struct {
	// Name to show.
	// +nullable
	Name string `json:"name,omitempty"`
	// MaxUnavailable clusters of this partition. Unset means the strategy's.
	MaxUnavailable *intstr.IntOrString `json:"maxUnavailable,omitempty"`
	// ClusterName picks one cluster.
	ClusterName string `json:"clusterName,omitempty"`
	// ClusterSelector picks clusters by label.
	ClusterSelector *metav1.LabelSelector `json:"clusterSelector,omitempty"`
	// ClusterGroup picks the clusters of one group.
	ClusterGroup string `json:"clusterGroup,omitempty"`
	// ClusterGroupSelector picks the clusters of groups by the groups' labels.
	// +nullable
	ClusterGroupSelector *metav1.LabelSelector `json:"clusterGroupSelector,omitempty"`
}

// BundleTargetRestriction picks clusters that a bundle may be deployed to. All criteria that are set must hold.
type BundleTargetRestriction struct {
	// Name to show.
	// +nullable
	Name string `json:"name,omitempty"`
	// ClusterName picks one cluster.
	// +nullable
	ClusterName string `json:"clusterName,omitempty"`
	// ClusterSelector picks clusters by label. An empty selector picks all.
	// +nullable
	ClusterSelector *metav1.LabelSelector `json:"clusterSelector,omitempty"`
	// ClusterGroup picks the clusters of one group.
	// +nullable
	ClusterGroup string `json:"clusterGroup,omitempty"`
	// ClusterGroupSelector picks the clusters of groups by the groups' labels.
	// +nullable
	ClusterGroupSelector *metav1.LabelSelector `json:"clusterGroupSelector,omitempty"`
}

// BundleTarget picks clusters and says how the bundle varies there. All criteria that are set must hold; with none set, it
// picks no cluster.
type BundleTarget struct {
	BundleDeploymentOptions `json:",inline"`

	// Name to show.
	Name string `json:"name,omitempty"`
	// ClusterName picks one cluster.
	// +nullable
	ClusterName string `json:"clusterName,omitempty"`
	// ClusterSelector picks clusters by label. An empty selector picks all.
	// +nullable
	ClusterSelector *metav1.LabelSelector `json:"clusterSelector,omitempty"`
	// ClusterGroup picks the clusters of one group.
	// +nullable
	ClusterGroup string `json:"clusterGroup,omitempty"`
	// ClusterGroupSelector picks the clusters of groups by the groups' labels.
	// +nullable
	ClusterGroupSelector *metav1.LabelSelector `json:"clusterGroupSelector,omitempty"`
	// DoNotDeploy keeps the bundle off the clusters that match.
	DoNotDeploy bool `json:"doNotDeploy,omitempty"`
}

// BundleHelmOptions say how the chart of a HelmOp is fetched.
type BundleHelmOptions struct {
	// SecretName of the credentials for the chart's repository, in the bundle's namespace.
	SecretName string `json:"helmOpSecretName,omitempty"`
	// InsecureSkipTLSverify does not verify the repository's certificate.
	InsecureSkipTLSverify bool `json:"helmOpInsecureSkipTLSVerify,omitempty"`
	// CABundle is PEM of the authorities to trust.
	// +nullable
	CABundle []byte `json:"helmOpCABundle,omitempty"`
}

// BundleStatus is what is known of a bundle over all its clusters.
type BundleStatus struct {
	// Conditions of the bundle.
	// +optional
	Conditions []GenericCondition `json:"conditions,omitempty"`

	// Summary counts the bundle's deployments by state.
	Summary BundleSummary `json:"summary,omitempty"`
	// NewlyCreated deployments, which no agent has taken up yet.
	NewlyCreated int `json:"newlyCreated,omitempty"`
	// Unavailable clusters: not at the wanted revision, or not ready.
	// +optional
	Unavailable int `json:"unavailable"`
	// UnavailablePartitions have more unavailable clusters than they may.
	// +optional
	UnavailablePartitions int `json:"unavailablePartitions"`
	// MaxUnavailable clusters, as counted out from the strategy.
	// +optional
	MaxUnavailable int `json:"maxUnavailable"`
	// MaxUnavailablePartitions, as counted out from the strategy.
	// +optional
	MaxUnavailablePartitions int `json:"maxUnavailablePartitions"`
	// PartitionStatus of each partition. Which clusters are not ready stands in the summary above.
	PartitionStatus []PartitionStatus `json:"partitions,omitempty"`
	// Display holds what people look at.
	Display BundleDisplay `json:"display,omitempty"`
	// ResourceKey is always empty.
	// +nullable
	ResourceKey []ResourceKey `json:"resourceKey,omitempty"`
	// OCIReference of the stored files.
	OCIReference string `json:"ociReference,omitempty"`
	// ObservedGeneration is the generation of the spec that this status is about.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration"`
	// ResourcesSHA256Sum is the digest of the files in spec.resources; those of a source are sealed.
	ResourcesSHA256Sum string `json:"resourcesSha256Sum,omitempty"`

	// SharedLayers that most clusters have in common, in order, the last one winning. Flotilla.
	SharedLayers []string `json:"sharedLayers,omitempty"`
	// UnTarget is a change that would take the bundle from many clusters and waits for approval. Flotilla.
	UnTarget *UnTarget `json:"unTarget,omitempty"`
	// RenderAliases are render bases that came to objects which are deployed already. Flotilla.
	RenderAliases []RenderAlias `json:"renderAliases,omitempty"`
}

// RenderAlias says that rendering a base, with these answers, gives the objects of a manifest that deployments have: a
// change of files that changes no object costs no cluster anything.
type RenderAlias struct {
	// Base is the render base.
	Base string `json:"base"`
	// Asked is what templates asked about the cluster, with the answers they got.
	Asked []CapabilityAnswer `json:"asked,omitempty"`
	// Manifest is the part of a deploymentID before the colon.
	Manifest string `json:"manifest"`
}

// UnTarget is a change that would take a bundle from so many clusters that a person must approve it first.
type UnTarget struct {
	// Count of the clusters that would lose the bundle.
	Count int `json:"count"`
	// Total of the clusters that have the bundle.
	Total int `json:"total"`
	// Plan identifies the change; annotation flotilla.io/approve on the bundle with this value approves it.
	Plan string `json:"plan"`
}

// BundleSummary counts deployments by state.
type BundleSummary struct {
	// NotReady counts deployments whose objects are not all ready.
	NotReady int `json:"notReady,omitempty"`
	// WaitApplied counts deployments that the cluster has not applied yet.
	WaitApplied int `json:"waitApplied,omitempty"`
	// ErrApplied counts deployments that failed.
	ErrApplied int `json:"errApplied,omitempty"`
	// OutOfSync counts deployments whose change is staged only.
	OutOfSync int `json:"outOfSync,omitempty"`
	// Modified counts deployments with drift.
	Modified int `json:"modified,omitempty"`
	// Ready counts deployments that are as wanted.
	// +optional
	Ready int `json:"ready"`
	// Pending counts deployments whose turn in the rollout has not come.
	Pending int `json:"pending,omitempty"`
	// Unknown counts deployments on clusters that are lost. Flotilla.
	Unknown int `json:"unknown,omitempty"`
	// Unverified counts those of the Ready deployments that are not Healthy yet. Flotilla.
	Unverified int `json:"unverified,omitempty"`
	// DesiredReady counts all deployments.
	// +optional
	DesiredReady int `json:"desiredReady"`
	// NonReadyResources are at most 10 of those that are not Ready.
	// +nullable
	NonReadyResources []NonReadyResource `json:"nonReadyResources,omitempty"`
}

// NonReadyResource is one that is not Ready: a cluster in a bundle's summary, a bundle in a cluster's or GitRepo's.
type NonReadyResource struct {
	// Name of the cluster or bundle.
	// +nullable
	Name string `json:"name,omitempty"`
	// State it is in.
	// +nullable
	State BundleState `json:"bundleState,omitempty"`
	// Message says why.
	// +nullable
	Message string `json:"message,omitempty"`
	// ModifiedStatus lists objects with drift.
	// +nullable
	ModifiedStatus []ModifiedStatus `json:"modifiedStatus,omitempty"`
	// NonReadyStatus lists objects that are not ready.
	// +nullable
	NonReadyStatus []NonReadyStatus `json:"nonReadyStatus,omitempty"`
}

// ResourceKey names an object. Kept for Fleet's sake.
type ResourceKey struct {
	// Kind of the object.
	// +nullable
	Kind string `json:"kind,omitempty"`
	// APIVersion of the object.
	// +nullable
	APIVersion string `json:"apiVersion,omitempty"`
	// Namespace of the object.
	// +nullable
	Namespace string `json:"namespace,omitempty"`
	// Name of the object.
	// +nullable
	Name string `json:"name,omitempty"`
}

// BundleDisplay holds what people look at.
type BundleDisplay struct {
	// ReadyClusters is "ready/wanted".
	// +nullable
	ReadyClusters string `json:"readyClusters,omitempty"`
	// State is the worst state of any deployment; empty when all are Ready.
	// +nullable
	State string `json:"state,omitempty"`
}

// PartitionStatus counts one partition.
type PartitionStatus struct {
	// Name of the partition.
	// +nullable
	Name string `json:"name,omitempty"`
	// Count of its clusters.
	Count int `json:"count,omitempty"`
	// MaxUnavailable clusters, as counted out.
	MaxUnavailable int `json:"maxUnavailable,omitempty"`
	// Unavailable clusters.
	Unavailable int `json:"unavailable,omitempty"`
	// Summary counts its deployments by state.
	Summary BundleSummary `json:"summary,omitempty"`
}

// AsStored brings the spec to the form in which the API server gives it back: with the CRD's default, and without the
// difference between empty and missing. Otherwise every comparison with what is stored would see a change.
func (s *BundleSpec) AsStored() error {
	if s.TargetCustomizationMode == "" {
		s.TargetCustomizationMode = TargetCustomizationModeFirstMatch
	}
	data, err := json.Marshal(s)
	if err != nil {
		return err
	}
	*s = BundleSpec{}
	return json.Unmarshal(data, s)
}
