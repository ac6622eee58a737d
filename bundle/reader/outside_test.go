package reader

import (
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"flotilla.io/flotilla/api/v1alpha1"
)

func TestOutside(t *testing.T) {
	for _, c := range []struct {
		rule  string
		files []string // the bundle is in apps/web
		want  string   // its files
	}{
		{"a base next door comes along, whole", []string{"apps/web/kustomization.yaml: resources: [../base]\n", "apps/base/kustomization.yaml: resources: [x.yaml]\n", "apps/base/x.yaml", "apps/base/conf/y.txt"},
			"../base/conf/y.txt ../base/kustomization.yaml ../base/x.yaml kustomization.yaml"},
		{"next door may begin like the bundle", []string{"apps/web/kustomization.yaml: resources: [../web-base]\n", "apps/web-base/kustomization.yaml: {}\n"}, "../web-base/kustomization.yaml kustomization.yaml"},
		{"a base of a base comes along", []string{"apps/web/kustomization.yaml: bases: [../base]\n", "apps/base/kustomization.yaml: resources: [../../lib]\n", "lib/kustomization.yml: {}\n"},
			"../../lib/kustomization.yml ../base/kustomization.yaml kustomization.yaml"},
		{"components do, too", []string{"apps/web/kustomization.yaml: components: [../tls]\n", "apps/tls/Kustomization: {}\n"}, "../tls/Kustomization kustomization.yaml"},
		{"a base's base in the bundle itself is there once", []string{"apps/web/kustomization.yaml: resources: [../base]\n", "apps/base/kustomization.yaml: resources: [../web/own]\n", "apps/web/own/kustomization.yaml: {}\n"},
			"../base/kustomization.yaml kustomization.yaml own/kustomization.yaml"},
		{"files outside come along one by one", []string{"apps/web/kustomization.yaml: |\n  patches:\n  - path: ../p.yaml\n  - patch: 'a: b'\n  configMapGenerator:\n  - files: [k=../c.txt, ../d.txt]\n    envs: [../e.env]\n" +
			"  labels:\n  - fields: [{path: spec/none}]\n", "apps/p.yaml", "apps/c.txt", "apps/d.txt", "apps/e.env", "apps/other.txt"},
			"../c.txt ../d.txt ../e.env ../p.yaml kustomization.yaml"},
		{"a base around the bundle holds the bundle's files once", []string{"apps/web/kustomization.yaml: resources: [..]\n", "apps/kustomization.yaml: {}\n", "apps/web/x.yaml"}, "../kustomization.yaml kustomization.yaml x.yaml"},
		{"kustomizations in a circle end", []string{"apps/web/kustomization.yaml: resources: [../base]\n", "apps/base/kustomization.yaml: resources: [../web]\n"}, "../base/kustomization.yaml kustomization.yaml"},
		{"an inline patch is no file", []string{"apps/web/kustomization.yaml: {patchesStrategicMerge: [\"a: b\\nc: d\"]}\n"}, "kustomization.yaml"},
		{"a URL is for rendering to refuse", []string{"apps/web/kustomization.yaml: resources: ['https://example.com/x', 'github.com/a/b//c?ref=v1', 'git@example.com:a/b']\n"}, "kustomization.yaml"},
		{"hidden and ignored files of a base stay", []string{"apps/web/kustomization.yaml: resources: [../base]\n", "apps/base/kustomization.yaml: {}\n", "apps/base/.x", "apps/base/.fleetignore: *.md\n", "apps/base/a.md"},
			"../base/kustomization.yaml kustomization.yaml"},
		{"the overlay that is named is followed", []string{"apps/web/fleet.yaml: kustomize: {dir: overlays/prod}\n", "apps/web/overlays/prod/kustomization.yaml: resources: [../../../base]\n", "apps/base/kustomization.yaml: {}\n"},
			"../base/kustomization.yaml overlays/prod/kustomization.yaml"},
		{"the overlay of a customization, too", []string{"apps/web/fleet.yaml: targetCustomizations: [{clusterName: a, kustomize: {dir: ../prod}}]\n", "apps/web/x.yaml", "apps/prod/kustomization.yaml: {}\n"},
			"../prod/kustomization.yaml x.yaml"},
		{"a chart next door comes along", []string{"apps/web/fleet.yaml: helm: {chart: ../chart}\n", "apps/web/x.yaml", "apps/chart/Chart.yaml", "apps/chart/templates/y.yaml"},
			"../chart/Chart.yaml ../chart/templates/y.yaml x.yaml"},
		{"a packed chart is a chart", []string{"apps/web/fleet.yaml: helm: {chart: ../web-1.0.0.tgz}\n", "apps/web/x.yaml", "apps/web-1.0.0.tgz"}, "../web-1.0.0.tgz x.yaml"},
		{"what a chart depends on by file:// comes along, and what that depends on", []string{"apps/web/Chart.yaml: |\n  dependencies:\n  - {name: lib, repository: file://../lib}\n",
			"apps/lib/Chart.yaml: |\n  dependencies:\n  - {name: base, repository: 'file://../../base/'}\n", "apps/lib/templates/x.tpl", "base/Chart.yaml"},
			"../../base/Chart.yaml ../lib/Chart.yaml ../lib/templates/x.tpl Chart.yaml"},
		{"charts of Helm 2 name it in requirements.yaml", []string{"apps/web/Chart.yaml", "apps/web/requirements.yaml: |\n  dependencies:\n  - {name: lib, repository: file://../lib}\n", "apps/lib/Chart.yaml"},
			"../lib/Chart.yaml Chart.yaml requirements.yaml"},
		{"charts that depend on each other end", []string{"apps/web/Chart.yaml: |\n  dependencies:\n  - {name: lib, repository: file://../lib}\n", "apps/lib/Chart.yaml: |\n  dependencies:\n  - {name: web, repository: file://../web}\n"},
			"../lib/Chart.yaml Chart.yaml"},
		{"disableDependencyUpdate takes nothing up", []string{"apps/web/fleet.yaml: helm: {disableDependencyUpdate: true}\n", "apps/web/Chart.yaml: |\n  dependencies:\n  - {name: lib, repository: file://../lib}\n", "apps/lib/Chart.yaml"},
			"Chart.yaml"},
		{"the chart of a customization, too", []string{"apps/web/fleet.yaml: targetCustomizations: [{clusterName: a, helm: {chart: ../chart}}]\n", "apps/web/x.yaml", "apps/chart/Chart.yaml"},
			"../chart/Chart.yaml x.yaml"},
	} {
		t.Run(c.rule, func(t *testing.T) {
			files := treeOf(append([]string{"apps/web/fleet.yaml"}, c.files...)...)
			for _, f := range files.MapFS {
				f.Data = []byte(strings.ReplaceAll(strings.TrimPrefix(string(f.Data), "|\n  "), "\n  ", "\n"))
			}
			r := repo("apps/web")
			got := read(t, files, r)["repo-apps-web"]
			if text := strings.Join(keys(got), " "); text != c.want {
				t.Errorf("\ngot  %s\nwant %s", text, c.want)
			}
		})
	}
}

// TestTreeHash changes files one by one: the hash changes with those that a bundle was made from, and with no others.
func TestTreeHash(t *testing.T) {
	content := func() tree {
		return treeOf("apps/web/kustomization.yaml: resources: [../base]\n", "apps/web/fleet.yaml: helm: {valuesFiles: [../v.yaml]}\n", "apps/base/kustomization.yaml: {}\n",
			"apps/v.yaml: a: 1\n", "apps/other/x.yaml", "plain/x.yaml")
	}
	before := read(t, content(), repo("apps/web", "plain"))
	for _, c := range []struct {
		rule, file string
		changes    string // the bundles whose hash changes
	}{
		{"a file of its own", "apps/web/kustomization.yaml", "repo-apps-web"},
		{"its settings", "apps/web/fleet.yaml", "repo-apps-web"},
		{"a file of its base", "apps/base/kustomization.yaml", "repo-apps-web"},
		{"a values file outside", "apps/v.yaml", "repo-apps-web"},
		{"a file of another bundle", "plain/x.yaml", "repo-plain"},
		{"a file of none", "apps/other/x.yaml", ""},
	} {
		t.Run(c.rule, func(t *testing.T) {
			files := content()
			files.MapFS[c.file].Data = append(files.MapFS[c.file].Data, "# changed\n"...)
			var changed []string
			for name, f := range read(t, files, repo("apps/web", "plain")) {
				if f.TreeHash != before[name].TreeHash {
					changed = append(changed, name)
				}
			}
			if got := strings.Join(changed, " "); got != c.changes {
				t.Errorf("the hash of %q changed, want %q", got, c.changes)
			}
		})
	}
	files := content()
	if own, _ := files.Hash("plain"); before["repo-plain"].TreeHash != own {
		t.Error("without files from outside the hash is the tree's own")
	}
}

// TestTakenByAnother: what a bundle takes up from outside of its directory is not deployed a second time by the bundle around it.
func TestTakenByAnother(t *testing.T) {
	base := []string{"apps/base/kustomization.yaml: {}\n", "apps/base/x.yaml", "apps/prod/fleet.yaml", "apps/prod/kustomization.yaml: resources: [../base]\n"}
	for _, c := range []struct {
		rule  string
		paths []string
		files []string
		want  map[string]string
	}{
		{"a root with nothing but a base is no bundle", []string{"apps"}, nil, map[string]string{"repo-apps-prod": "../base/kustomization.yaml ../base/x.yaml kustomization.yaml"}},
		{"a root with more leaves the base out", []string{"apps"}, []string{"apps/y.yaml"}, map[string]string{
			"repo-apps": "prod/fleet.yaml prod/kustomization.yaml y.yaml", "repo-apps-prod": "../base/kustomization.yaml ../base/x.yaml kustomization.yaml"}},
		{"a root that is a kustomization keeps all it has", []string{"apps"}, []string{"apps/kustomization.yaml: resources: [base]\n"}, map[string]string{
			"repo-apps":      "base/kustomization.yaml base/x.yaml kustomization.yaml prod/fleet.yaml prod/kustomization.yaml",
			"repo-apps-prod": "../base/kustomization.yaml ../base/x.yaml kustomization.yaml"}},
		{"a base that is itself named by a path is a bundle", []string{"apps/base", "apps/prod"}, nil, map[string]string{
			"repo-apps-base": "kustomization.yaml x.yaml", "repo-apps-prod": "../base/kustomization.yaml ../base/x.yaml kustomization.yaml"}},
	} {
		t.Run(c.rule, func(t *testing.T) {
			got := read(t, treeOf(append(c.files, base...)...), repo(c.paths...))
			for name, want := range c.want {
				if text := strings.Join(keys(got[name]), " "); text != want {
					t.Errorf("%s:\ngot  %s\nwant %s", name, text, want)
				}
			}
			if len(got) != len(c.want) {
				t.Errorf("bundles %v", slices.Sorted(maps.Keys(got)))
			}
		})
	}
	// What is left out depends on other bundles, so the hash must follow.
	files := treeOf(append(base, "apps/y.yaml")...)
	before := read(t, files, repo("apps"))["repo-apps"].TreeHash
	if own, _ := files.Hash("apps"); own == before {
		t.Error("the hash does not tell that something was left out")
	}
}

func TestKustomizeDirOfGitRepoTargets(t *testing.T) {
	r := repo("apps/*")
	r.Spec.Targets = []v1alpha1.GitTarget{{Name: "prod", BundleDeploymentOptions: v1alpha1.BundleDeploymentOptions{Kustomize: &v1alpha1.KustomizeOptions{Dir: "overlays/prod"}}}}
	found, err := Read(treeOf("apps/chart/Chart.yaml", "apps/good/overlays/prod/kustomization.yaml: {}\n", "apps/lacks/kustomization.yaml: {}\n"), r)
	if err != nil || len(found) != 3 {
		t.Fatalf("%v, %v", found, err)
	}
	if found[0].Err != nil {
		t.Errorf("a bundle without kustomizations has no use for it: %v", found[0].Err)
	}
	if found[1].Err != nil {
		t.Errorf("it is there: %v", found[1].Err)
	}
	want := `spec.targets[0] (prod).kustomize.dir of the GitRepo, for apps/lacks: there is no kustomization in "apps/lacks/overlays/prod"`
	if err := found[2].Err; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestUnclaimed(t *testing.T) {
	const chart, kustomization = "nothing of it is deployed", "it is not built"
	for _, c := range []struct {
		rule  string
		files []string
		want  string // files of charts and kustomizations that nobody takes up
	}{
		{"a chart in a bundle's directory is its chart", []string{"a/Chart.yaml", "a/fleet.yaml"}, ""},
		{"a chart further down is nobody's", []string{"a/x.yaml", "a/web/Chart.yaml"}, "a/web/Chart.yaml"},
		{"with a fleet.yaml beside it, it is a bundle", []string{"a/x.yaml", "a/web/Chart.yaml", "a/web/fleet.yaml"}, ""},
		{"one that helm.chart names is taken up", []string{"a/fleet.yaml: helm: {chart: web}\n", "a/web/Chart.yaml"}, ""},
		{"one that a customization names, too", []string{"a/x.yaml", "a/fleet.yaml: targetCustomizations: [{clusterName: c, helm: {chart: web}}]\n", "a/web/Chart.yaml"}, ""},
		{"subcharts are the chart's", []string{"a/Chart.yaml", "a/charts/sub/Chart.yaml"}, ""},
		{"subcharts of nobody's chart are not listed", []string{"a/x.yaml", "a/web/Chart.yaml", "a/web/charts/sub/Chart.yaml"}, "a/web/Chart.yaml"},
		{"a kustomization further down is nobody's", []string{"a/x.yaml", "a/k/kustomization.yaml: {}\n"}, "a/k/kustomization.yaml"},
		{"a base is taken up by what names it", []string{"a/kustomization.yaml: resources: [base]\n", "a/base/kustomization.yaml: {}\n"}, ""},
		{"one next door, too", []string{"a/prod/fleet.yaml", "a/prod/kustomization.yaml: resources: [../base]\n", "a/base/kustomization.yaml: {}\n"}, ""},
		{"an overlay that nobody names is nobody's", []string{"a/fleet.yaml: kustomize: {dir: prod}\n", "a/prod/kustomization.yaml: {}\n", "a/dev/kustomization.yaml: {}\n"}, "a/dev/kustomization.yaml"},
		{"a chart beside helm.chart is nobody's", []string{"a/fleet.yaml: helm: {chart: web}\n", "a/web/Chart.yaml", "a/Chart.yaml"}, "a/Chart.yaml"},
		{"what is ignored is left out on purpose", []string{"a/x.yaml", "a/.fleetignore: web\n", "a/web/Chart.yaml"}, ""},
		{"hidden directories are no charts", []string{"a/x.yaml", "a/.web/Chart.yaml"}, ""},
		{"below a broken bundle nothing is said", []string{"a/fleet.yaml: nope: 1\n", "a/web/Chart.yaml"}, ""},
		{"outside of the paths nothing is said", []string{"a/x.yaml", "b/Chart.yaml"}, ""},
		{"without any bundle around it is nobody's", []string{"a/k/Kustomization: {}\n"}, "a/k/Kustomization"},
	} {
		t.Run(c.rule, func(t *testing.T) {
			files := treeOf(c.files...)
			found, err := Read(files, repo("a"))
			if err != nil {
				t.Fatal(err)
			}
			got, err := Unclaimed(files, repo("a"), found)
			if err != nil {
				t.Fatal(err)
			}
			for i := range got {
				file, what, _ := strings.Cut(got[i], ": ")
				so := kustomization
				if strings.HasSuffix(file, chartFile) {
					so = chart
				}
				if what != "no bundle takes it up, so "+so+"; put a fleet.yaml beside it, name it in one, or list it in .fleetignore" {
					t.Errorf("%s: %s", file, what)
				}
				got[i] = file
			}
			if text := strings.Join(got, " "); text != c.want {
				t.Errorf("got %s, want %s", text, c.want)
			}
		})
	}
}

func TestLimits(t *testing.T) {
	files := treeOf("a/x.yaml")
	for name, megs := range map[string]int{"a/one.bin": 40, "a/two.bin": 19, "a/three.bin": 5, "a/four.bin": 1} {
		files.MapFS[name] = &fstest.MapFile{Data: make([]byte, megs<<20)}
	}
	found, _ := Read(files, repo("a"))
	want := "a: the bundle has 65.0 MiB, the limit is 60.0 MiB; the largest files are one.bin (40.0 MiB), two.bin (19.0 MiB), three.bin (5.0 MiB); leave some out with .fleetignore"
	if len(found) != 1 || found[0].Err == nil || found[0].Err.Error() != want {
		t.Errorf("\ngot  %v\nwant %s", found[0].Err, want)
	}
	files = tree{fstest.MapFS{"a": &fstest.MapFile{Mode: fs.ModeDir}}}
	for i := range maxFiles + 1 {
		files.MapFS[fmt.Sprintf("a/%d.yaml", i)] = &fstest.MapFile{}
	}
	found, _ = Read(files, repo("a"))
	if len(found) != 1 || found[0].Err == nil || !strings.HasPrefix(found[0].Err.Error(), "a: the bundle has 10001 files, the limit is 10000") {
		t.Errorf("got %v", found[0].Err)
	}
	found, _ = Read(treeOf("a/x.yaml", "a/"+strings.Repeat("d/", 150)+"x.yaml"), repo("a"))
	if len(found) != 1 || found[0].Err == nil || !strings.Contains(found[0].Err.Error(), "more than 100 directories deep") {
		t.Errorf("got %v", found[0].Err)
	}
}
