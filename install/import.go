package install

import (
	"context"
	"fmt"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/utils/ptr"
)

// optional are the objects of the agent's chart that come and go with its values. They belong to the agent's Pod alone.
var optional = []struct {
	kind schema.GroupVersionKind
	name string
}{
	{schema.GroupVersionKind{Group: "scheduling.k8s.io", Version: "v1", Kind: "PriorityClass"}, "fleet-agent-priority-class"},
	{schema.GroupVersionKind{Group: "policy", Version: "v1", Kind: "PodDisruptionBudget"}, "fleet-agent-pod-disruption-budget"},
}

// Import puts the agent on a cluster that the hub reached by a kubeconfig, at first or again with other values, and before it
// what its Pod needs.
func (t *Target) Import(ctx context.Context, in string, values map[string]any, before ...*unstructured.Unstructured) error {
	version, err := Version(t.Config)
	if err != nil {
		return err
	}
	objects, err := Chart(ctx, AgentChart, in, values, version)
	if err != nil {
		return err
	}
	if err := t.Apply(ctx, append([]*unstructured.Unstructured{namespace(in)}, before...)...); err != nil {
		return err
	}
	for _, o := range objects {
		err := t.Apply(ctx, o)
		if apierrors.IsInvalid(err) && o.GetKind() == "PriorityClass" { // its value cannot be changed
			if err = t.drop(ctx, o.GroupVersionKind(), "", o.GetName()); err == nil {
				err = t.Apply(ctx, o)
			}
		}
		if err != nil {
			return err
		}
	}
	for _, want := range optional {
		if slices.ContainsFunc(objects, func(o *unstructured.Unstructured) bool { return o.GetKind() == want.kind.Kind }) {
			continue
		}
		if err := t.drop(ctx, want.kind, in, want.name); err != nil {
			return err
		}
	}
	return nil
}

// drop deletes an optional object of our chart, and none that is another's.
func (t *Target) drop(ctx context.Context, gvk schema.GroupVersionKind, namespace, name string) error {
	mapping, err := t.mapper.RESTMapping(gvk.GroupKind(), gvk.Version)
	if err != nil {
		return err
	}
	client := t.client(mapping, namespace)
	have, err := client.Get(ctx, name, metav1.GetOptions{})
	if err == nil && have.GetLabels()["app.kubernetes.io/instance"] != AgentChart {
		return nil
	}
	if err == nil {
		err = client.Delete(ctx, name, metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: ptr.To(have.GetUID())}})
	}
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("deleting %s %s: %w", gvk.Kind, name, err)
	}
	return nil
}
