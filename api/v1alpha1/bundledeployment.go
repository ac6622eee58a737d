package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// BundleDeployment is one bundle on one cluster: the order to that cluster's agent, and the agent's report. It has the bundle's
// name, stands in the cluster's namespace, and is written by Flotilla alone.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:path=bundledeployments
// +kubebuilder:metadata:annotations="helm.sh/resource-policy=keep"
// +kubebuilder:printcolumn:name="Cluster",type=string,JSONPath=`.metadata.labels.fleet\.cattle\.io/cluster`
// +kubebuilder:printcolumn:name="Deployed",type=string,JSONPath=`.status.display.deployed`
// +kubebuilder:printcolumn:name="Monitored",type=string,JSONPath=`.status.display.monitored`
// +kubebuilder:printcolumn:name="Health",type=string,JSONPath=`.status.health`
// +kubebuilder:printcolumn:name="Status",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].message`
type BundleDeployment struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec   BundleDeploymentSpec   `json:"spec,omitempty"`
	Status BundleDeploymentStatus `json:"status,omitempty"`
}

// BundleDeploymentList is a list of BundleDeployments.
//
// +kubebuilder:object:root=true
type BundleDeploymentList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []BundleDeployment `json:"items"`
}

// BundleDeploymentSpec is what the cluster shall have.
type BundleDeploymentSpec struct {
	// Paused keeps the cluster at what it has.
	Paused bool `json:"paused,omitempty"`
	// StagedOptions are the options of the next revision.
	StagedOptions BundleDeploymentOptions `json:"stagedOptions,omitempty"`
	// StagedDeploymentID is the ID of the next revision.
	// +nullable
	StagedDeploymentID string `json:"stagedDeploymentID,omitempty"`
	// Options of the revision to have now.
	Options BundleDeploymentOptions `json:"options,omitempty"`
	// DeploymentID of the revision to have now: "<manifest>:<sha256 of the options>".
	// +nullable
	DeploymentID string `json:"deploymentID,omitempty"`
	// DependsOn are bundles that must be ready on the cluster first.
	// +nullable
	DependsOn []BundleRef `json:"dependsOn,omitempty"`
	// CorrectDrift says whether drift is put back.
	CorrectDrift *CorrectDrift `json:"correctDrift,omitempty"`
	// OCIContents tells that the contents are in a registry.
	OCIContents bool `json:"ociContents,omitempty"`
	// HelmChartOptions say how the chart of a HelmOp is fetched.
	HelmChartOptions *BundleHelmOptions `json:"helmChartOptions,omitempty"`
	// ValuesHash is the hash of the values that are kept in the deployment's Secret.
	// +nullable
	ValuesHash string `json:"valuesHash,omitempty"`
	// DownstreamResourcesGeneration grows when a copied ConfigMap or Secret changed.
	DownstreamResourcesGeneration int64 `json:"downstreamResourcesGeneration,omitempty"`
	// OffSchedule keeps the cluster at what it has until its maintenance window opens.
	OffSchedule bool `json:"offSchedule,omitempty"`
	// WaitingForValues keeps the cluster at what it has until its values are there.
	WaitingForValues bool `json:"waitingForValues,omitempty"`

	// Sequence grows with every write of this spec; an agent refuses one below the highest that it saw. Flotilla.
	Sequence int64 `json:"sequence,omitempty"`
	// RenderKey is the hash of all that the rendering depended on. Flotilla.
	RenderKey string `json:"renderKey,omitempty"`
	// RenderBase is the render key without what templates asked about the cluster. Flotilla.
	RenderBase string `json:"renderBase,omitempty"`
	// Asked is what templates asked about the cluster, with the answers they got. Flotilla.
	Asked []CapabilityAnswer `json:"asked,omitempty"`
	// Layers to open, in order, the last one winning. Flotilla.
	Layers []LayerRef `json:"layers,omitempty"`
	// Deletion orders the agent to take the bundle away. Without it, absence never deletes. Flotilla.
	Deletion *Deletion `json:"deletion,omitempty"`
	// ValueOrigins tells for each value which target set it. Flotilla.
	ValueOrigins []ValueOrigin `json:"valueOrigins,omitempty"`
	// Outputs to report, those that look at an object of the cluster. Flotilla.
	Outputs []OutputOrder `json:"outputs,omitempty"`
}

// OutputOrder is an output that the agent reports.
type OutputOrder struct {
	// Name of the output.
	Name string `json:"name"`
	// Object that the value looks at.
	Object OutputObject `json:"object"`
	// Value is a CEL expression.
	Value string `json:"value"`
	// Each are the clusters ("namespace/name") that get a value of their own; empty for one value.
	Each []string `json:"each,omitempty"`
	// Sensitive values are reported sealed.
	Sensitive bool `json:"sensitive,omitempty"`
}

// CapabilityAnswer is one thing that a template asked about the cluster.
type CapabilityAnswer struct {
	// Question, for example whether an API is served.
	Question string `json:"question"`
	// Answer that the template got.
	Answer string `json:"answer"`
}

// LayerRef names a sealed layer and carries its key.
type LayerRef struct {
	// ID of the layer, from the digest of its objects.
	ID string `json:"id"`
	// Chunks the layer is stored in: the Content named as the ID if 1, else those named "<ID>-<i>", from 0.
	Chunks int32 `json:"chunks"`
	// Key of the layer, wrapped with the cluster's own key.
	Key []byte `json:"key"`
	// Objects in the layer.
	Objects int32 `json:"objects"`
	// Bytes of the layer as stored.
	Bytes int64 `json:"bytes"`
}

// DeletionPolicy says what becomes of the objects on the cluster.
// +kubebuilder:validation:Enum=Delete;Orphan
type DeletionPolicy string

const (
	// DeletionPolicyDelete deletes the objects, except those that are always kept.
	DeletionPolicyDelete DeletionPolicy = "Delete"
	// DeletionPolicyOrphan leaves the objects as they are.
	DeletionPolicyOrphan DeletionPolicy = "Orphan"
)

// Deletion is the order to take a bundle away from a cluster. Taking it back before it is done undoes it.
type Deletion struct {
	// Revision that is taken away: a deploymentID.
	Revision string `json:"revision"`
	// Reason why, in one sentence.
	Reason string `json:"reason"`
	// By names who or what asked for it.
	By string `json:"by"`
	// Policy for the objects.
	Policy DeletionPolicy `json:"policy"`
}

// ValueOrigin tells which part of a bundle set a value. It never holds the value.
type ValueOrigin struct {
	// Path of the value, for example helm.values.replicaCount.
	Path string `json:"path"`
	// From names the part that set it: bundle, a target or a customization.
	From string `json:"from"`
}

// BundleDeploymentStatus is the agent's report.
type BundleDeploymentStatus struct {
	// Conditions are Deployed, Installed, Monitored and Ready.
	// +nullable
	Conditions []GenericCondition `json:"conditions,omitempty"`
	// AppliedDeploymentID is the revision that the cluster has, or tried last.
	// +nullable
	AppliedDeploymentID string `json:"appliedDeploymentID,omitempty"`
	// Release is always empty: no Helm release is made.
	// +nullable
	Release string `json:"release,omitempty"`
	// Ready tells that all objects are ready.
	Ready bool `json:"ready,omitempty"`
	// NonModified tells that there is no drift.
	NonModified bool `json:"nonModified,omitempty"`
	// NonReadyStatus lists at most 10 objects that are not ready.
	// +nullable
	NonReadyStatus []NonReadyStatus `json:"nonReadyStatus,omitempty"`
	// ModifiedStatus lists at most 10 objects with drift.
	// +nullable
	ModifiedStatus []ModifiedStatus `json:"modifiedStatus,omitempty"`
	// IncompleteState tells that one of the lists was cut at 10.
	IncompleteState bool `json:"incompleteState,omitempty"`
	// Display holds what people look at.
	// +nullable
	Display BundleDeploymentDisplay `json:"display,omitempty"`
	// SyncGeneration is the forceSyncGeneration that was applied last.
	// +nullable
	SyncGeneration *int64 `json:"syncGeneration,omitempty"`
	// Resources that were deployed.
	// +nullable
	Resources []BundleDeploymentResource `json:"resources,omitempty"`
	// ResourceCounts counts the objects by state.
	ResourceCounts ResourceCounts `json:"resourceCounts,omitempty"`
	// DownstreamResourcesGeneration that was copied last.
	DownstreamResourcesGeneration int64 `json:"downstreamResourcesGeneration,omitempty"`

	// Health in one word. Flotilla.
	Health Health `json:"health,omitempty"`
	// ObservedSequence is the sequence of the spec that this status is about. Flotilla.
	ObservedSequence int64 `json:"observedSequence,omitempty"`
	// ReadyDeploymentID is the revision that was Ready here last: a bundle that depends on this one waits for a revision until it
	// was Ready once, and not for what happens to it later. Flotilla.
	ReadyDeploymentID string `json:"readyDeploymentID,omitempty"`
	// Drift lists at most 10 fields that differ from what was applied. Flotilla.
	Drift []DriftedField `json:"drift,omitempty"`
	// Hold tells that, and why, everything is kept as it is. Flotilla.
	Hold *Hold `json:"hold,omitempty"`
	// Deletion is "done" when the order to delete was carried out. Flotilla.
	Deletion string `json:"deletion,omitempty"`
	// Kept lists at most 10 objects that left the bundle but stay, as "namespace/x" or "customresourcedefinition/x". Flotilla.
	Kept []string `json:"kept,omitempty"`
	// Outputs as they are on the cluster, sorted. Flotilla.
	Outputs []OutputValue `json:"outputs,omitempty"`
	// Once lists at most 100 objects that are applied once, as they were made last: an agent that lost its memory makes none of
	// them a second time. Flotilla.
	Once []OnceObject `json:"once,omitempty"`
}

// MostOnce is how many objects BundleDeploymentStatus.Once has at most.
const MostOnce = 100

// OnceObject is an object that is applied once: it is made again only when its spec changes.
type OnceObject struct {
	// Kind of the object.
	Kind string `json:"kind"`
	// APIVersion of the object.
	APIVersion string `json:"apiVersion"`
	// Namespace of the object; empty for one without.
	Namespace string `json:"namespace,omitempty"`
	// Name of the object.
	Name string `json:"name"`
	// Spec stands for the spec that it was made with; only the cluster can tell which it is.
	Spec string `json:"spec"`
	// Result says how it ended, empty if that was not seen yet.
	Result OnceResult `json:"result,omitempty"`
}

// OnceResult is how an object ended that is applied once.
type OnceResult string

const (
	// OnceComplete: it did its work.
	OnceComplete OnceResult = "Complete"
	// OnceFailed: it failed for good.
	OnceFailed OnceResult = "Failed"
	// OnceExpired: it is gone before its end was seen, as was to be expected: it has a time to live.
	OnceExpired OnceResult = "Expired"
	// OnceGone: it is gone before its end was seen.
	OnceGone OnceResult = "Gone"
)

// DeletionDone is the BundleDeploymentStatus.Deletion of an order that was carried out.
const DeletionDone = "done"

// DriftedField is a field that a bundle owns and that somebody changed.
type DriftedField struct {
	// Kind of the object.
	Kind string `json:"kind"`
	// APIVersion of the object.
	APIVersion string `json:"apiVersion"`
	// Namespace of the object; empty for one without.
	Namespace string `json:"namespace,omitempty"`
	// Name of the object.
	Name string `json:"name"`
	// Path of the field, for example /spec/replicas. Empty means the whole object.
	Path string `json:"path,omitempty"`
	// Wanted value, or "(hidden)" where it could be confidential. Empty for a field that should not be there.
	Wanted string `json:"wanted,omitempty"`
	// Found value, or "(hidden)" where it could be confidential. Empty for a field that is missing.
	Found string `json:"found,omitempty"`
	// Manager that changed it, from managedFields.
	Manager string `json:"manager,omitempty"`
	// At is when it was changed.
	// +optional
	// +nullable
	At metav1.Time `json:"at,omitempty"`
}

// Hold says why everything is kept as it is.
type Hold struct {
	// Reason in one word.
	Reason string `json:"reason"`
	// Message says why, and which command ends it.
	Message string `json:"message,omitempty"`
}

// BundleDeploymentDisplay holds what people look at.
type BundleDeploymentDisplay struct {
	// Deployed is True, False or "Error: …".
	// +nullable
	Deployed string `json:"deployed,omitempty"`
	// Monitored is True, False or "Error: …".
	// +nullable
	Monitored string `json:"monitored,omitempty"`
	// State of the deployment.
	// +nullable
	State string `json:"state,omitempty"`
}

// BundleDeploymentResource names an object that was deployed.
type BundleDeploymentResource struct {
	// Kind of the object.
	// +nullable
	Kind string `json:"kind,omitempty"`
	// APIVersion of the object.
	// +nullable
	APIVersion string `json:"apiVersion,omitempty"`
	// Namespace of the object; empty for one without.
	// +nullable
	Namespace string `json:"namespace,omitempty"`
	// Name of the object.
	// +nullable
	Name string `json:"name,omitempty"`
	// CreatedAt is the object's creation time.
	// +nullable
	CreatedAt metav1.Time `json:"createdAt,omitempty"`
}

// NonReadyStatus is an object that is not ready.
type NonReadyStatus struct {
	// UID of the object.
	// +nullable
	UID types.UID `json:"uid,omitempty"`
	// Kind of the object.
	// +nullable
	Kind string `json:"kind,omitempty"`
	// APIVersion of the object.
	// +nullable
	APIVersion string `json:"apiVersion,omitempty"`
	// Namespace of the object; empty for one without.
	// +nullable
	Namespace string `json:"namespace,omitempty"`
	// Name of the object.
	// +nullable
	Name string `json:"name,omitempty"`
	// Summary says what is wrong.
	Summary Summary `json:"summary,omitempty"`
}

// Summary says how an object is.
type Summary struct {
	// State in one word.
	State string `json:"state,omitempty"`
	// Error tells that it failed.
	Error bool `json:"error,omitempty"`
	// Transitioning tells that it is on its way.
	Transitioning bool `json:"transitioning,omitempty"`
	// Message lines.
	Message []string `json:"message,omitempty"`
}

// ModifiedStatus is an object with drift. If no flag is set, it was changed.
type ModifiedStatus struct {
	// Kind of the object.
	// +nullable
	Kind string `json:"kind,omitempty"`
	// APIVersion of the object.
	// +nullable
	APIVersion string `json:"apiVersion,omitempty"`
	// Namespace of the object; empty for one without.
	// +nullable
	Namespace string `json:"namespace,omitempty"`
	// Name of the object.
	// +nullable
	Name string `json:"name,omitempty"`
	// Create tells that the object is missing.
	Create bool `json:"missing,omitempty"`
	// Exist tells that a missing object exists, but is not owned by us.
	Exist bool `json:"exist,omitempty"`
	// Delete tells that the object should not be there.
	Delete bool `json:"delete,omitempty"`
	// Patch shows what changed.
	// +nullable
	Patch string `json:"patch,omitempty"`
}
