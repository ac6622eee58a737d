package source_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"flotilla.io/flotilla/bundle/source"
	"flotilla.io/flotilla/demo/gitserver"
)

func TestWhatARequestNames(t *testing.T) {
	f := newFixture(t, gitserver.Options{})
	first := f.push(t, "First", map[string]string{"a.yaml": "a: 1\n"})
	git(t, f.clone, "tag", "-a", "-m", "Release", "v1")
	git(t, f.clone, "tag", "light")
	second := f.push(t, "Second", map[string]string{"a.yaml": "a: 2\n"})
	git(t, f.clone, "push", "--quiet", "--tags", "origin", "HEAD:refs/heads/next/big")
	git(t, f.clone, "branch", "next/big")
	bare := "file://" + filepath.Join(f.serverDir(t), "apps.git")

	for _, row := range []struct {
		rule             string
		branch, revision string
		commit, told     string
	}{
		{"a branch is its tip", "main", "", second, "main"},
		{"a branch may be given in full", "refs/heads/main", "", second, "main"},
		{"a branch may hold slashes", "next/big", "", second, "next/big"},
		{"an annotated tag is the commit behind it", "", "v1", first, ""},
		{"a light tag is its commit", "", "light", first, ""},
		{"a tag may be given in full", "", "refs/tags/v1", first, ""},
		{"a commit of 40 digits is itself", "", first, first, ""},
		{"a revision goes before a branch", "main", "v1", first, ""},
		{"with neither, and without master, it is HEAD's branch", "", "", second, "main"},
	} {
		for _, url := range []string{f.req.URL, bare, strings.TrimPrefix(bare, "file://"), f.clone} {
			t.Run(row.rule+"/"+scheme(url), func(t *testing.T) {
				mirrors := source.NewMirrors(source.Options{Dir: t.TempDir(), Local: true})
				req := source.Request{URL: url, Branch: row.branch, Revision: row.revision}
				head, err := mirrors.Head(t.Context(), req)
				must(t, err)
				_, revision, err := mirrors.Fetch(t.Context(), req)
				must(t, err)
				if head != row.commit || revision.Commit != row.commit || revision.Branch != row.told {
					t.Errorf("Head %s, Fetch %s on %q; want %s on %q", head, revision.Commit, revision.Branch, row.commit, row.told)
				}
			})
		}
	}

	git(t, f.clone, "push", "--quiet", "origin", first+":refs/heads/master")
	if _, revision := f.fetch(t, source.Request{URL: f.req.URL}); revision.Commit != first || revision.Branch != "master" {
		t.Errorf("with neither, and with master, got %s on %q, want %s on master", revision.Commit, revision.Branch, first)
	}
}

func scheme(url string) string {
	before, _, found := strings.Cut(url, "://")
	switch {
	case found:
		return before
	case strings.HasSuffix(url, ".git"):
		return "bare"
	}
	return "worktree"
}

func (f *fixture) serverDir(t *testing.T) string {
	return filepath.Dir(git(t, f.clone, "remote", "get-url", "origin"))
}

func TestARevisionSaysWhoAndWhen(t *testing.T) {
	f := newFixture(t, gitserver.Options{})
	t.Setenv("GIT_COMMITTER_DATE", "2026-03-04T05:06:07Z")
	commit := f.push(t, "Raise the replicas\n\nThe rest is not shown.", map[string]string{"a.yaml": "a: 1\n"})
	_, got := f.fetch(t, f.req)
	want := source.Revision{Commit: commit, Author: "Ann", Email: "ann@example.com", Subject: "Raise the replicas",
		Time: time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC), Branch: "main"}
	if got != want {
		t.Errorf("got %+v\nwant %+v", got, want)
	}
}

func TestWhatARequestCosts(t *testing.T) {
	f := newFixture(t, gitserver.Options{})
	noise := strings.Repeat("0123456789abcdef", 64)
	for i := range 200 {
		write(t, f.clone, map[string]string{fmt.Sprintf("dir%d/file%d", i%10, i): fmt.Sprintf("%d %x %s", i, i*7919, noise)})
	}
	first := f.push(t, "First", nil)
	cost := func(call func()) gitserver.Counts {
		f.server.ResetCounts("apps")
		call()
		return f.server.Counts("apps")
	}
	full := cost(func() { f.fetch(t, f.req) })
	t.Logf("first fetch: %+v", full)
	if full.Lists != 1 || full.Packs != 1 {
		t.Errorf("the first fetch is one listing and one pack, got %+v", full)
	}

	poll := cost(func() {
		head, err := f.Head(t.Context(), f.req)
		must(t, err)
		if head != first {
			t.Errorf("Head is %s, want %s", head, first)
		}
	})
	t.Logf("poll: %+v", poll)
	if poll.Lists != 1 || poll.Packs != 0 || poll.Sent > 1000 {
		t.Errorf("an unchanged poll is one small listing, got %+v", poll)
	}
	if again := cost(func() { f.fetch(t, f.req) }); again.Lists != 1 || again.Packs != 0 {
		t.Errorf("a fetch of what is there is one listing, got %+v", again)
	}
	pinned := f.req
	pinned.Revision = first
	if c := cost(func() { f.fetch(t, pinned) }); c != (gitserver.Counts{}) {
		t.Errorf("a fetch of a commit that is there asks nobody, got %+v", c)
	}
	if c := cost(func() { _, err := f.Head(t.Context(), pinned); must(t, err) }); c != (gitserver.Counts{}) {
		t.Errorf("the head of a commit asks nobody, got %+v", c)
	}

	f.push(t, "Second", map[string]string{"dir3/file3": "changed\n"})
	change := cost(func() {
		tree, _ := f.fetch(t, f.req)
		contains(t, tree, "dir3/file3", "changed\n")
	})
	t.Logf("one changed file: %+v", change)
	if change.Lists != 1 || change.Packs != 1 || change.Sent > 2000 || change.Sent > full.Sent/5 {
		t.Errorf("a change of one file of 200 transfers just that, got %+v after %+v for all", change, full)
	}

	restarted := source.NewMirrors(source.Options{Dir: f.dir, Local: true})
	f.push(t, "Third", map[string]string{"dir4/file4": "changed\n"})
	after := cost(func() {
		_, _, err := restarted.Fetch(t.Context(), f.req)
		must(t, err)
	})
	if after.Packs != 1 || after.Sent > 2000 {
		t.Errorf("after a restart a change transfers just that, got %+v", after)
	}
}

func TestThoseWhoFetchAtTheSameTimeShareOneTransfer(t *testing.T) {
	f := newFixture(t, gitserver.Options{})
	commit := f.push(t, "First", map[string]string{"a.yaml": "a: 1\n"})
	const callers = 50
	var all sync.WaitGroup
	for range callers {
		all.Go(func() {
			tree, revision, err := f.Fetch(t.Context(), f.req)
			if err != nil || revision.Commit != commit {
				t.Errorf("got %s, %v", revision.Commit, err)
				return
			}
			contains(t, tree, "a.yaml", "a: 1\n")
		})
	}
	all.Wait()
	c := f.server.Counts("apps")
	t.Logf("%d callers: %+v", callers, c)
	if c.Packs != 1 || c.Lists > 3 {
		t.Errorf("%d callers made %+v, want one pack and a few listings", callers, c)
	}
}

func TestAFetchIsNeverOlderThanItsCall(t *testing.T) {
	f := newFixture(t, gitserver.Options{})
	backend, err := url.Parse(f.req.URL)
	must(t, err)
	backend.Path = ""
	proxy := httputil.NewSingleHostReverseProxy(backend)
	listed, goOn := make(chan struct{}), make(chan struct{})
	var once sync.Once
	slow := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost { // the first pack waits, long after the refs were listed
			once.Do(func() { close(listed); <-goOn })
		}
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(slow.Close)
	req := source.Request{URL: slow.URL + "/apps.git", Branch: "main"}

	first := f.push(t, "First", map[string]string{"a.yaml": "a: 1\n"})
	var callers sync.WaitGroup
	fetches := func(want string) {
		_, revision, err := f.Fetch(t.Context(), req)
		if err != nil || revision.Commit != want {
			t.Errorf("got %s (%v), want %s", revision.Commit, err, want)
		}
	}
	callers.Go(func() { fetches(first) })
	<-listed
	second := f.push(t, "Second", map[string]string{"a.yaml": "a: 2\n"})
	for range 10 {
		callers.Go(func() { fetches(second) })
	}
	ctx, cancel := testContext(t)
	defer cancel()
	_, _, err = f.Fetch(ctx, req)
	refused(t, err, source.Timeout) // and one that cannot wait does not
	head, err := f.Head(t.Context(), req)
	must(t, err)
	if head != second {
		t.Errorf("while a transfer goes on, Head is %s, want %s", head, second)
	}
	close(goOn)
	callers.Wait()
	if c := f.server.Counts("apps"); c.Packs != 2 {
		t.Errorf("two states cost %+v, want two packs", c)
	}
}

func TestHistoryRewritten(t *testing.T) {
	f := newFixture(t, gitserver.Options{})
	f.push(t, "First", map[string]string{"a.yaml": "a: 1\n", "kept.yaml": "kept\n"})
	before := f.push(t, "Second", map[string]string{"a.yaml": "a: 2\n"})
	oldTree, _ := f.fetch(t, f.req)

	git(t, f.clone, "reset", "--quiet", "--hard", "HEAD~1")
	amended := f.push(t, "Second, other", map[string]string{"a.yaml": "a: 3\n"})
	tree, revision := f.fetch(t, f.req)
	if revision.Commit != amended {
		t.Errorf("after a force-push got %s, want %s", revision.Commit, amended)
	}
	contains(t, tree, "a.yaml", "a: 3\n")
	contains(t, tree, "kept.yaml", "kept\n")
	contains(t, oldTree, "a.yaml", "a: 2\n")

	git(t, f.clone, "checkout", "--quiet", "--orphan", "fresh")
	unrelated := f.push(t, "Unrelated", map[string]string{"a.yaml": "", "b.yaml": "b: 1\n"})
	git(t, f.serverDir(t)+"/apps.git", "-c", "gc.reflogExpire=now", "gc", "--quiet", "--prune=now")
	if tree, revision = f.fetch(t, f.req); revision.Commit != unrelated {
		t.Errorf("after a push of unrelated history got %s, want %s", revision.Commit, unrelated)
	}
	contains(t, tree, "b.yaml", "b: 1\n")
	contains(t, tree, "kept.yaml", "kept\n")

	pinned := f.req
	pinned.Revision = before // gone from the server
	if tree, _ = f.fetch(t, pinned); tree != nil {
		contains(t, tree, "a.yaml", "a: 2\n")
	}
}

func TestTheLastGoodStays(t *testing.T) {
	for _, row := range []struct {
		rule   string
		harm   func(t *testing.T, f *fixture)
		reason string
		says   []string
	}{
		{"a branch that vanished", func(t *testing.T, f *fixture) {
			git(t, f.clone, "push", "--quiet", "origin", "HEAD:refs/heads/next", "HEAD:refs/heads/mains")
			git(t, f.serverDir(t)+"/apps.git", "update-ref", "-d", "refs/heads/main")
		}, source.RefNotFound, []string{`branch "main" does not exist`, "mains, next", `did you mean "mains"?`}},
		{"a repository that was emptied", func(t *testing.T, f *fixture) {
			git(t, f.serverDir(t)+"/apps.git", "update-ref", "-d", "refs/heads/main")
		}, source.RepoEmpty, []string{"no commits"}},
		{"a repository that is gone", func(t *testing.T, f *fixture) {
			must(t, os.RemoveAll(f.serverDir(t)+"/apps.git"))
		}, source.RepoNotFound, []string{f404}},
		{"a repository that became private", func(t *testing.T, f *fixture) {
			f.server.Protect("apps", "ann", "s3cret")
		}, source.AuthFailed, []string{"asks for credentials"}},
		{"a server that is away", func(t *testing.T, f *fixture) {
			must(t, f.server.Close())
		}, source.Unreachable, []string{"connection refused"}},
		{"an object that the server lost", func(t *testing.T, f *fixture) {
			f.push(t, "Broken", map[string]string{"a.yaml": "a: lost\n"})
			blob := git(t, f.clone, "rev-parse", "HEAD:a.yaml")
			must(t, os.Remove(filepath.Join(f.serverDir(t), "apps.git/objects", blob[:2], blob[2:])))
		}, source.FetchFailed, nil},
	} {
		t.Run(row.rule, func(t *testing.T) {
			f := newFixture(t, gitserver.Options{})
			good := f.push(t, "First", map[string]string{"a.yaml": "a: 1\n"})
			tree, _ := f.fetch(t, f.req)
			row.harm(t, f)
			for range 2 {
				_, _, err := f.Fetch(t.Context(), f.req)
				refused(t, err, row.reason, append(row.says, f.req.URL)...)
			}
			contains(t, tree, "a.yaml", "a: 1\n")
			for _, mirrors := range []*source.Mirrors{f.Mirrors, source.NewMirrors(source.Options{Dir: f.dir, Local: true})} {
				pinned := f.req
				pinned.Revision = good
				again, _, err := mirrors.Fetch(t.Context(), pinned)
				must(t, err)
				contains(t, again, "a.yaml", "a: 1\n")
			}
		})
	}
}

const f404 = "no such repository"

func TestAMirrorThatCannotBeReadIsMadeAnew(t *testing.T) {
	f := newFixture(t, gitserver.Options{})
	f.push(t, "First", map[string]string{"a.yaml": "a: 1\n"})
	f.fetch(t, f.req)
	indexes, err := filepath.Glob(filepath.Join(f.dir, "*/objects/pack/*.idx"))
	must(t, err)
	if len(indexes) != 1 {
		t.Fatalf("want one index in the mirror, got %v", indexes)
	}
	must(t, os.Chmod(indexes[0], 0o600))
	must(t, os.Truncate(indexes[0], 100))
	tree, _, err := source.NewMirrors(source.Options{Dir: f.dir, Local: true}).Fetch(t.Context(), f.req)
	must(t, err)
	contains(t, tree, "a.yaml", "a: 1\n")
}

func TestManySmallPacksBecomeOne(t *testing.T) {
	f := newFixture(t, gitserver.Options{})
	req := source.Request{URL: f.clone}
	var trees []source.Tree
	for i := range 40 {
		f.commit(t, "Next", map[string]string{"a.yaml": fmt.Sprintf("a: %d\n", i), fmt.Sprintf("dir/%d", i): "x\n"})
		tree, _ := f.fetch(t, req)
		trees = append(trees, tree)
		contains(t, trees[0], "a.yaml", "a: 0\n")
	}
	packs, err := filepath.Glob(filepath.Join(f.dir, "*/objects/pack/*.pack"))
	must(t, err)
	if len(packs) >= 33 {
		t.Errorf("40 fetches left %d packs", len(packs))
	}
	for i, tree := range trees {
		contains(t, tree, "a.yaml", fmt.Sprintf("a: %d\n", i))
	}
	restarted, _, err := source.NewMirrors(source.Options{Dir: f.dir, Local: true}).Fetch(t.Context(), req)
	must(t, err)
	contains(t, restarted, "dir/0", "x\n")
}
