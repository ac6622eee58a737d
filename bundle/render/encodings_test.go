package render

import (
	"strings"
	"testing"

	"flotilla.io/flotilla/api/v1alpha1"
)

// TestEncodings renders files as people's editors leave them.
func TestEncodings(t *testing.T) {
	const bom = "\ufeff"
	crlf := func(text string) string { return strings.ReplaceAll(text, "\n", "\r\n") }
	object := func(name string) string {
		return "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: " + name + "\ndata:\n  text: |\n    one\n    two\n"
	}
	for _, c := range []struct {
		rule  string
		files map[string]string
		want  string // the objects as JSON, or the error
	}{
		{"CRLF ends lines of plain manifests, and is no part of texts", map[string]string{"a.yaml": crlf(object("a"))}, `"text":"one\ntwo\n"`},
		{"CRLF between documents", map[string]string{"a.yaml": crlf(object("a") + "---\n" + object("b"))}, `"name":"b"`},
		{"a byte order mark before a manifest", map[string]string{"a.yaml": bom + object("a")}, `"name":"a"`},
		{"a byte order mark before JSON", map[string]string{"a.json": bom + `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a"}}`}, `"name":"a"`},
		{"CRLF in a chart", map[string]string{"Chart.yaml": crlf("apiVersion: v2\nname: a\nversion: 1.0.0\n"), "values.yaml": crlf("x: chosen\n"), "templates/a.yaml": crlf(object("{{ .Values.x }}"))}, `"name":"chosen"`},
		{"byte order marks in a chart", map[string]string{"Chart.yaml": bom + "apiVersion: v2\nname: a\nversion: 1.0.0\n", "values.yaml": bom + "x: chosen\n", "templates/a.yaml": bom + object("{{ .Values.x }}")}, `"name":"chosen"`},
		{"CRLF in a kustomization", map[string]string{"kustomization.yaml": crlf("resources:\n- a.yaml\nnamePrefix: x-\n"), "a.yaml": crlf(object("a"))}, `"name":"x-a"`},
		{"byte order marks in a kustomization", map[string]string{"kustomization.yaml": bom + "resources:\n- a.yaml\nnamePrefix: x-\n", "a.yaml": bom + object("a")}, `"name":"x-a"`},
		{"CRLF in an overlay's patch", map[string]string{"a.yaml": crlf(object("a")), "overlays/x/a_patch.yaml": crlf("data:\n  more: b\n")}, `"more":"b"`},
		{"bytes that are no text, in a chart's files", map[string]string{"Chart.yaml": "{apiVersion: v2, name: a, version: 1.0.0}", "logo.png": "\x89PNG\xff\xfe", "templates/a.yaml": `{apiVersion: v1, kind: Secret, metadata: {name: a}, data: {logo: {{ .Files.Get "logo.png" | b64enc | quote }}}}`}, `"logo":"iVBOR//+"`},
		{"bytes that are no text, beside plain manifests", map[string]string{"a.yaml": object("a"), "logo.png": "\x89PNG\xff\xfe"}, `"name":"a"`},
		{"bytes that are no text, in a kustomization's files", map[string]string{"kustomization.yaml": "secretGenerator: [{name: s, files: [logo.png]}]\ngeneratorOptions: {disableNameSuffixHash: true}", "logo.png": "\x89PNG\xff\xfe"}, `"logo.png":"iVBOR//+"`},
		{"a manifest that is no UTF-8 is told", map[string]string{"a.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {a: \"\xff\xfe\"}\n"}, "a.yaml:"},
	} {
		t.Run(c.rule, func(t *testing.T) {
			in := Input{Bundle: "shop", Files: map[string][]byte{}}
			for name, data := range c.files {
				in.Files[name] = []byte(data)
			}
			in.Options.YAML = &v1alpha1.YAMLOptions{Overlays: []string{"x"}}
			got := ""
			if out, err := Render(t.Context(), in, nil); err != nil {
				got = err.Error()
			} else {
				for _, o := range out.Objects {
					got += contentOf(t, o.Object)
				}
			}
			if !strings.Contains(got, c.want) {
				t.Errorf("want %s in %s", c.want, got)
			}
		})
	}
}
