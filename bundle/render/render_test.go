package render

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/engine"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"flotilla.io/flotilla/api/v1alpha1"
)

func contentOf(t *testing.T, value any) string {
	data, err := json.Marshal(value)
	must(t, err)
	return string(data)
}

func TestWholeNumbersStay(t *testing.T) {
	object := []byte("{apiVersion: v1, kind: ConfigMap, metadata: {name: a}, data: {whole: 9007199254740993, part: 0.5}}")
	kustomization := []byte("resources: [a.yaml]")
	chart := []byte("{apiVersion: v2, name: web, version: 1.0.0}")
	for style, files := range map[string]map[string][]byte{
		"raw":            {"a.yaml": object},
		"kustomize":      {"a.yaml": object, "kustomization.yaml": kustomization},
		"helm":           {"Chart.yaml": chart, "templates/a.yaml": object},
		"helm-kustomize": {"Chart.yaml": chart, "templates/a.yaml": object, "kustomization.yaml": []byte("namePrefix: x-")},
	} {
		out, err := Render(t.Context(), Input{Bundle: "a", Files: files}, nil)
		if err != nil || len(out.Objects) != 1 {
			t.Fatalf("%s: %v, %v", style, out, err)
		}
		data := out.Objects[0].Object["data"].(map[string]any)
		if data["whole"] != int64(9007199254740993) || data["part"] != 0.5 {
			t.Errorf("%s: %T %v, %T %v", style, data["whole"], data["whole"], data["part"], data["part"])
		}
	}
}

// Helm reads whole numbers of values as floats, and charts count on it.
func TestNumbersOfValues(t *testing.T) {
	in := charted()
	in.Options.Helm = values(map[string]any{"a": int64(12345678)})
	out, err := Render(t.Context(), in, nil)
	must(t, err)
	if got := contentOf(t, out.Objects[0].Object["data"]); got != `{"a":"1.2345678e+07"}` {
		t.Error(got)
	}
}

func TestLimits(t *testing.T) {
	manifest := func(n int, size int) []byte {
		var text strings.Builder
		for i := range n {
			fmt.Fprintf(&text, "---\n{apiVersion: v1, kind: ConfigMap, metadata: {name: a%d}, data: {a: %s}}\n", i, strings.Repeat("x", size))
		}
		return []byte(text.String())
	}
	for _, row := range []struct {
		rule  string
		files map[string][]byte
		want  string
	}{
		{"an object of 1.5 MiB is too large", map[string][]byte{"a.yaml": manifest(1, maxObjectBytes)}, "a.yaml:1: ConfigMap a0 has 1572943 bytes, the limit of a cluster is 1572864"},
		{"one below is not", map[string][]byte{"a.yaml": manifest(1, maxObjectBytes-100)}, ""},
		{"10,001 objects are too many", map[string][]byte{"a.yaml": manifest(maxObjects+1, 1)}, "the bundle: 10001 objects, the limit is 10000; split it into several"},
		{"a bundle without objects is none of our business", nil, ""},
	} {
		t.Run(row.rule, func(t *testing.T) {
			_, err := Render(t.Context(), Input{Bundle: "a", Files: row.files}, nil)
			if got := fmt.Sprint(err); got != row.want && (err != nil || row.want != "") {
				t.Error(got)
			}
		})
	}
}

func TestLimitNamesTheLargest(t *testing.T) {
	var objects []object
	for i := range 46 {
		text := strings.Repeat("x", 1_400_000+i)
		objects = append(objects, object{&unstructured.Unstructured{Object: map[string]any{"kind": "ConfigMap", "metadata": map[string]any{"name": fmt.Sprint("a", i)}, "data": text}}, fmt.Sprintf("a.yaml:%d", i)})
	}
	want := "the bundle: 61.4 MiB of objects, the limit is 60 MiB; split it into several; the largest are ConfigMap a45 (1.3 MiB, a.yaml:45), ConfigMap a44 (1.3 MiB, a.yaml:44), ConfigMap a43 (1.3 MiB, a.yaml:43)"
	if err := checkSizes(objects); err == nil || err.Error() != want {
		t.Errorf("\ngot  %v\nwant %s", err, want)
	}
}

func TestSkipSchemaValidation(t *testing.T) {
	in := Input{Bundle: "shop", Files: map[string][]byte{
		"Chart.yaml": []byte("{apiVersion: v2, name: web, version: 1.0.0}"), "values.schema.json": []byte(`{"required": ["size"]}`),
		"templates/a.yaml": []byte("{apiVersion: v1, kind: ConfigMap, metadata: {name: a}}"),
	}}
	in.Options.Helm = &v1alpha1.HelmOptions{}
	if _, err := Render(t.Context(), in, nil); err == nil {
		t.Error("values that do not fit the schema must be an error")
	}
	in.Options.Helm.SkipSchemaValidation = true
	if _, err := Render(t.Context(), in, nil); err != nil {
		t.Errorf("the schema is not to be looked at: %v", err)
	}
}

func TestSchemaReadsNoFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "schema.json")
	must(t, os.WriteFile(file, []byte(`{"type": "integer"}`), 0o600))
	in := charted()
	in.Files["values.schema.json"] = []byte(`{"properties": {"a": {"$ref": "file://` + file + `"}}}`)
	if _, err := Render(t.Context(), in, nil); reason(err) != ReasonSchemaRef {
		t.Error(err)
	}
}

func TestRenderEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Render(ctx, charted(), nil); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// Renderings in one process do not disturb each other; the race detector watches.
func TestRenderInParallel(t *testing.T) {
	var wg sync.WaitGroup
	for _, file := range glob(t, "testdata/*/options.yaml") {
		s := readSetting(t, read(t, file))
		in := s.input(readTree(t, filepath.Join(filepath.Dir(file), "input")))
		want, err := Render(t.Context(), in, s.Capabilities)
		must(t, err)
		for range 4 {
			wg.Go(func() {
				got, err := Render(t.Context(), in, s.Capabilities)
				if err != nil || contentOf(t, got) != contentOf(t, want) {
					t.Errorf("%s: %v", file, err)
				}
			})
		}
	}
	wg.Wait()
}

func FuzzManifest(f *testing.F) {
	for _, seed := range []string{"a: b", "---\n---\n{apiVersion: v1, kind: List, items: [1]}", "...\n--- x\n---y\n", "\ufeff{", "kind: A\napiVersion: b\nmetadata: []"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, m := range []manifest{{file: "a.yaml", data: data}, {file: "a.json", data: data}, {"a.yaml", data, true, string(data)}} {
			objects, err := m.objects()
			if err == nil {
				_, _ = settle(objects)
			}
		}
	})
}

// That files tell where they begin and end neither breaks a template nor mends one.
func FuzzMarkFiles(f *testing.F) {
	for _, seed := range []string{"{{ now }}", "{{- /* now */ -}}", "", "{{/* now */}}{{ define \"now\" }}{{ now }}{{ end -}}", "{{ now", "{", "{{ \"", "{{ if 1 }}", "{{/*"} {
		f.Add(seed)
	}
	parses := func(text string, mark func(*chart.Chart)) bool {
		c := mustChart(map[string][]byte{"templates/a.yaml": []byte(text)})
		mark(c)
		var err error
		during(&scope{calls: map[string]string{}}, func() { _, err = engine.Render(c, chartutil.Values{}) })
		return err == nil || !strings.Contains(err.Error(), "parse error")
	}
	f.Fuzz(func(t *testing.T, text string) {
		if parses(text, markFiles) != parses(text, func(*chart.Chart) {}) {
			t.Errorf("%q", text)
		}
	})
}

func mustChart(files map[string][]byte) *chart.Chart {
	buffered := []*loader.BufferedFile{{Name: "Chart.yaml", Data: []byte("{apiVersion: v2, name: web, version: 1.0.0}")}}
	for name, data := range files {
		buffered = append(buffered, &loader.BufferedFile{Name: name, Data: data})
	}
	c, err := loader.LoadFiles(buffered)
	if err != nil {
		panic(err)
	}
	return c
}

// thirty is a chart of 30 objects of the usual kind.
func thirty(b *testing.B) map[string][]byte {
	files := readTree(b, "testdata/helm-web/input")
	web := files["templates/deployment.yaml"]
	delete(files, "templates/tests/connection.yaml")
	for i := range 24 {
		name := fmt.Sprintf("templates/deployment-%02d.yaml", i)
		files[name] = []byte(strings.Replace(string(web), `name: {{ include "web.fullname" . }}`, fmt.Sprintf(`name: {{ include "web.fullname" . }}-%d`, i), 1))
	}
	return files
}

func BenchmarkRender(b *testing.B) {
	in := Input{Bundle: "web", Files: thirty(b)}
	caps := &Capabilities{KubernetesVersion: "v1.31.2", APIs: []string{"v1"}}
	for b.Loop() {
		out, err := Render(b.Context(), in, caps)
		if err != nil || len(out.Objects) != 30 {
			b.Fatal(len(out.Objects), err)
		}
	}
}

// BenchmarkBareEngine is Helm alone: load, values, one execution; nothing is read, checked or compared.
func BenchmarkBareEngine(b *testing.B) {
	files := thirty(b)
	for b.Loop() {
		c, err := loader.LoadFiles(below(files, "."))
		must(b, err)
		must(b, chartutil.ProcessDependenciesWithMerge(c, nil))
		values, err := chartutil.ToRenderValues(c, nil, chartutil.ReleaseOptions{Name: "web", Namespace: "default", Revision: 1, IsInstall: true}, nil)
		must(b, err)
		_, err = engine.Render(c, values)
		must(b, err)
	}
}
