package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// HealthOptions say how it is told whether a bundle's objects do their work. Flotilla.
type HealthOptions struct {
	// Rules by kind. They win over those that are built in. In a target, a rule replaces the bundle's for the same kind.
	Rules []HealthRule `json:"rules,omitempty"`
	// Probes ask what objects do not tell. They count to health only, never to readiness. In a target, a probe replaces the
	// bundle's of the same name.
	Probes []HealthProbe `json:"probes,omitempty"`
}

// HealthRule tells how the objects of one kind are. Its CEL expressions see the live object as self; one that cannot be evaluated
// makes the object progressing, and is named.
type HealthRule struct {
	// Group of the kind, in all its versions; empty for Kubernetes' core.
	Group string `json:"group,omitempty"`
	// Kind of the objects.
	Kind string `json:"kind"`
	// Healthy is true for an object that does its work.
	Healthy string `json:"healthy"`
	// Ready is true for an object that others need not wait for, while it is not healthy yet. Empty means Healthy.
	Ready string `json:"ready,omitempty"`
	// Failed is true for an object that will not become healthy by itself. It wins over the others.
	Failed string `json:"failed,omitempty"`
	// Message says in words why an object is not healthy. Not for Secrets.
	Message string `json:"message,omitempty"`
}

// MostProbes is how many probes a bundle has at most.
const MostProbes = 16

// HealthProbe is a check that the cluster's agent makes: one of http, tcp, job and object.
type HealthProbe struct {
	// Name of the probe, unique in the bundle.
	Name string `json:"name"`
	// HTTP asks a server from the cluster, without credentials; a redirect is an answer. Templates are filled in.
	HTTP *HTTPProbe `json:"http,omitempty"`
	// TCP opens a connection from the cluster.
	TCP *TCPProbe `json:"tcp,omitempty"`
	// Job that must be complete; the bundle deploys it.
	Job *JobProbe `json:"job,omitempty"`
	// Object that Value looks at; the bundle need not deploy it. It is read as the bundle's service account.
	Object *ProbeObject `json:"object,omitempty"`
	// Value is a CEL expression over self, the object, that is true when all is well.
	Value string `json:"value,omitempty"`
	// Interval between two checks, 5s or more. Unset means 60s. Until a probe succeeds for the first time it is made more often.
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:Pattern=`^([0-9]{1,5}([.][0-9]+)?(ns|us|µs|ms|s|m|h))+$`
	Interval *metav1.Duration `json:"interval,omitempty"`
	// Timeout of one check, 30s or less. Unset means 5s.
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:Pattern=`^([0-9]{1,5}([.][0-9]+)?(ns|us|µs|ms|s|m|h))+$`
	Timeout *metav1.Duration `json:"timeout,omitempty"`
	// FailureThreshold is how many checks in a row must fail before the probe does. Unset means 2.
	FailureThreshold int `json:"failureThreshold,omitempty"`
}

// HTTPProbe asks a server.
type HTTPProbe struct {
	// URL that is asked with GET.
	URL string `json:"url"`
	// Status of the answer. Unset means 200.
	Status int `json:"status,omitempty"`
}

// TCPProbe opens a connection.
type TCPProbe struct {
	// Address as host:port.
	Address string `json:"address"`
}

// JobProbe names a Job.
type JobProbe struct {
	// Namespace of the Job.
	Namespace string `json:"namespace"`
	// Name of the Job.
	Name string `json:"name"`
}

// ProbeObject names an object.
type ProbeObject struct {
	// APIVersion of the object.
	APIVersion string `json:"apiVersion"`
	// Kind of the object.
	Kind string `json:"kind"`
	// Namespace of the object; empty for one without.
	Namespace string `json:"namespace,omitempty"`
	// Name of the object.
	Name string `json:"name"`
}
