package v1alpha1

import (
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Output is a value that a bundle hands to other bundles, on this cluster or another. Flotilla.
type Output struct {
	// Name of the output, unique in the bundle.
	Name string `json:"name"`
	// Object on the cluster that Value looks at, deployed by the bundle or by others. It is read as the bundle's service account.
	Object *OutputObject `json:"object,omitempty"`
	// Value is a CEL expression: over self, the object, cluster, and bundle, the commit that is deployed; without an object over
	// cluster alone. With forEach it sees each, too.
	Value string `json:"value,omitempty"`
	// ForEach makes one value for each cluster that it picks; a consumer on that cluster gets its own.
	ForEach *OutputForEach `json:"forEach,omitempty"`
	// Generate makes a random value once, on the hub, and keeps it. It is always sensitive.
	Generate *OutputGenerate `json:"generate,omitempty"`
	// Sensitive values are sealed wherever they are kept.
	Sensitive bool `json:"sensitive,omitempty"`
	// Grants tell who may take the output. Empty means every bundle of the same workspace.
	Grants []OutputGrant `json:"grants,omitempty"`
}

// OutputObject names an object, or those with certain labels. Namespace and name may be templates with ${ .ClusterName }, ${ .ClusterNamespace } and, with forEach,
// ${ .Each.Name } and ${ .Each.Namespace }.
type OutputObject struct {
	// APIVersion of the object.
	APIVersion string `json:"apiVersion"`
	// Kind of the object.
	Kind string `json:"kind"`
	// Namespace of the object; empty for one without.
	Namespace string `json:"namespace,omitempty"`
	// Name of the object.
	Name string `json:"name,omitempty"`
	// LabelSelector in place of a name: self.items are the objects of the namespace, or of all where there is none, with these labels.
	LabelSelector *metav1.LabelSelector `json:"labelSelector,omitempty"`
}

// OutputForEach picks the clusters that get a value of their own.
type OutputForEach struct {
	// ClusterSelector for the labels of clusters.
	ClusterSelector *metav1.LabelSelector `json:"clusterSelector"`
}

// OutputGenerate makes a random value.
type OutputGenerate struct {
	// Bytes that are made; the value is their base64.
	// +kubebuilder:validation:Minimum=16
	// +kubebuilder:validation:Maximum=1024
	Bytes int `json:"bytes"`
}

// OutputGrant lets bundles take an output.
type OutputGrant struct {
	// Workspace of the bundles. Empty means the workspace of the output.
	Workspace string `json:"workspace,omitempty"`
	// Bundle that may take it. Empty means all of the workspace.
	Bundle string `json:"bundle,omitempty"`
}

// InputClusters says from which clusters an input is taken.
// +kubebuilder:validation:Enum=one;same;all
type InputClusters string

const (
	// InputClustersOne takes the value of the one cluster that has it.
	InputClustersOne InputClusters = "one"
	// InputClustersSame takes the value of the cluster that the bundle goes to.
	InputClustersSame InputClusters = "same"
	// InputClustersAll gives a map of the values of all clusters that have one, by the clusters' names.
	InputClustersAll InputClusters = "all"
)

// Input is a value that a bundle takes from another bundle's output, or from what is known of clusters. Flotilla.
type Input struct {
	// Name under which templates see it: ${ .Inputs.NAME }.
	Name string `json:"name"`
	// From tells where it comes from.
	From InputFrom `json:"from"`
	// Clusters: one (the default), same, or all.
	Clusters InputClusters `json:"clusters,omitempty"`
	// ClusterSelector bounds the clusters that it is taken from, by their labels.
	ClusterSelector *metav1.LabelSelector `json:"clusterSelector,omitempty"`
	// Healthy takes from clusters only on which the bundle is healthy and whose agent is not lost. When none is left, what was taken
	// last is kept.
	Healthy bool `json:"healthy,omitempty"`
	// Optional inputs need not be there: templates then see the default, or null.
	Optional bool `json:"optional,omitempty"`
	// Default of an input that is not there.
	Default *apiextensionsv1.JSON `json:"default,omitempty"`
	// Into is an object with the value that is made on the cluster, as part of the bundle.
	Into *InputInto `json:"into,omitempty"`
}

// InputFrom names an output, or a fact.
type InputFrom struct {
	// Bundle that has the output.
	Bundle string `json:"bundle,omitempty"`
	// Workspace of that bundle. Empty means the workspace of the bundle that takes it.
	Workspace string `json:"workspace,omitempty"`
	// Output of the bundle.
	Output string `json:"output,omitempty"`
	// Fact is a CEL expression over cluster, in place of a bundle's output.
	Fact string `json:"fact,omitempty"`
}

// InputInto names a Secret or ConfigMap.
type InputInto struct {
	// Kind is Secret or ConfigMap.
	// +kubebuilder:validation:Enum=Secret;ConfigMap
	Kind string `json:"kind"`
	// Namespace of the object. Empty means the bundle's default namespace.
	Namespace string `json:"namespace,omitempty"`
	// Name of the object. Inputs may share one.
	Name string `json:"name"`
	// Type of a Secret.
	Type string `json:"type,omitempty"`
	// Key that the value stands under. Empty for a value that is a map: its keys.
	Key string `json:"key,omitempty"`
}

// OutputValue is an output as a cluster reports it. Flotilla.
type OutputValue struct {
	// Name of the output.
	Name string `json:"name"`
	// Each is the cluster ("namespace/name") that the value is for, of an output with forEach.
	Each string `json:"each,omitempty"`
	// Value as JSON, unless it is sensitive.
	Value *apiextensionsv1.JSON `json:"value,omitempty"`
	// Sealed is a sensitive value, encrypted with the cluster's own key.
	Sealed []byte `json:"sealed,omitempty"`
	// Error says why there is no value, or why the one that is there is not renewed.
	Error string `json:"error,omitempty"`
}
