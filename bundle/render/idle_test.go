package render

import (
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"flotilla.io/flotilla/api/v1alpha1"
)

func TestPatchesForNoObject(t *testing.T) {
	const patch = `, patch: "[{op: add, path: /metadata/labels, value: {a: b}}]"}`
	for _, row := range []struct{ rule, patches, want string }{
		{"one that meets its object is no matter", `[{target: {kind: Deployment, name: web}` + patch + `]`, ""},
		{"nor is one that any object is for", `[{target: {name: w.*}` + patch + `]`, ""},
		{"a mistyped name is told with the objects of the kind", `[{target: {kind: Deployment, name: wbe}` + patch + `]`,
			"kustomize.patches[0].target: no object matches, so the patch changes nothing; there is Deployment web"},
		{"a mistyped kind with those of the name", `[{target: {kind: Deploymnet, name: web}` + patch + `]`,
			"kustomize.patches[0].target: no object matches, so the patch changes nothing; there is Deployment web"},
		{"one that is all wrong with all of them", `[{target: {kind: Secret}` + patch + `]`,
			"kustomize.patches[0].target: no object matches, so the patch changes nothing; there is ConfigMap conf, Deployment web, Widget w"},
		{"a label that no object has", `[{target: {kind: Deployment}` + patch + `, {target: {labelSelector: "c=d"}` + patch + `]`,
			"kustomize.patches[1].target: no object matches, so the patch changes nothing; there is ConfigMap conf, Deployment web, Widget w"},
		{"a label that an earlier patch gives is met", `[{target: {kind: Deployment}` + patch + `, {target: {labelSelector: "a=b"}` + patch + `]`, ""},
		{"another namespace is another object", `[{target: {kind: Deployment, namespace: x}` + patch + `]`,
			"kustomize.patches[0].target: no object matches, so the patch changes nothing; there is Deployment web"},
	} {
		t.Run(row.rule, func(t *testing.T) {
			k := v1alpha1.KustomizeOptions{}
			must(t, yaml.UnmarshalStrict([]byte("patches: "+row.patches), &k))
			in := Input{Bundle: "shop", Files: map[string][]byte{"a.yaml": []byte(strings.Join([]string{cm, web, cr}, "\n---\n"))}}
			in.Options.Kustomize = &k
			out, err := Render(t.Context(), in, nil)
			must(t, err)
			var got []string
			for _, w := range out.Warnings {
				got = append(got, w.String())
			}
			if text := strings.Join(got, "\n"); text != row.want {
				t.Errorf("got  %s\nwant %s", text, row.want)
			}
		})
	}
}

func TestSketch(t *testing.T) {
	chart := func(template string) map[string][]byte {
		return map[string][]byte{"Chart.yaml": []byte("{apiVersion: v2, name: web, version: 1.0.0}"),
			"templates/a.yaml": []byte("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {v: " + template + "}\n")}
	}
	from := &v1alpha1.HelmOptions{ValuesFrom: []v1alpha1.ValuesFrom{{SecretKeyRef: &v1alpha1.SecretKeySelector{LocalObjectReference: v1alpha1.LocalObjectReference{Name: "db"}}}}}
	const asks = `{{ (lookup "v1" "Secret" "x" "y").data.z }}`
	for _, row := range []struct {
		rule, template string
		helm           *v1alpha1.HelmOptions
		onCluster      string // beginning of why
		err            string
		unshown        bool
	}{
		{"what the hub renders is shown as it is", "x", nil, "", "", false},
		{"lookup finds nothing", `'{{ lookup "v1" "Secret" "x" "y" }}'`, nil, "lookup of v1 Secret", "", false},
		{"valuesFrom has no values", `'{{ .Values.x }}'`, from, "helm.valuesFrom", "", false},
		{"random values are drawn", "{{ randAlpha 5 }}", nil, "output that is another at each rendering", "", false},
		{"what needs the object cannot be shown", asks, nil, "", "is rendered on the cluster, for its lookup of v1 Secret in templates/a.yaml:4; it cannot be shown without: templates/a.yaml:4", true},
		{"nor can what needs the values", `'{{ required "name it" .Values.x }}'`, from, "", "is rendered on the cluster, for its helm.valuesFrom; it cannot be shown without: templates/a.yaml:4", true},
		{"a template that cannot be read is wrong on every cluster", `{{ .Values. }}`, from, "", "templates/a.yaml:4", false},
		{"and so is what fails without asking the cluster", `{{ randAlpha 5 }}{{ fail "no" }}`, nil, "", "templates/a.yaml:4", false},
	} {
		t.Run(row.rule, func(t *testing.T) {
			in := Input{Bundle: "web", Files: chart(row.template)}
			in.Options.Helm = row.helm
			out, err := Sketch(t.Context(), in, &Capabilities{KubernetesVersion: "v1.37.2"})
			if row.err != "" {
				if _, unshown := err.(*UnshownError); err == nil || !strings.HasPrefix(err.Error(), row.err) || unshown != row.unshown {
					t.Errorf("the error is %T %v", err, err)
				}
				return
			}
			must(t, err)
			if !strings.HasPrefix(out.OnCluster, row.onCluster) || (out.OnCluster == "") != (row.onCluster == "") || len(out.Objects) != 1 {
				t.Errorf("on the cluster for %q, %d objects", out.OnCluster, len(out.Objects))
			}
		})
	}
}
