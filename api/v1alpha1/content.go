package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// Content is a chunk of a sealed layer. Whoever reads it learns nothing without the layer's key.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:scope=Cluster,path=contents
// +kubebuilder:metadata:annotations="helm.sh/resource-policy=keep"
type Content struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// Content is the chunk's ciphertext.
	// +nullable
	Content []byte `json:"content,omitempty"`
	// SHA256Sum of the ciphertext, in hex.
	SHA256Sum string `json:"sha256sum,omitempty"`
	// +optional
	Status ContentStatus `json:"status,omitempty"`
}

// ContentList is a list of Contents.
//
// +kubebuilder:object:root=true
type ContentList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []Content `json:"items"`
}

// ContentStatus is kept for Fleet's sake.
type ContentStatus struct {
	// ReferenceCount is kept for Fleet's sake; what is used is found by sweeping.
	// +optional
	ReferenceCount int `json:"referenceCount,omitempty"`
}
