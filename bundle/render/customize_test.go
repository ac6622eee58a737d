package render

import (
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"flotilla.io/flotilla/api/v1alpha1"
)

const (
	web = `{apiVersion: apps/v1, kind: Deployment, metadata: {name: web}, spec: {replicas: 1, template: {spec: {containers: [{name: web, image: "shop/web:1"}], volumes: [{name: c, configMap: {name: conf}}]}}}}`
	cm  = `{apiVersion: v1, kind: ConfigMap, metadata: {name: conf}, data: {a: b}}`
	cr  = `{apiVersion: example.com/v1, kind: Widget, metadata: {name: w}, spec: {size: 1, ratio: 0.5, live: true, title: one}}`
)

// customized renders plain manifests with the given options of Kustomize and returns the objects as YAML.
func customized(t *testing.T, options string, objects ...string) (string, error) {
	t.Helper()
	var k v1alpha1.KustomizeOptions
	must(t, yaml.UnmarshalStrict([]byte(options), &k))
	in := Input{Bundle: "shop", Files: map[string][]byte{"a.yaml": []byte(strings.Join(objects, "\n---\n"))}}
	in.Options.Kustomize = &k
	out, err := Render(t.Context(), in, nil)
	if err != nil {
		return "", err
	}
	var all []string
	for _, o := range out.Objects {
		all = append(all, contentOf(t, o.Object))
	}
	return strings.Join(all, "\n"), nil
}

func TestCustomize(t *testing.T) {
	for _, c := range []struct {
		rule, options, object string
		want                  []string // parts of the objects as JSON
	}{
		{"operations need no kustomization", `patches: [{target: {kind: Deployment, name: web}, patch: "[{op: replace, path: /spec/replicas, value: 4}]"}]`, web, []string{`"replicas":4`}},
		{"a part of an object is merged, lists by their keys", `patches: [{patch: "{apiVersion: apps/v1, kind: Deployment, metadata: {name: web}, spec: {template: {spec: {containers: [{name: side, image: s}]}}}}"}]`,
			web, []string{`"image":"s","name":"side"`, `"image":"shop/web:1"`}},
		{"a target may be a pattern", `patches: [{target: {name: w.b}, patch: "[{op: add, path: /metadata/labels, value: {a: b}}]"}]`, web, []string{`"labels":{"a":"b"}`}},
		{"a target that no object is changes nothing", `patches: [{target: {name: other}, patch: "[{op: remove, path: /spec}]"}]`, web, []string{`"replicas":1`}},
		{"a target picks by label", `patches: [{target: {labelSelector: "a=b"}, patch: "[{op: remove, path: /spec}]"}]`, web, []string{`"replicas":1`}},
		{"patches follow one another", `patches: [{target: {kind: Deployment}, patch: "[{op: replace, path: /spec/replicas, value: 4}]"}, {target: {kind: Deployment}, patch: "[{op: test, path: /spec/replicas, value: 4}, {op: replace, path: /spec/replicas, value: 5}]"}]`,
			web, []string{`"replicas":5`}},
		{"a merge deletes an object", `patches: [{target: {kind: ConfigMap}, patch: "{$patch: delete, kind: ConfigMap, apiVersion: v1, metadata: {name: x}}"}]`, cm, nil},
		{"images get tags and names", `images: [{name: shop/web, newName: mirror/web, newTag: "2"}]`, web, []string{`"image":"mirror/web:2"`}},
		{"images get digests", `images: [{name: shop/web, digest: "sha256:24a0c4b4a4c0eb97a1aabb8e29f18e917d05abfe1b7a7c07857230879ce7d3d3"}]`, web, []string{`"image":"shop/web@sha256:24a0`}},
		{"images get a suffix", `images: [{name: shop/web, tagSuffix: -fips}]`, web, []string{`"image":"shop/web:1-fips"`}},
		{"replicas are set by name", `replicas: [{name: web, count: 7}]`, web, []string{`"replicas":7`}},
		{"names get a prefix, and those that refer to them follow", `namePrefix: eu-`, web + "\n---\n" + cm, []string{`"name":"eu-web"`, `"configMap":{"name":"eu-conf"}`, `"name":"eu-conf"`}},
		{"all go together, patches by the names that were there before", `{namePrefix: eu-, replicas: [{name: web, count: 3}], patches: [{target: {name: web}, patch: "[{op: add, path: /metadata/labels, value: {a: b}}]"}]}`,
			web, []string{`"name":"eu-web"`, `"replicas":3`, `"labels":{"a":"b"}`}},
	} {
		t.Run(c.rule, func(t *testing.T) {
			got, err := customized(t, c.options, c.object)
			if err != nil {
				t.Fatal(err)
			}
			if c.want == nil && got != "" {
				t.Errorf("want nothing, got %s", got)
			}
			for _, want := range c.want {
				if !strings.Contains(got, want) {
					t.Errorf("want %s in %s", want, got)
				}
			}
		})
	}
}

// TestPatchesTakeTheTypeOfTheField: value is what a patch sets at path, as it is written in YAML.
func TestPatchesTakeTheTypeOfTheField(t *testing.T) {
	const (
		service = `{apiVersion: v1, kind: Service, metadata: {name: s}, spec: {ports: [{port: 80, targetPort: 8080}]}}`
		hpa     = `{apiVersion: autoscaling/v2, kind: HorizontalPodAutoscaler, metadata: {name: h}, spec: {maxReplicas: 5}}`
		secret  = `{apiVersion: v1, kind: Secret, metadata: {name: s}, data: {a: MTI=}}`
	)
	for _, c := range []struct{ rule, object, op, path, value, want string }{
		{"text where Kubernetes wants a whole number is one", web, "replace", "/spec/replicas", `'5'`, `"replicas":5`},
		{"also where nothing was before", hpa, "add", "/spec/minReplicas", `'3'`, `"minReplicas":3`},
		{"within a list", service, "replace", "/spec/ports/0/port", `"81"`, `"port":81`},
		{"in what was added to a list", service, "add", "/spec/ports/-", `{port: "90", name: "2"}`, `{"name":"2","port":90}`},
		{"in what was put in whole", web, "replace", "/spec", `{replicas: "2"}`, `"spec":{"replicas":2}`},
		{"digits where a number or text may stand are a number", service, "replace", "/spec/ports/0/targetPort", `"81"`, `"targetPort":81`},
		{"words there are text", service, "replace", "/spec/ports/0/targetPort", `http`, `"targetPort":"http"`},
		{"true as text where true or false is wanted", web, "add", "/spec/paused", `"true"`, `"paused":true`},
		{"a number where text is wanted is text", web, "add", "/metadata/labels", `{tier: 1, live: true}`, `"labels":{"live":"true","tier":"1"}`},
		{"digits where text is wanted stay text", cm, "replace", "/data/a", `'5'`, `"a":"5"`},
		{"bytes are text", secret, "replace", "/data/a", `1234`, `"a":"1234"`},
		{"in other kinds the value before tells: a whole number", cr, "replace", "/spec/size", `'5'`, `"size":5`},
		{"in other kinds the value before tells: a number", cr, "replace", "/spec/ratio", `'0.7'`, `"ratio":0.7`},
		{"in other kinds the value before tells: true or false", cr, "replace", "/spec/live", `'false'`, `"live":false`},
		{"in other kinds the value before tells: text", cr, "replace", "/spec/title", `5`, `"title":"5"`},
		{"what was no number and cannot be one stays, as nobody knows better", cr, "replace", "/spec/size", `large`, `"size":"large"`},
		{"in other kinds a new field stays as it is written", cr, "add", "/spec/new", `'5'`, `"new":"5"`},
		{"labels are text in all kinds", cr, "add", "/metadata/labels", `{tier: 1}`, `"labels":{"tier":"1"}`},
		{"a merge is no different", cr, "", "", `{spec: {size: "8"}}`, `"size":8`},
		{"a merge into Kubernetes' own kinds neither", web, "", "", `{spec: {replicas: "8"}}`, `"replicas":8`},
	} {
		t.Run(c.rule, func(t *testing.T) {
			patch := c.value
			if c.op != "" {
				patch = "- op: " + c.op + "\n  path: " + c.path + "\n  value: " + c.value
			} else {
				var head map[string]any
				must(t, yaml.Unmarshal([]byte(c.object), &head))
				patch = strings.Replace(c.value, "{", "{apiVersion: "+head["apiVersion"].(string)+", kind: "+head["kind"].(string)+", metadata: {name: x}, ", 1)
			}
			options, err := yaml.Marshal(v1alpha1.KustomizeOptions{Patches: []v1alpha1.KustomizePatch{{Patch: patch, Target: &v1alpha1.KustomizeSelector{Name: ".*"}}}})
			must(t, err)
			got, err := customized(t, string(options), c.object)
			if err != nil || !strings.Contains(got, c.want) {
				t.Errorf("error %v, want %s in %s", err, c.want, got)
			}
		})
	}
}

func TestPatchesLeaveTheRest(t *testing.T) {
	const odd = `{apiVersion: apps/v1, kind: Deployment, metadata: {name: web}, spec: {replicas: "1", paused: "true"}}`
	got, err := customized(t, `patches: [{target: {name: web}, patch: "[{op: add, path: /metadata/labels, value: {a: b}}]"}]`, odd)
	if err != nil || !strings.Contains(got, `"paused":"true","replicas":"1"`) {
		t.Errorf("what no patch touches is left as it is: %s, %v", got, err)
	}
}

func TestCustomizeMistakes(t *testing.T) {
	for _, c := range []struct{ rule, options, want string }{
		{"a list of operations needs a target", `patches: [{patch: "[{op: remove, path: /c4n4ry}]"}]`, "kustomize.patches[0]: target: a list of operations needs one: kind and name of the object that they are for"},
		{"an empty patch is a mistake", `patches: [{target: {name: web}}]`, "kustomize.patches[0]: patch: there is none"},
		{"what is no YAML is told without showing it", `patches: [{target: {name: web}, patch: "a: [c4n4ry"}]`, "kustomize.patches[0]: patch: line 1 and below are no YAML"},
		{"a word is no patch", `patches: [{target: {name: web}, patch: c4n4ry}]`, "kustomize.patches[0]: patch: want a list of JSON patch operations or a part of an object"},
		{"an operation that does not exist shows nothing of it", `patches: [{target: {name: web}, patch: "[{op: c4n4ry, path: /a}]"}]`, "kustomize.patches[0]: patch: operation 0: op is one of add, remove, replace, move, copy, test"},
		{"a path begins with a slash", `patches: [{target: {name: web}, patch: "[{op: remove, path: spec}]"}]`, "kustomize.patches[0]: patch: operation 0: path begins with a slash, as in /spec/replicas"},
		{"a path that is not there is named", `patches: [{target: {name: web}, patch: "[{op: replace, path: /spec/nope/x, value: c4n4ry}]"}]`, "kustomize.patches[0]: replace operation does not apply: doc is missing path: /spec/nope/x: missing value"},
		{"a merge without target names an object that is there", `patches: [{patch: "{apiVersion: apps/v1, kind: Deployment, metadata: {name: api}}"}]`, `kustomize.patches[0]: no resource matches strategic merge patch "Deployment.v1.apps/api.[noNs]"`},
		{"two parts for one target are refused", `patches: [{target: {name: web}, patch: "{kind: A, metadata: {name: a}}\n---\n{kind: B, metadata: {name: b}}"}]`, "kustomize.patches[0]: patch: 2 documents for one target; give each an entry of its own"},
		{"a pattern that is none is told", `patches: [{target: {name: "["}, patch: "[{op: remove, path: /spec}]"}]`, "kustomize.patches[0].target: error parsing regexp: missing closing ]"},
		{"a file is for Git", `patches: [{path: p.yaml}]`, "kustomize.patches[0]: path: files with patches are read from Git only; write the patch here"},
		{"a text on a number is refused here, not by the cluster", `patches: [{target: {name: web}, patch: "[{op: replace, path: /spec/replicas, value: c4n4ry}]"}]`, "kustomize.patches: Deployment web: spec.replicas: want a whole number"},
		{"a fraction on a whole number, too", `patches: [{target: {name: web}, patch: "[{op: replace, path: /spec/replicas, value: 1.5}]"}]`, "kustomize.patches: Deployment web: spec.replicas: want a whole number"},
		{"maybe is not true or false", `patches: [{target: {name: web}, patch: "[{op: add, path: /spec/paused, value: maybe}]"}]`, "kustomize.patches: Deployment web: spec.paused: want true or false"},
		{"replicas of nobody are a mistake", `replicas: [{name: api, count: 2}]`, "kustomize: replicas: no workload is named api"},
		{"a count that is a percentage is a mistake", `replicas: [{name: web, count: "50%"}]`, "kustomize.replicas[0].count: want a whole number"},
		{"an object needs a name afterwards", `patches: [{target: {name: web}, options: {allowNameChange: true}, patch: "[{op: remove, path: /metadata/name}]"}]`, "kustomize.patches: Deployment web: it has no metadata.name"},
	} {
		t.Run(c.rule, func(t *testing.T) {
			got, err := customized(t, c.options, web)
			if err == nil {
				t.Fatalf("got %s", got)
			}
			if !strings.HasPrefix(err.Error(), c.want) || strings.Contains(err.Error(), "c4n4ry") {
				t.Errorf("\ngot  %v\nwant %s", err, c.want)
			}
		})
	}
}

// TestCustomizeOverEveryStyle patches what a chart and a kustomization give, with CRDs of the chart among it.
func TestCustomizeOverEveryStyle(t *testing.T) {
	crd := `{apiVersion: apiextensions.k8s.io/v1, kind: CustomResourceDefinition, metadata: {name: widgets.example.com}, spec: {group: example.com}}`
	patch := v1alpha1.KustomizePatch{Target: &v1alpha1.KustomizeSelector{Kind: "Deployment|CustomResourceDefinition"}, Patch: `[{op: add, path: /metadata/labels, value: {team: shop}}]`}
	for _, c := range []struct {
		rule  string
		files map[string]string
		want  int
	}{
		{"a chart", map[string]string{"Chart.yaml": "{apiVersion: v2, name: a, version: 1.0.0}", "templates/a.yaml": web, "crds/a.yaml": crd}, 2},
		{"a kustomization", map[string]string{"kustomization.yaml": "resources: [a.yaml]", "a.yaml": web}, 1},
		{"a chart with a kustomization over it", map[string]string{"Chart.yaml": "{apiVersion: v2, name: a, version: 1.0.0}", "templates/a.yaml": web, "kustomization.yaml": "nameSuffix: -x"}, 1},
		{"plain manifests with a template", map[string]string{"templates/a.yaml": web}, 1},
	} {
		t.Run(c.rule, func(t *testing.T) {
			in := Input{Bundle: "shop", Files: map[string][]byte{}}
			for name, data := range c.files {
				in.Files[name] = []byte(data)
			}
			in.Options.Kustomize = &v1alpha1.KustomizeOptions{Patches: []v1alpha1.KustomizePatch{patch}}
			out, err := Render(t.Context(), in, nil)
			must(t, err)
			if len(out.Objects) != c.want {
				t.Errorf("%d objects", len(out.Objects))
			}
			for _, o := range out.Objects {
				if o.GetLabels()["team"] != "shop" {
					t.Errorf("%s has no label", o.GetName())
				}
			}
		})
	}
}
