package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// Policy says what GitRepos, HelmOps and Bundles of its namespace may do. The lists of several policies are joined.
//
// +kubebuilder:object:root=true
// +kubebuilder:resource:path=policies
// +kubebuilder:metadata:annotations="helm.sh/resource-policy=keep"
type Policy struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// RequireServiceAccount refuses deployments that name no service account.
	// +optional
	RequireServiceAccount bool `json:"requireServiceAccount,omitempty"`
	// AllowedServiceAccounts to deploy with. Empty means any.
	// +optional
	// +nullable
	AllowedServiceAccounts []string `json:"allowedServiceAccounts,omitempty"`
	// AllowNamespaceCreation lets deployments create namespaces although a service account is required.
	// +optional
	AllowNamespaceCreation bool `json:"allowNamespaceCreation,omitempty"`
	// GitRepo rules.
	// +optional
	GitRepo *GitRepoPolicySpec `json:"gitRepo,omitempty"`
	// HelmOp rules.
	// +optional
	HelmOp *HelmOpPolicySpec `json:"helmOp,omitempty"`
}

// PolicyList is a list of Policies.
//
// +kubebuilder:object:root=true
type PolicyList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []Policy `json:"items"`
}

// GitRepoPolicySpec says what GitRepos may do.
type GitRepoPolicySpec struct {
	// DefaultServiceAccount for GitRepos that name none.
	// +optional
	DefaultServiceAccount string `json:"defaultServiceAccount,omitempty"`
	// DefaultClientSecretName for GitRepos that name none.
	// +optional
	DefaultClientSecretName string `json:"defaultClientSecretName,omitempty"`
	// AllowedClientSecretNames to use. Empty means any.
	// +optional
	// +nullable
	AllowedClientSecretNames []string `json:"allowedClientSecretNames,omitempty"`
	// AllowedRepoPatterns are regular expressions for the whole URL of the repository. Empty means any.
	// +optional
	// +nullable
	AllowedRepoPatterns []string `json:"allowedRepoPatterns,omitempty"`
}

// HelmOpPolicySpec says what HelmOps may do.
type HelmOpPolicySpec struct {
	// DefaultServiceAccount for HelmOps that name none.
	// +optional
	DefaultServiceAccount string `json:"defaultServiceAccount,omitempty"`
	// DefaultHelmSecretName for HelmOps that name none.
	// +optional
	DefaultHelmSecretName string `json:"defaultHelmSecretName,omitempty"`
	// AllowedHelmSecretNames to use. Empty means any.
	// +optional
	// +nullable
	AllowedHelmSecretNames []string `json:"allowedHelmSecretNames,omitempty"`
	// AllowedHelmRepoPatterns are regular expressions for the whole URL of the repository. Empty means any.
	// +optional
	// +nullable
	AllowedHelmRepoPatterns []string `json:"allowedHelmRepoPatterns,omitempty"`
	// AllowedChartPatterns are regular expressions for the whole name of the chart. Empty means any.
	// +optional
	// +nullable
	AllowedChartPatterns []string `json:"allowedChartPatterns,omitempty"`
}

// GitRepoRestriction says what GitRepos of its namespace may do. Policy is its successor.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:path=gitreporestrictions
// +kubebuilder:metadata:annotations="helm.sh/resource-policy=keep"
// +kubebuilder:printcolumn:name="Default-ServiceAccount",type=string,JSONPath=`.defaultServiceAccount`
// +kubebuilder:printcolumn:name="Allowed-ServiceAccounts",type=string,JSONPath=`.allowedServiceAccounts`
type GitRepoRestriction struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// DefaultServiceAccount for GitRepos that name none.
	// +nullable
	DefaultServiceAccount string `json:"defaultServiceAccount,omitempty"`
	// AllowedServiceAccounts to deploy with. Empty means any.
	// +nullable
	AllowedServiceAccounts []string `json:"allowedServiceAccounts,omitempty"`
	// AllowedRepoPatterns are regular expressions for the URL of the repository. Empty means any.
	// +nullable
	AllowedRepoPatterns []string `json:"allowedRepoPatterns,omitempty"`
	// DefaultClientSecretName for GitRepos that name none.
	// +nullable
	DefaultClientSecretName string `json:"defaultClientSecretName,omitempty"`
	// AllowedClientSecretNames to use. Empty means any.
	// +nullable
	AllowedClientSecretNames []string `json:"allowedClientSecretNames,omitempty"`
	// AllowedTargetNamespaces to deploy into. If set, a GitRepo must name its target namespace.
	// +nullable
	AllowedTargetNamespaces []string `json:"allowedTargetNamespaces,omitempty"`
	// AllowedTargetNamespaceSelector allows namespaces by their labels on the cluster, besides those of the list.
	// +nullable
	AllowedTargetNamespaceSelector *metav1.LabelSelector `json:"allowedTargetNamespaceSelector,omitempty"`
}

// GitRepoRestrictionList is a list of GitRepoRestrictions.
//
// +kubebuilder:object:root=true
type GitRepoRestrictionList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []GitRepoRestriction `json:"items"`
}

// BundleNamespaceMapping lets bundles of its namespace reach clusters of other namespaces.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:path=bundlenamespacemappings
// +kubebuilder:metadata:annotations="helm.sh/resource-policy=keep"
type BundleNamespaceMapping struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// BundleSelector picks bundles by label. Unset picks none, an empty one all.
	// +nullable
	BundleSelector *metav1.LabelSelector `json:"bundleSelector,omitempty"`
	// NamespaceSelector picks namespaces with clusters by label. Unset picks none, an empty one all.
	// +nullable
	NamespaceSelector *metav1.LabelSelector `json:"namespaceSelector,omitempty"`
}

// BundleNamespaceMappingList is a list of BundleNamespaceMappings.
//
// +kubebuilder:object:root=true
type BundleNamespaceMappingList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []BundleNamespaceMapping `json:"items"`
}
