package reader

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"flotilla.io/flotilla/api/v1alpha1"
)

// tree is a tree in memory.
type tree struct{ fstest.MapFS }

func (t tree) Hash(name string) (string, error) {
	if _, err := fs.Stat(t, name); err != nil {
		return "", err
	}
	sum := sha256.New()
	for _, file := range slices.Sorted(maps.Keys(t.MapFS)) {
		if name == "." || file == name || strings.HasPrefix(file, name+"/") {
			fmt.Fprintf(sum, "%q %q\n", file, t.MapFS[file].Data)
		}
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}

// treeOf makes a tree of "path: content" pairs. A path alone is some YAML, or an empty fleet.yaml.
func treeOf(files ...string) tree {
	t := tree{fstest.MapFS{}}
	for _, file := range files {
		name, content, ok := strings.Cut(file, ": ")
		if !ok && !slices.Contains(settingsFiles, path.Base(name)) {
			content = "a: b\n"
		}
		t.MapFS[name] = &fstest.MapFile{Data: []byte(content), Mode: 0o644}
	}
	return t
}

func repo(paths ...string) Repo {
	return Repo{Name: "repo", Namespace: "fleet-default", Spec: v1alpha1.GitRepoSpec{Paths: paths}}
}

// read gives the bundles by name, and fails on any error.
func read(t *testing.T, files tree, r Repo) map[string]Found {
	t.Helper()
	found, err := Read(files, r)
	if err != nil {
		t.Fatal(err)
	}
	byName := map[string]Found{}
	for _, f := range found {
		if f.Err != nil {
			t.Fatalf("%s: %v", f.Path, f.Err)
		}
		byName[f.Bundle.Name] = f
	}
	return byName
}

func TestDiscovery(t *testing.T) {
	for _, c := range []struct {
		rule  string
		paths []string
		files []string
		want  string // "name=path" of each bundle
	}{
		{"without paths the whole repository is looked through", nil, []string{"a/fleet.yaml", "a/x.yaml", "b/c/fleet.yaml", "b/c/x.yaml"}, "repo-a=a repo-b-c=b/c"},
		{"a root with YAML of its own is a bundle", nil, []string{"x.yaml"}, "repo=."},
		{"YAML in a directory below counts for the root", []string{"apps"}, []string{"apps/web/x.yaml"}, "repo-apps=apps"},
		{"YAML below a fleet.yaml does not", []string{"apps"}, []string{"apps/web/fleet.yaml", "apps/web/deep/x.yaml", "apps/README.md"}, "repo-apps-web=apps/web"},
		{"the root's bundle is there beside those below", []string{"apps"}, []string{"apps/x.yaml", "apps/web/fleet.yaml", "apps/web/x.yaml"}, "repo-apps=apps repo-apps-web=apps/web"},
		{"a fleet.yaml in the root makes it a bundle", []string{"apps"}, []string{"apps/fleet.yaml", "apps/x.json"}, "repo-apps=apps"},
		{"fleet.yml is as good", []string{"apps"}, []string{"apps/web/fleet.yml", "apps/web/x.yaml"}, "repo-apps-web=apps/web"},
		{"a bundle may be in a bundle", []string{"a"}, []string{"a/fleet.yaml", "a/x.yaml", "a/b/fleet.yaml", "a/b/x.yaml"}, "repo-a=a repo-a-b=a/b"},
		{"a directory below the root without fleet.yaml is none", []string{"a"}, []string{"a/b/Chart.yaml", "a/b/templates/x.yaml"}, "repo-a=a"},
		{".yml counts as YAML, .json does not", []string{"a", "b"}, []string{"a/x.yml", "b/x.json"}, "repo-a=a"},
		{"a slash before and after changes nothing", []string{"/apps/"}, []string{"apps/x.yaml"}, "repo-apps=apps"},
		{"the root is a path, too", []string{"/"}, []string{"x.yaml"}, "repo=."},
		{"a glob names directories", []string{"apps/*"}, []string{"apps/a/x.yaml", "apps/b/x.yaml", "apps/file.yaml"}, "repo-apps-a=apps/a repo-apps-b=apps/b"},
		{"a star does not mean hidden directories", []string{"*"}, []string{".github/x.yaml", "a/x.yaml"}, "repo-a=a"},
		{"a class in a glob is understood", []string{"app-[ab]"}, []string{"app-a/x.yaml", "app-c/x.yaml"}, "repo-app-a=app-a"},
		{"two paths to one directory make one bundle", []string{"apps", "apps/*", "/apps/web"}, []string{"apps/web/fleet.yaml", "apps/web/x.yaml"}, "repo-apps-web=apps/web"},
		{"two paths to one root make one bundle", []string{"apps", "/apps/"}, []string{"apps/web/x.yaml"}, "repo-apps=apps"},
		{"a hidden directory with a fleet.yaml is a bundle", nil, []string{".x/fleet.yaml", ".x/x.yaml", "a/.y/fleet.yaml", "a/.y/x.yaml"}, "repo-x-cdbf25b2=.x repo-a-y-16cf12ff=a/.y"},
		{"what is Git's own has no bundles", nil, []string{".git/fleet.yaml", ".git/x.yaml", "a/x.yaml"}, "repo=."},
		{"a star means a hidden directory that is a bundle", []string{"*"}, []string{".x/fleet.yaml", ".x/x.yaml", ".y/x.yaml"}, "repo-x-cdbf25b2=.x"},
		{"hidden YAML makes no bundle of the root", []string{"a"}, []string{"a/.github/x.yaml", "a/.x.yaml", "a/web/fleet.yaml", "a/web/x.yaml"}, "repo-a-web=a/web"},
		{"a bundle without files is passed over", []string{"a"}, []string{"a/fleet.yaml", "a/b/fleet.yaml", "a/b/x.yaml"}, "repo-a=a repo-a-b=a/b"},
		{"a fleet.yaml alone is no bundle", []string{"a", "b"}, []string{"a/fleet.yaml", "b/x.yaml"}, "repo-b=b"},
		{"a name may be given", []string{"a"}, []string{"a/fleet.yaml: name: web\n", "a/x.yaml"}, "web=a"},
		{"a name with capitals and dots gets a hash", []string{"A/b.c"}, []string{"A/b.c/x.yaml"}, "repo-a-b-c-c6d287d1=A/b.c"},
		{"nothing to deploy is nothing", nil, []string{"README.md"}, ""},
	} {
		t.Run(c.rule, func(t *testing.T) {
			found, err := Read(treeOf(c.files...), repo(c.paths...))
			var got []string
			for _, f := range found {
				got = append(got, f.Bundle.Name+"="+f.Path)
				err = errors.Join(err, f.Err)
			}
			if err != nil {
				t.Fatal(err)
			}
			if text := strings.Join(got, " "); text != c.want {
				t.Errorf("\ngot  %s\nwant %s", text, c.want)
			}
		})
	}
}

// TestIssueExample is the repository and GitRepo of the issue.
func TestIssueExample(t *testing.T) {
	files := treeOf("apps/web/Chart.yaml: name: web\nversion: 1.0.0\n", "apps/web/fleet.yaml: {}\n", "apps/web/templates/deployment.yaml", "apps/web/values.yaml",
		"apps/api-service/production/fleet.yaml: {}\n", "apps/api-service/production/kustomization.yaml: resources: [../base]\n",
		"apps/api-service/base/kustomization.yaml: resources: [deployment.yaml]\n", "apps/api-service/base/deployment.yaml")
	r := Repo{Name: "company-apps", Namespace: "fleet-default", Spec: v1alpha1.GitRepoSpec{Paths: []string{"apps/"}, Targets: []v1alpha1.GitTarget{
		{Name: "production", ClusterSelector: selector("production"), BundleDeploymentOptions: v1alpha1.BundleDeploymentOptions{
			Helm: &v1alpha1.HelmOptions{Values: &v1alpha1.GenericMap{Data: map[string]any{"replicaCount": int64(3)}}}}},
		{Name: "development", ClusterSelector: selector("development")},
	}}}
	got := read(t, files, r)
	if names := slices.Sorted(maps.Keys(got)); !slices.Equal(names, []string{"company-apps-apps-api-service-production", "company-apps-apps-web"}) {
		t.Errorf("bundles %v", names)
	}
	if want := []string{"../base/deployment.yaml", "../base/kustomization.yaml", "kustomization.yaml"}; !slices.Equal(keys(got["company-apps-apps-api-service-production"]), want) {
		t.Errorf("files %v", keys(got["company-apps-apps-api-service-production"]))
	}
	for name, f := range got {
		spec := f.Bundle.Spec
		if len(spec.Targets) != 2 || len(spec.TargetRestrictions) != 2 || spec.Targets[0].Helm.Values.Data["replicaCount"] != int64(3) {
			t.Errorf("%s: targets %+v", name, spec.Targets)
		}
	}
}

func selector(env string) *metav1.LabelSelector {
	return &metav1.LabelSelector{MatchLabels: map[string]string{"env": env}}
}

func TestPathsThatLeadNowhere(t *testing.T) {
	files := treeOf("apps/web/x.yaml", "apps/api/x.yaml", "infra/x.yaml", "README.md", ".github/x.yaml")
	for _, c := range []struct{ rule, path, want string }{
		{"a mistyped directory is proposed", "infar", `spec.paths[1]: there is no directory "infar"; did you mean "infra"?`},
		{"deep down, too", "apps/wbe", `spec.paths[1]: there is no directory "apps/wbe"; did you mean "apps/web"?`},
		{"a mistyped parent is proposed", "aps/web", `spec.paths[1]: there is no directory "aps/web"; did you mean "apps"?`},
		{"without a likely one those beside it are listed", "apps/frontend-shop", `spec.paths[1]: there is no directory "apps/frontend-shop"; there are apps/api, apps/web`},
		{"a glob that matches nothing is told", "apps/x*", `spec.paths[1]: there is no directory "apps/x*"; there are apps/api, apps/web`},
		{"a file is no directory", "apps/web/x.yaml", `spec.paths[1]: "apps/web/x.yaml" is a file; a path names a directory, such as "apps/web"`},
		{"a path stays in the repository", "../other", `spec.paths[1]: "../other" leaves the repository`},
		{"a glob is well formed", "apps/[a", `spec.paths[1]: "apps/[a" is no glob: syntax error in pattern`},
	} {
		t.Run(c.rule, func(t *testing.T) {
			found, err := Read(files, repo("apps/web", c.path))
			if err == nil || err.Error() != c.want {
				t.Errorf("\ngot  %v\nwant %s", err, c.want)
			}
			if len(found) != 1 || found[0].Path != "apps/web" || found[0].Err != nil {
				t.Errorf("the other path's bundle goes on: %+v", found)
			}
		})
	}
}

func TestDrivenScan(t *testing.T) {
	files := treeOf("apps/web/x.yaml", "apps/web/fleet.yaml: namespace: plain\n", "apps/web/envs/prod.yaml: namespace: prod\n", "apps/web/dev.yaml: namespace: dev\n",
		"apps/web/sub/fleet.yaml", "apps/web/sub/y.yaml", "other/x.yaml")
	r := repo("other")
	r.Spec.Bundles = []v1alpha1.BundlePath{{Base: "apps/web"}, {Base: "/apps/web/", Options: "envs/prod.yaml"}, {Base: "apps/web", Options: "dev.yaml"}}
	got := read(t, files, r)
	want := map[string]string{"repo-apps-web": "plain", "repo-apps-web-envs-prod": "prod", "repo-apps-web-dev": "dev"}
	if len(got) != len(want) {
		t.Errorf("bundles %v: exactly those named, no paths, nothing below", slices.Sorted(maps.Keys(got)))
	}
	for name, namespace := range want {
		if f := got[name]; f.Bundle == nil || f.Bundle.Spec.TargetNamespace != namespace {
			t.Errorf("%s: want namespace %s of its own file", name, namespace)
		}
	}
	if f := got["repo-apps-web-dev"]; !slices.Equal(keys(f), []string{"envs/prod.yaml", "sub/fleet.yaml", "sub/y.yaml", "x.yaml"}) {
		t.Errorf("the settings file and fleet.yaml are no content: %v", keys(f))
	}
	r.Spec.Bundles = []v1alpha1.BundlePath{{Base: "apps/wbe"}, {Base: "apps/web", Options: "deev.yaml"}}
	found, err := Read(files, r)
	if want := `spec.bundles[0].base: there is no directory "apps/wbe"; did you mean "apps/web"?`; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	if want := `spec.bundles: apps/web has no file "deev.yaml"; did you mean "dev.yaml"?`; len(found) != 1 || found[0].Err == nil || found[0].Err.Error() != want {
		t.Errorf("got %+v, want %s", found, want)
	}
}

func keys(f Found) []string { return slices.Sorted(maps.Keys(f.Files)) }

func TestContent(t *testing.T) {
	for _, c := range []struct {
		rule  string
		files []string // below a/
		want  string
	}{
		{"all files count, of any kind", []string{"x.yaml", "README.md", "sub/deep/y.bin"}, "README.md sub/deep/y.bin x.yaml"},
		{"the settings do not", []string{"fleet.yaml", "x.yaml"}, "x.yaml"},
		{"under their other name neither", []string{"fleet.yml", "x.yaml"}, "x.yaml"},
		{"a fleet.yaml further down stays: it tells where another bundle begins", []string{"x.yaml", "sub/fleet.yaml", "sub/y.yaml"}, "sub/fleet.yaml sub/y.yaml x.yaml"},
		{"hidden files and directories do not count", []string{"x.yaml", ".x.yaml", ".git/config", "sub/.y/z.yaml"}, "x.yaml"},
		{"a glob in .fleetignore ignores by name, at any depth", []string{".fleetignore: *.md\n", "x.yaml", "README.md", "sub/b.md", "sub/y.yaml"}, "sub/y.yaml x.yaml"},
		{"it ignores directories, too", []string{".fleetignore: sub\n", "x.yaml", "sub/y.yaml", "other/sub/z.yaml"}, "x.yaml"},
		{"name/* ignores directories of that name, not files", []string{".fleetignore: sub/*\n", "x.yaml", "sub/y.yaml", "other/sub"}, "other/sub x.yaml"},
		{"path/*.yaml ignores nothing, as in Fleet", []string{".fleetignore: sub/*.yaml\n", "x.yaml", "sub/y.yaml"}, "sub/y.yaml x.yaml"},
		{"a path ignores nothing, as in Fleet", []string{".fleetignore: sub/y.yaml\n", "x.yaml", "sub/y.yaml"}, "sub/y.yaml x.yaml"},
		{"# begins a comment", []string{".fleetignore: #x.yaml\n\n", "#x.yaml"}, "#x.yaml"},
		{"trailing space and CR do not count", []string{".fleetignore: y.yaml  \r\nz.yaml\t\n", "x.yaml", "y.yaml", "z.yaml"}, "x.yaml"},
		{"an escaped trailing space does", []string{".fleetignore: y.yaml\\ \n", "x.yaml", "y.yaml", "y.yaml "}, "x.yaml y.yaml"},
		{"a .fleetignore further down ignores there only", []string{"sub/.fleetignore: y.yaml\n", "y.yaml", "sub/y.yaml", "sub/z.yaml", "subway/y.yaml"}, "sub/z.yaml subway/y.yaml y.yaml"},
		{"there is no negation", []string{".fleetignore: *.md\n!a.md\n", "a.md", "x.yaml"}, "x.yaml"},
	} {
		t.Run(c.rule, func(t *testing.T) {
			files := treeOf()
			for _, file := range c.files {
				maps.Copy(files.MapFS, treeOf("a/"+file).MapFS)
			}
			if got := strings.Join(keys(read(t, files, repo("a"))["repo-a"]), " "); got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
}

func TestBrokenBundlesStandAlone(t *testing.T) {
	for _, c := range []struct {
		rule  string
		files []string // of the broken bundle, below a/
		want  string   // its error begins with
	}{
		{"an unknown key", []string{"fleet.yaml: namespce: x\n"}, `a/fleet.yaml:1:1: unknown key "namespce" at the top level; did you mean "namespace"?`},
		{"broken YAML", []string{"fleet.yaml: a: [\n"}, "a/fleet.yaml:2: did not find expected node content"},
		{"a values file that is not there", []string{"fleet.yaml: helm:\n  valuesFiles:\n  - prod.yml\n", "Chart.yaml", "prod.yaml"},
			`a/fleet.yaml:3:5: helm.valuesFiles[0]: there is no file "a/prod.yml"; did you mean "prod.yaml"?`},
		{"a broken values file", []string{"fleet.yaml: helm: {chart: chart, valuesFiles: [v.yaml]}\n", "chart/Chart.yaml", "v.yaml: a: 1\na: 2\n"},
			`a/v.yaml:2:1: duplicate key "a"`},
		{"a values file outside of the repository", []string{"fleet.yaml: helm: {valuesFiles: [../../x.yaml]}\n", "Chart.yaml"},
			`a/fleet.yaml:1:22: helm.valuesFiles[0]: "../../x.yaml" leaves the repository`},
		{"a chart that is not there", []string{"fleet.yaml: helm:\n  chart: ./chrat\n", "chart/Chart.yaml"},
			`a/fleet.yaml:2:10: helm.chart: there is no a/chrat/Chart.yaml; did you mean "chart"?; a chart from a Helm repository has helm.repo, too`},
		{"a chart that is not there, of a customization", []string{"fleet.yaml: targetCustomizations:\n- helm:\n    chart: nope\n", "x.yaml"},
			"a/fleet.yaml:3:12: targetCustomizations[0].helm.chart: there is no a/nope/Chart.yaml; a chart from"},
		{"a chart that is a file", []string{"fleet.yaml: helm: {chart: web.zip}\n", "web.zip"}, `a/fleet.yaml:1:15: helm.chart: "a/web.zip" is a file; a chart is a directory or a .tgz`},
		{"a dependency that is not there", []string{"Chart.yaml: name: web\ndependencies:\n- name: lib\n  repository: file://../lib\n"}, `a/Chart.yaml:3:9: dependency lib: there is no lib/Chart.yaml`},
		{"a dependency outside of the repository", []string{"Chart.yaml: name: web\ndependencies:\n- {name: lib, repository: file://../../lib}\n"}, `a/Chart.yaml:3:10: dependency lib: "file://../../lib" leaves the repository`},
		{"a chart outside of the repository", []string{"fleet.yaml: helm: {chart: ../../x}\n", "x.yaml"}, `a/fleet.yaml:1:15: helm.chart: "../../x" leaves the repository`},
		{"a kustomization that is not there", []string{"fleet.yaml: kustomize: {dir: overlays/prodd}\n", "overlays/prod/kustomization.yaml: {}\n"},
			`a/fleet.yaml:1:18: kustomize.dir: there is no kustomization in "a/overlays/prodd"; did you mean "overlays/prod"?`},
		{"a base that is not there", []string{"kustomization.yaml: resources:\n- x.yaml\n- ../bsae\n", "x.yaml"}, `a/kustomization.yaml:3:3: resources: there is no file or directory "bsae"`},
		{"a base outside of the repository", []string{"kustomization.yaml: resources: [../../x]\n"}, `a/kustomization.yaml:1:13: resources: "../../x" leaves the repository`},
		{"a broken kustomization", []string{"kustomization.yaml: resources: [\n"}, "a/kustomization.yaml:2: did not find expected node content"},
		{"a broken .fleetignore", []string{".fleetignore: ok\n[a\n", "x.yaml"}, "a/.fleetignore:2: no valid glob"},
	} {
		t.Run(c.rule, func(t *testing.T) {
			files := treeOf("good/x.yaml")
			for _, file := range c.files {
				maps.Copy(files.MapFS, treeOf("a/"+file).MapFS)
			}
			found, err := Read(files, repo("a", "good"))
			if err != nil || len(found) != 2 {
				t.Fatalf("found %v, error %v", found, err)
			}
			if err := found[0].Err; err == nil || !strings.HasPrefix(err.Error(), c.want) {
				t.Errorf("\ngot  %v\nwant %s", err, c.want)
			}
			if found[0].Bundle.Name != "repo-a" || found[1].Err != nil || len(found[1].Files) != 1 {
				t.Errorf("the broken one keeps its name, the other goes on: %+v", found)
			}
		})
	}
}

func TestSameNameTwice(t *testing.T) {
	for _, c := range []struct {
		rule  string
		files []string
		want  string
	}{
		{"by name", []string{"a/fleet.yaml: name: web\n", "a/x.yaml", "b/fleet.yaml: name: web\n", "b/x.yaml"}, `a and b make one bundle, "web"; give each its own name in fleet.yaml`},
		{"by path", []string{"a/b/fleet.yaml", "a/b/x.yaml", "a-b/x.yaml"}, `a-b and a/b make one bundle, "repo-a-b"; give each its own name in fleet.yaml`},
	} {
		t.Run(c.rule, func(t *testing.T) {
			files := treeOf(append(c.files, "c/x.yaml")...)
			found, err := Read(files, repo("*"))
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range found {
				switch {
				case f.Path == "c" && f.Err != nil:
					t.Errorf("a third bundle is not concerned: %v", f.Err)
				case f.Path != "c" && (f.Err == nil || f.Err.Error() != c.want):
					t.Errorf("%s: got %v, want %s", f.Path, f.Err, c.want)
				}
			}
		})
	}
}

func TestNameOfABrokenBundle(t *testing.T) {
	found, _ := Read(treeOf("a/fleet.yaml: name: web\npaused: [\n", "a/x.yaml"), repo("a"))
	if len(found) != 1 || found[0].Err == nil || found[0].Bundle.Name != "web" {
		t.Errorf("a broken file still names its bundle: %+v", found)
	}
}
