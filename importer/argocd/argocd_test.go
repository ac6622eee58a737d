package argocd

import (
	"flag"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/rogpeppe/go-internal/txtar"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"flotilla.io/flotilla/api/v1alpha1"
	"flotilla.io/flotilla/bundle/fleetyaml"
	"flotilla.io/flotilla/bundle/reader"
	"flotilla.io/flotilla/bundle/source"
	"flotilla.io/flotilla/bundle/target"
)

var update = flag.Bool("update", false, "rewrite golden files from the current output")

// Each file of testdata is one case: what goes in (appset.yaml, and where needed clusters.yaml and repo/), and below want/ what
// comes out: report.txt are the notes and what is not carried, on/ is what each cluster of clusters.yaml gets.
func TestImport(t *testing.T) {
	for _, file := range cases(t) {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			archive, err := txtar.ParseFile(file)
			must(t, err)
			res := imported(t, archive)
			got := append(wanted(res), onClusters(t, archive, res)...)
			if *update {
				archive.Files = append(slices.DeleteFunc(archive.Files, isWanted), got...)
				must(t, os.WriteFile(file, txtar.Format(archive), 0o644))
				return
			}
			want := slices.Clone(archive.Files)
			want = slices.DeleteFunc(want, func(f txtar.File) bool { return !isWanted(f) })
			if text := string(txtar.Format(&txtar.Archive{Files: got})); text != string(txtar.Format(&txtar.Archive{Files: want})) {
				t.Errorf("%s is stale; rerun this package with -update and read the diff\ngot:\n%s", file, text)
			}
			readable(t, res)
		})
	}
}

func cases(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob("testdata/*.txtar")
	must(t, err)
	if len(files) == 0 {
		t.Fatal("there are no cases in testdata")
	}
	return files
}

func isWanted(f txtar.File) bool { return strings.HasPrefix(f.Name, "want/") }

func imported(t *testing.T, archive *txtar.Archive) *Result {
	t.Helper()
	in, tree := Input{}, fstest.MapFS{}
	for _, f := range archive.Files {
		switch {
		case f.Name == "appset.yaml":
			in.ApplicationSets = f.Data
		case f.Name == "clusters.yaml":
			in.Clusters = f.Data
		case strings.HasPrefix(f.Name, "repo/"):
			tree[strings.TrimPrefix(f.Name, "repo/")] = &fstest.MapFile{Data: f.Data}
		}
	}
	in.Repository = func(string, string) (fs.FS, error) { return tree, nil }
	res, err := Import(in)
	must(t, err)
	return res
}

// wanted is a result as files.
func wanted(res *Result) (files []txtar.File) {
	files = append(files, txtar.File{Name: "want/hub.yaml", Data: res.Hub})
	for file, content := range res.Files {
		files = append(files, txtar.File{Name: "want/" + path.Join(path.Base(file.Repository)+"@"+file.Revision, file.Path), Data: content})
	}
	slices.SortFunc(files, func(a, b txtar.File) int { return strings.Compare(a.Name, b.Name) })
	var report strings.Builder
	for _, note := range res.Notes {
		report.WriteString("note: " + note + "\n")
	}
	for _, loss := range res.NotCarried {
		report.WriteString("not carried: " + loss.String() + "\n")
	}
	return append(files, txtar.File{Name: "want/report.txt", Data: []byte(report.String())})
}

// onClusters is what each known cluster gets from what was written: the options of each bundle, filled in for it.
func onClusters(t *testing.T, archive *txtar.Archive, res *Result) (files []txtar.File) {
	t.Helper()
	at := slices.IndexFunc(archive.Files, func(f txtar.File) bool { return f.Name == "clusters.yaml" })
	if at < 0 {
		return nil
	}
	known, err := clustersOf(archive.Files[at].Data)
	must(t, err)
	root := t.TempDir()
	put := func(name string, content []byte) {
		must(t, os.MkdirAll(filepath.Dir(filepath.Join(root, name)), 0o755))
		must(t, os.WriteFile(filepath.Join(root, name), content, 0o644))
	}
	for _, f := range archive.Files {
		if name, ok := strings.CutPrefix(f.Name, "repo/"); ok {
			put(name, f.Data)
		}
	}
	for file, content := range res.Files {
		put(file.Path, content)
	}
	tree, err := source.Dir(root)
	must(t, err)
	for _, c := range known {
		cluster := &v1alpha1.Cluster{ObjectMeta: metav1.ObjectMeta{
			Name: c.name, Namespace: v1alpha1.DefaultWorkspace, Labels: c.labels, Annotations: c.annotations,
		}}
		files = append(files, txtar.File{Name: "want/on/" + c.name + ".yaml", Data: gets(t, tree, res, cluster)})
	}
	return files
}

func gets(t *testing.T, tree source.Tree, res *Result, cluster *v1alpha1.Cluster) []byte {
	t.Helper()
	got := map[string]any{}
	for _, document := range strings.Split(string(res.Hub), "---\n") {
		repo := &v1alpha1.GitRepo{}
		must(t, yaml.Unmarshal([]byte(document), repo))
		found, err := reader.Read(tree, reader.Repo{Name: repo.Name, Namespace: repo.Namespace, Spec: repo.Spec})
		must(t, err)
		for _, f := range found {
			if f.Err != nil {
				got[f.Bundle.Name] = f.Err.Error()
				continue
			}
			m, err := target.New(f.Bundle, nil)
			must(t, err)
			if match, err := m.Match(cluster); err != nil {
				got[f.Bundle.Name] = err.Error()
			} else if match != nil {
				got[f.Bundle.Name] = match.Options
			}
		}
	}
	data, err := yaml.Marshal(got)
	must(t, err)
	return data
}

// readable checks that what is written is what this project reads, to the last key.
func readable(t *testing.T, res *Result) {
	t.Helper()
	for _, document := range strings.Split(string(res.Hub), "---\n") {
		var kind struct{ Kind string }
		must(t, yaml.Unmarshal([]byte(document), &kind))
		into := map[string]any{"GitRepo": &v1alpha1.GitRepo{}, "HelmOp": &v1alpha1.HelmOp{}}[kind.Kind]
		if into == nil && strings.TrimSpace(document) == "" {
			continue
		}
		if err := yaml.UnmarshalStrict([]byte(document), into); err != nil {
			t.Errorf("%v in\n%s", err, document)
		}
	}
	for file, content := range res.Files {
		if base := path.Base(file.Path); strings.HasPrefix(base, "fleet") {
			if _, err := fleetyaml.Parse(file.Path, content); err != nil {
				t.Errorf("%v in\n%s", err, content)
			}
		}
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
