package pipeline

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	fleet "flotilla.io/flotilla/api/v1alpha1"
)

// in makes files below a directory and goes to one of its directories.
func in(t *testing.T, cwd string, files map[string]string) {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		file := filepath.Join(dir, name)
		must(t, os.MkdirAll(filepath.Dir(file), 0o755))
		must(t, os.WriteFile(file, []byte(content), 0o644))
	}
	must(t, os.MkdirAll(filepath.Join(dir, cwd), 0o755))
	t.Chdir(filepath.Join(dir, cwd))
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

const object = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\n"

func TestNamesFollowFromPaths(t *testing.T) {
	for _, c := range []struct {
		rule, name string
		paths      []string
		want       string
	}{
		{"a path follows the name", "shop", []string{"web"}, "shop-web"},
		{"no path is the working directory", "shop", nil, "shop"},
		{"a path beside the working directory is cleaned with the name", "shop", []string{"../side"}, "side"},
		{"a longer name loses its last part to each step up", "a/shop", []string{"../side"}, "a-side"},
		{"a leading slash means the working directory where the path is there, as in Fleet", "shop", []string{"/web"}, "shop-web"},
		{"an upper-case path gets Fleet's hash", "shop", []string{"Web"}, "shop-web-47077ff5"},
		{"paths may lead to several places", "shop", []string{"web", "../side"}, "shop-web side"},
		{"a glob is taken apart", "shop", []string{"w*"}, "shop-web"},
	} {
		t.Run(c.rule, func(t *testing.T) {
			in(t, "work", map[string]string{"work/web/x.yaml": object, "work/Web/x.yaml": object, "side/x.yaml": object})
			found, err := Read(t.Context(), Source{Name: c.name, Paths: c.paths, Namespace: "fleet-local"})
			must(t, err)
			var names []string
			for _, b := range found.All {
				names = append(names, b.Name)
			}
			if got := strings.Join(names, " "); got != c.want || len(found.Broken) > 0 {
				t.Errorf("got %s (%v), want %s", got, found.Broken, c.want)
			}
		})
	}
}

func TestWhatIsReadInDoubtIsNotWhole(t *testing.T) {
	in(t, "", map[string]string{"web/x.yaml": object})
	found, err := Read(t.Context(), Source{Name: "shop", Paths: []string{"web", "gone"}})
	must(t, err)
	if found.Whole || len(found.All) != 1 || len(found.Broken) != 1 {
		t.Errorf("whole %t, %d bundles, %v", found.Whole, len(found.All), found.Broken)
	}
}

func TestTwoOfOneName(t *testing.T) {
	in(t, "work", map[string]string{"work/x.yaml": object, "side/fleet.yaml": "name: shop\n", "side/x.yaml": object})
	if _, err := Read(t.Context(), Source{Name: "shop", Paths: []string{".", "../side"}}); err == nil || !strings.Contains(err.Error(), `two of the paths make bundle "shop"`) {
		t.Errorf("got %v", err)
	}
}

// The vector was worked out apart from this code: the digest of {"resources":[{"name":"a.yaml","content":"a: <b>\n"}]} as Go
// writes it, with a line break behind.
func TestAContentIsNamedAsInFleet(t *testing.T) {
	b := &fleet.Bundle{Spec: fleet.BundleSpec{Resources: []fleet.BundleResource{{Name: "a.yaml", Content: "a: <b>\n"}}}}
	c, err := contentOf(b)
	must(t, err)
	const want = "5d56c62bc90594bf9ad45567a3db23b4179d6ea7bf0a80fb13bd519cfa441b98"
	if c.SHA256Sum != want || c.Name != ("s-" + want)[:63] {
		t.Errorf("got %s named %s, want %s", c.SHA256Sum, c.Name, want)
	}
	back, err := resourcesOf(c)
	if err != nil || len(back) != 1 || back[0] != b.Spec.Resources[0] {
		t.Errorf("it reads back as %v, %v", back, err)
	}
}

func TestALargeBundleIsRefusedWithItsLargestFiles(t *testing.T) {
	b := &fleet.Bundle{Spec: fleet.BundleSpec{Resources: []fleet.BundleResource{
		{Name: "small.yaml", Content: "x"}, {Name: "large.yaml", Content: strings.Repeat("x", maxBundle)}, {Name: "middle.yaml", Content: strings.Repeat("x", 20_000)},
	}}}
	err := fits(b)
	if err == nil || !strings.Contains(err.Error(), "the largest files are large.yaml (1250 KB), middle.yaml (20 KB), small.yaml (0 KB)") {
		t.Errorf("got %v", err)
	}
	if b.Spec.Resources = b.Spec.Resources[2:]; fits(b) != nil {
		t.Error("a small bundle is refused")
	}
}
