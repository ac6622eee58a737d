package source_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"flotilla.io/flotilla/bundle/source"
	"flotilla.io/flotilla/demo/gitserver"
)

// fixture is a Git server with one repository, "apps", a clone of it that pushes, and mirrors of their own.
type fixture struct {
	*source.Mirrors
	server *gitserver.Server
	clone  string // a work tree on branch main, with nothing committed yet
	dir    string // of the mirrors
	req    source.Request
}

func newFixture(t *testing.T, o gitserver.Options) *fixture {
	t.Helper()
	isolate(t)
	o.Dir = t.TempDir()
	server, err := gitserver.New(o)
	must(t, err)
	must(t, server.Start(t.Context()))
	t.Cleanup(func() { server.Close() })
	must(t, server.Create("apps"))
	f := &fixture{server: server, clone: t.TempDir(), dir: filepath.Join(t.TempDir(), "mirrors")}
	f.Mirrors = source.NewMirrors(source.Options{Dir: f.dir, Local: true})
	f.req = source.Request{URL: server.URL("apps"), Branch: "main", Auth: source.Auth{CABundle: server.CA()}}
	git(t, f.clone, "init", "--quiet", "--initial-branch=main")
	git(t, f.clone, "remote", "add", "origin", filepath.Join(o.Dir, "apps.git"))
	return f
}

// isolate keeps the user's gitconfig out.
func isolate(t *testing.T) {
	t.Setenv("HOME", t.TempDir())
	t.Setenv("GIT_CONFIG_NOSYSTEM", "1")
	for _, who := range []string{"AUTHOR", "COMMITTER"} {
		t.Setenv("GIT_"+who+"_NAME", "Ann")
		t.Setenv("GIT_"+who+"_EMAIL", "ann@example.com")
	}
}

// commit writes files (content "" removes) and commits them. It returns the commit.
func (f *fixture) commit(t *testing.T, subject string, files map[string]string) string {
	t.Helper()
	write(t, f.clone, files)
	git(t, f.clone, "add", "--all")
	git(t, f.clone, "commit", "--quiet", "--allow-empty", "-m", subject)
	return git(t, f.clone, "rev-parse", "HEAD")
}

// push commits files to main and pushes.
func (f *fixture) push(t *testing.T, subject string, files map[string]string) string {
	t.Helper()
	commit := f.commit(t, subject, files)
	git(t, f.clone, "push", "--quiet", "--force", "origin", "HEAD:refs/heads/main")
	return commit
}

func (f *fixture) fetch(t *testing.T, req source.Request) (source.Tree, source.Revision) {
	t.Helper()
	tree, revision, err := f.Fetch(t.Context(), req)
	must(t, err)
	return tree, revision
}

func write(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for name, content := range files {
		file := filepath.Join(dir, name)
		must(t, os.RemoveAll(file))
		if content == "" {
			continue
		}
		must(t, os.MkdirAll(filepath.Dir(file), 0o755))
		if target, isLink := strings.CutPrefix(content, "-> "); isLink {
			must(t, os.Symlink(target, file))
		} else {
			must(t, os.WriteFile(file, []byte(content), 0o644))
		}
	}
}

func git(t *testing.T, dir string, args ...string) string {
	t.Helper()
	c := exec.Command("git", args...)
	c.Dir = dir
	out, err := c.CombinedOutput()
	if err != nil {
		t.Fatalf("git %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out))
}

// contains fails unless name holds content.
func contains(t *testing.T, tree fs.FS, name, content string) {
	t.Helper()
	got, err := fs.ReadFile(tree, name)
	if err != nil || string(got) != content {
		t.Errorf("%s holds %q (%v), want %q", name, got, err, content)
	}
}

// refused fails unless err is an *Error of that reason whose text holds all of want.
func refused(t *testing.T, err error, reason string, want ...string) {
	t.Helper()
	var known *source.Error
	if !errors.As(err, &known) {
		t.Fatalf("got %v, want an *Error with reason %s", err, reason)
	}
	if known.Reason != reason {
		t.Errorf("reason is %s, want %s: %v", known.Reason, reason, err)
	}
	for _, w := range want {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("the error does not say %q: %v", w, err)
		}
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func testContext(t *testing.T) (context.Context, context.CancelFunc) {
	return context.WithTimeout(t.Context(), 200*time.Millisecond)
}
