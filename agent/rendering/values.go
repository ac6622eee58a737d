package rendering

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/yaml"

	"flotilla.io/flotilla/agent/named"
	"flotilla.io/flotilla/agent/tenant"
	"flotilla.io/flotilla/api/v1alpha1"
	"flotilla.io/flotilla/bundle/render"
	"flotilla.io/flotilla/bundle/target"
)

// Source is a key of an object on the cluster that holds values.
type Source struct {
	Kind, Namespace, Name, Key string
	Optional                   bool
	field                      string
}

func (s Source) String() string { return fmt.Sprintf("%s %s/%s", s.Kind, s.Namespace, s.Name) }

// Named are the objects that sources are keys of.
func Named(sources []Source) []named.Object {
	var objects []named.Object
	for _, s := range sources {
		objects = append(objects, named.Object{Kind: s.kind(), Namespace: s.Namespace, Name: s.Name})
	}
	return objects
}

// defaultKey is Fleet's.
const defaultKey = "values.yaml"

// Sources lists what helm.valuesFrom names, in the order in which they are merged: a later one wins, and of one entry the
// Secret. An object that the hub copies to the cluster (downstreamResources) is read where it was copied to.
func Sources(o v1alpha1.BundleDeploymentOptions) []Source {
	if o.Helm == nil {
		return nil
	}
	release := cmp.Or(o.TargetNamespace, o.DefaultNamespace, "default")
	var sources []Source
	add := func(i int, kind, ref, namespace, name, key string, optional *bool) {
		for _, copied := range o.DownstreamResources {
			if strings.EqualFold(copied.Kind, kind) && copied.Name == name {
				namespace = release
			}
		}
		sources = append(sources, Source{
			kind, cmp.Or(namespace, release), name, cmp.Or(key, defaultKey), optional != nil && *optional,
			fmt.Sprintf("helm.valuesFrom[%d].%s", i, ref),
		})
	}
	for i, from := range o.Helm.ValuesFrom {
		if r := from.ConfigMapKeyRef; r != nil {
			add(i, "ConfigMap", "configMapKeyRef", r.Namespace, r.Name, r.Key, r.Optional)
		}
		if r := from.SecretKeyRef; r != nil {
			add(i, "Secret", "secretKeyRef", r.Namespace, r.Name, r.Key, r.Optional)
		}
	}
	return sources
}

// MissingError says which object or key is not there yet.
type MissingError struct {
	Source
	What string
}

func (e *MissingError) Error() string { return "waits for " + e.Problem() }

// Problem is the error where nobody waits.
func (e *MissingError) Problem() string { return fmt.Sprintf("%s: %s %s", e.field, e.Source, e.What) }

// Read reads all sources as the tenant and merges their values. The digest is that of what was read, "" for no
// source.
func Read(ctx context.Context, t *tenant.Tenant, sources []Source) (values map[string]any, digest string, err error) {
	if len(sources) == 0 {
		return nil, "", nil
	}
	values, sum := map[string]any{}, sha256.New()
	for _, s := range sources {
		data, err := s.read(ctx, t)
		if err != nil {
			return nil, "", err
		}
		fmt.Fprintf(sum, "%s %s %d\n%s", s, s.Key, len(data), data)
		var own map[string]any
		if err := yaml.Unmarshal(data, &own); err != nil {
			return nil, "", fmt.Errorf("%s: key %s of %s holds no map of values in YAML", s.field, s.Key, s)
		}
		values = target.MergeValues(values, own)
	}
	return values, hex.EncodeToString(sum.Sum(nil)), nil
}

// WithValues lays the values of valuesFrom over the bundle's own.
func WithValues(in render.Input, values map[string]any) render.Input {
	if in.Options.Helm == nil || len(values) == 0 {
		return in
	}
	helm := *in.Options.Helm
	if helm.Values != nil {
		values = target.MergeValues(helm.Values.Data, values)
	}
	helm.Values, helm.ValuesFrom = &v1alpha1.GenericMap{Data: values}, nil
	in.Options.Helm = &helm
	return in
}

func (s Source) read(ctx context.Context, t *tenant.Tenant) ([]byte, error) {
	kind, err := t.Kinds.Of(s.kind())
	if err != nil {
		return nil, err
	}
	object, err := t.Object(kind, s.Namespace).Get(ctx, s.Name, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err) && s.Optional:
		return nil, nil
	case apierrors.IsNotFound(err):
		return nil, &MissingError{s, "does not exist"}
	case apierrors.IsForbidden(err):
		return nil, fmt.Errorf("%s: %s may not read %s; give it the right", s.field, t, s)
	case err != nil:
		return nil, fmt.Errorf("%s: reading %s: %w", s.field, s, err)
	}
	data, found, err := s.of(object)
	if err != nil {
		return nil, fmt.Errorf("%s: key %s of %s: %w", s.field, s.Key, s, err)
	}
	if !found && !s.Optional {
		return nil, &MissingError{s, "has no key " + s.Key}
	}
	return data, nil
}

func (s Source) kind() schema.GroupVersionKind {
	return schema.GroupVersionKind{Version: "v1", Kind: s.Kind}
}

// of is the content of the key.
func (s Source) of(object *unstructured.Unstructured) (data []byte, found bool, err error) {
	text, found, err := unstructured.NestedString(object.Object, "data", s.Key)
	encoded := s.Kind == "Secret"
	if !found && err == nil && !encoded {
		text, found, err = unstructured.NestedString(object.Object, "binaryData", s.Key)
		encoded = true
	}
	if !found || err != nil {
		return nil, false, err
	}
	if encoded {
		data, err = base64.StdEncoding.DecodeString(text)
		return data, true, err
	}
	return []byte(text), true, nil
}
