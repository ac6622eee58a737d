package source_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"flotilla.io/flotilla/bundle/source"
	"flotilla.io/flotilla/demo/gitserver"
)

func TestLastChanged(t *testing.T) {
	f := newFixture(t, gitserver.Options{})
	first := f.push(t, "First", map[string]string{"web/a.yaml": "a: 1\n", "db/b.yaml": "b: 1\n", "link/x": "-> ../shared/x", "shared/x": "1\n"})
	second := f.push(t, "Second", map[string]string{"web/a.yaml": "a: 2\n"})
	git(t, f.clone, "checkout", "--quiet", "-b", "side")
	f.commit(t, "On the side", map[string]string{"db/c.yaml": "c: 1\n"})
	git(t, f.clone, "checkout", "--quiet", "main")
	shared := f.push(t, "Shared", map[string]string{"shared/x": "2\n"})
	git(t, f.clone, "merge", "--quiet", "--no-ff", "-m", "Merge side", "side")
	merge := f.push(t, "Empty", nil)
	merge = git(t, f.clone, "rev-parse", merge+"^")
	broken := f.push(t, "New", map[string]string{"new/y": "1\n"})

	tree, tip := f.fetch(t, f.req)
	if tip.Commit != broken {
		t.Fatalf("tip is %s, want %s", tip.Commit, broken)
	}
	for _, row := range []struct{ rule, path, commit string }{
		{"a directory is the commit that changed it", "web", second},
		{"a file is the commit that changed it", "web/a.yaml", second},
		{"a file of the first commit is that", "db/b.yaml", first},
		{"what a merge brought is the merge", "db", merge},
		{"a change of what a link leads to counts", "link", shared},
		{"what is new is the commit that made it", "new", broken},
		{"the root is the commit that changed anything", ".", broken},
	} {
		t.Run(row.rule, func(t *testing.T) {
			got, err := source.LastChanged(t.Context(), tree, row.path)
			must(t, err)
			if got.Commit != row.commit || got.OrEarlier || got.Branch != "main" || got.Author != "Ann" {
				t.Errorf("got %+v, want commit %s", got, row.commit)
			}
		})
	}
	if _, err := source.LastChanged(t.Context(), tree, "nowhere"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a path that is not there: %v", err)
	}
}

// grow adds n commits to main in one go, each of which changes the file "count" only.
func (f *fixture) grow(t *testing.T, n int) {
	t.Helper()
	base := git(t, f.clone, "rev-parse", "main")
	var stream strings.Builder
	for i := range n {
		fmt.Fprintf(&stream, "commit refs/heads/main\ncommitter Ann <ann@example.com> %d +0000\ndata 5\nCount\n", time.Now().Unix())
		if i == 0 {
			fmt.Fprintf(&stream, "from refs/heads/main^0\n")
		}
		content := fmt.Sprintf("%d on %s", i, base)
		fmt.Fprintf(&stream, "M 100644 inline count\ndata %d\n%s\n", len(content), content)
	}
	file := filepath.Join(t.TempDir(), "stream")
	must(t, os.WriteFile(file, []byte(stream.String()), 0o644))
	git(t, f.clone, "-c", "alias.import=!git fast-import --quiet < "+file, "import")
	git(t, f.clone, "reset", "--quiet", "--hard", "main")
	git(t, f.clone, "push", "--quiet", "origin", "main")
}

func TestLongHistories(t *testing.T) {
	f := newFixture(t, gitserver.Options{})
	root := f.push(t, "First", map[string]string{"a.yaml": "a: 1\n", "back.yaml": "was here\n"})
	f.commit(t, "Take away", map[string]string{"back.yaml": ""})
	start := f.commit(t, "Change", map[string]string{"web/a.yaml": "a: 2\n"})
	f.grow(t, source.HistoryDepth+20)

	tree, _ := f.fetch(t, f.req)
	contains(t, tree, "a.yaml", "a: 1\n")
	oldest, err := source.LastChanged(t.Context(), tree, "web")
	must(t, err)
	if !oldest.OrEarlier || oldest.Commit == start {
		t.Errorf("beyond the history at hand it says so, got %+v", oldest)
	}
	if n := git(t, f.clone, "rev-list", "--count", oldest.Commit+"..HEAD"); n != fmt.Sprint(source.HistoryDepth-1) {
		t.Errorf("the first fetch reaches %s commits back, want %d", n, source.HistoryDepth-1)
	}

	// What only the part that was left out held comes back.
	f.push(t, "Bring back", map[string]string{"back.yaml": "was here\n"})
	tree, _ = f.fetch(t, f.req)
	contains(t, tree, "back.yaml", "was here\n")
	again, err := source.LastChanged(t.Context(), tree, "web")
	must(t, err)
	if again.Commit != oldest.Commit {
		t.Errorf("the oldest at hand stays the same while it grows, got %s, want %s", again.Commit, oldest.Commit)
	}

	// A gap larger than the depth.
	f.grow(t, source.HistoryDepth+20)
	tree, _ = f.fetch(t, f.req)
	contains(t, tree, "back.yaml", "was here\n")
	contains(t, tree, "a.yaml", "a: 1\n")

	for _, row := range []struct{ rule, server, commit string }{
		{"a server that gives out tips only is asked for all", "", root},
		{"a server that gives out any reachable commit is asked for it", "uploadpack.allowReachableSHA1InWant", root},
	} {
		t.Run(row.rule, func(t *testing.T) {
			if row.server != "" {
				git(t, f.serverDir(t)+"/apps.git", "config", row.server, "true")
			}
			for _, mirrors := range []*source.Mirrors{f.Mirrors, source.NewMirrors(source.Options{Dir: t.TempDir(), Local: true})} {
				req := f.req
				req.Revision = row.commit
				tree, revision, err := mirrors.Fetch(t.Context(), req)
				must(t, err)
				if revision.Commit != row.commit {
					t.Errorf("got %s, want %s", revision.Commit, row.commit)
				}
				contains(t, tree, "back.yaml", "was here\n")
				if _, err := tree.Stat("web"); !errors.Is(err, fs.ErrNotExist) {
					t.Errorf("a later directory is there: %v", err)
				}
				req.Revision = strings.Repeat("ab", 20)
				_, _, err = mirrors.Fetch(t.Context(), req)
				refused(t, err, source.RefNotFound, f.req.URL)
			}
		})
	}
}

func TestARepositoryOnDiskThatIsShallow(t *testing.T) {
	f := newFixture(t, gitserver.Options{})
	f.push(t, "First", map[string]string{"a.yaml": "a: 1\n"})
	second := f.push(t, "Second", map[string]string{"b.yaml": "b: 1\n"})
	shallow := t.TempDir()
	git(t, shallow, "clone", "--quiet", "--depth=1", f.req.URL, "clone")
	for _, dir := range []string{shallow + "/clone", f.clone} {
		tree, revision := f.fetch(t, source.Request{URL: dir})
		if revision.Commit != second || revision.Branch != "main" {
			t.Errorf("got %+v, want %s on main", revision, second)
		}
		contains(t, tree, "a.yaml", "a: 1\n")
	}
	f.commit(t, "Third", map[string]string{"a.yaml": "a: 3\n"})
	tree, _ := f.fetch(t, source.Request{URL: f.clone})
	contains(t, tree, "a.yaml", "a: 3\n")
	worktree := t.TempDir() + "/linked"
	git(t, f.clone, "worktree", "add", "--quiet", "-b", "linked", worktree)
	tree, _ = f.fetch(t, source.Request{URL: worktree})
	contains(t, tree, "a.yaml", "a: 3\n")
	git(t, t.TempDir(), "init", "--quiet", "empty")
	_, _, err := f.Fetch(t.Context(), source.Request{URL: emptyRepository(t)})
	refused(t, err, source.RepoEmpty)
}

func emptyRepository(t *testing.T) string {
	dir := t.TempDir()
	git(t, dir, "init", "--quiet")
	return dir
}

func TestManyBranchesInOneMirror(t *testing.T) {
	f := newFixture(t, gitserver.Options{})
	f.push(t, "First", map[string]string{"a.yaml": "a: 1\n"})
	tips := map[string]string{}
	for round := range 3 {
		for _, branch := range []string{"one", "two", "three"} {
			if round == 0 {
				git(t, f.clone, "checkout", "--quiet", "-b", branch, "main")
			}
			git(t, f.clone, "checkout", "--quiet", branch)
			tips[branch] = f.commit(t, "Change", map[string]string{branch: fmt.Sprint(round)})
			git(t, f.clone, "push", "--quiet", "origin", branch)
			req := f.req
			req.Branch = branch
			f.server.ResetCounts("apps")
			tree, revision := f.fetch(t, req)
			if revision.Commit != tips[branch] {
				t.Errorf("%s is %s, want %s", branch, revision.Commit, tips[branch])
			}
			contains(t, tree, branch, fmt.Sprint(round))
			if c := f.server.Counts("apps"); c.Packs != 1 || c.Sent > 2000 {
				t.Errorf("one commit on %s cost %+v", branch, c)
			}
		}
	}
}
