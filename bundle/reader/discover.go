package reader

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"flotilla.io/flotilla/api/v1alpha1"
	"flotilla.io/flotilla/bundle/fleetyaml"
	"flotilla.io/flotilla/bundle/fleetyaml/nearest"
)

// place is where a bundle is: a directory and, when spec.bundles names one, the file to read in place of fleet.yaml.
type place struct{ dir, options string }

// roots are the directories that the GitRepo names, in the order of the tree. A name that leads nowhere is an error; the
// others are given nevertheless.
func roots(tree Tree, spec *v1alpha1.GitRepoSpec) ([]string, error) {
	var dirs []string
	var errs []error
	add := func(field, pattern string, glob bool) {
		matches, err := directories(tree, pattern, glob)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", field, err))
		}
		dirs = append(dirs, matches...)
	}
	for i, b := range spec.Bundles {
		add(fmt.Sprintf("spec.bundles[%d].base", i), b.Base, false)
	}
	if len(spec.Bundles) == 0 {
		for i, pattern := range spec.Paths {
			add(fmt.Sprintf("spec.paths[%d]", i), pattern, true)
		}
		if len(spec.Paths) == 0 {
			add("spec.paths", ".", false)
		}
	}
	slices.Sort(dirs)
	return slices.Compact(dirs), errors.Join(errs...)
}

// directories are those that a path names, which may be a glob (without **, as in Fleet).
func directories(tree Tree, pattern string, glob bool) ([]string, error) {
	dir := path.Clean(strings.TrimLeft(pattern, "/"))
	if !fs.ValidPath(dir) {
		return nil, fmt.Errorf("%q leaves the repository", pattern)
	}
	names := []string{dir}
	if glob {
		var err error
		if names, err = fs.Glob(tree, dir); err != nil {
			return nil, fmt.Errorf("%q is no glob: %w", pattern, err)
		}
	}
	var dirs []string
	for _, name := range names {
		byStar := hidden(path.Base(name)) && !hidden(path.Base(dir)) // a star does not mean hidden directories, but bundles
		if isDir(tree, name) && (!byStar || hasFleetYAML(tree, name)) {
			dirs = append(dirs, name)
		}
	}
	if len(dirs) > 0 {
		return dirs, nil
	}
	if info, err := fs.Stat(tree, dir); err == nil && !info.IsDir() {
		return nil, fmt.Errorf("%q is a file; a path names a directory, such as %q", pattern, path.Dir(dir))
	}
	return nil, fmt.Errorf("there is no directory %q%s", pattern, candidates(tree, dir, strings.ContainsAny(dir, `*?[\`)))
}

// maxCandidates bounds the directories that are listed when a path leads nowhere.
const maxCandidates = 8

// candidates proposes directories: one of a name like the missing one, unless that is a glob, else those beside it.
func candidates(tree Tree, missing string, glob bool) string {
	parent := path.Dir(missing)
	for parent != "." && !isDir(tree, parent) {
		missing, parent = parent, path.Dir(parent)
	}
	var dirs []string
	entries, _ := fs.ReadDir(tree, parent)
	for _, entry := range entries {
		if entry.IsDir() && !hidden(entry.Name()) {
			dirs = append(dirs, path.Join(parent, entry.Name()))
		}
	}
	if hint := nearest.Hint(missing, dirs); len(dirs) == 0 || hint != "" && !glob {
		return hint
	}
	more := ""
	if len(dirs) > maxCandidates {
		dirs, more = dirs[:maxCandidates], ", ..."
	}
	return "; there are " + strings.Join(dirs, ", ") + more
}

// places finds the bundles below the roots that are bundles whatever the others are: directories with a fleet.yaml, hidden ones
// too, and roots with YAML right in them. The roots without are the second result: ownYAML decides on them.
func places(tree Tree, roots []string, spec *v1alpha1.GitRepoSpec) (all []place, open []string, err error) {
	if len(spec.Bundles) > 0 {
		return drivenPlaces(tree, spec), nil, nil
	}
	var errs []error
	for _, root := range roots {
		err := fs.WalkDir(tree, root, func(name string, entry fs.DirEntry, err error) error {
			switch {
			case err != nil:
				return err
			case name != root && !entry.IsDir():
				return nil
			case name != root && entry.Name() == ".git":
				return fs.SkipDir
			case hasFleetYAML(tree, name), name == root && hasYAML(tree, root):
				all = append(all, place{dir: name})
			case name == root:
				open = append(open, root)
			}
			return nil
		})
		if err != nil {
			errs = append(errs, fmt.Errorf("looking for bundles in %s: %w", root, err))
		}
	}
	slices.SortFunc(all, func(a, b place) int { return strings.Compare(a.dir, b.dir) })
	return slices.Compact(all), open, errors.Join(errs...)
}

// drivenPlaces are exactly the directories of spec.bundles that exist.
func drivenPlaces(tree Tree, spec *v1alpha1.GitRepoSpec) (all []place) {
	for _, b := range spec.Bundles {
		if dirs, err := directories(tree, b.Base, false); err == nil {
			all = append(all, place{dirs[0], b.Options})
		}
	}
	return all
}

// settingsFiles are the names of a bundle's settings, in the order in which they are looked for.
var settingsFiles = []string{fleetyaml.Name, fleetyaml.Fallback}

func hasFleetYAML(tree Tree, dir string) bool {
	return slices.ContainsFunc(settingsFiles, func(name string) bool { return exists(tree, path.Join(dir, name)) })
}

// hasYAML tells whether there is YAML right in a directory.
func hasYAML(tree Tree, dir string) bool {
	entries, _ := fs.ReadDir(tree, dir)
	return slices.ContainsFunc(entries, func(entry fs.DirEntry) bool { return !entry.IsDir() && isYAML(entry.Name()) })
}

// ownYAML tells whether a directory has YAML, at any depth, that is neither below a fleet.yaml nor taken up by a bundle elsewhere.
func ownYAML(tree Tree, dir string, taken map[string]bool) bool {
	entries, _ := fs.ReadDir(tree, dir)
	for _, entry := range entries {
		name := path.Join(dir, entry.Name())
		switch {
		case hidden(entry.Name()) || taken[name]:
		case entry.IsDir():
			if !hasFleetYAML(tree, name) && ownYAML(tree, name, taken) {
				return true
			}
		case isYAML(entry.Name()):
			return true
		}
	}
	return false
}

func isYAML(name string) bool {
	return !hidden(name) && (path.Ext(name) == ".yaml" || path.Ext(name) == ".yml")
}

func hidden(name string) bool { return strings.HasPrefix(name, ".") && name != "." }

func exists(tree Tree, name string) bool {
	info, err := fs.Stat(tree, name)
	return err == nil && !info.IsDir()
}

func isDir(tree Tree, name string) bool {
	info, err := fs.Stat(tree, name)
	return err == nil && info.IsDir()
}
