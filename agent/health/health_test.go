package health

import (
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"flotilla.io/flotilla/bundle/layer"
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
		u := &unstructured.Unstructured{}
		if err := yaml.Unmarshal([]byte(row.object), &u.Object); err != nil {
			t.Fatal(err)
		}
		if got := Assess(u, row.ignore); got.State != row.want || got.State != Ready && got.Message == "" {
			t.Errorf("%s: %+v", row.rule, got)
		}
	}
}

func TestOnlyKindsWithARuleAreRead(t *testing.T) {
	for key, want := range map[layer.Key]bool{
		{Kind: "ConfigMap"}: false, {Kind: "Secret"}: false, {Group: "rbac.authorization.k8s.io", Kind: "Role"}: false,
		{Group: "apps", Kind: "Deployment"}: true, {Kind: "Service"}: true, {Group: "cert-manager.io", Kind: "Certificate"}: true,
		{Group: "networking.k8s.io", Kind: "NetworkPolicy"}: false,
	} {
		if HasRule(key) != want {
			t.Errorf("HasRule(%s) = %v", key, !want)
		}
	}
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
		u := &unstructured.Unstructured{}
		if err := yaml.Unmarshal([]byte(row.object), &u.Object); err != nil {
			t.Fatal(err)
		}
		if got := Complete(u); got.State != row.want {
			t.Errorf("%s: %+v", row.rule, got)
		}
	}
}
