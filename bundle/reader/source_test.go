package reader

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"flotilla.io/flotilla/bundle/source"
)

// disk writes files to a directory and opens it as the CLI does. A content "-> x" makes a symbolic link to x.
func disk(t *testing.T, files map[string]string) source.Tree {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		file := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		var err error
		if to, link := strings.CutPrefix(content, "-> "); link {
			err = os.Symlink(to, file)
		} else {
			err = os.WriteFile(file, []byte(content), 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	tree, err := source.Dir(dir)
	if err != nil {
		t.Fatal(err)
	}
	return tree
}

// TestRealTree reads what bundle/source gives, links among it.
func TestRealTree(t *testing.T) {
	for _, c := range []struct {
		rule  string
		files map[string]string
		want  string // the files, or what the error has in it after "!"
	}{
		{"a link to a file is that file", map[string]string{"a/x.yaml": "a: b", "a/y.yaml": "-> x.yaml"}, "x.yaml y.yaml"},
		{"a link to a file elsewhere in the repository, too", map[string]string{"a/x.yaml": "-> ../shared.yaml", "a/z.yaml": "", "shared.yaml": "a: b"}, "x.yaml z.yaml"},
		{"a link to a directory is refused", map[string]string{"a/x.yaml": "a: b", "a/sub": "-> ../other", "other/y.yaml": ""}, "!a/sub: a symbolic link to a directory"},
		{"a link out of the repository is refused", map[string]string{"a/x.yaml": "a: b", "a/passwd.yaml": "-> /etc/passwd"}, "!a/passwd.yaml"},
		{"a link in a circle is refused", map[string]string{"a/x.yaml": "a: b", "a/y.yaml": "-> y.yaml"}, "!a/y.yaml"},
	} {
		t.Run(c.rule, func(t *testing.T) {
			found, err := Read(disk(t, c.files), repo("a"))
			if err != nil || len(found) != 1 {
				t.Fatalf("%v, %v", found, err)
			}
			if part, fails := strings.CutPrefix(c.want, "!"); fails {
				if found[0].Err == nil || !strings.Contains(found[0].Err.Error(), part) {
					t.Errorf("got %v, want %s in it", found[0].Err, part)
				}
			} else if got := strings.Join(keys(found[0]), " "); got != c.want || found[0].Err != nil {
				t.Errorf("got %s, %v; want %s", got, found[0].Err, c.want)
			}
		})
	}
	tree := disk(t, map[string]string{"apps/web/x.yaml": "a: b"})
	if _, err := Read(tree, repo("apps/wbe")); err == nil || !strings.HasSuffix(err.Error(), `did you mean "apps/web"?`) {
		t.Errorf("got %v", err)
	}
	if found, err := Read(tree, repo("apps/*")); err != nil || len(found) != 1 || !slices.Equal(keys(found[0]), []string{"x.yaml"}) || found[0].TreeHash == "" {
		t.Errorf("%+v, %v", found, err)
	}
}
