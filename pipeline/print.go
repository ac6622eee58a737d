package pipeline

import (
	"fmt"
	"io"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/yaml"

	fleet "flotilla.io/flotilla/api/v1alpha1"
)

// Print writes Bundles as YAML documents, in Fleet's form: what is particular to one hub is left out.
func Print(w io.Writer, bundles []*fleet.Bundle) error {
	for i, b := range bundles {
		content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(b)
		if err != nil {
			return fmt.Errorf("encoding bundle %s: %w", b.Name, err)
		}
		delete(content, "status")
		metadata := map[string]any{"name": b.Name}
		if b.Namespace != "" {
			metadata["namespace"] = b.Namespace
		}
		for field, pairs := range map[string]map[string]string{"labels": b.Labels, "annotations": b.Annotations} {
			if kept := portable(pairs); len(kept) > 0 {
				metadata[field] = kept
			}
		}
		content["metadata"] = metadata
		data, err := yaml.Marshal(content)
		if err != nil {
			return fmt.Errorf("encoding bundle %s: %w", b.Name, err)
		}
		if i > 0 {
			data = append([]byte("\n---\n"), data...)
		}
		if _, err := w.Write(data); err != nil {
			return err
		}
	}
	return nil
}

// portable leaves out what kubectl wrote.
func portable(pairs map[string]string) map[string]any {
	kept := map[string]any{}
	for k, v := range pairs {
		if !strings.HasPrefix(k, "kubectl.kubernetes.io/") {
			kept[k] = v
		}
	}
	return kept
}

// printDocument writes an object as Fleet's target does: a separator, the object, and an empty line.
func printDocument(w io.Writer, object any) error {
	data, err := yaml.Marshal(object)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, "---\n%s\n", data)
	return err
}

// PrintManifests writes objects as YAML documents.
func PrintManifests(w io.Writer, objects []*unstructured.Unstructured) error {
	for i, u := range objects {
		data, err := yaml.Marshal(u.Object)
		if err != nil {
			return err
		}
		if i > 0 {
			data = append([]byte("\n---\n"), data...)
		}
		if _, err := w.Write(data); err != nil {
			return err
		}
	}
	return nil
}
