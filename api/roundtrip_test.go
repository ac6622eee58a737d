package api_test

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	structural "k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/pruning"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/validation"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/json"
	"sigs.k8s.io/randfill"

	flotilla "flotilla.io/flotilla/api/flotilla/v1alpha1"
	fleet "flotilla.io/flotilla/api/v1alpha1"
)

func scheme(t *testing.T) *runtime.Scheme {
	t.Helper()
	s := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{fleet.AddToScheme, flotilla.AddToScheme} {
		if err := add(s); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// TestGoTypesAndSchemasSayTheSame sends objects with every field set through JSON and the schema: an API server keeps and
// accepts all that the Go types write, and they read it back unchanged. Copies are equal and share nothing.
func TestGoTypesAndSchemasSayTheSame(t *testing.T) {
	s := scheme(t)
	for _, crd := range allCRDs(t) {
		t.Run(crd.Spec.Names.Kind, func(t *testing.T) {
			gvk := schema.GroupVersionKind{Group: crd.Spec.Group, Version: crd.Spec.Versions[0].Name, Kind: crd.Spec.Names.Kind}
			internal := internalSchema(t, crd)
			for seed := range int64(20) {
				sent, err := s.New(gvk)
				if err != nil {
					t.Fatal(err)
				}
				filler(seed).Fill(sent)
				sent.GetObjectKind().SetGroupVersionKind(gvk)
				if copied := sent.DeepCopyObject(); !equality.Semantic.DeepEqual(sent, copied) {
					t.Fatalf("seed %d: a deep copy differs", seed)
				}
				got, err := s.New(gvk)
				if err != nil {
					t.Fatal(err)
				}
				throughSchema(t, internal, sent, got)
				if !equality.Semantic.DeepEqual(sent, got) {
					t.Fatalf("seed %d: sent\n%s\nread back\n%s", seed, asJSON(t, sent), asJSON(t, got))
				}
			}
		})
	}
}

// throughSchema writes sent as JSON, has the schema check it and drop what it does not know, and reads it into got.
func throughSchema(t *testing.T, internal *apiextensions.JSONSchemaProps, sent, got runtime.Object) {
	t.Helper()
	var object map[string]any
	if err := json.Unmarshal(asJSON(t, sent), &object); err != nil {
		t.Fatal(err)
	}
	validator, _, err := validation.NewSchemaValidator(internal)
	if err != nil {
		t.Fatal(err)
	}
	tree, err := structural.NewStructural(internal)
	if err != nil {
		t.Fatal(err)
	}
	options := structural.UnknownFieldPathOptions{TrackUnknownFieldPaths: true}
	for _, path := range pruning.PruneWithOptions(object, tree, true, options) {
		t.Errorf("the schema has no field %s", path)
	}
	for _, err := range validation.ValidateCustomResource(nil, object, validator) {
		t.Errorf("the schema refuses what the Go type writes: %v", err)
	}
	data, err := json.Marshal(object)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, got); err != nil {
		t.Fatal(err)
	}
}

func internalSchema(t *testing.T, crd *apiextensionsv1.CustomResourceDefinition) *apiextensions.JSONSchemaProps {
	t.Helper()
	internal := &apiextensions.JSONSchemaProps{}
	if err := apiextensionsv1.Convert_v1_JSONSchemaProps_To_apiextensions_JSONSchemaProps(openAPI(crd), internal, nil); err != nil {
		t.Fatal(err)
	}
	return internal
}

// filler fills every field, with values that the schema's formats and enums allow.
func filler(seed int64) *randfill.Filler {
	return randfill.NewWithSeed(seed).NilChance(0).NumElements(1, 3).Funcs(
		func(s *string, c randfill.Continue) { *s = "x" + c.String(0) },
		func(m *metav1.ObjectMeta, c randfill.Continue) { m.Name, m.Namespace = "name", "namespace" },
		func(m *metav1.Time, c randfill.Continue) { *m = metav1.NewTime(time.Unix(c.Int63n(1<<32), 0)) },
		func(d *metav1.Duration, c randfill.Continue) { d.Duration = time.Duration(c.Int63n(int64(time.Hour))) },
		func(v *intstr.IntOrString, c randfill.Continue) {
			*v = intstr.FromInt32(c.Int31())
			if c.Bool() {
				*v = intstr.FromString(c.String(0))
			}
		},
		func(q *resource.Quantity, c randfill.Continue) {
			*q = *resource.NewQuantity(c.Int63(), resource.DecimalSI)
		},
		func(m *fleet.GenericMap, c randfill.Continue) {
			m.Data = map[string]any{"a": c.Int63(), "b": map[string]any{"c": []any{c.String(0), true, nil, 1.5}}}
		},
		func(v *apiextensionsv1.JSON, c randfill.Continue) { v.Raw = []byte(`{"a":["b",1.5,true]}`) },
		func(g *fleet.OutputGenerate, c randfill.Continue) { g.Bytes = 16 + c.Intn(1000) },
		func(v *fleet.InputClusters, c randfill.Continue) { *v = fleet.InputClustersAll },
		func(i *fleet.InputInto, c randfill.Continue) { c.FillNoCustom(i); i.Kind = "Secret" },
		func(h *fleet.HelmOptions, c randfill.Continue) { c.FillNoCustom(h); h.ReleaseName = "release-1" },
		func(m *fleet.TargetCustomizationMode, c randfill.Continue) {
			*m = fleet.TargetCustomizationModeAllMatches
		},
		func(p *fleet.DeletionPolicy, c randfill.Continue) { *p = fleet.DeletionPolicyOrphan },
		func(a *fleet.TokenApproval, c randfill.Continue) { *a = fleet.TokenApprovalManual },
		func(s *fleet.ClusterRegistrationTokenSpec, c randfill.Continue) {
			c.FillNoCustom(s)
			s.Uses = int(c.Int31())
		},
		func(w *corev1.WeightedPodAffinityTerm, c randfill.Continue) { c.FillNoCustom(w); w.Weight = 1 },
		func(f *corev1.FileKeySelector, c randfill.Continue) {
			c.FillNoCustom(f)
			f.Key = "KEY"
			f.Path = "path"
		},
	)
}

func asJSON(t *testing.T, v any) []byte {
	t.Helper()
	data, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return data
}
