package target

import (
	"reflect"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"flotilla.io/flotilla/api/v1alpha1"
)

// kustomizing is a bundle for all clusters with the given kustomize block.
func kustomizing(t *testing.T, block string) *Matcher {
	t.Helper()
	b := bundle("", nil, []entry{{name: "all", clusters: "*"}}, nil)
	b.Spec.Targets[0].YAML = nil
	b.Spec.Kustomize = &v1alpha1.KustomizeOptions{}
	if err := yaml.UnmarshalStrict([]byte(block), b.Spec.Kustomize); err != nil {
		t.Fatal(err)
	}
	m, err := New(b, nil)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestKustomizeIsTemplated(t *testing.T) {
	for _, c := range []struct{ rule, block, want string }{
		{"without templates all stays", `{namePrefix: a-, patches: [{patch: "{{ x }}"}]}`, `{namePrefix: a-, patches: [{patch: "{{ x }}"}]}`},
		{"a patch is filled in", `patches: [{target: {kind: Deployment}, patch: "- value: '${ index .ClusterLabels \"replicas\" }'"}]`,
			`patches: [{target: {kind: Deployment}, patch: "- value: '3'"}]`},
		{"index with a default takes the default", `patches: [{patch: "value: '${ index .ClusterAnnotations \"replicas\" | default \"3\" }'"}]`, `patches: [{patch: "value: '3'"}]`},
		{"index with a default takes what is there", `patches: [{patch: "value: '${ index .ClusterAnnotations \"note\" | default \"3\" }'"}]`, `patches: [{patch: "value: 'a: b'"}]`},
		{"several lines stay in their text", "patches: [{patch: \"${ range until 2 }- ${ . }\\n${ end }\"}]", `patches: [{patch: "- 0\n- 1\n"}]`},
		{"what a patch is for is filled in", `patches: [{patch: x, target: {name: "${ .ClusterName }", labelSelector: "region=${ .ClusterLabels.region }"}}]`,
			`patches: [{patch: x, target: {name: edge-1, labelSelector: region=eu}}]`},
		{"images are filled in", `images: [{name: web, newName: "${ .ClusterValues.domain }/web", newTag: "${ .ClusterLabels.region }"}]`, `images: [{name: web, newName: example.com/web, newTag: eu}]`},
		{"a count is filled in with a whole number", `replicas: [{name: web, count: "${ .ClusterLabels.replicas }"}, {name: api, count: 2}]`, `replicas: [{name: web, count: 3}, {name: api, count: 2}]`},
		{"the prefix is filled in", `namePrefix: "${ .ClusterName }-"`, `namePrefix: edge-1-`},
		{"the directory is not: it is read with the files", `dir: "${ .ClusterName }"`, `dir: "${ .ClusterName }"`},
	} {
		t.Run(c.rule, func(t *testing.T) {
			match, err := kustomizing(t, c.block).Match(edge())
			if err != nil {
				t.Fatal(err)
			}
			var want v1alpha1.KustomizeOptions
			if err := yaml.UnmarshalStrict([]byte(c.want), &want); err != nil {
				t.Fatal(err)
			}
			if got := *match.Options.Kustomize; !reflect.DeepEqual(got, want) {
				t.Errorf("got %+v, want %+v", got, want)
			}
		})
	}
}

func TestKustomizeTemplateMistakes(t *testing.T) {
	for _, c := range []struct{ rule, block, want string }{
		{"a missing label is named", `patches: [{patch: a}, {patch: "${ .ClusterLabels.zone }"}]`, `cluster fleet-default/edge-1: kustomize.patches[1].patch: the cluster has no label "zone"`},
		{"of a target, too", `patches: [{patch: a, target: {name: "${ .ClusterLabels.zone }"}}]`, `cluster fleet-default/edge-1: kustomize.patches[0].target.name: the cluster has no label "zone"`},
		{"a count is a whole number", `replicas: [{name: web, count: "${ .ClusterLabels.region }"}]`, `cluster fleet-default/edge-1: kustomize.replicas[0].count: filled in for this cluster it is no whole number`},
		{"a count is not below 0", `replicas: [{name: web, count: "-${ .ClusterLabels.replicas }"}]`, `cluster fleet-default/edge-1: kustomize.replicas[0].count: filled in for this cluster it is no whole number`},
	} {
		t.Run(c.rule, func(t *testing.T) {
			if _, err := kustomizing(t, c.block).Match(edge()); err == nil || err.Error() != c.want {
				t.Errorf("\ngot  %v\nwant %s", err, c.want)
			}
		})
	}
}

// TestEveryTextOfKustomizeIsTemplated fills every text field of the options by reflection, so that a new one cannot be forgotten.
func TestEveryTextOfKustomizeIsTemplated(t *testing.T) {
	var k v1alpha1.KustomizeOptions
	fillTexts(reflect.ValueOf(&k).Elem())
	b := bundle("", nil, []entry{{name: "all", clusters: "*"}}, nil)
	b.Spec.Kustomize = &k
	m, err := New(b, nil)
	if err != nil {
		t.Fatal(err)
	}
	match, err := m.Match(edge())
	if err != nil {
		t.Fatal(err)
	}
	left, _ := yaml.Marshal(match.Options.Kustomize)
	if n := strings.Count(string(left), "${"); n != 2 { // dir and path, which are read with the files
		t.Errorf("%d templates are left in\n%s", n, left)
	}
}

func fillTexts(v reflect.Value) {
	switch v.Kind() {
	case reflect.String:
		v.SetString("${ 7 }")
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fillTexts(v.Elem())
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		fillTexts(v.Index(0))
	case reflect.Struct:
		for i := range v.NumField() {
			fillTexts(v.Field(i))
		}
	}
}
