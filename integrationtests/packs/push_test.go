//go:build packs

package packs

import (
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"

	fleet "flotilla.io/flotilla/api/v1alpha1"
)

// Push brings examples/packs/<pack> into the fleet repo, as it is but for the files in edits ("" drops one) and for where
// charts come from, and returns the commit. The first time it makes the GitRepo too, which has the pack's name. A push of
// what is there already is a commit all the same.
func (w *World) Push(pack string, edits map[string]string) string {
	w.T.Helper()
	files := map[string]string{}
	dir := os.DirFS(filepath.Join(root(), "examples", "packs", pack))
	w.Check(fs.WalkDir(dir, ".", func(name string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		data, err := fs.ReadFile(dir, name)
		files[name] = string(data)
		return err
	}))
	maps.Copy(files, edits)
	maps.DeleteFunc(files, func(_, content string) bool { return content == "" })
	return w.push(pack, files)
}

// push makes these files, by their paths in the pack, all that there is of a pack.
func (w *World) push(pack string, files map[string]string) string {
	w.T.Helper()
	change := map[string]string{}
	for _, name := range w.pushed[pack] {
		change[name] = ""
	}
	w.pushed[pack] = nil
	for name, content := range files {
		if path.Base(name) == "fleet.yaml" {
			content = w.charts.redirect(w.T, content)
		}
		name = path.Join(pack, name)
		change[name] = content
		w.pushed[pack] = append(w.pushed[pack], name)
	}
	commit := w.World.Push("fleet", change)
	if !w.repos[pack] {
		w.repos[pack] = true
		w.GitRepo(pack, w.Git.URL("fleet"), func(s *fleet.GitRepoSpec) { s.Paths = []string{pack} })
	}
	return commit
}

// Remove takes a pack out of the fleet repo. Its GitRepo stays, with a path that has nothing.
func (w *World) Remove(pack string) string {
	w.T.Helper()
	return w.push(pack, nil)
}

// elsewhere finds a chart's repository in a fleet.yaml.
var elsewhere = regexp.MustCompile(`\brepo:\s*["']?(https?://[^\s"',}]+)["']?`)

// Changed drops or replaces texts of a pack's file: pairs of old and new. It fails where old is not there.
func (w *World) Changed(pack, file string, pairs ...string) map[string]string {
	w.T.Helper()
	data, err := os.ReadFile(filepath.Join(root(), "examples", "packs", pack, file))
	w.Check(err)
	text := string(data)
	for pair := range slices.Chunk(pairs, 2) {
		old := regexp.MustCompile(regexp.QuoteMeta(pair[0]))
		if !old.MatchString(text) {
			w.T.Fatalf("examples/packs/%s/%s has no %q", pack, file, pair[0])
		}
		text = old.ReplaceAllLiteralString(text, pair[1])
	}
	return map[string]string{file: text}
}
