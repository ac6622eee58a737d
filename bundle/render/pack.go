package render

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"flotilla.io/flotilla/api/v1alpha1"
)

// PackedGroup is the API group of the objects that a rendering is packed into when only the cluster can make it. No cluster
// serves it, and no bundle may use it.
const PackedGroup = "render.flotilla.io"

const (
	packedVersion = PackedGroup + "/v1"
	packedInput   = "Input"
	packedFile    = "File"
	packedKept    = "Kept"
)

// packed is any of these objects.
type packed struct {
	APIVersion string                            `json:"apiVersion"`
	Kind       string                            `json:"kind"`
	Metadata   named                             `json:"metadata"`
	Data       []byte                            `json:"data,omitempty"`
	Options    *v1alpha1.BundleDeploymentOptions `json:"options,omitempty"`
	Kept       Kept                              `json:"kept,omitempty"`
}

type named struct {
	Name string `json:"name"`
}

// putOff tells why the cluster has to render, as far as the options tell; "" when they do not.
func (st style) putOff(in Input) string {
	if helm := in.Options.Helm; st.templated && helm != nil && len(helm.ValuesFrom) > 0 {
		return "helm.valuesFrom"
	}
	return ""
}

// pack puts an input into objects, one for each file: what two clusters have in common stays in common.
func pack(in Input, why string) (*Output, error) {
	if err := checkValuesFrom(in); err != nil {
		return nil, err
	}
	o := in.Options
	list := []packed{{Kind: packedInput, Metadata: named{in.Bundle}, Options: &v1alpha1.BundleDeploymentOptions{
		DefaultNamespace: o.DefaultNamespace, TargetNamespace: o.TargetNamespace, Helm: o.Helm, Kustomize: o.Kustomize, YAML: o.YAML,
	}}}
	for _, file := range slices.Sorted(maps.Keys(in.Files)) {
		list = append(list, packed{Kind: packedFile, Metadata: named{file}, Data: in.Files[file]})
	}
	out := &Output{OnCluster: why}
	for _, p := range list {
		u, err := p.object()
		if err != nil {
			return nil, err
		}
		out.Objects = append(out.Objects, u)
	}
	return out, nil
}

func (p packed) object() (*unstructured.Unstructured, error) {
	p.APIVersion = packedVersion
	data, err := json.Marshal(p)
	u := &unstructured.Unstructured{}
	if err == nil {
		err = json.Unmarshal(data, &u.Object)
	}
	if err != nil {
		return nil, fmt.Errorf("packing %s: %w", p.Metadata.Name, err)
	}
	return u, nil
}

func checkValuesFrom(in Input) error {
	if in.Options.Helm == nil {
		return nil
	}
	for i, from := range in.Options.Helm.ValuesFrom {
		configMap, secret := from.ConfigMapKeyRef, from.SecretKeyRef
		if configMap == nil && secret == nil || configMap != nil && configMap.Name == "" || secret != nil && secret.Name == "" {
			return &Error{ReasonValuesMismatch, fmt.Sprintf("helm.valuesFrom[%d]", i), "name a ConfigMap in configMapKeyRef or a Secret in secretKeyRef"}
		}
	}
	return nil
}

// Unpack puts together the input that was packed into objects. ok is false for objects that are what they seem.
func Unpack(objects [][]byte) (in Input, ok bool, err error) {
	in.Files = map[string][]byte{}
	for _, data := range objects {
		var p packed
		if err := json.Unmarshal(data, &p); err != nil {
			return Input{}, false, fmt.Errorf("unpacking a bundle: %w", err)
		}
		switch p.Kind {
		case packedInput:
			in.Bundle, in.Options, ok = p.Metadata.Name, *p.Options, true
		case packedFile:
			in.Files[p.Metadata.Name] = p.Data
		}
	}
	return in, ok, nil
}

// Object is how kept values lie beside the objects that they are in.
func (k Kept) Object() (*unstructured.Unstructured, error) {
	return packed{Kind: packedKept, Metadata: named{"kept"}, Kept: k}.object()
}

// KeptOf reads what Object made.
func KeptOf(object []byte) (Kept, error) {
	var p packed
	if err := json.Unmarshal(object, &p); err != nil {
		return nil, fmt.Errorf("reading kept values: %w", err)
	}
	return p.Kept, nil
}
