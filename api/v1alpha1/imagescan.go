package v1alpha1

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// ImageScan watches a registry for new tags of an image and writes them back to Git.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:path=imagescans
// +kubebuilder:metadata:annotations="helm.sh/resource-policy=keep"
// +kubebuilder:printcolumn:name="Repository",type=string,JSONPath=`.spec.image`
// +kubebuilder:printcolumn:name="Latest",type=string,JSONPath=`.status.latestTag`
type ImageScan struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec   ImageScanSpec   `json:"spec,omitempty"`
	Status ImageScanStatus `json:"status,omitempty"`
}

// ImageScanList is a list of ImageScans.
//
// +kubebuilder:object:root=true
type ImageScanList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []ImageScan `json:"items"`
}

// ImageScanSpec says which image, and which tag to take.
type ImageScanSpec struct {
	// TagName is the name that marks in Git refer to.
	// +nullable
	TagName string `json:"tagName,omitempty"`
	// GitRepoName of the GitRepo to write to.
	// +nullable
	GitRepoName string `json:"gitrepoName,omitempty"`
	// Image to look up, without tag.
	// +required
	// +nullable
	Image string `json:"image,omitempty"`
	// Interval between look-ups.
	// +required
	// +nullable
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:XValidation:rule="self == '0' || self.matches('^([0-9]+([.][0-9]+)?(ns|us|µs|ms|s|m|h))+$') && duration(self) <= duration('2562047h')",message="must be a Go duration such as 15s, 5m or 1h30m, at most 2562047h; days and weeks have no unit"
	Interval metav1.Duration `json:"interval,omitempty"`
	// SecretRef names the Secret with the registry's credentials.
	// +nullable
	SecretRef *corev1.LocalObjectReference `json:"secretRef,omitempty"`
	// Suspend stops looking up.
	// +optional
	Suspend bool `json:"suspend,omitempty"`
	// Policy says which tag is the latest.
	// +optional
	Policy ImagePolicyChoice `json:"policy"`
}

// ImagePolicyChoice says which tag is the latest; one of the two is set.
type ImagePolicyChoice struct {
	// SemVer takes the highest version within a range.
	// +optional
	// +nullable
	SemVer *SemVerPolicy `json:"semver,omitempty"`
	// Alphabetical takes the first or last by name.
	// +optional
	// +nullable
	Alphabetical *AlphabeticalPolicy `json:"alphabetical,omitempty"`
}

// SemVerPolicy takes the highest version within a range.
type SemVerPolicy struct {
	// Range of versions. Empty means any.
	// +optional
	// +nullable
	Range string `json:"range"`
}

// AlphabeticalPolicy takes the first or last tag by name.
type AlphabeticalPolicy struct {
	// Order is asc or desc. Empty means asc.
	// +optional
	// +nullable
	Order string `json:"order,omitempty"`
}

// ImageScanStatus is what is known of an image.
type ImageScanStatus struct {
	// Conditions of the scan: ImageScanned and ImageSynced.
	// +optional
	Conditions []GenericCondition `json:"conditions,omitempty"`
	// LastScanTime of a look-up.
	LastScanTime metav1.Time `json:"lastScanTime,omitempty"`
	// LatestImage with its tag.
	LatestImage string `json:"latestImage,omitempty"`
	// LatestTag that the policy takes.
	LatestTag string `json:"latestTag,omitempty"`
	// LatestDigest of that tag.
	LatestDigest string `json:"latestDigest,omitempty"`
	// ObservedGeneration is the generation of the spec that this status is about.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`
	// CanonicalImageName with registry and path written out.
	// +optional
	CanonicalImageName string `json:"canonicalImageName,omitempty"`
}
