package pipeline

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"

	fleet "flotilla.io/flotilla/api/v1alpha1"
)

// ReadFile reads a file, or what is piped in for "-".
func ReadFile(name string, stdin io.Reader) ([]byte, error) {
	if name == "-" {
		return io.ReadAll(stdin)
	}
	return os.ReadFile(name)
}

// documents reads YAML documents, and takes Lists apart.
func documents(data []byte) ([]*unstructured.Unstructured, error) {
	var all []*unstructured.Unstructured
	r := utilyaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(data)))
	for n := 1; ; n++ {
		raw, err := r.Read()
		if errors.Is(err, io.EOF) {
			return all, nil
		}
		if err != nil {
			return nil, err
		}
		u := &unstructured.Unstructured{}
		if err := yaml.Unmarshal(raw, &u.Object); err != nil {
			return nil, fmt.Errorf("document %d: %w", n, err)
		}
		if len(u.Object) == 0 {
			continue
		}
		if !u.IsList() {
			all = append(all, u)
			continue
		}
		err = u.EachListItem(func(item runtime.Object) error {
			all = append(all, item.(*unstructured.Unstructured))
			return nil
		})
		if err != nil {
			return nil, fmt.Errorf("document %d: %w", n, err)
		}
	}
}

// into reads an object as what it is.
func into[T any](u *unstructured.Unstructured, object *T) (*T, error) {
	err := runtime.DefaultUnstructuredConverter.FromUnstructured(u.Object, object)
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", u.GetKind(), u.GetName(), err)
	}
	return object, nil
}

// ParseBundles reads the Bundles of a file, which has nothing else of weight.
func ParseBundles(data []byte) ([]*fleet.Bundle, error) {
	all, err := documents(data)
	if err != nil {
		return nil, fmt.Errorf("reading bundles: %w", err)
	}
	var bundles []*fleet.Bundle
	for _, u := range all {
		if u.GetKind() != "Bundle" {
			continue
		}
		b, err := into(u, &fleet.Bundle{})
		if err != nil {
			return nil, fmt.Errorf("reading bundles: %w", err)
		}
		bundles = append(bundles, b)
	}
	if len(bundles) == 0 {
		return nil, errors.New("there is no Bundle in the input; pipe in what `flotilla apply -o - NAME PATH` prints")
	}
	return bundles, nil
}

// ParseClusters reads the Clusters and ClusterGroups of a file.
func ParseClusters(data []byte) (clusters []fleet.Cluster, groups []fleet.ClusterGroup, err error) {
	all, err := documents(data)
	for _, u := range all {
		switch u.GetKind() {
		case "Cluster":
			var c *fleet.Cluster
			if c, err = into(u, &fleet.Cluster{}); err == nil {
				clusters = append(clusters, *c)
			}
		case "ClusterGroup":
			var g *fleet.ClusterGroup
			if g, err = into(u, &fleet.ClusterGroup{}); err == nil {
				groups = append(groups, *g)
			}
		}
		if err != nil {
			break
		}
	}
	switch {
	case err != nil:
		return nil, nil, fmt.Errorf("reading clusters: %w", err)
	case len(clusters) == 0:
		return nil, nil, errors.New("there is no Cluster in the input; `kubectl get clusters.fleet.cattle.io -o yaml` gives them")
	}
	return clusters, groups, nil
}
