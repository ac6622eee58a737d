package gitserver_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"flotilla.io/flotilla/demo/gitserver"
)

// fixture is a running server, a clone of its repository "apps" and what its pushes announced.
type fixture struct {
	*gitserver.Server
	clone  string
	seed   string // the seeded commit
	pushes chan string
}

func newFixture(t *testing.T, o gitserver.Options) *fixture {
	t.Helper()
	t.Setenv("HOME", t.TempDir()) // empty: nothing may come from a gitconfig
	t.Setenv("GIT_CONFIG_NOSYSTEM", "1")
	f := &fixture{pushes: make(chan string, 100), clone: filepath.Join(t.TempDir(), "clone")}
	o.Dir = t.TempDir()
	o.OnPush = func(repo, ref, commit string) { f.pushes <- fmt.Sprintf("%s %s %s", repo, ref, commit) }
	server, err := gitserver.New(o)
	must(t, err)
	must(t, server.Start(t.Context()))
	t.Cleanup(func() { server.Close() })
	f.Server = server
	f.seed, err = server.Seed("apps", tree(t, map[string]string{"web/a.yaml": "a: 1\n", "run.sh": "#!"}))
	must(t, err)
	return f
}

func TestAPushIsServedAndAnnounced(t *testing.T) {
	f := newFixture(t, gitserver.Options{})
	git(t, ".", "clone", "--quiet", f.URL("apps"), f.clone)
	if got := git(t, f.clone, "log", "--format=%H %an <%ae> %D"); !strings.Contains(got, f.seed+" Flotilla Demo <demo@flotilla.io> HEAD -> main") {
		t.Errorf("log of the clone: %s", got)
	}
	must(t, os.WriteFile(filepath.Join(f.clone, "web/a.yaml"), []byte("a: 2\n"), 0o644))
	commit(t, f.clone)
	pushed := git(t, f.clone, "rev-parse", "HEAD")
	git(t, f.clone, "push", "--quiet", "origin", "main", "main:refs/heads/next")
	f.announced(t, "apps refs/heads/main "+pushed, "apps refs/heads/next "+pushed)
	git(t, f.clone, "push", "--quiet", "origin", ":next")
	f.announced(t, "apps refs/heads/next ")
	if c := f.Counts("apps"); c.Lists != 1 || c.Packs != 2 || c.Pushes != 2 || c.Sent == 0 {
		t.Errorf("one clone and two pushes counted as %+v", c)
	}
	f.ResetCounts("apps")
	if c := f.Counts("apps"); c != (gitserver.Counts{}) {
		t.Errorf("counts after a reset: %+v", c)
	}
}

func TestARefusedPushIsNotAnnounced(t *testing.T) {
	f := newFixture(t, gitserver.Options{})
	git(t, ".", "clone", "--quiet", f.URL("apps"), f.clone)
	git(t, f.clone, "checkout", "--quiet", "--orphan", "other")
	commit(t, f.clone)
	if out, err := command(f.clone, "push", "origin", "other:main").CombinedOutput(); err == nil {
		t.Fatalf("a push that is no fast-forward went through: %s", out)
	}
	git(t, f.clone, "push", "--quiet", "origin", "other:refs/heads/marker")
	f.announced(t, "apps refs/heads/marker "+git(t, f.clone, "rev-parse", "HEAD"))
}

func TestALargePushGoesThrough(t *testing.T) {
	f := newFixture(t, gitserver.Options{})
	git(t, ".", "clone", "--quiet", f.URL("apps"), f.clone)
	noise := make([]byte, 4<<20) // above http.postBuffer, so git sends it in chunks
	for i, x := 0, uint32(1); i < len(noise); i++ {
		x = x*1664525 + 1013904223
		noise[i] = byte(x >> 24)
	}
	must(t, os.WriteFile(filepath.Join(f.clone, "noise"), noise, 0o644))
	commit(t, f.clone)
	git(t, f.clone, "push", "--quiet", "origin", "main")
	f.announced(t, "apps refs/heads/main "+git(t, f.clone, "rev-parse", "HEAD"))
}

func TestAProtectedRepositoryAsksForItsOwnPassword(t *testing.T) {
	f := newFixture(t, gitserver.Options{})
	must(t, f.Create("open"))
	f.Protect("apps", "ann", "s3cret")
	with := func(userinfo string) string { return strings.Replace(f.URL("apps"), "http://", "http://"+userinfo, 1) }
	for _, row := range []struct {
		rule, url string
		served    bool
	}{
		{"no password is refused", f.URL("apps"), false},
		{"a wrong password is refused", with("ann:wrong@"), false},
		{"another user is refused", with("bob:s3cret@"), false},
		{"user and password are served", with("ann:s3cret@"), true},
		{"another repository stays open", f.URL("open"), true},
		{"a repository that is not there is not found", f.URL("nowhere"), false},
		{"a path out of the directory is not found", f.URL("../etc"), false},
	} {
		t.Run(row.rule, func(t *testing.T) {
			if out, err := command(".", "ls-remote", row.url).CombinedOutput(); (err == nil) != row.served {
				t.Errorf("served: %v, want %v: %s", err == nil, row.served, out)
			}
		})
	}
}

func TestTLSIsTrustedByItsCAOnly(t *testing.T) {
	f := newFixture(t, gitserver.Options{TLS: true})
	ca := filepath.Join(t.TempDir(), "ca.pem")
	must(t, os.WriteFile(ca, f.CA(), 0o644))
	if out, err := command(".", "ls-remote", f.URL("apps")).CombinedOutput(); err == nil {
		t.Errorf("a client without the CA was served: %s", out)
	}
	t.Setenv("GIT_SSL_CAINFO", ca)
	if got := git(t, ".", "ls-remote", f.URL("apps"), "main"); !strings.HasPrefix(got, f.seed) {
		t.Errorf("ls-remote with the CA: %s", got)
	}
}

func TestSeedingAgain(t *testing.T) {
	f := newFixture(t, gitserver.Options{})
	same, err := f.Seed("apps", tree(t, map[string]string{"web/a.yaml": "a: 1\n", "run.sh": "#!"}))
	must(t, err)
	if same != f.seed {
		t.Errorf("the same files made commit %s on top of %s", same, f.seed)
	}
	next, err := f.Seed("apps", tree(t, map[string]string{"web/b.yaml": "b: 1\n", ".gitignore": "*.tmp\n", "x.tmp": "x"}))
	must(t, err)
	git(t, ".", "clone", "--quiet", f.URL("apps"), f.clone)
	files := strings.Fields(git(t, f.clone, "ls-tree", "-r", "--name-only", next))
	if want := []string{".gitignore", "web/b.yaml"}; !slices.Equal(files, want) {
		t.Errorf("other files make a commit of just those: %v, want %v", files, want)
	}
	if parent := git(t, f.clone, "rev-parse", next+"^"); parent != f.seed {
		t.Errorf("parent of the second seed is %s, want %s", parent, f.seed)
	}
}

// announced fails unless exactly these pushes are announced next, in order.
func (f *fixture) announced(t *testing.T, want ...string) {
	t.Helper()
	for _, w := range want {
		select {
		case got := <-f.pushes:
			if got != w {
				t.Errorf("announced %q, want %q", got, w)
			}
		case <-time.After(time.Minute):
			t.Fatalf("%q was not announced", w)
		}
	}
}

func tree(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		must(t, os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755))
		must(t, os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644))
	}
	return dir
}

func commit(t *testing.T, dir string) {
	t.Helper()
	git(t, dir, "add", "--all")
	git(t, dir, "-c", "user.name=Ann", "-c", "user.email=ann@example.com", "commit", "--quiet", "--allow-empty", "-m", "Change")
}

func command(dir string, args ...string) *exec.Cmd {
	c := exec.Command("git", args...)
	c.Dir = dir
	c.Env = append(os.Environ(), "GIT_TERMINAL_PROMPT=0")
	return c
}

func git(t *testing.T, dir string, args ...string) string {
	t.Helper()
	out, err := command(dir, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("git %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out))
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
