package target

import (
	"errors"
	"reflect"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/util/intstr"

	"flotilla.io/flotilla/api/v1alpha1"
)

// giving is a bundle for all clusters that gets inputs.
func giving(t *testing.T, helmBlock string, given Given) *Matcher {
	t.Helper()
	m := templated(t, helmBlock)
	m.Give(func(*v1alpha1.Cluster) Given { return given })
	return m
}

func TestInputsAreSeenByTemplates(t *testing.T) {
	given := Given{
		Open:      map[string]any{"server": "10.0.0.1:6443", "members": map[string]any{"aws": "a", "gcp": "b"}, "none": nil},
		Sensitive: map[string]any{"join": map[string]any{"token": "c4n4ry", "ca.crt": "x"}},
	}
	for _, c := range []struct {
		rule, helm string
		want       map[string]any
	}{
		{"a value", `values: {a: "${ .Inputs.server | quote }"}`, map[string]any{"a": "10.0.0.1:6443"}},
		{"a sensitive one in values", `values: {a: "${ .Inputs.join.token }", b: "${ index .Inputs.join \"ca.crt\" }"}`, map[string]any{"a": "c4n4ry", "b": "x"}},
		{"a map by cluster", `values: {a: "${ range $name, $v := .Inputs.members }${ $name }=${ $v },${ end }"}`, map[string]any{"a": "aws=a,gcp=b"}},
		{"a whole map as YAML", `templateValues: {a: "${ .Inputs.members | toJson }"}`, map[string]any{"a": map[string]any{"aws": "a", "gcp": "b"}}},
		{"an optional one that is not there", `values: {a: "${ .Inputs.none | default \"x\" }"}`, map[string]any{"a": "x"}},
	} {
		t.Run(c.rule, func(t *testing.T) {
			match, err := giving(t, c.helm, given).Match(edge())
			if err != nil {
				t.Fatal(err)
			}
			for key, want := range c.want {
				got := match.Options.Helm.Values.Data[key]
				if text, is := got.(string); is {
					got = strings.TrimSuffix(text, ",")
				}
				if !reflect.DeepEqual(got, want) {
					t.Errorf("%s is %#v, want %#v", key, got, want)
				}
			}
		})
	}
	_, err := giving(t, `values: {a: "${ .Inputs.other }"}`, given).Match(edge())
	if err == nil || !strings.Contains(err.Error(), `helm.values.a: there is no input "other" here; inputs are declared in fleet.yaml`) {
		t.Errorf("one that is not declared is named: %v", err)
	}
}

func TestABundleWaitsForItsInputs(t *testing.T) {
	_, err := giving(t, `values: {a: "${ .Inputs.server }"}`, Given{Missing: "output server of bundle broker is not there"}).Match(edge())
	var waiting *Waiting
	if !errors.As(err, &waiting) || waiting.For != "output server of bundle broker is not there" {
		t.Errorf("got %v", err)
	}
	b := bundle("", nil, []entry{{name: "all", clusters: "*"}}, nil)
	b.Spec.Inputs = []v1alpha1.Input{{Name: "server"}}
	m, err := New(b, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := m.Match(edge()); !errors.As(err, &waiting) || !strings.Contains(err.Error(), "(server) come from clusters") {
		t.Errorf("without a hub that is said: %v", err)
	}
}

// TestWhatIsSensitiveGoesWhereItIsSealed: what others may read on a BundleDeployment is filled in without it.
func TestWhatIsSensitiveGoesWhereItIsSealed(t *testing.T) {
	given := Given{Open: map[string]any{"tag": "v1"}, Sensitive: map[string]any{"secret": "c4n4ry"}}
	match := func(k *v1alpha1.KustomizeOptions) (*Match, error) {
		b := bundle("", nil, []entry{{name: "all", clusters: "*"}}, nil)
		b.Spec.Kustomize = k
		m, err := New(b, nil)
		if err != nil {
			t.Fatal(err)
		}
		m.Give(func(*v1alpha1.Cluster) Given { return given })
		return m.Match(edge())
	}
	got, err := match(&v1alpha1.KustomizeOptions{
		Patches:  []v1alpha1.KustomizePatch{{Patch: "a: ${ .Inputs.secret }"}},
		Images:   []v1alpha1.KustomizeImage{{Name: "x", NewTag: "${ .Inputs.tag }"}},
		Replicas: []v1alpha1.KustomizeReplica{{Name: "x", Count: intstr.FromInt32(1)}},
	})
	if err != nil || got.Options.Kustomize.Patches[0].Patch != "a: c4n4ry" || got.Options.Kustomize.Images[0].NewTag != "v1" {
		t.Errorf("a patch is sealed, an image is shown: %+v, %v", got, err)
	}
	if got, err := match(&v1alpha1.KustomizeOptions{NamePrefix: "${ .Inputs.secret }"}); err == nil || !strings.Contains(err.Error(), "sensitive goes into values and patches only") {
		t.Errorf("a prefix is shown: %+v, %v", got, err)
	}
}
