package render

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// Limits of a rendering. An API server takes no object over 1.5 MiB.
const (
	maxObjectBytes = 3 << 19
	maxObjects     = 10_000
	maxBytes       = 60 << 20 // what a sealed layer holds, less its own overhead
)

// settle checks the whole of a rendering and brings it in order.
func settle(objects []object) ([]*unstructured.Unstructured, error) {
	if len(objects) > maxObjects {
		return nil, &Error{ReasonTooLarge, "the bundle", fmt.Sprintf("%d objects, the limit is %d; split it into several", len(objects), maxObjects)}
	}
	if err := checkSizes(objects); err != nil {
		return nil, err
	}
	return inOrder(objects)
}

// inOrder sorts objects and refuses two that are one.
func inOrder(objects []object) ([]*unstructured.Unstructured, error) {
	slices.SortStableFunc(objects, compare)
	sorted := make([]*unstructured.Unstructured, len(objects))
	for i, o := range objects {
		if i > 0 && compare(objects[i-1], o) == 0 {
			return nil, &Error{ReasonDuplicateObject, o.source, fmt.Sprintf("%s is also in %s; an object may stand in one place only", name(o), objects[i-1].source)}
		}
		sorted[i] = o.Unstructured
	}
	return sorted, nil
}

func checkSizes(objects []object) error {
	total, sizes := 0, make([]int, len(objects))
	for i, o := range objects {
		data, err := json.Marshal(o.Object)
		if err != nil {
			return &Error{ReasonInvalidObject, o.source, fmt.Sprintf("%s: %v", name(o), err)}
		}
		if len(data) > maxObjectBytes {
			return &Error{ReasonTooLarge, o.source, fmt.Sprintf("%s has %d bytes, the limit of a cluster is %d", name(o), len(data), maxObjectBytes)}
		}
		sizes[i] = len(data)
		total += len(data)
	}
	if total > maxBytes {
		return &Error{ReasonTooLarge, "the bundle", fmt.Sprintf("%.1f MiB of objects, the limit is %d MiB; split it into several; the largest are %s",
			float64(total)/(1<<20), maxBytes>>20, largest(objects, sizes))}
	}
	return nil
}

// largest names the three objects with the largest sizes.
func largest(objects []object, sizes []int) string {
	indexes := make([]int, len(objects))
	for i := range indexes {
		indexes[i] = i
	}
	slices.SortStableFunc(indexes, func(a, b int) int { return cmp.Compare(sizes[b], sizes[a]) })
	var list []string
	for _, i := range indexes[:min(len(indexes), 3)] {
		list = append(list, fmt.Sprintf("%s (%.1f MiB, %s)", name(objects[i]), float64(sizes[i])/(1<<20), objects[i].source))
	}
	return strings.Join(list, ", ")
}

// compare orders objects by identity. Two that are equal are the same object, at whatever version.
func compare(a, b object) int {
	ka, kb := a.GroupVersionKind(), b.GroupVersionKind()
	return cmp.Or(
		cmp.Compare(rank(ka.Group, ka.Kind), rank(kb.Group, kb.Kind)),
		cmp.Compare(ka.Group, kb.Group),
		cmp.Compare(ka.Kind, kb.Kind),
		cmp.Compare(a.GetNamespace(), b.GetNamespace()),
		cmp.Compare(a.GetName(), b.GetName()),
	)
}

// rank puts first what others need to exist.
func rank(group, kind string) int {
	switch {
	case group == "" && kind == "Namespace":
		return 0
	case group == "apiextensions.k8s.io" && kind == "CustomResourceDefinition":
		return 1
	}
	return 2
}

// name is an object for people: ConfigMap shop/settings.
func name(o object) string {
	if o.GetNamespace() == "" {
		return o.GetKind() + " " + o.GetName()
	}
	return o.GetKind() + " " + o.GetNamespace() + "/" + o.GetName()
}
