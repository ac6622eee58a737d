// Package outputs finds the values that a bundle on this cluster hands to bundles elsewhere: a CEL expression over one live object,
// read as the tenant. Only the value leaves the cluster; a sensitive one is sealed with the cluster's own key.
package outputs

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"

	"flotilla.io/flotilla/agent/named"
	"flotilla.io/flotilla/agent/tenant"
	"flotilla.io/flotilla/api/v1alpha1"
	"flotilla.io/flotilla/bundle/expression"
	"flotilla.io/flotilla/bundle/layer"
	"flotilla.io/flotilla/bundle/target"
)

// MaxReported bounds the values of one bundle on one cluster, in bytes: its BundleDeployment has to fit an API object.
const MaxReported = 512 << 10

// Bundle is whose outputs they are, and where.
type Bundle struct {
	Name                          string
	ClusterName, ClusterNamespace string
	Commit, Committed             string // what is deployed, and when it was made; "" where it is not known
	Key                           []byte // the cluster's key-encryption key
}

// One is an output for one cluster, or for all alike, with the object it looks at.
type One struct {
	Order v1alpha1.OutputOrder
	Each  string // "namespace/name", "" for all alike
	named.Object
	broken error // why there is no object to look at
}

// Ones lists the outputs of orders, those with each once for each of its clusters.
func Ones(ctx context.Context, b Bundle, orders []v1alpha1.OutputOrder) []One {
	var ones []One
	for _, o := range orders {
		if len(o.Each) == 0 {
			ones = append(ones, b.one(ctx, o, ""))
		}
		for _, each := range o.Each {
			ones = append(ones, b.one(ctx, o, each))
		}
	}
	return ones
}

// one fills in the templates of the object's namespace and name.
func (b Bundle) one(ctx context.Context, o v1alpha1.OutputOrder, each string) One {
	see := map[string]any{"ClusterName": b.ClusterName, "ClusterNamespace": b.ClusterNamespace}
	if each != "" {
		namespace, name, _ := strings.Cut(each, "/")
		see["Each"] = map[string]any{"Name": name, "Namespace": namespace}
	}
	filled := target.Fill(ctx, target.Job{
		Texts:    []target.Text{{Path: "object.namespace", Source: o.Object.Namespace}, {Path: "object.name", Source: o.Object.Name}},
		Contexts: []v1alpha1.GenericMap{{Data: see}},
	})[0]
	one := One{Order: o, Each: each}
	if filled.Error != "" {
		one.broken = errors.New(filled.Error)
		return one
	}
	one.Object = named.Object{Kind: schema.FromAPIVersionAndKind(o.Object.APIVersion, o.Object.Kind), Namespace: filled.Texts[0], Name: filled.Texts[1]}
	if o.Object.LabelSelector != nil {
		selector, err := metav1.LabelSelectorAsSelector(o.Object.LabelSelector)
		if err != nil {
			one.broken = fmt.Errorf("object.labelSelector: %w", err)
			return one
		}
		one.Many, one.Labels = true, selector.String()
	}
	return one
}

// Objects are those that the outputs look at.
func Objects(ones []One) []named.Object {
	var objects []named.Object
	for _, o := range ones {
		if o.broken == nil && !slices.Contains(objects, o.Object) {
			objects = append(objects, o.Object)
		}
	}
	return objects
}

// Values evaluates the outputs, sorted. Each object is read once. Where there is no value now, the one of before stays, with
// the reason; sure is false when something could not be read that may well be there.
func Values(ctx context.Context, t *tenant.Tenant, b Bundle, ones []One, before []v1alpha1.OutputValue) (values []v1alpha1.OutputValue, sure bool) {
	read, room := reads{t: t, known: map[named.Object]result{}}, MaxReported
	sure = true
	for _, o := range ones {
		v, err := o.value(ctx, &read, b)
		if err != nil {
			var kept *keptError
			sure = sure && !errors.As(err, &kept)
			v = last(before, o)
			v.Error = err.Error()
		}
		if room -= len(v.Sealed) + size(v.Value); room < 0 {
			v.Value, v.Sealed = nil, nil
			v.Error = fmt.Sprintf("the outputs of the bundle take more than %d KiB on this cluster: hand over less, or to fewer clusters", MaxReported>>10)
		}
		values = append(values, v)
	}
	slices.SortFunc(values, func(a, b v1alpha1.OutputValue) int {
		return cmp.Or(strings.Compare(a.Name, b.Name), strings.Compare(a.Each, b.Each))
	})
	return values, sure
}

func size(v *apiextensionsv1.JSON) int {
	if v == nil {
		return 0
	}
	return len(v.Raw)
}

// last is the value of before, as long as it is of the same kind.
func last(before []v1alpha1.OutputValue, o One) v1alpha1.OutputValue {
	for _, v := range before {
		if v.Name == o.Order.Name && v.Each == o.Each && (v.Value == nil || !o.Order.Sensitive) {
			return v
		}
	}
	return v1alpha1.OutputValue{Name: o.Order.Name, Each: o.Each}
}

func (o One) value(ctx context.Context, read *reads, b Bundle) (v1alpha1.OutputValue, error) {
	out := v1alpha1.OutputValue{Name: o.Order.Name, Each: o.Each}
	if o.broken != nil {
		return out, o.broken
	}
	names := []string{expression.Self, expression.Bundle, expression.Cluster}
	see := map[string]any{
		expression.Cluster: map[string]any{"name": b.ClusterName, "namespace": b.ClusterNamespace},
		expression.Bundle:  map[string]any{"name": b.Name, "commit": b.Commit, "committed": b.Committed},
	}
	if o.Each != "" {
		namespace, name, _ := strings.Cut(o.Each, "/")
		names, see[expression.Each] = append(names, expression.Each), map[string]any{"name": name, "namespace": namespace}
	}
	compiled, err := expression.Compile(o.Order.Value, names...)
	if err != nil {
		return out, err
	}
	object, err := read.object(ctx, o.Object)
	if err != nil {
		return out, err
	}
	see[expression.Self] = object
	value, err := compiled.Value(ctx, see)
	if err != nil {
		return out, fmt.Errorf("%s: %w", o.Object, err)
	}
	if value == nil {
		return out, fmt.Errorf("%s: the expression gives null", o.Object)
	}
	raw, err := json.Marshal(value)
	if err != nil {
		return out, err
	}
	if !o.Order.Sensitive {
		out.Value = &apiextensionsv1.JSON{Raw: raw}
		return out, nil
	}
	out.Sealed, err = layer.SealValue(b.Key, layer.ValueName(b.Name, o.Order.Name, o.Each), raw)
	return out, err
}

// reads remembers objects within one evaluation.
type reads struct {
	t     *tenant.Tenant
	known map[named.Object]result
}

type result struct {
	object map[string]any
	err    error
}

// keptError is of a read that failed: whether there is a value is not known.
type keptError struct{ error }

func (r *reads) object(ctx context.Context, o named.Object) (map[string]any, error) {
	if had, ok := r.known[o]; ok {
		return had.object, had.err
	}
	var got result
	kind, err := r.t.Kinds.Of(o.Kind)
	if err == nil {
		got.object, err = read(ctx, r.t.Object(kind, o.Namespace), o)
	}
	switch {
	case err == nil:
	case apierrors.IsNotFound(err):
		got.err = fmt.Errorf("%s does not exist", o)
	case errors.Is(err, errMany):
		got.err = fmt.Errorf("%s: %w", o, err)
	case apierrors.IsForbidden(err):
		got.err = fmt.Errorf("%s: service account %s may not read it: give it the right", o, r.t.ServiceAccount)
	default:
		got.err = &keptError{fmt.Errorf("%s: %w", o, err)}
	}
	r.known[o] = got
	return got.object, got.err
}

// MaxListed bounds the objects of one output.
const MaxListed = 500

var errMany = fmt.Errorf("there are more than %d: let labelSelector pick fewer", MaxListed)

// read gets one object as it is, or a list of many with all its items.
func read(ctx context.Context, objects dynamic.ResourceInterface, o named.Object) (map[string]any, error) {
	if !o.Many {
		object, err := objects.Get(ctx, o.Name, metav1.GetOptions{})
		if err != nil {
			return nil, err
		}
		return object.Object, nil
	}
	list, err := objects.List(ctx, metav1.ListOptions{LabelSelector: o.Labels, Limit: MaxListed})
	if err != nil {
		return nil, err
	}
	if list.GetContinue() != "" {
		return nil, errMany
	}
	return list.UnstructuredContent(), nil
}
