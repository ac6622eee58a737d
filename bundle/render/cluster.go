package render

import (
	"context"
	"fmt"
	"maps"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
)

// Cluster is the cluster that a rendering is made on.
type Cluster struct {
	Capabilities Capabilities
	// Lookup reads an object, or with no name the list of them. Nil without an error means that there is none.
	Lookup func(Lookup) (map[string]any, error)
	Kept   Kept // of the last rendering of the same bundle; it is not modified
}

// Lookup is one call of the template function of that name. An empty Namespace means all of them, an empty Name a list.
type Lookup struct{ APIVersion, Kind, Namespace, Name string }

func (l Lookup) String() string {
	name := l.Name
	if l.Namespace != "" {
		name = l.Namespace + "/" + name
	}
	return fmt.Sprintf("%s %s %s", l.APIVersion, l.Kind, name)
}

// kept is a copy to work on; nil where there is no cluster.
func (on *Cluster) kept() Kept {
	if on == nil {
		return nil
	}
	kept := maps.Clone(on.Kept)
	if kept == nil {
		kept = Kept{}
	}
	return kept
}

// lookups stands where the engine wants connections for lookup. Each question is asked once, so that the second rendering
// gets the same answers.
type lookups struct {
	on    *Cluster // nil: there is no cluster here
	found map[Lookup]map[string]any
}

func newLookups(on *Cluster) *lookups { return &lookups{on, map[Lookup]map[string]any{}} }

// GetClientFor says of each kind that it is namespaced: so the engine passes on the namespace, and the cluster knows better.
func (l *lookups) GetClientFor(apiVersion, kind string) (dynamic.NamespaceableResourceInterface, bool, error) {
	if l.on == nil {
		return nil, false, &deferral{What: fmt.Sprintf("lookup of %s %s", apiVersion, kind)}
	}
	return lookupClient{lookups: l, Lookup: Lookup{APIVersion: apiVersion, Kind: kind}}, true, nil
}

// lookupClient answers the three calls that the engine makes; it has no others.
type lookupClient struct {
	dynamic.NamespaceableResourceInterface
	*lookups
	Lookup
}

func (c lookupClient) Namespace(namespace string) dynamic.ResourceInterface {
	c.Lookup.Namespace = namespace
	return c
}

func (c lookupClient) Get(_ context.Context, name string, _ metav1.GetOptions, _ ...string) (*unstructured.Unstructured, error) {
	c.Lookup.Name = name
	object, err := c.ask()
	if object == nil && err == nil {
		err = apierrors.NewNotFound(schema.GroupResource{}, name)
	}
	return &unstructured.Unstructured{Object: object}, err
}

func (c lookupClient) List(context.Context, metav1.ListOptions) (*unstructured.UnstructuredList, error) {
	object, err := c.ask()
	list := &unstructured.UnstructuredList{}
	if err == nil && object != nil {
		list.SetUnstructuredContent(object)
	}
	return list, err
}

func (c lookupClient) ask() (map[string]any, error) {
	if object, asked := c.found[c.Lookup]; asked {
		return (&unstructured.Unstructured{Object: object}).DeepCopy().Object, nil
	}
	object, err := c.on.Lookup(c.Lookup)
	if err != nil {
		return nil, fmt.Errorf("lookup of %s: %w", c.Lookup, err)
	}
	c.found[c.Lookup] = object
	return (&unstructured.Unstructured{Object: object}).DeepCopy().Object, nil
}
