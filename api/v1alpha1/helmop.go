package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// HelmOp deploys a chart straight from a Helm repository or registry.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:categories=fleet,path=helmops
// +kubebuilder:metadata:annotations="helm.sh/resource-policy=keep"
// +kubebuilder:printcolumn:name="Repo",type=string,JSONPath=`.spec.helm.repo`
// +kubebuilder:printcolumn:name="Chart",type=string,JSONPath=`.spec.helm.chart`
// +kubebuilder:printcolumn:name="Version",type=string,JSONPath=`.status.version`
// +kubebuilder:printcolumn:name="BundleDeployments-Ready",type=string,JSONPath=`.status.display.readyBundleDeployments`
// +kubebuilder:printcolumn:name="Status",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].message`
type HelmOp struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec   HelmOpSpec   `json:"spec,omitempty"`
	Status HelmOpStatus `json:"status,omitempty"`
}

// HelmOpList is a list of HelmOps.
//
// +kubebuilder:object:root=true
type HelmOpList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []HelmOp `json:"items"`
}

// HelmOpSpec is a bundle whose content is a chart.
type HelmOpSpec struct {
	BundleSpec `json:",inline"`

	// Labels are copied to the bundle.
	Labels map[string]string `json:"labels,omitempty"`

	// PollingInterval is how often the repository is asked for new versions. Unset or 0 means never.
	// +nullable
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:XValidation:rule="self == '0' || self.matches('^([0-9]+([.][0-9]+)?(ns|us|µs|ms|s|m|h))+$') && duration(self) <= duration('2562047h')",message="must be a Go duration such as 15s, 5m or 1h30m, at most 2562047h; days and weeks have no unit"
	PollingInterval *metav1.Duration `json:"pollingInterval,omitempty"`

	// HelmSecretName is the Secret with the credentials for the chart's repository.
	// +nullable
	HelmSecretName string `json:"helmSecretName,omitempty"`

	// InsecureSkipTLSverify does not verify the repository's certificate.
	InsecureSkipTLSverify bool `json:"insecureSkipTLSVerify,omitempty"`
}

// HelmOpStatus is what is known of a HelmOp.
type HelmOpStatus struct {
	StatusBase `json:",inline"`

	// LastPollingTime is when polling found a new version last.
	LastPollingTime metav1.Time `json:"lastPollingTriggered,omitempty"`

	// Version of the chart that is deployed.
	Version string `json:"version,omitempty"`
}
