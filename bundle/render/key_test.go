package render

import (
	"errors"
	"maps"
	"os"
	"regexp"
	"strings"
	"testing"

	"flotilla.io/flotilla/api/v1alpha1"
)

func values(pairs map[string]any) *v1alpha1.HelmOptions {
	return &v1alpha1.HelmOptions{Values: &v1alpha1.GenericMap{Data: pairs}}
}

// bundles of each style.
func charted() Input {
	return Input{Bundle: "shop-web", Files: map[string][]byte{
		"Chart.yaml":       []byte("{apiVersion: v2, name: web, version: 1.0.0}"),
		"templates/a.yaml": []byte("{apiVersion: v1, kind: ConfigMap, metadata: {name: a}, data: {a: '{{ .Values.a }}'}}"),
		"fleet.yaml":       []byte("{}"),
	}}
}

func kustomized() Input {
	return Input{Bundle: "shop-api", Files: map[string][]byte{
		"kustomization.yaml": []byte("resources: [a.yaml]"),
		"a.yaml":             []byte("{apiVersion: v1, kind: ConfigMap, metadata: {name: a}}"),
	}}
}

func plain() Input {
	return Input{Bundle: "shop-raw", Files: map[string][]byte{
		"a.yaml":            []byte("{apiVersion: v1, kind: ConfigMap, metadata: {name: a}}"),
		"overlays/x/b.yaml": []byte("{apiVersion: v1, kind: ConfigMap, metadata: {name: b}}"),
	}}
}

func TestBase(t *testing.T) {
	const same, other = true, false
	for _, row := range []struct {
		rule   string
		in     func() Input
		change func(*Input)
		want   bool
	}{
		{"the same input has the same base", charted, func(*Input) {}, same},
		{"a file more is another base", charted, func(in *Input) { in.Files["b"] = nil }, other},
		{"a byte more is another base", charted, func(in *Input) { in.Files["Chart.yaml"] = append(in.Files["Chart.yaml"], '\n') }, other},
		{"another name is another base: it is the default of the release", charted, func(in *Input) { in.Bundle = "web" }, other},
		{"values count for a chart", charted, func(in *Input) { in.Options.Helm = values(map[string]any{"a": 1}) }, other},
		{"the objects that values are read from count for a chart", charted, func(in *Input) {
			in.Options.Helm = &v1alpha1.HelmOptions{ValuesFrom: []v1alpha1.ValuesFrom{{SecretKeyRef: &v1alpha1.SecretKeySelector{}}}}
		}, other},
		{"the release name counts for a chart", charted, func(in *Input) { in.Options.Helm = &v1alpha1.HelmOptions{ReleaseName: "x"} }, other},
		{"the namespace counts for a chart", charted, func(in *Input) { in.Options.DefaultNamespace = "x" }, other},
		{"the bundle's own fleet.yaml counts through the options only", charted, func(in *Input) { in.Files["fleet.yaml"] = []byte("x") }, same},
		{"how to apply does not count", charted, func(in *Input) {
			in.Options.ServiceAccount, in.Options.KeepResources, in.Options.Helm = "x", true, &v1alpha1.HelmOptions{Force: true, TimeoutSeconds: 9}
		}, same},
		{"values do not count for a kustomization", kustomized, func(in *Input) { in.Options.Helm = values(map[string]any{"a": 1}) }, same},
		{"the namespace does not count for a kustomization", kustomized, func(in *Input) { in.Options.TargetNamespace = "x" }, same},
		{"its directory does", kustomized, func(in *Input) {
			in.Files["b/kustomization.yaml"] = nil
			in.Options.Kustomize = &v1alpha1.KustomizeOptions{Dir: "b"}
		}, other},
		{"values do not count for plain manifests", plain, func(in *Input) { in.Options.Helm = values(map[string]any{"a": 1}) }, same},
		{"they do when some are templates", plain, func(in *Input) {
			in.Files["templates/a.yaml"] = nil
			in.Options.Helm = values(map[string]any{"a": 1})
		}, other},
		{"overlays count for plain manifests", plain, func(in *Input) { in.Options.YAML = &v1alpha1.YAMLOptions{Overlays: []string{"x"}} }, other},
		{"patches of the options count for plain manifests", plain, func(in *Input) { in.Options.Kustomize = prefixed() }, other},
		{"patches of the options count for a chart", charted, func(in *Input) { in.Options.Kustomize = prefixed() }, other},
		{"kustomize.dir alone asks for no change of plain manifests", plain, func(in *Input) { in.Options.Kustomize = &v1alpha1.KustomizeOptions{Dir: "x"} }, same},
		{"they do not for a chart", charted, func(in *Input) { in.Options.YAML = &v1alpha1.YAMLOptions{Overlays: []string{"x"}} }, same},
	} {
		t.Run(row.rule, func(t *testing.T) {
			before, err := Base(row.in())
			must(t, err)
			in := row.in()
			row.change(&in)
			after, err := Base(in)
			must(t, err)
			if (before == after) != row.want {
				t.Errorf("bases %s and %s", before, after)
			}
		})
	}
}

func prefixed() *v1alpha1.KustomizeOptions { return &v1alpha1.KustomizeOptions{NamePrefix: "eu-"} }

func TestBaseRefusesPaths(t *testing.T) {
	for _, name := range []string{"/etc/passwd", "a/../b", "./a", "a//b", `a\b`, ".."} {
		if _, err := Base(Input{Files: map[string][]byte{name: nil}}); reason(err) != ReasonPathEscape {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestKey(t *testing.T) {
	a := v1alpha1.CapabilityAnswer{Question: "apis:a/v1", Answer: "true"}
	b := v1alpha1.CapabilityAnswer{Question: "kubeVersion", Answer: "v1.31.2"}
	no := v1alpha1.CapabilityAnswer{Question: "apis:a/v1", Answer: "false"}
	key := Key("base", []v1alpha1.CapabilityAnswer{a, b})
	if !regexp.MustCompile(`^[0-9a-f]{64}$`).MatchString(key) {
		t.Errorf("a key is 64 hex digits, not %s", key)
	}
	if key != Key("base", []v1alpha1.CapabilityAnswer{b, a}) {
		t.Error("the order of questions must not count")
	}
	for rule, other := range map[string]string{
		"another base is another key":          Key("other", []v1alpha1.CapabilityAnswer{a, b}),
		"another answer is another key":        Key("base", []v1alpha1.CapabilityAnswer{no, b}),
		"a question more is another key":       Key("base", []v1alpha1.CapabilityAnswer{a}),
		"no question is a key of its own":      Key("base", nil),
		"answers cannot be mistaken for a key": Key("base\n", []v1alpha1.CapabilityAnswer{a, b}),
	} {
		if other == key {
			t.Error(rule)
		}
	}
}

func TestAnswer(t *testing.T) {
	caps := &Capabilities{KubernetesVersion: "v1.31.2+k3s1", APIs: []string{"v1", "apps/v1", "networking.k8s.io/v1/Ingress"}}
	for _, row := range []struct{ question, want string }{
		{"kubeVersion", "v1.31.2+k3s1"},
		{"kubeVersion.major", "1"},
		{"kubeVersion.minor", "31"},
		{"kubeVersion:>=1.25.0", "true"},
		{"kubeVersion:<1.25.0", "false"},
		{"apis:apps/v1", "true"},
		{"apis:apps/v2", "false"},
		{"apis:networking.k8s.io/v1/Ingress", "true"},
	} {
		got, err := Answer(row.question, caps)
		if err != nil || got != row.want {
			t.Errorf("%s: %q, %v", row.question, got, err)
		}
		if _, err := Answer(row.question, nil); !errors.Is(err, ErrNotReported) {
			t.Errorf("%s of a cluster that has not reported: %v", row.question, err)
		}
	}
	if _, err := Answer("color", caps); err == nil {
		t.Error("a question that nobody knows has no answer")
	}
}

// A chart that asks for one API is one rendering for all clusters that answer alike.
func TestCapabilitiesCountOnlyWhenAsked(t *testing.T) {
	in := charted()
	in.Files["templates/b.yaml"] = []byte(`{{ if .Capabilities.APIVersions.Has "a/v1" }}{apiVersion: a/v1, kind: A, metadata: {name: a}}{{ end }}`)
	base, err := Base(in)
	must(t, err)
	keys := map[string]bool{}
	for _, apis := range [][]string{{"v1"}, {"v1", "b/v1"}, {"v1", "c/v1"}, {"a/v1"}, {"a/v1", "d/v1"}} {
		out, err := Render(t.Context(), in, &Capabilities{KubernetesVersion: "v1.30." + string(rune('0'+len(apis))), APIs: apis})
		must(t, err)
		keys[Key(base, out.Asked)] = true
	}
	if len(keys) != 2 {
		t.Errorf("5 clusters, of which 3 have no a/v1, need 2 renderings, not %d", len(keys))
	}
}

// Version must change with the libraries: they decide what an input renders to.
func TestVersionNamesLibraries(t *testing.T) {
	mod, err := os.ReadFile("../../go.mod")
	must(t, err)
	for _, lib := range strings.Fields(Version)[1:] {
		name, version, _ := strings.Cut(lib, "@")
		if !regexp.MustCompile(regexp.QuoteMeta(name+" "+version) + `\b`).Match(mod) {
			t.Errorf("go.mod has another %s than %s: put it into Version", name, version)
		}
	}
}

func TestRenderLeavesItsInput(t *testing.T) {
	for _, file := range glob(t, "testdata/*/options.yaml") {
		s := readSetting(t, read(t, file))
		files := readTree(t, strings.TrimSuffix(file, "options.yaml")+"input")
		in, again := s.input(files), s.input(files)
		for name, data := range in.Files {
			in.Files[name] = append([]byte(nil), data...)
		}
		options := *in.Options.DeepCopy()
		_, err := Render(t.Context(), in, s.Capabilities)
		must(t, err)
		if !maps.EqualFunc(in.Files, again.Files, func(a, b []byte) bool { return string(a) == string(b) }) {
			t.Errorf("%s: files were modified", file)
		}
		if before, after := contentOf(t, options), contentOf(t, in.Options); before != after {
			t.Errorf("%s: options were modified:\n%s\n%s", file, before, after)
		}
	}
}
