package source_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"flotilla.io/flotilla/bundle/source"
	"flotilla.io/flotilla/demo/gitserver"
)

// both runs a test on the same files as a commit in a mirror and as a directory on disk.
func both(t *testing.T, files map[string]string, test func(t *testing.T, tree source.Tree)) {
	t.Helper()
	f := newFixture(t, gitserver.Options{})
	f.push(t, "Files", files)
	t.Run("git", func(t *testing.T) {
		tree, _ := f.fetch(t, f.req)
		test(t, tree)
	})
	t.Run("dir", func(t *testing.T) {
		tree, err := source.Dir(f.clone)
		must(t, err)
		test(t, tree)
	})
}

func TestATreeIsAFileSystem(t *testing.T) {
	both(t, map[string]string{"a.yaml": "a: 1\n", "web/chart/Chart.yaml": "name: web\n", "web/x.y": "x", "web.yaml": "w", "link": "-> web/x.y", "dirlink": "-> web"},
		func(t *testing.T, tree source.Tree) {
			if err := fstest.TestFS(tree, "a.yaml", "web/chart/Chart.yaml", "web/x.y", "web.yaml", "link"); err != nil {
				t.Error(err)
			}
			var walked []string
			must(t, fs.WalkDir(tree, ".", func(path string, d fs.DirEntry, err error) error {
				walked = append(walked, fmt.Sprintf("%s %v", path, d.Type()))
				return err
			}))
			want := []string{". d---------", "a.yaml ----------", "dirlink L---------", "link L---------", "web d---------", "web/chart d---------",
				"web/chart/Chart.yaml ----------", "web/x.y ----------", "web.yaml ----------"}
			if !slices.Equal(walked, want) {
				t.Errorf("walked\n%q, want\n%q", walked, want)
			}
		})
}

func TestLinks(t *testing.T) {
	files := map[string]string{
		"shared/values.yaml":  "shared\n",
		"web/values.yaml":     "-> ../shared/values.yaml",
		"web/again.yaml":      "-> values.yaml",
		"web/common":          "-> ../shared",
		"web/round":           "-> ../web/../shared/./values.yaml",
		"web/self":            "-> self",
		"web/ping":            "-> pong",
		"web/pong":            "-> ping",
		"web/absolute":        "-> /etc/passwd",
		"web/up":              "-> ../../etc/passwd",
		"web/chain":           "-> up",
		"web/updir":           "-> ../..",
		"web/outandin":        "-> ../../web/values.yaml",
		"web/dangling":        "-> nothing",
		"web/throughfile":     "-> values.yaml/x",
		"web/.GIT is a name":  "fine",
		"web/backslash\\x2dx": "fine",
	}
	both(t, files, func(t *testing.T, tree source.Tree) {
		for _, row := range []struct {
			rule, name, content, reason string
			says                        []string
		}{
			{"a link to a file is that file", "web/values.yaml", "shared\n", "", nil},
			{"a link to a link is followed", "web/again.yaml", "shared\n", "", nil},
			{"a link to a directory is followed on the way", "web/common/values.yaml", "shared\n", "", nil},
			{"a link may go up and down inside", "web/round", "shared\n", "", nil},
			{"a link to itself is a loop", "web/self", "", source.PathLoop, []string{"web/self", "circle"}},
			{"two links to each other are a loop", "web/ping", "", source.PathLoop, []string{"web/p", "circle"}},
			{"a link to the disk's root escapes", "web/absolute", "", source.PathEscape, []string{"web/absolute", `"/etc/passwd"`, "leaves"}},
			{"a link above the root escapes", "web/up", "", source.PathEscape, []string{"web/up", `"../../etc/passwd"`}},
			{"a link to one that escapes names that one", "web/chain", "", source.PathEscape, []string{"web/up", `"../../etc/passwd"`}},
			{"a link to above the root escapes", "web/updir/x", "", source.PathEscape, []string{"web/updir"}},
			{"a link out and back in escapes", "web/outandin", "", source.PathEscape, []string{"web/outandin"}},
			{"a link to nothing does not exist", "web/dangling", "", "NotExist", []string{"web/dangling"}},
			{"a link through a file does not exist", "web/throughfile", "", "NotExist", nil},
			{"what is no link does not exist", "web/none", "", "NotExist", []string{"web/none"}},
			{"a name that looks odd is served", "web/backslash\\x2dx", "fine", "", nil},
		} {
			t.Run(row.rule, func(t *testing.T) {
				data, err := tree.ReadFile(row.name)
				_, statErr := tree.Stat(row.name)
				file, openErr := tree.Open(row.name)
				switch row.reason {
				case "":
					if string(data) != row.content || errors.Join(err, statErr, openErr) != nil {
						t.Errorf("got %q, %v", data, errors.Join(err, statErr, openErr))
					}
					must(t, file.Close())
				case "NotExist":
					for _, err := range []error{err, statErr, openErr} {
						if !errors.Is(err, fs.ErrNotExist) {
							t.Errorf("got %v, want not exist", err)
						}
					}
				default:
					for _, err := range []error{err, statErr, openErr} {
						refused(t, err, row.reason, row.says...)
					}
				}
				if strings.Contains(fmt.Sprint(data, err), "root:") {
					t.Error("a file of the machine was read")
				}
			})
		}
	})
}

func TestWhatIsNotServed(t *testing.T) {
	pointer := "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393\nsize 12345\n"
	both(t, map[string]string{"web/image.tgz": pointer, "web/about-lfs.md": "see version https://git-lfs.github.com/spec/v1\noid sha256:x\n"},
		func(t *testing.T, tree source.Tree) {
			_, err := tree.ReadFile("web/image.tgz")
			refused(t, err, source.LFSPointer, "web/image.tgz", "commit the file itself")
			if _, err := tree.ReadFile("web/about-lfs.md"); err != nil {
				t.Error(err)
			}
		})

	f := newFixture(t, gitserver.Options{})
	commit := f.push(t, "First", map[string]string{"a.yaml": "a: 1\n"})
	git(t, f.clone, "update-index", "--add", "--cacheinfo", "160000,"+commit+",web/lib")
	git(t, f.clone, "commit", "--quiet", "-m", "A submodule")
	git(t, f.clone, "push", "--quiet", "origin", "main")
	tree, _ := f.fetch(t, f.req)
	contains(t, tree, "a.yaml", "a: 1\n")
	for _, name := range []string{"web/lib", "web/lib/x.yaml"} {
		_, err := tree.Open(name)
		refused(t, err, source.SubmoduleFound, "web/lib", commit)
	}
	entries, err := tree.ReadDir("web")
	must(t, err)
	if len(entries) != 1 || entries[0].IsDir() || entries[0].Type().IsRegular() {
		t.Errorf("a submodule is listed as neither file nor directory, got %v", entries)
	}
}

func TestNamesThatAreGitsOwn(t *testing.T) {
	f := newFixture(t, gitserver.Options{})
	f.commit(t, "First", map[string]string{"a.yaml": "a: 1\n"})
	req := source.Request{URL: f.clone}
	good, _ := f.fetch(t, req)
	blob := git(t, f.clone, "rev-parse", "HEAD:a.yaml")
	for _, name := range []string{".git", ".GIT", ".Git", ".git ", ".git.", ".git . ", "git~1", "GIT~1", ".g\u200cit", ".git::$INDEX_ALLOCATION", "..", "."} {
		t.Run(name, func(t *testing.T) {
			inner := mktree(t, f.clone, "100644 blob "+blob+"\t"+name+"\n")
			outer := mktree(t, f.clone, "040000 tree "+inner+"\tweb\n")
			git(t, f.clone, "update-ref", "refs/heads/main", git(t, f.clone, "commit-tree", "-p", "HEAD", "-m", "Crafted", outer))
			_, _, err := f.Fetch(t.Context(), req)
			refused(t, err, source.TreeRefused, fmt.Sprintf("%q", name), f.clone)
			contains(t, good, "a.yaml", "a: 1\n")
		})
	}
}

// mktree makes a tree object that git's own porcelain would refuse to make.
func mktree(t *testing.T, dir, lines string) string {
	t.Helper()
	var raw []byte
	for line := range strings.Lines(lines) {
		head, name, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "\t")
		fields := strings.Fields(head)
		raw = append(raw, strings.TrimLeft(fields[0], "0")+" "+name+"\x00"...)
		for i := 0; i < 40; i += 2 {
			var b byte
			fmt.Sscanf(fields[2][i:i+2], "%02x", &b)
			raw = append(raw, b)
		}
	}
	file := filepath.Join(t.TempDir(), "tree")
	must(t, os.WriteFile(file, raw, 0o644))
	return git(t, dir, "hash-object", "-t", "tree", "-w", "--literally", file)
}

func TestHash(t *testing.T) {
	f := newFixture(t, gitserver.Options{})
	base := map[string]string{
		"web/deploy.yaml":    "d\n",
		"web/in":             "-> deploy.yaml",
		"linked/deploy":      "-> ../shared/deploy.yaml",
		"linkdir/all":        "-> ../shared",
		"twice/over":         "-> ../linked",
		"hop/over":           "-> ../shared/hop",
		"shared/hop":         "-> ../hop/a",
		"hop/a":              "same\n",
		"hop/b":              "same\n",
		"maybe/later":        "-> ../later.yaml",
		"circle/a":           "-> ../circle2",
		"circle2/b":          "-> ../circle",
		"escape/out":         "-> /etc/hostname",
		"shared/deploy.yaml": "s\n",
		"other/x":            "x\n",
	}
	f.push(t, "Base", base)
	all := []string{"web", "linked", "linkdir", "twice", "hop", "maybe", "circle", "circle2", "escape", "shared", "other", "web/deploy.yaml", "linked/deploy", "."}
	hashes := func(tree source.Tree) map[string]string {
		out := map[string]string{}
		for _, path := range all {
			if path == "escape/out" {
				continue
			}
			hash, err := tree.Hash(path)
			if err != nil {
				t.Errorf("hash of %s: %v", path, err)
			}
			out[path] = hash
		}
		return out
	}
	gitTree, _ := f.fetch(t, f.req)
	dirTree, err := source.Dir(f.clone)
	must(t, err)
	gitBefore, dirBefore := hashes(gitTree), hashes(dirTree)
	if got, want := gitBefore["web"], git(t, f.clone, "rev-parse", "HEAD:web"); got != want {
		t.Errorf("a directory whose links stay inside has Git's hash %s, got %s", want, got)
	}
	if got, want := gitBefore["web/deploy.yaml"], git(t, f.clone, "rev-parse", "HEAD:web/deploy.yaml"); got != want {
		t.Errorf("a file has Git's hash %s, got %s", want, got)
	}

	for _, row := range []struct {
		rule    string
		change  map[string]string
		changed []string
	}{
		{"nothing changes, no hash does", nil, nil},
		{"a file changes those it is in", map[string]string{"other/x": "y\n"}, []string{"other", "."}},
		{"a file changes those that link to it", map[string]string{"shared/deploy.yaml": "s2\n"}, []string{"linked", "linkdir", "twice", "shared", "linked/deploy", "."}},
		{"a file that comes to be where a link points changes it", map[string]string{"later.yaml": "l\n"}, []string{"maybe", "."}},
		{"a link in between that turns elsewhere counts", map[string]string{"shared/hop": "-> ../hop/b"}, []string{"hop", "linkdir", "shared", "."}},
		{"a circle of links ends and counts", map[string]string{"circle/c": "c\n"}, []string{"circle", "circle2", "."}},
	} {
		t.Run(row.rule, func(t *testing.T) {
			git(t, f.clone, "checkout", "--quiet", "--force", "origin/main")
			f.commit(t, "Change", row.change)
			git(t, f.clone, "push", "--quiet", "--force", "origin", "HEAD:refs/heads/changed")
			req := f.req
			req.Branch = "changed"
			tree, _ := f.fetch(t, req)
			slices.Sort(row.changed)
			if got := differing(gitBefore, hashes(tree)); !slices.Equal(got, row.changed) {
				t.Errorf("git: changed %v, want %v", got, row.changed)
			}
			if got := differing(dirBefore, hashes(dirTree)); !slices.Equal(got, row.changed) {
				t.Errorf("dir: changed %v, want %v", got, row.changed)
			}
		})
	}
}

func differing(a, b map[string]string) []string {
	var out []string
	for path := range a {
		if a[path] != b[path] {
			out = append(out, path)
		}
	}
	slices.Sort(out)
	return out
}

func TestHashOfManyLinksEnds(t *testing.T) {
	files := map[string]string{"d30/end": "x"}
	for i := range 30 { // each directory links twice to the next: 2^30 ways
		files[fmt.Sprintf("d%d/one", i)] = fmt.Sprintf("-> ../d%d", i+1)
		files[fmt.Sprintf("d%d/two", i)] = fmt.Sprintf("-> ../d%d", i+1)
	}
	both(t, files, func(t *testing.T, tree source.Tree) {
		if _, err := tree.Hash("d0"); err != nil {
			t.Error(err)
		}
	})
}

func TestDir(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, map[string]string{".git/config": "x", "sub/.git/HEAD": "x", "run.sh": "#!", "a.yaml": "a"})
	tree, err := source.Dir(dir)
	must(t, err)
	for _, name := range []string{".git", ".git/config", "sub/.git/HEAD"} {
		if _, err := tree.Open(name); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s is there: %v", name, err)
		}
	}
	before, err := tree.Hash(".")
	must(t, err)
	must(t, os.Chmod(filepath.Join(dir, "run.sh"), 0o755))
	after, err := tree.Hash(".")
	must(t, err)
	if before == after {
		t.Error("a file that became executable changes the hash")
	}
	must(t, os.Chmod(filepath.Join(dir, "a.yaml"), 0o600))
	if same, err := tree.Hash("."); err != nil || same != after {
		t.Errorf("what umask makes of a mode does not count: %v", err)
	}
	if _, err := source.Dir(filepath.Join(dir, "nowhere")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a directory that is not there: %v", err)
	}
	_, err = source.LastChanged(t.Context(), tree, "a.yaml")
	refused(t, err, source.RefNotFound, "no history")
}
