// Package examples holds a fleet repo that runs, and one small fleet repo for each feature with what its clusters get.
package examples

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"flotilla.io/flotilla/api/v1alpha1"
	"flotilla.io/flotilla/bundle/preview"
	"flotilla.io/flotilla/bundle/reader"
	"flotilla.io/flotilla/bundle/render"
	"flotilla.io/flotilla/bundle/source"
	"flotilla.io/flotilla/integrationtests/golden"
	"flotilla.io/flotilla/pipeline"
)

// kubernetes is the version of the clusters.
const kubernetes = "v1.37.2"

// TestFeatures shows what each cluster of features/*/clusters.yaml gets of features/*/repo, as `flotilla render` does, and compares with
// features/*/expected/<cluster>.yaml.
func TestFeatures(t *testing.T) {
	dirs, err := filepath.Glob("features/*/gitrepo.yaml")
	must(t, err)
	if len(dirs) == 0 {
		t.Fatal("there are no features")
	}
	for _, file := range dirs {
		dir := filepath.Dir(file)
		t.Run(filepath.Base(dir), func(t *testing.T) { checkFeature(t, dir) })
	}
}

func checkFeature(t *testing.T, dir string) {
	tree, err := source.Dir(filepath.Join(dir, "repo"))
	must(t, err)
	gitRepo := &v1alpha1.GitRepo{}
	must(t, yaml.UnmarshalStrict(read(t, filepath.Join(dir, "gitrepo.yaml")), gitRepo))
	repo := reader.Repo{Name: gitRepo.Name, Namespace: gitRepo.Namespace, Spec: gitRepo.Spec, Labels: gitRepo.Labels}
	fleet := preview.Fleet{Capabilities: render.Capabilities{KubernetesVersion: kubernetes, APIs: render.BuiltIn()}}
	fleet.Clusters, fleet.Groups, err = pipeline.ParseClusters(read(t, filepath.Join(dir, "clusters.yaml")))
	must(t, err)
	shown, err := preview.Show(t.Context(), tree, repo, nil, fleet)
	must(t, err)
	expected := map[string]*bytes.Buffer{}
	for _, c := range fleet.Clusters {
		expected[c.Name] = &bytes.Buffer{}
	}
	for _, outcome := range shown {
		write(t, expected[outcome.Cluster], outcome)
	}
	for cluster, got := range expected {
		golden.Compare(t, filepath.Join(dir, "expected", cluster+".yaml"), got.Bytes())
	}
	refuseStale(t, filepath.Join(dir, "expected"), expected)
}

// write shows one bundle on one cluster: what concerns it besides its objects stands in comments.
func write(t *testing.T, w *bytes.Buffer, o preview.Outcome) {
	switch {
	case o.Err != nil:
		fmt.Fprintf(w, "---\n# %s\n", o.Err)
		return
	case o.Target == "":
		fmt.Fprintf(w, "---\n# bundle %s: not for this cluster\n", o.Bundle)
		return
	}
	fmt.Fprintf(w, "---\n# bundle %s, target %s\n", o.Bundle, o.Target)
	for _, note := range o.Notes {
		fmt.Fprintf(w, "# %s\n", note)
	}
	w.WriteString(comments(t, o))
	for i, u := range o.Objects {
		data, err := yaml.Marshal(u.Object)
		must(t, err)
		if i > 0 {
			w.WriteString("---\n")
		}
		w.Write(data)
	}
}

// comments are the options and settings that show in no object: charts, values and patches do.
func comments(t *testing.T, o preview.Outcome) string {
	options := o.Options
	if options.Helm != nil {
		helm := *options.Helm
		helm.Values, helm.Chart, helm.DisablePreProcess, helm.DisableDependencyUpdate = nil, "", false, false
		options.Helm = &helm
	}
	options.Kustomize, options.YAML = nil, nil
	settings := map[string]any{}
	for _, part := range []any{options, struct {
		Paused          bool                      `json:"paused,omitempty"`
		DependsOn       []v1alpha1.BundleRef      `json:"dependsOn,omitempty"`
		RolloutStrategy *v1alpha1.RolloutStrategy `json:"rolloutStrategy,omitempty"`
	}{o.Spec.Paused, o.Spec.DependsOn, o.Spec.RolloutStrategy}} {
		data, err := yaml.Marshal(part)
		must(t, err)
		must(t, yaml.Unmarshal(data, &settings))
	}
	for key, value := range settings {
		if inner, ok := value.(map[string]any); ok && len(inner) == 0 {
			delete(settings, key)
		}
	}
	if len(settings) == 0 {
		return ""
	}
	data, err := yaml.Marshal(settings)
	must(t, err)
	return "#   " + strings.ReplaceAll(strings.TrimSpace(string(data)), "\n", "\n#   ") + "\n"
}

// refuseStale finds what is expected of clusters that there are not.
func refuseStale(t *testing.T, dir string, clusters map[string]*bytes.Buffer) {
	entries, err := os.ReadDir(dir)
	must(t, err)
	for _, entry := range entries {
		if clusters[strings.TrimSuffix(entry.Name(), ".yaml")] == nil {
			t.Errorf("%s: there is no such cluster", filepath.Join(dir, entry.Name()))
		}
	}
}

// TestIndexNamesEveryFeature holds the README against the folders.
func TestIndexNamesEveryFeature(t *testing.T) {
	index := string(read(t, "features/README.md"))
	entries, err := os.ReadDir("features")
	must(t, err)
	var missing []string
	for _, entry := range entries {
		if entry.IsDir() && !strings.Contains(index, "| ["+entry.Name()+"]("+entry.Name()+") |") {
			missing = append(missing, entry.Name())
		}
	}
	if slices.Sort(missing); len(missing) > 0 {
		t.Errorf("features/README.md has no row for %s", strings.Join(missing, ", "))
	}
}

func read(t *testing.T, file string) []byte {
	t.Helper()
	data, err := os.ReadFile(file)
	must(t, err)
	return data
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
