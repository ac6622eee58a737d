package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// BundleDeploymentOptions says how a bundle is deployed. They stand in fleet.yaml, Bundle, HelmOp, in each target, and, merged
// for one cluster, in a BundleDeployment.
type BundleDeploymentOptions struct {
	// YAML options, for bundles of plain manifests.
	// +nullable
	YAML *YAMLOptions `json:"yaml,omitempty"`

	// Kustomize options, for bundles with a kustomization.
	// +nullable
	Kustomize *KustomizeOptions `json:"kustomize,omitempty"`

	// DefaultNamespace is the namespace for objects that name none.
	// +nullable
	DefaultNamespace string `json:"defaultNamespace,omitempty"`

	// TargetNamespace forces every object into this namespace. An object without namespace scope makes the deployment fail.
	// +nullable
	TargetNamespace string `json:"namespace,omitempty"`

	// Helm options, for bundles with a chart.
	// +optional
	Helm *HelmOptions `json:"helm,omitempty"`

	// ServiceAccount that deploys on the cluster, by impersonation. Empty means the cluster's default account.
	// +nullable
	ServiceAccount string `json:"serviceAccount,omitempty"`

	// CreateNamespace tells whether a missing namespace is created. Unset means true.
	// +optional
	// +nullable
	CreateNamespace *bool `json:"createNamespace,omitempty"`

	// ForceSyncGeneration is raised to deploy again although nothing changed.
	ForceSyncGeneration int64 `json:"forceSyncGeneration,omitempty"`

	// Diff says which differences between the bundle and the cluster are no drift.
	// +nullable
	Diff *DiffOptions `json:"diff,omitempty"`

	// KeepResources leaves the objects on the cluster when the bundle goes away.
	KeepResources bool `json:"keepResources,omitempty"`

	// DeleteNamespace deletes the bundle's namespace when the bundle goes away.
	DeleteNamespace bool `json:"deleteNamespace,omitempty"`

	// IgnoreOptions says which conditions of objects do not count for readiness.
	// +nullable
	IgnoreOptions *IgnoreOptions `json:"ignore,omitempty"`

	// CorrectDrift says whether drift is put back.
	CorrectDrift *CorrectDrift `json:"correctDrift,omitempty"`

	// NamespaceLabels are set on the namespace that the bundle is deployed into.
	// +nullable
	NamespaceLabels map[string]string `json:"namespaceLabels,omitempty"`

	// NamespaceAnnotations are set on the namespace that the bundle is deployed into.
	// +nullable
	NamespaceAnnotations map[string]string `json:"namespaceAnnotations,omitempty"`

	// DeleteCRDResources deletes the bundle's CustomResourceDefinitions, and so all their objects, when the bundle goes away.
	DeleteCRDResources bool `json:"deleteCRDResources,omitempty"`

	// DownstreamResources are copied from the bundle's namespace on the hub to the cluster before the bundle is deployed.
	DownstreamResources []DownstreamResource `json:"downstreamResources,omitempty"`

	// Overwrites are objects that another bundle gave up and this one has. Internal.
	Overwrites []OverwrittenResource `json:"overwrites,omitempty"`

	// AllowedTargetNamespaceSelector restricts the namespaces to deploy into by their labels. Internal: from GitRepoRestriction.
	// +nullable
	AllowedTargetNamespaceSelector *metav1.LabelSelector `json:"allowedTargetNamespaceSelector,omitempty"`

	// Health says how it is told whether objects do their work. Flotilla.
	Health *HealthOptions `json:"health,omitempty"`
}

// YAMLOptions are options for bundles of plain manifests.
type YAMLOptions struct {
	// Overlays are directories below overlays/ whose files replace, patch or add to the bundle's, in this order.
	// +nullable
	Overlays []string `json:"overlays,omitempty"`
}

// KustomizeOptions are options for bundles with a kustomization. All but Dir is in Kustomize's own shape, needs no kustomization,
// and works on the objects of a chart or of plain manifests as well; ${ } in it is filled in for each cluster.
type KustomizeOptions struct {
	// Dir holds the kustomization, relative to the bundle. Empty means the bundle's own directory.
	// +nullable
	Dir string `json:"dir,omitempty"`

	// Patches are applied in this order to what the bundle gives. Those of targets come after the bundle's.
	// +nullable
	Patches []KustomizePatch `json:"patches,omitempty"`

	// Images replaces names, tags and digests of images. Of several with one name the last place's counts.
	// +nullable
	Images []KustomizeImage `json:"images,omitempty"`

	// Replicas sets how many replicas workloads have. Of several with one name the last place's counts.
	// +nullable
	Replicas []KustomizeReplica `json:"replicas,omitempty"`

	// NamePrefix is put before the name of each object, and where others refer to it.
	// +nullable
	NamePrefix string `json:"namePrefix,omitempty"`
}

// KustomizePatch is a patch and the objects that it is for.
type KustomizePatch struct {
	// Path of a file with the patch, relative to the bundle; read from Git only.
	// +nullable
	Path string `json:"path,omitempty"`
	// Patch is a list of JSON patch operations, or a part of an object to merge.
	// +nullable
	Patch string `json:"patch,omitempty"`
	// Target picks the objects. Without one, the patch is a part of an object and names that object itself.
	// +optional
	// +nullable
	Target *KustomizeSelector `json:"target,omitempty"`
	// Options allow what a patch is otherwise not to do.
	// +optional
	// +nullable
	Options *KustomizePatchOptions `json:"options,omitempty"`
}

// KustomizeSelector picks objects. All that is set must hold; names and kinds are regular expressions for the whole of them.
type KustomizeSelector struct {
	// Group of the objects.
	// +nullable
	Group string `json:"group,omitempty"`
	// Version of the objects.
	// +nullable
	Version string `json:"version,omitempty"`
	// Kind of the objects.
	// +nullable
	Kind string `json:"kind,omitempty"`
	// Name of the objects.
	// +nullable
	Name string `json:"name,omitempty"`
	// Namespace of the objects, as they are written.
	// +nullable
	Namespace string `json:"namespace,omitempty"`
	// AnnotationSelector is a label selector, as text, for annotations.
	// +nullable
	AnnotationSelector string `json:"annotationSelector,omitempty"`
	// LabelSelector is a label selector, as text.
	// +nullable
	LabelSelector string `json:"labelSelector,omitempty"`
}

// KustomizePatchOptions allow what a patch is otherwise not to do.
type KustomizePatchOptions struct {
	// AllowNameChange lets the patch rename the object.
	AllowNameChange bool `json:"allowNameChange,omitempty"`
	// AllowKindChange lets the patch change the object's kind.
	AllowKindChange bool `json:"allowKindChange,omitempty"`
}

// KustomizeImage says what becomes of an image.
type KustomizeImage struct {
	// Name of the image, without tag.
	// +nullable
	Name string `json:"name,omitempty"`
	// NewName takes the name's place.
	// +nullable
	NewName string `json:"newName,omitempty"`
	// TagSuffix is put behind the tag that is there.
	// +nullable
	TagSuffix string `json:"tagSuffix,omitempty"`
	// NewTag takes the tag's place.
	// +nullable
	NewTag string `json:"newTag,omitempty"`
	// Digest takes the tag's place, and wins over newTag.
	// +nullable
	Digest string `json:"digest,omitempty"`
}

// KustomizeReplica sets the replicas of a workload.
type KustomizeReplica struct {
	// Name of the workload.
	// +nullable
	Name string `json:"name,omitempty"`
	// Count is a whole number, or a ${ } template that gives one.
	Count intstr.IntOrString `json:"count"`
}

// HelmOptions are options for bundles with a chart.
type HelmOptions struct {
	// ValuesFiles are merged over values, the last one winning. Paths are relative to the bundle; read from Git only.
	// +nullable
	ValuesFiles []string `json:"valuesFiles,omitempty"`

	// Chart is a directory of the bundle, a URL of an archive, or the name of a chart in repo.
	// +nullable
	Chart string `json:"chart,omitempty"`

	// Repo is the URL of a Helm repository, or oci:// and the path of a chart in a registry.
	// +nullable
	Repo string `json:"repo,omitempty"`

	// ReleaseName of the chart. Empty means a name made from the bundle's.
	// +nullable
	// +kubebuilder:validation:MaxLength=53
	// +kubebuilder:validation:Pattern=^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$
	ReleaseName string `json:"releaseName,omitempty"`

	// Version of the chart, or a range of versions.
	// +nullable
	Version string `json:"version,omitempty"`

	// TimeoutSeconds to wait for the release. 0 means do not wait; below 0 in a target clears the bundle's.
	TimeoutSeconds int `json:"timeoutSeconds,omitempty"`

	// Values for the chart.
	// +nullable
	Values *GenericMap `json:"values,omitempty"`

	// TemplateValues maps a top-level key of values to a template whose result, read as YAML, replaces it.
	// +nullable
	TemplateValues map[string]string `json:"templateValues,omitempty"`

	// ValuesFrom are ConfigMaps and Secrets on the cluster whose values are merged over values, the last one winning.
	// +nullable
	ValuesFrom []ValuesFrom `json:"valuesFrom,omitempty"`

	// Force replaces objects that cannot be changed in place.
	Force bool `json:"force,omitempty"`

	// TakeOwnership lets the bundle take over objects that exist already.
	TakeOwnership bool `json:"takeOwnership,omitempty"`

	// MaxHistory bounds the release history. Accepted and without effect: there is no release history.
	MaxHistory int `json:"maxHistory,omitempty"`

	// WaitForJobs makes the release wait for its Jobs.
	WaitForJobs bool `json:"waitForJobs,omitempty"`

	// Atomic goes back to the last release when an upgrade fails.
	Atomic bool `json:"atomic,omitempty"`

	// DisablePreProcess passes values on as they are: no ${ } templates, no templateValues.
	DisablePreProcess bool `json:"disablePreProcess,omitempty"`

	// DisableDNS makes the template function getHostByName return an empty string.
	DisableDNS bool `json:"disableDNS,omitempty"`

	// SkipSchemaValidation does not check values against the chart's schema.
	SkipSchemaValidation bool `json:"skipSchemaValidation,omitempty"`

	// DisableDependencyUpdate does not fetch dependencies that the chart names and does not contain.
	DisableDependencyUpdate bool `json:"disableDependencyUpdate,omitempty"`
}

// ValuesFrom is a ConfigMap or a Secret on the cluster that holds values. If both are set, the Secret wins.
type ValuesFrom struct {
	// ConfigMapKeyRef names a key of a ConfigMap.
	// +optional
	// +nullable
	ConfigMapKeyRef *ConfigMapKeySelector `json:"configMapKeyRef,omitempty"`
	// SecretKeyRef names a key of a Secret.
	// +optional
	// +nullable
	SecretKeyRef *SecretKeySelector `json:"secretKeyRef,omitempty"`
}

// LocalObjectReference names an object in a namespace that is known from elsewhere.
type LocalObjectReference struct {
	// Name of the object.
	// +optional
	// +nullable
	Name string `json:"name"`
}

// ConfigMapKeySelector names a key of a ConfigMap.
type ConfigMapKeySelector struct {
	LocalObjectReference `json:",inline"`
	// Namespace of the ConfigMap. Empty means the release's.
	// +optional
	// +nullable
	Namespace string `json:"namespace,omitempty"`
	// Key that holds the values. Empty means values.yaml.
	// +optional
	// +nullable
	Key string `json:"key,omitempty"`
	// Optional passes over a ConfigMap or key that does not exist. Flotilla.
	// +optional
	Optional *bool `json:"optional,omitempty"`
}

// SecretKeySelector names a key of a Secret.
type SecretKeySelector struct {
	LocalObjectReference `json:",inline"`
	// Namespace of the Secret. Empty means the release's.
	// +optional
	// +nullable
	Namespace string `json:"namespace,omitempty"`
	// Key that holds the values. Empty means values.yaml.
	// +optional
	// +nullable
	Key string `json:"key,omitempty"`
	// Optional passes over a Secret or key that does not exist. Flotilla.
	// +optional
	Optional *bool `json:"optional,omitempty"`
}

// DiffOptions says which differences between the bundle and the cluster are no drift.
type DiffOptions struct {
	// ComparePatches are applied to both sides before they are compared.
	// +nullable
	ComparePatches []ComparePatch `json:"comparePatches,omitempty"`
}

// ComparePatch picks objects and says what of them is left to others. Kind, Namespace, Name and the group of APIVersion may be
// globs or regular expressions; empty means any.
type ComparePatch struct {
	// APIVersion of the objects. Its version does not count.
	// +nullable
	APIVersion string `json:"apiVersion,omitempty"`
	// Kind of the objects.
	// +nullable
	Kind string `json:"kind,omitempty"`
	// Name of the object. Empty means any.
	// +nullable
	Name string `json:"name,omitempty"`
	// Namespace of the object. Empty means any.
	// +nullable
	Namespace string `json:"namespace,omitempty"`
	// JSONPointers are the fields to leave out.
	// +nullable
	JsonPointers []string `json:"jsonPointers,omitempty"`
	// Operations change what is compared.
	// +nullable
	Operations []Operation `json:"operations,omitempty"`
}

// IgnoreOp is the Operation.Op that leaves a whole object out of the comparison.
const IgnoreOp = "ignore"

// Operation is one JSON patch operation, or "ignore" for the whole object.
type Operation struct {
	// Op is a JSON patch operation such as remove, or ignore.
	// +nullable
	Op string `json:"op,omitempty"`
	// Path is a JSON pointer.
	// +nullable
	Path string `json:"path,omitempty"`
	// Value for operations that need one.
	// +nullable
	Value string `json:"value,omitempty"`
}

// IgnoreOptions says which conditions of objects do not count for readiness.
type IgnoreOptions struct {
	// Conditions to leave out: each matches the conditions that have all its keys and values.
	// +nullable
	Conditions []map[string]string `json:"conditions,omitempty"`
}

// CorrectDrift says whether and how drift is put back.
type CorrectDrift struct {
	// Enabled puts drift back.
	Enabled bool `json:"enabled,omitempty"`
	// Force re-creates objects whose drift cannot be put back in place.
	Force bool `json:"force,omitempty"`
	// KeepFailHistory keeps failed releases in the history. Accepted and without effect: there is no release history.
	KeepFailHistory bool `json:"keepFailHistory,omitempty"`
}

// DownstreamResource names a ConfigMap or Secret in the bundle's namespace on the hub.
type DownstreamResource struct {
	// Kind is ConfigMap or Secret.
	Kind string `json:"kind,omitempty"`
	// Name of the object.
	Name string `json:"name,omitempty"`
}

// OverwrittenResource names an object that moved between bundles.
type OverwrittenResource struct {
	// Name of the object.
	Name string `json:"name,omitempty"`
	// Namespace of the object; empty for one without.
	Namespace string `json:"namespace,omitempty"`
	// Kind of the object.
	Kind string `json:"kind,omitempty"`
}
