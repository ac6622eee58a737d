// Package fleetyaml reads and checks fleet.yaml, the file that turns a directory into a bundle.
//
// It takes every key that Fleet takes and decodes it as Fleet does, but what Fleet drops in silence is an error here: unknown
// and duplicate keys, wrong types, further documents. All mistakes of a file are told at once, each with line and column.
package fleetyaml

import (
	"fmt"
	"reflect"
	"regexp"
	"strings"

	yamlv3 "gopkg.in/yaml.v3"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/yaml"

	"flotilla.io/flotilla/api/v1alpha1"
)

// Name and Fallback are the names of the file; where both exist, Name is read.
const (
	Name     = "fleet.yaml"
	Fallback = "fleet.yml"
)

// FleetYAML is a parsed fleet.yaml: the options of a bundle, and what only this file knows.
type FleetYAML struct {
	Name                 string            `json:"name,omitempty"` // "" : the bundle's name comes from its path
	Labels               map[string]string `json:"labels,omitempty"`
	Annotations          map[string]string `json:"annotations,omitempty"`
	v1alpha1.BundleSpec  `json:",inline"`
	TargetCustomizations []v1alpha1.BundleTarget `json:"targetCustomizations,omitempty"`
	ImageScans           []ImageScan             `json:"imageScans,omitempty"`
	OverrideTargets      []v1alpha1.GitTarget    `json:"overrideTargets,omitempty"` // nil and empty differ

	file   string
	places map[string]place
}

// ImageScan is an entry of imageScans. Name has no effect, as in Fleet.
type ImageScan struct {
	Name                   string `json:"name,omitempty"`
	v1alpha1.ImageScanSpec `json:",inline"`
}

var (
	topLevel    = reflect.TypeFor[FleetYAML]()
	metadata    = reflect.TypeFor[metav1.ObjectMeta]()
	genericMap  = reflect.TypeFor[v1alpha1.GenericMap]()
	intOrString = reflect.TypeFor[intstr.IntOrString]()
	duration    = reflect.TypeFor[metav1.Duration]()
	anything    = reflect.TypeFor[apiextensionsv1.JSON]()
)

// Parse reads a fleet.yaml. file is the path to show in errors; empty data is a file without keys.
//
// An error is of type Errors and holds all mistakes. The result is never nil: next to an error it has the bundle's name as far
// as it could be made out, and nothing else to rely on.
func Parse(file string, data []byte) (*FleetYAML, error) {
	node, errs := parse(file, data)
	if len(errs) > 0 {
		return &FleetYAML{Name: likelyName(data), file: file}, errs.orNil()
	}
	parsed := &FleetYAML{file: file}
	if node == nil {
		return parsed, nil
	}
	check := &checker{file: file, places: map[string]place{}}
	check.value(node, topLevel, "")
	if len(check.errs) > 0 {
		return &FleetYAML{Name: likelyName(data), file: file}, check.errs.orNil()
	}
	data, err := decodable(node, data, check.quoted)
	if err == nil {
		err = yaml.Unmarshal(data, parsed)
	}
	if err != nil {
		return &FleetYAML{Name: likelyName(data), file: file}, Errors{{File: file, Message: "decoding: " + err.Error()}}
	}
	parsed.file, parsed.places = file, check.places
	return parsed, parsed.validate().orNil()
}

// decodable is the file as the decoder takes it: as it was written, or written anew when the tree was changed.
func decodable(node *yamlv3.Node, data []byte, changed bool) ([]byte, error) {
	if changed {
		return yamlv3.Marshal(node)
	}
	return data, nil
}

// Errorf is an error about the value at a path such as "helm.valuesFiles[1]"; where the file has no such value, it points to
// the closest one around it.
func (f *FleetYAML) Errorf(path, format string, args ...any) Error {
	err := Error{File: f.file, Message: path + ": " + fmt.Sprintf(format, args...)}
	for path != "" {
		if at, ok := f.places[path]; ok {
			err.Line, err.Column = at.line, at.column
			break
		}
		path = path[:max(strings.LastIndexAny(path, ".["), 0)]
	}
	return err
}

var nameLine = regexp.MustCompile(`(?m)^\x{feff}?name:[ \t]*["']?([a-z0-9][a-z0-9.-]*)["']?[ \t]*(?:#.*)?\r?$`)

// likelyName finds the bundle's name in a file that cannot be read, so that the bundle that runs under it is known to be
// broken, not gone.
func likelyName(data []byte) string {
	if found := nameLine.FindSubmatch(data); found != nil {
		return string(found[1])
	}
	return ""
}

// Values reads a values file into a map, as strictly as fleet.yaml where YAML itself is concerned. An empty file is an empty
// map. An error is of type Errors.
func Values(file string, data []byte) (map[string]any, error) {
	node, errs := parse(file, data)
	if len(errs) > 0 {
		return nil, errs.orNil()
	}
	values := v1alpha1.GenericMap{Data: map[string]any{}}
	if node == nil {
		return values.Data, nil
	}
	check := &checker{file: file, places: map[string]place{}}
	if !check.shapeFits(node, genericMap) {
		check.fail(node, "values: want %s, found %s", wants(genericMap), found(node))
		return nil, check.errs
	}
	if err := yaml.Unmarshal(data, &values); err != nil {
		return nil, Errors{{File: file, Line: node.Line, Column: node.Column, Message: "decoding values: they do not fit JSON"}}
	}
	return values.Data, nil
}
