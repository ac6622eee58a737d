package health

import (
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/json"
	"sigs.k8s.io/yaml"

	"flotilla.io/flotilla/api/v1alpha1"
)

func TestAssess(t *testing.T) {
	for _, row := range []struct {
		rule, object string
		ignore       []map[string]string
		want         State
	}{
		{"a Deployment whose pods are not there is on its way", "{apiVersion: apps/v1, kind: Deployment, metadata: {generation: 1}, spec: {replicas: 1}, status: {observedGeneration: 1}}", nil, Progressing},
		{"one that nobody has looked at is on its way", "{apiVersion: apps/v1, kind: Deployment, metadata: {generation: 2}, status: {observedGeneration: 1}}", nil, Progressing},
		{"a Job that failed has failed", "{apiVersion: batch/v1, kind: Job, status: {conditions: [{type: Failed, status: 'True', message: m}]}}", nil, Failed},
		{"a custom resource that is not Ready is on its way", "{apiVersion: example.com/v1, kind: Thing, status: {conditions: [{type: Ready, status: 'False', message: m}]}}", nil, Progressing},
		{"unless that condition is ignored", "{apiVersion: example.com/v1, kind: Thing, status: {conditions: [{type: Ready, status: 'False', message: m}]}}", []map[string]string{{"type": "Ready", "status": "False"}}, Ready},
		{"a condition that matches in part only is not ignored", "{apiVersion: example.com/v1, kind: Thing, status: {conditions: [{type: Ready, status: 'False', message: m}]}}", []map[string]string{{"type": "Ready", "status": "True"}}, Progressing},
		{"a custom resource without conditions is ready", "{apiVersion: example.com/v1, kind: Thing}", nil, Ready},
		{"an object that is being deleted is going", "{apiVersion: example.com/v1, kind: Thing, metadata: {deletionTimestamp: '2026-01-01T00:00:00Z'}}", nil, Removing},
		{"an API that does not answer is on its way", "{apiVersion: apiregistration.k8s.io/v1, kind: APIService, status: {conditions: [{type: Available, status: 'False', message: m}]}}", nil, Progressing},
	} {
		u := object(t, row.object)
		rules := New(v1alpha1.BundleDeploymentOptions{IgnoreOptions: &v1alpha1.IgnoreOptions{Conditions: row.ignore}})
		if got := rules.Assess(t.Context(), u); got.State != row.want || got.State != Ready && got.Message == "" {
			t.Errorf("%s: %+v", row.rule, got)
		}
	}
}

func TestOnlyWhatHasARuleIsRead(t *testing.T) {
	rules := New(v1alpha1.BundleDeploymentOptions{Health: &v1alpha1.HealthOptions{Rules: []v1alpha1.HealthRule{{Kind: "Node", Healthy: "true"}}}})
	for _, row := range []struct {
		rule, object string
		want         bool
	}{
		{"a ConfigMap is not", "{apiVersion: v1, kind: ConfigMap}", false},
		{"a Role is not", "{apiVersion: rbac.authorization.k8s.io/v1, kind: Role}", false},
		{"a NetworkPolicy is not", "{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy}", false},
		{"a Deployment is", "{apiVersion: apps/v1, kind: Deployment}", true},
		{"a Service is", "{apiVersion: v1, kind: Service}", true},
		{"a custom resource is", "{apiVersion: example.com/v1, kind: Thing}", true},
		{"a kind that the bundle has a rule for is", "{apiVersion: v1, kind: Node}", true},
		{"a Gateway of the Gateway API is", "{apiVersion: gateway.networking.k8s.io/v1, kind: Gateway}", true},
		{"its routes are not", "{apiVersion: gateway.networking.k8s.io/v1, kind: HTTPRoute}", false},
		{"a Secret is not", "{apiVersion: v1, kind: Secret, type: Opaque, data: {token: YQ==}}", false},
		{"the Secret of an account's token is", "{apiVersion: v1, kind: Secret, type: kubernetes.io/service-account-token}", true},
		{"a webhook of anybody is not", "{apiVersion: admissionregistration.k8s.io/v1, kind: ValidatingWebhookConfiguration, metadata: {labels: {app: mine}}}", false},
		{"Istio's is", "{apiVersion: admissionregistration.k8s.io/v1, kind: MutatingWebhookConfiguration, metadata: {labels: {istio.io/rev: default}}}", true},
		{"Gatekeeper's is", "{apiVersion: admissionregistration.k8s.io/v1, kind: ValidatingWebhookConfiguration, metadata: {labels: {gatekeeper.sh/system: 'yes'}}}", true},
		{"one that cert-manager fills is", "{apiVersion: admissionregistration.k8s.io/v1, kind: ValidatingWebhookConfiguration, metadata: {annotations: {cert-manager.io/inject-ca-from: a/b}}}", true},
	} {
		u := object(t, row.object)
		if got := rules.Judges(u.GroupVersionKind().GroupKind(), func() *unstructured.Unstructured { return u }); got != row.want {
			t.Errorf("%s: %v", row.rule, got)
		}
	}
}

func object(t *testing.T, text string) *unstructured.Unstructured {
	t.Helper()
	u := &unstructured.Unstructured{}
	data, err := yaml.YAMLToJSON([]byte(text))
	if err == nil {
		err = json.Unmarshal(data, &u.Object) // whole numbers stay so, as in what is read
	}
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return u
}

func TestAJobHasDoneItsWorkWhenItIsComplete(t *testing.T) {
	for _, row := range []struct {
		rule, object string
		want         State
	}{
		{"a Job that runs has not", "{apiVersion: batch/v1, kind: Job, status: {active: 1}}", Progressing},
		{"a Job that is complete has", "{apiVersion: batch/v1, kind: Job, status: {conditions: [{type: Complete, status: 'True'}]}}", Ready},
		{"what is no Job has no work to do", "{apiVersion: apps/v1, kind: Deployment}", Ready},
	} {
		u := object(t, row.object)
		if got := Complete(u); got.State != row.want {
			t.Errorf("%s: %+v", row.rule, got)
		}
	}
}
