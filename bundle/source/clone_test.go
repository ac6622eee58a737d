package source_test

import (
	"os"
	"path/filepath"
	"testing"

	"flotilla.io/flotilla/bundle/source"
	"flotilla.io/flotilla/demo/gitserver"
)

func TestClone(t *testing.T) {
	f := newFixture(t, gitserver.Options{})
	first := f.push(t, "first", map[string]string{"app/x.yaml": "x: 1\n", "link": "-> app/x.yaml"})
	git(t, f.clone, "push", "--quiet", "origin", "HEAD:refs/tags/v1")
	second := f.push(t, "second", map[string]string{"app/x.yaml": "x: 2\n"})
	for _, c := range []struct {
		rule             string
		branch, revision string
		commit, content  string
		head             string // as Git names it
	}{
		{"a branch is checked out", "main", "", second, "x: 2\n", "main"},
		{"a tag is checked out", "", "v1", first, "x: 1\n", "HEAD"},
		{"a commit is checked out", "", first, first, "x: 1\n", "HEAD"},
		{"a revision goes before a branch, as on the hub", "main", "v1", first, "x: 1\n", "HEAD"},
	} {
		t.Run(c.rule, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "to")
			req := f.req
			req.Branch, req.Revision = c.branch, c.revision
			revision, err := source.Clone(t.Context(), req, dir)
			must(t, err)
			if revision.Commit != c.commit || source.Head(filepath.Join(dir, "app")) != c.commit {
				t.Errorf("it is at %s and Head says %s, want %s", revision.Commit, source.Head(dir), c.commit)
			}
			contains(t, os.DirFS(dir), "link", c.content)
			if status := git(t, dir, "status", "--porcelain"); status != "" {
				t.Errorf("git status says %s", status)
			}
			if head := git(t, dir, "rev-parse", "--abbrev-ref", "HEAD"); head != c.head {
				t.Errorf("HEAD is %s, want %s", head, c.head)
			}
		})
	}
}

func TestCloneThatFails(t *testing.T) {
	f := newFixture(t, gitserver.Options{})
	f.push(t, "first", map[string]string{"x": "x"})
	t.Run("it leaves an empty directory empty", func(t *testing.T) {
		dir := t.TempDir()
		req := f.req
		req.Branch = "release"
		_, err := source.Clone(t.Context(), req, dir)
		refused(t, err, source.RefNotFound, "release", "main")
		if left, _ := os.ReadDir(dir); len(left) > 0 {
			t.Errorf("it left %v", left)
		}
	})
	t.Run("it writes into no directory that has files", func(t *testing.T) {
		dir := t.TempDir()
		must(t, os.WriteFile(filepath.Join(dir, "mine"), []byte("mine"), 0o600))
		if _, err := source.Clone(t.Context(), f.req, dir); err == nil {
			t.Error("it did")
		}
		contains(t, os.DirFS(dir), "mine", "mine")
	})
}

func TestHeadOfNoRepository(t *testing.T) {
	if head := source.Head(t.TempDir()); head != "" {
		t.Errorf("it has a commit, %s", head)
	}
}
