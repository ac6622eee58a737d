package target

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"flotilla.io/flotilla/api/v1alpha1"
)

// Objects are the Secrets and ConfigMaps that a bundle's inputs are made into on a cluster, in the order in which they are named.
func (given Given) Objects(b *v1alpha1.Bundle) ([]*unstructured.Unstructured, error) {
	var out []*unstructured.Unstructured
	for i := range b.Spec.Inputs {
		in := &b.Spec.Inputs[i]
		if in.Into == nil {
			continue
		}
		value, sensitive := given.Sensitive[in.Name]
		if !sensitive {
			value = given.Open[in.Name]
		}
		if value == nil {
			continue // optional, and not there
		}
		if sensitive && in.Into.Kind != "Secret" {
			return nil, fmt.Errorf("inputs[%d].into (%s): the value is sensitive: make it a Secret", i, in.Name)
		}
		data, err := dataOf(in, value)
		if err != nil {
			return nil, fmt.Errorf("inputs[%d].into (%s): %w", i, in.Name, err)
		}
		if out, err = into(out, in.Into, data); err != nil {
			return nil, fmt.Errorf("inputs[%d].into (%s): %w", i, in.Name, err)
		}
	}
	return out, nil
}

// dataOf are the keys of the object with their texts: a text as it is, everything else as JSON.
func dataOf(in *v1alpha1.Input, value any) (map[string]string, error) {
	if in.Into.Key != "" {
		return map[string]string{in.Into.Key: textOf(value)}, nil
	}
	keys, ok := value.(map[string]any)
	if !ok {
		return nil, fmt.Errorf("key is missing: the value is no map whose keys could be taken")
	}
	data := map[string]string{}
	for key, one := range keys {
		data[key] = textOf(one)
	}
	return data, nil
}

func textOf(value any) string {
	if text, ok := value.(string); ok {
		return text
	}
	data, err := json.Marshal(value)
	if err != nil {
		return ""
	}
	return string(data)
}

// into puts the data into an object of the list, or into a new one.
func into(list []*unstructured.Unstructured, where *v1alpha1.InputInto, data map[string]string) ([]*unstructured.Unstructured, error) {
	i := slices.IndexFunc(list, func(u *unstructured.Unstructured) bool {
		return u.GetKind() == where.Kind && u.GetNamespace() == where.Namespace && u.GetName() == where.Name
	})
	if i < 0 {
		u := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "v1", "kind": where.Kind, "data": map[string]any{}}}
		u.SetName(where.Name)
		u.SetNamespace(where.Namespace)
		if where.Kind == "Secret" && where.Type != "" {
			u.Object["type"] = where.Type
		}
		list, i = append(list, u), len(list)
	}
	have := list[i].Object["data"].(map[string]any)
	for key, value := range data {
		if _, twice := have[key]; twice {
			return nil, fmt.Errorf("%s %s has key %q from another input already", where.Kind, where.Name, key)
		}
		if where.Kind == "Secret" {
			value = base64.StdEncoding.EncodeToString([]byte(value))
		}
		have[key] = value
	}
	return list, nil
}
