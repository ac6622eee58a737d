package examples

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"flotilla.io/flotilla/api/v1alpha1"
	"flotilla.io/flotilla/bundle/lint"
	"flotilla.io/flotilla/bundle/preview"
	"flotilla.io/flotilla/bundle/reader"
	"flotilla.io/flotilla/bundle/render"
	"flotilla.io/flotilla/bundle/source"
	"flotilla.io/flotilla/bundle/source/charts"
	"flotilla.io/flotilla/bundle/target"
	"flotilla.io/flotilla/integrationtests/golden"
	"flotilla.io/flotilla/pipeline"
)

// TestPacks shows what each cluster of testdata/packs/<pack>/clusters.yaml gets of packs/<pack> with the inputs of inputs.yaml beside it, and
// compares with expected/<cluster>.yaml. Of a chart from elsewhere it shows which one it is, and the values that it gets.
func TestPacks(t *testing.T) {
	for _, pack := range packs(t) {
		t.Run(pack, func(t *testing.T) {
			dir, tree, inputs := open(t, pack)
			fleet := preview.Fleet{Capabilities: render.Capabilities{KubernetesVersion: kubernetes, APIs: render.BuiltIn()}, Inputs: inputs}
			var err error
			fleet.Clusters, fleet.Groups, err = pipeline.ParseClusters(read(t, filepath.Join(dir, "clusters.yaml")))
			must(t, err)
			shown, err := preview.Show(t.Context(), tree, everyone(pack), standIns, fleet)
			must(t, err)
			expected := map[string]*bytes.Buffer{}
			for _, c := range fleet.Clusters {
				expected[c.Name] = &bytes.Buffer{}
			}
			for _, outcome := range shown {
				write(t, expected[outcome.Cluster], outcome)
			}
			for cluster, got := range expected {
				golden.Compare(t, filepath.Join(dir, "expected", cluster+".yaml"), pem.ReplaceAll(got.Bytes(), []byte("(made for the cluster)")))
			}
			refuseStale(t, filepath.Join(dir, "expected"), expected)
		})
	}
}

// pem finds, in base64, keys and certificates, which are others each time that they are made.
var pem = regexp.MustCompile(`LS0tLS1CRUdJTi[A-Za-z0-9+/=]+`)

// TestPacksAreSound holds `flotilla lint` against the packs.
func TestPacksAreSound(t *testing.T) {
	for _, pack := range packs(t) {
		t.Run(pack, func(t *testing.T) {
			_, tree, inputs := open(t, pack)
			on := lint.MadeUp{Capabilities: render.Capabilities{KubernetesVersion: kubernetes, APIs: render.BuiltIn()}, Inputs: inputs}
			result, err := lint.Check(t.Context(), tree, everyone(pack), standIns, on)
			must(t, err)
			for _, p := range result.Problems {
				t.Error(p)
			}
		})
	}
}

// TestEveryPackHasItsPage holds docs/packs against the folders.
func TestEveryPackHasItsPage(t *testing.T) {
	for _, pack := range packs(t) {
		if _, err := os.Stat("../docs/packs/" + pack + ".md"); err != nil {
			t.Error(err)
		}
		if index := string(read(t, "../docs/packs/README.md")); !strings.Contains(index, "| ["+pack+"]("+pack+".md) |") {
			t.Errorf("docs/packs/README.md has no row for %s", pack)
		}
	}
}

func packs(t *testing.T) []string {
	t.Helper()
	entries, err := os.ReadDir("packs")
	must(t, err)
	var names []string
	for _, e := range entries {
		if e.IsDir() {
			names = append(names, e.Name())
		}
	}
	if len(names) == 0 {
		t.Fatal("there are no packs")
	}
	return names
}

// open gives what belongs to a pack: the folder with what is expected, its tree, and its inputs.
func open(t *testing.T, pack string) (dir string, tree reader.Tree, inputs target.Assumed) {
	t.Helper()
	dir = filepath.Join("testdata", "packs", pack)
	tree, err := source.Dir(filepath.Join("packs", pack))
	must(t, err)
	if data, err := os.ReadFile(filepath.Join(dir, "inputs.yaml")); err == nil {
		inputs, err = target.ParseAssumed(data)
		must(t, err)
	}
	return dir, tree, inputs
}

// everyone is a GitRepo for all clusters: packs pick theirs by labels.
func everyone(pack string) reader.Repo {
	return reader.Repo{Name: pack, Namespace: v1alpha1.DefaultWorkspace, Spec: v1alpha1.GitRepoSpec{
		Targets: []v1alpha1.GitTarget{{Name: "default", ClusterSelector: &metav1.LabelSelector{}}},
	}}
}

// standIns gives, for a chart from elsewhere, the one that stands in for it in the tests with clusters; else one that shows what it is
// and its values.
func standIns(string) reader.ChartFetcher { return standIn{} }

type standIn struct{}

func (standIn) Fetch(_ context.Context, ref charts.Ref) (*charts.Chart, error) {
	if ref.Moving() {
		return nil, fmt.Errorf("chart %s: a pack pins the versions of its charts", ref)
	}
	name := path.Base(ref.Repo + "/" + ref.Chart)
	if dir := filepath.Join("..", "integrationtests", "packs", "charts", name); exists(dir) {
		return load(dir, ref.Version)
	}
	return &charts.Chart{Version: ref.Version, Files: map[string][]byte{
		"Chart.yaml": fmt.Appendf(nil, "apiVersion: v2\nname: %s\nversion: %s\n", name, ref.Version),
		"templates/chart.yaml": fmt.Appendf(nil, "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: the-chart-%s}\ndata:\n  chart: %q\n  release: {{ .Release.Name }}\n"+
			"  values: |\n{{ .Values | toYaml | indent 4 }}\n", name, ref),
	}}, nil
}

func exists(dir string) bool {
	_, err := os.Stat(dir)
	return err == nil
}

// load reads a chart's folder, without what it defines.
func load(dir, version string) (*charts.Chart, error) {
	c := &charts.Chart{Version: version, Files: map[string][]byte{}}
	files := os.DirFS(dir)
	return c, fs.WalkDir(files, ".", func(name string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() || strings.HasPrefix(name, "crds/") {
			return err
		}
		c.Files[name], err = fs.ReadFile(files, name)
		return err
	})
}

// TestChartsOfOneRepositoryHaveOneVersion: what is released together is deployed together.
func TestChartsOfOneRepositoryHaveOneVersion(t *testing.T) {
	for _, pack := range packs(t) {
		files, err := filepath.Glob("packs/" + pack + "/*/fleet.yaml")
		must(t, err)
		versions := map[string]string{}
		for _, file := range files {
			var bundle struct {
				Helm struct{ Repo, Version string }
			}
			must(t, yaml.Unmarshal(read(t, file), &bundle))
			repo, version := bundle.Helm.Repo, bundle.Helm.Version
			if was, known := versions[repo]; known && repo != "" && was != version {
				t.Errorf("%s: version %s of %s, elsewhere in the pack it is %s", file, version, repo, was)
			}
			versions[repo] = version
		}
	}
}
