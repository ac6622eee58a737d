package lint

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"flotilla.io/flotilla/api/v1alpha1"
	"flotilla.io/flotilla/bundle/fleetyaml"
	"flotilla.io/flotilla/bundle/reader"
	"flotilla.io/flotilla/bundle/render"
	"flotilla.io/flotilla/bundle/source"
)

const chart = "apiVersion: v2\nname: app\nversion: 1.0.0\n"

const (
	deployment = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: x}\n"
	patch      = "[{op: add, path: /spec, value: {}}]"
)

func TestWhatIsJudged(t *testing.T) {
	template := "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {{ .Values.names.first }}\n"
	for _, c := range []struct {
		rule  string
		files map[string]string // of the bundle app
		want  string            // the problems, one a line
	}{
		{"a sound bundle has no problem", map[string]string{"fleet.yaml": "namespace: x\n", "x.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\n"}, ""},
		{"a mistake that only one customization shows is found", map[string]string{"Chart.yaml": chart, "templates/x.yaml": template,
			"fleet.yaml": "helm: {values: {names: {first: x}}}\ntargetCustomizations:\n- clusterSelector: {matchExpressions: [{key: env, operator: In, values: [a, b]}]}\n  helm: {values: {names: 3}}\n"},
			"app/templates/x.yaml:4:3: error: <.Values.names.first>: can't evaluate field first in type interface {}"},
		{"a group's customization is tried, too", map[string]string{"Chart.yaml": chart, "templates/x.yaml": template,
			"fleet.yaml": "helm: {values: {names: {first: x}}}\ntargetCustomizations:\n- clusterGroup: canary\n  helm: {values: {names: 3}}\n"},
			"app/templates/x.yaml:4:3: error: <.Values.names.first>: can't evaluate field first in type interface {}"},
		{"a label that a value asks for is not judged", map[string]string{"Chart.yaml": chart, "fleet.yaml": "helm:\n  values: {x: \"${ .ClusterLabels.region }\"}\n"}, ""},
		{"a mistake that several clusters show is told once", map[string]string{"Chart.yaml": chart, "templates/x.yaml": template,
			"fleet.yaml": "targetCustomizations: [{clusterName: a, helm: {values: {x: 1}}}, {clusterName: b, helm: {values: {x: 2}}}]\n"},
			"app/templates/x.yaml:4:3: error: <.Values.names.first>: what stands before .first is not set"},
		{"a valuesFile that is missing is told at its key", map[string]string{"Chart.yaml": chart, "fleet.yaml": "helm:\n  valuesFiles:\n  - none.yaml\n"},
			"app/fleet.yaml:3:5: error: helm.valuesFiles[0]: there is no file \"app/none.yaml\""},
		{"an object that stands there twice is told", map[string]string{"fleet.yaml": "", "x.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\n", "y.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\n"},
			"app/y.yaml:1:1: error: "},
		{"a patch that no object is for is told at its target", map[string]string{"x.yaml": deployment,
			"fleet.yaml": "kustomize:\n  patches:\n  - target: {kind: Deployment, name: x}\n    patch: '" + patch + "'\n  - target: {kind: Deployment, name: z}\n    patch: '" + patch + "'\n"},
			"app/fleet.yaml:5:13: warning: kustomize.patches[1].target: no object matches, so the patch changes nothing; there is Deployment x"},
		{"and so is one of a customization", map[string]string{"x.yaml": deployment,
			"fleet.yaml": "kustomize: {patches: [{target: {name: x}, patch: '" + patch + "'}]}\ntargetCustomizations:\n- clusterName: a\n  kustomize:\n    patches:\n    - target: {name: x}\n      patch: '" + patch + "'\n    - target: {name: z}\n      patch: '" + patch + "'\n"},
			"app/fleet.yaml:8:15: warning: targetCustomizations[0].kustomize.patches[1].target: no object matches"},
		{"a patch for an object that one cluster alone has is sound", map[string]string{"Chart.yaml": chart,
			"templates/x.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: other}\n{{ if .Values.x }}\n---\n" + deployment + "{{ end }}",
			"fleet.yaml":       "kustomize: {patches: [{target: {name: x}, patch: '" + patch + "'}]}\ntargetCustomizations: [{clusterName: a, helm: {values: {x: true}}}]\n"}, ""},
		{"what only a cluster renders is not judged where it needs one", map[string]string{"Chart.yaml": chart,
			"templates/x.yaml": "{{ .Values.needed.here }}\n", "fleet.yaml": "helm: {valuesFrom: [{secretKeyRef: {name: x}}]}\nkustomize: {patches: [{target: {name: x}, patch: '" + patch + "'}]}\n"}, ""},
		{"what only a cluster renders is judged where it needs none", map[string]string{"Chart.yaml": chart,
			"templates/x.yaml": "a: {{ randAlpha 5 }}\n", "fleet.yaml": ""}, "app/templates/x.yaml:1:1: error: "},
	} {
		t.Run(c.rule, func(t *testing.T) {
			lines := strings.Split(c.want, "\n")
			got := check(t, c.files)
			if c.want == "" {
				lines = nil
			}
			if len(got) != len(lines) {
				t.Fatalf("got %q, want %q", got, lines)
			}
			for i, want := range lines {
				if !strings.HasPrefix(got[i], want) {
					t.Errorf("got %q, want %q", got[i], want)
				}
			}
		})
	}
}

func check(t *testing.T, files map[string]string) (lines []string) {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		file := filepath.Join(dir, "app", name)
		must(t, os.MkdirAll(filepath.Dir(file), 0o755))
		must(t, os.WriteFile(file, []byte(content), 0o644))
	}
	tree, err := source.Dir(dir)
	must(t, err)
	repo := reader.Repo{Name: "repo", Namespace: "fleet-default", Spec: v1alpha1.GitRepoSpec{
		Targets: []v1alpha1.GitTarget{{Name: "all", ClusterSelector: &metav1.LabelSelector{}}},
	}}
	result, err := Check(context.Background(), tree, repo, nil, MadeUp{Capabilities: render.Capabilities{KubernetesVersion: "v1.37.2"}})
	must(t, err)
	for _, p := range result.Problems {
		lines = append(lines, p.String())
	}
	return lines
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestFieldsAreFoundInTheFile(t *testing.T) {
	settings, err := fleetyaml.Parse("fleet.yaml", []byte("targets: [{name: a}]\ntargetCustomizations: [{name: b}, {name: c}]\noverrideTargets: [{name: d}]\n"))
	must(t, err)
	for _, c := range []struct{ rule, field, want string }{
		{"of the bundle itself", "spec.helm.chart", "helm.chart"},
		{"targets of the file come first", "spec.targets[0].helm.chart", "targets[0].helm.chart"},
		{"then its customizations", "spec.targets[2].helm.chart", "targetCustomizations[1].helm.chart"},
		{"then what overrides the GitRepo's targets", "spec.targets[3].helm.chart", "overrideTargets[0].helm.chart"},
	} {
		t.Run(c.rule, func(t *testing.T) {
			if got := settingsPath(settings, c.field); got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
}
