// Package crd is the chart flotilla-crd for Go programs: the same CustomResourceDefinitions, for the embedded hub and the
// tests to install. They are generated from the types in api/ and are never edited by hand.
package crd

import (
	"embed"
	"fmt"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"sigs.k8s.io/yaml"
)

//go:embed templates/*.yaml
var templates embed.FS

// All returns the CustomResourceDefinitions of the chart, sorted by group and plural name. Each call makes new ones.
func All() ([]*apiextensionsv1.CustomResourceDefinition, error) {
	files, err := templates.ReadDir("templates")
	if err != nil {
		return nil, fmt.Errorf("listing the embedded CRDs: %w", err)
	}
	crds := make([]*apiextensionsv1.CustomResourceDefinition, 0, len(files))
	for _, file := range files {
		data, err := templates.ReadFile("templates/" + file.Name())
		if err != nil {
			return nil, fmt.Errorf("reading the embedded CRD %s: %w", file.Name(), err)
		}
		crd := &apiextensionsv1.CustomResourceDefinition{}
		if err := yaml.UnmarshalStrict(data, crd); err != nil {
			return nil, fmt.Errorf("reading the embedded CRD %s: %w", file.Name(), err)
		}
		crds = append(crds, crd)
	}
	return crds, nil
}
