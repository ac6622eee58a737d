package reader

import (
	"strings"
	"testing"

	"flotilla.io/flotilla/api/v1alpha1"
)

func TestPatchesFromFiles(t *testing.T) {
	for _, c := range []struct {
		rule, settings string
		files          []string
		want, kept     string // the first patch of the place, and the files that stay
	}{
		{"a file is read in, and is no manifest", "kustomize: {patches: [{path: p.yaml}]}\n", []string{"app/p.yaml: a: b\n"}, "a: b\n", "x.yaml"},
		{"one in a directory", "kustomize: {patches: [{path: ./patches/p.yaml}]}\n", []string{"app/patches/p.yaml: a: b\n"}, "a: b\n", "x.yaml"},
		{"one outside of the bundle", "kustomize: {patches: [{path: ../p.yaml}]}\n", []string{"p.yaml: a: b\n"}, "a: b\n", "x.yaml"},
		{"a byte order mark is no part of it", "kustomize: {patches: [{path: p.yaml}]}\n", []string{"app/p.yaml: \ufeffa: b\n"}, "a: b\n", "x.yaml"},
		{"a kustomization may name it, too, so it stays there", "kustomize: {patches: [{path: p.yaml}]}\n", []string{"app/p.yaml: a: b\n", "app/kustomization.yaml: {}\n"}, "a: b\n", "kustomization.yaml p.yaml x.yaml"},
		{"an inline one stays as it is", "kustomize: {patches: [{patch: \"c: d\"}]}\n", nil, "c: d", "x.yaml"},
	} {
		t.Run(c.rule, func(t *testing.T) {
			f := one(t, c.settings, v1alpha1.GitRepoSpec{}, c.files...)
			if f.Err != nil {
				t.Fatal(f.Err)
			}
			p := f.Bundle.Spec.Kustomize.Patches[0]
			if p.Patch != c.want || p.Path != "" || strings.Join(keys(f), " ") != c.kept {
				t.Errorf("patch %+v, files %v", p, keys(f))
			}
		})
	}
}

func TestPatchFilesOfTargets(t *testing.T) {
	spec := v1alpha1.GitRepoSpec{Targets: []v1alpha1.GitTarget{{Name: "all"}}}
	spec.Targets[0].Kustomize = &v1alpha1.KustomizeOptions{Patches: []v1alpha1.KustomizePatch{{Path: "p.yaml"}}}
	f := one(t, "targetCustomizations: [{name: c, kustomize: {patches: [{path: q.yaml}]}}]\n", spec, "app/p.yaml: a: b\n", "app/q.yaml: c: d\n")
	got := f.Bundle.Spec.Targets
	if f.Err != nil || got[0].Kustomize.Patches[0].Patch != "c: d\n" || got[1].Kustomize.Patches[0].Patch != "a: b\n" || spec.Targets[0].Kustomize.Patches[0].Path != "p.yaml" {
		t.Errorf("error %v, targets %+v; the GitRepo itself stays as it was", f.Err, got)
	}
}

func TestPatchFileMistakes(t *testing.T) {
	for _, c := range []struct{ rule, settings, want string }{
		{"a missing file is told with the likely one", "kustomize:\n  patches:\n  - path: prod.yml\n", `app/fleet.yaml:3:11: kustomize.patches[0].path: there is no file "app/prod.yml"; did you mean "prod.yaml"?`},
		{"a file stays in the repository", "kustomize: {patches: [{path: ../../p.yaml}]}\n", `app/fleet.yaml:1:30: kustomize.patches[0].path: "../../p.yaml" leaves the repository`},
	} {
		t.Run(c.rule, func(t *testing.T) {
			found, err := Read(treeOf("app/fleet.yaml: "+c.settings, "app/x.yaml", "app/prod.yaml: a: b\n"), repo("app"))
			if err != nil || len(found) != 1 || found[0].Err == nil || found[0].Err.Error() != c.want {
				t.Errorf("%v\ngot  %+v\nwant %s", err, found, c.want)
			}
		})
	}
}
