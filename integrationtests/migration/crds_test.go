package migration

import (
	"context"
	"encoding/json"
	"reflect"
	"time"

	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/randfill"

	fleet "flotilla.io/flotilla/api/v1alpha1"
)

// whole is an object of each kind of Fleet's with every field that Fleet has, as Fleet's own CustomResourceDefinitions stored it.
type whole map[string]*unstructured.Unstructured

// writeWhole makes them in a namespace of their own. What is Flotilla's in them, Fleet's API server drops.
func (p *place) writeWhole() whole {
	p.Helper()
	ctx := context.Background()
	must(p.T, p.hub.client.Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "whole"}}))
	scheme := runtime.NewScheme()
	must(p.T, fleet.AddToScheme(scheme))
	out := whole{}
	for kind, goType := range scheme.KnownTypes(fleet.GroupVersion) {
		object, ok := reflect.New(goType).Interface().(client.Object)
		if !ok {
			continue // a list, or an option type
		}
		full().Fill(object)
		object.GetObjectKind().SetGroupVersionKind(fleet.GroupVersion.WithKind(kind))
		content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(object)
		must(p.T, err)
		u := &unstructured.Unstructured{Object: content}
		if kind == "Content" {
			u.SetNamespace("")
		}
		status := u.Object["status"]
		must(p.T, p.hub.client.Create(ctx, u))
		if status != nil {
			u.Object["status"] = status
			must(p.T, p.hub.client.Status().Update(ctx, u))
		}
		out[kind] = p.stored(u)
	}
	return out
}

func (p *place) stored(like *unstructured.Unstructured) *unstructured.Unstructured {
	p.Helper()
	u := &unstructured.Unstructured{}
	u.SetGroupVersionKind(like.GroupVersionKind())
	must(p.T, p.hub.client.Get(context.Background(), client.ObjectKeyFromObject(like), u))
	return u
}

// keptWhole reads them under Flotilla's CustomResourceDefinitions, writes back what it read, and compares; then they go.
func (p *place) keptWhole(before whole) {
	p.Helper()
	ctx := context.Background()
	if len(before) != 14 {
		p.Errorf("there are %d kinds, Fleet has 14", len(before))
	}
	for kind, was := range before {
		now := p.stored(was)
		p.equal(kind+" as it is served", was, now)
		typed := reflect.New(p.hub.client.Scheme().KnownTypes(fleet.GroupVersion)[kind]).Interface().(client.Object)
		must(p.T, p.hub.client.Get(ctx, client.ObjectKeyFromObject(was), typed))
		must(p.T, p.hub.client.Update(ctx, typed))
		if was.Object["status"] != nil {
			must(p.T, p.hub.client.Status().Update(ctx, typed))
		}
		p.equal(kind+" written back", was, p.stored(was))
		must(p.T, p.hub.client.Delete(ctx, now))
	}
}

// equal compares all but what the API server counts.
func (p *place) equal(what string, was, now *unstructured.Unstructured) {
	p.Helper()
	bare := func(u *unstructured.Unstructured) string {
		u = u.DeepCopy()
		u.SetManagedFields(nil)
		u.SetResourceVersion("")
		data, err := json.MarshalIndent(u.Object, "", " ")
		must(p.T, err)
		return string(data)
	}
	if a, b := bare(was), bare(now); a != b {
		p.Errorf("%s: it was\n%s\nand is\n%s", what, a, b)
	}
	if len(bare(was)) < 200 {
		p.Errorf("%s: there is nothing in it: %s", what, bare(was))
	}
}

// full fills every field, with values that the formats and enums of the schemas allow.
func full() *randfill.Filler {
	return randfill.NewWithSeed(1).NilChance(0).NumElements(1, 2).Funcs(
		func(s *string, c randfill.Continue) { *s = "x" + c.String(0) },
		func(m *metav1.ObjectMeta, c randfill.Continue) { m.Name, m.Namespace = "whole", "whole" },
		func(m *metav1.Time, c randfill.Continue) { *m = metav1.NewTime(time.Unix(c.Int63n(1<<32), 0)) },
		func(d *metav1.Duration, c randfill.Continue) { d.Duration = time.Duration(c.Int63n(int64(time.Hour))) },
		func(v *intstr.IntOrString, c randfill.Continue) { *v = intstr.FromInt32(c.Int31()) },
		func(q *resource.Quantity, c randfill.Continue) {
			*q = *resource.NewQuantity(c.Int63(), resource.DecimalSI)
		},
		func(m *fleet.GenericMap, c randfill.Continue) {
			m.Data = map[string]any{"a": int64(1), "b": []any{true, nil}}
		},
		func(v *apiextensionsv1.JSON, c randfill.Continue) { v.Raw = []byte(`"x"`) },
		func(g *fleet.OutputGenerate, c randfill.Continue) { g.Bytes = 16 },
		func(v *fleet.InputClusters, c randfill.Continue) { *v = fleet.InputClustersAll },
		func(i *fleet.InputInto, c randfill.Continue) { c.FillNoCustom(i); i.Kind = "Secret" },
		func(h *fleet.HelmOptions, c randfill.Continue) { c.FillNoCustom(h); h.ReleaseName = "release-1" },
		func(m *fleet.TargetCustomizationMode, c randfill.Continue) {
			*m = fleet.TargetCustomizationModeAllMatches
		},
		func(d *fleet.DeletionPolicy, c randfill.Continue) { *d = fleet.DeletionPolicyOrphan },
		func(a *fleet.TokenApproval, c randfill.Continue) { *a = fleet.TokenApprovalManual },
		func(s *fleet.ClusterRegistrationTokenSpec, c randfill.Continue) { c.FillNoCustom(s); s.Uses = 1 },
		func(w *corev1.WeightedPodAffinityTerm, c randfill.Continue) { c.FillNoCustom(w); w.Weight = 1 },
		func(f *corev1.FileKeySelector, c randfill.Continue) { c.FillNoCustom(f); f.Key, f.Path = "KEY", "path" },
	)
}
