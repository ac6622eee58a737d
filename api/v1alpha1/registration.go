package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// ClusterRegistration is a cluster's request to join, made by its agent.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:path=clusterregistrations
// +kubebuilder:metadata:annotations="helm.sh/resource-policy=keep"
// +kubebuilder:printcolumn:name="Cluster-Name",type=string,JSONPath=`.status.clusterName`
// +kubebuilder:printcolumn:name="Labels",type=string,JSONPath=`.spec.clusterLabels`
type ClusterRegistration struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec   ClusterRegistrationSpec   `json:"spec,omitempty"`
	Status ClusterRegistrationStatus `json:"status,omitempty"`
}

// ClusterRegistrationList is a list of ClusterRegistrations.
//
// +kubebuilder:object:root=true
type ClusterRegistrationList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []ClusterRegistration `json:"items"`
}

// ClusterRegistrationSpec says who wants to join.
type ClusterRegistrationSpec struct {
	// ClientID identifies the cluster.
	// +nullable
	ClientID string `json:"clientID,omitempty"`
	// ClientRandom identifies the request.
	// +nullable
	ClientRandom string `json:"clientRandom,omitempty"`
	// ClusterLabels that the cluster shall have.
	// +nullable
	ClusterLabels map[string]string `json:"clusterLabels,omitempty"`

	// ClusterName that the cluster shall have. Empty means one made from the clientID. Flotilla.
	ClusterName string `json:"clusterName,omitempty"`
	// PublicKey of the agent, 32 bytes of X25519, that the credential is sealed to. Flotilla.
	PublicKey []byte `json:"publicKey,omitempty"`
	// Proof that the request comes from a holder of the token that it names: seal.Request{...}.Prove(tokenKey). Flotilla.
	Proof []byte `json:"proof,omitempty"`
	// Approved is set by a person, by kubectl or "flotilla approve", where the token asks for it. It counts only
	// when it was set after the request was made. Flotilla.
	Approved bool `json:"approved,omitempty"`
}

// ClusterRegistrationStatus is the hub's answer.
type ClusterRegistrationStatus struct {
	// ClusterName that was given.
	// +nullable
	ClusterName string `json:"clusterName,omitempty"`
	// Granted tells that the cluster has joined.
	Granted bool `json:"granted,omitempty"`

	// Credential for the agent, sealed to its public key. Flotilla.
	Credential []byte `json:"credential,omitempty"`
	// Conditions: Granted, with the reason for a refusal. Flotilla.
	Conditions []GenericCondition `json:"conditions,omitempty"`
}

// ClusterRegistrationToken lets clusters join. The hub answers with a Secret whose values an agent is installed with.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:path=clusterregistrationtokens
// +kubebuilder:metadata:annotations="helm.sh/resource-policy=keep"
// +kubebuilder:printcolumn:name="Secret-Name",type=string,JSONPath=`.status.secretName`
type ClusterRegistrationToken struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec   ClusterRegistrationTokenSpec   `json:"spec,omitempty"`
	Status ClusterRegistrationTokenStatus `json:"status,omitempty"`
}

// ClusterRegistrationTokenList is a list of ClusterRegistrationTokens.
//
// +kubebuilder:object:root=true
type ClusterRegistrationTokenList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []ClusterRegistrationToken `json:"items"`
}

// TokenApproval says who lets a cluster in.
// +kubebuilder:validation:Enum="";Automatic;Manual
type TokenApproval string

const (
	// TokenApprovalAutomatic lets in whoever has the token; with allowedLabels set, only with labels that stand in it.
	TokenApprovalAutomatic TokenApproval = "Automatic"
	// TokenApprovalManual waits for a person, except for registrations whose labels all stand in allowedLabels.
	TokenApprovalManual TokenApproval = "Manual"
)

// ClusterRegistrationTokenSpec says how long, how often and for whom a token is good.
type ClusterRegistrationTokenSpec struct {
	// TTL is how long the token is good. Unset or 0 means for ever.
	// +nullable
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:XValidation:rule="self == '0' || self.matches('^([0-9]+([.][0-9]+)?(ns|us|µs|ms|s|m|h))+$') && duration(self) <= duration('2562047h')",message="must be a Go duration such as 15s, 5m or 1h30m, at most 2562047h; days and weeks have no unit"
	TTL *metav1.Duration `json:"ttl,omitempty"`

	// Uses is how many clusters may join with the token. 0 means any number. Flotilla.
	// +kubebuilder:validation:Minimum=0
	Uses int `json:"uses,omitempty"`
	// Approval is Automatic or Manual. Empty means Automatic. Flotilla.
	Approval TokenApproval `json:"approval,omitempty"`
	// AllowedLabels: a registration whose labels all stand here needs no approval; with Automatic, others are refused. Flotilla.
	AllowedLabels map[string]string `json:"allowedLabels,omitempty"`
}

// ClusterRegistrationTokenStatus is what is known of a token.
type ClusterRegistrationTokenStatus struct {
	// Expires is when the token ends; unset means never.
	Expires *metav1.Time `json:"expires,omitempty"`
	// SecretName of the Secret with the values for an agent.
	// +nullable
	SecretName string `json:"secretName,omitempty"`

	// Used counts the clusters that joined with the token. Flotilla.
	Used int `json:"used,omitempty"`
	// UsedBy holds the UIDs of the registrations that were granted, where spec.uses limits them. Flotilla.
	UsedBy []string `json:"usedBy,omitempty"`
	// Conditions of the token. Flotilla.
	Conditions []GenericCondition `json:"conditions,omitempty"`
}
