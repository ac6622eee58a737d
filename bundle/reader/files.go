package reader

import (
	"cmp"
	"fmt"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// Bounds of a bundle, far above what is of use.
const (
	maxBytes = 60 << 20 // what a sealed layer holds, less its own overhead
	maxFiles = 10_000
	maxDepth = 100
)

// files collects the files of one bundle.
type files struct {
	tree    Tree
	dir     string          // of the bundle
	skip    map[string]bool // files that are settings, not content
	leave   map[string]bool // files and directories that belong to bundles elsewhere
	size    map[string]int64
	total   int64
	outside []string // what was added from outside of dir
	left    []string // what of leave was met
}

// add collects a directory with all below it, except what is hidden or ignored there.
func (f *files) add(dir string) error {
	ignored := &ignores{root: dir, patterns: map[string][]string{}}
	return fs.WalkDir(f.tree, dir, func(name string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case name == dir:
			return ignored.read(f.tree, name)
		case hidden(entry.Name()) || f.leaves(name) || ignored.match(name, entry.IsDir()):
			if entry.IsDir() {
				return fs.SkipDir
			}
			return nil
		case !entry.IsDir():
			return f.addFile(name)
		case strings.Count(name, "/") > maxDepth:
			return fmt.Errorf("%s: more than %d directories deep", name, maxDepth)
		}
		return ignored.read(f.tree, name)
	})
}

// addOutside collects a directory or file that is not below the bundle's directory.
func (f *files) addOutside(name string) error {
	if slices.Contains(f.outside, name) || f.within(name) {
		return nil
	}
	f.outside = append(f.outside, name)
	if isDir(f.tree, name) {
		return f.add(name)
	}
	return f.addFile(name)
}

// leaves tells whether a file or directory belongs to a bundle elsewhere, and notes it.
func (f *files) leaves(name string) bool {
	if f.leave[name] {
		f.left = append(f.left, name)
	}
	return f.leave[name]
}

func (f *files) within(name string) bool {
	return f.dir == "." || name == f.dir || strings.HasPrefix(name, f.dir+"/")
}

// addFile notes a file. A link to a file counts as that file; a link to a directory is refused, as in Fleet.
func (f *files) addFile(name string) error {
	if _, known := f.size[name]; known || f.skip[name] {
		return nil
	}
	info, err := fs.Stat(f.tree, name)
	if err != nil {
		return fmt.Errorf("reading %s: %w", name, err)
	}
	if info.IsDir() {
		return fmt.Errorf("%s: a symbolic link to a directory; link its files, or move it here", name)
	}
	f.size[name] = info.Size()
	f.total += info.Size()
	return nil
}

// read gives the contents by their path from the bundle's directory.
func (f *files) read() (map[string][]byte, error) {
	if err := f.check(); err != nil {
		return nil, err
	}
	contents := make(map[string][]byte, len(f.size))
	for name := range f.size {
		data, err := fs.ReadFile(f.tree, name)
		if err != nil {
			return nil, fmt.Errorf("reading %s: %w", name, err)
		}
		contents[f.key(name)] = data
	}
	return contents, nil
}

// key is the path of a file of the tree from the bundle's directory.
func (f *files) key(name string) string {
	key, err := filepath.Rel(filepath.FromSlash(f.dir), filepath.FromSlash(name))
	if err != nil { // both are relative to the tree's root
		return name
	}
	return filepath.ToSlash(key)
}

func (f *files) check() error {
	switch {
	case len(f.size) > maxFiles:
		return fmt.Errorf("%s: the bundle has %d files, the limit is %d; leave some out with %s", f.dir, len(f.size), maxFiles, ignoreFile)
	case f.total > maxBytes:
		return fmt.Errorf("%s: the bundle has %s, the limit is %s; the largest files are %s; leave some out with %s",
			f.dir, megabytes(f.total), megabytes(maxBytes), f.largest(), ignoreFile)
	}
	return nil
}

func (f *files) largest() string {
	names := make([]string, 0, len(f.size))
	for name := range f.size {
		names = append(names, name)
	}
	slices.SortFunc(names, func(a, b string) int {
		return cmp.Or(cmp.Compare(f.size[b], f.size[a]), strings.Compare(a, b))
	})
	var list []string
	for _, name := range names[:min(len(names), 3)] {
		list = append(list, fmt.Sprintf("%s (%s)", path.Clean(f.key(name)), megabytes(f.size[name])))
	}
	return strings.Join(list, ", ")
}

func megabytes(n int64) string { return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20)) }
