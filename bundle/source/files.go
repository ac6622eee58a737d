package source

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
)

// files is a Tree: what all kinds of trees have in common on top of a backing.
type files struct{ from backing }

// backing is where the files of a tree are. It follows no links: a node is what stands in its directory.
type backing interface {
	root() node
	list(dir node) ([]node, error) // sorted by name
	child(dir node, name string) (node, error)
	read(n node) ([]byte, error) // a file's content or a link's target
	size(n node) (int64, error)
	hash(n node) (string, error)
}

// node is an entry of a tree.
type node struct {
	path string      // from the root, no link in it but perhaps the last element
	mode fs.FileMode // type and permissions
	id   string      // Git's hash; "" on disk
}

func (n node) isLink() bool      { return n.mode&fs.ModeSymlink != 0 }
func (n node) isSubmodule() bool { return n.mode&fs.ModeIrregular != 0 }

func join(dir, name string) string {
	if dir == "." {
		return name
	}
	return dir + "/" + name
}

func notExist(op, name string) error { return &fs.PathError{Op: op, Path: name, Err: fs.ErrNotExist} }

// walk finds the node that name leads to. Links on the way are followed, the last one only when follow is set.
func (t *files) walk(op, name string, follow bool) (node, error) {
	if !fs.ValidPath(name) {
		return node{}, &fs.PathError{Op: op, Path: name, Err: fs.ErrInvalid}
	}
	w := walker{tree: t, op: op, name: name, follow: follow, at: []node{t.from.root()}, rest: strings.Split(name, "/")}
	return w.walk()
}

// walker is a walk under way.
type walker struct {
	tree     *files
	op, name string
	follow   bool
	at       []node   // from the root down to where we are
	rest     []string // what is still to be walked
	links    int      // followed so far
	last     node     // the link followed last, and where it points
	target   string
}

func (w *walker) walk() (node, error) {
	for len(w.rest) > 0 {
		step := w.rest[0]
		w.rest = w.rest[1:]
		switch step {
		case ".", "":
			continue
		case "..":
			if len(w.at) == 1 {
				return node{}, w.escape()
			}
			w.at = w.at[:len(w.at)-1]
			continue
		}
		if err := w.descend(step); err != nil {
			return node{}, err
		}
	}
	return w.at[len(w.at)-1], nil
}

func (w *walker) descend(step string) error {
	dir := w.at[len(w.at)-1]
	if !dir.mode.IsDir() {
		return notExist(w.op, w.name)
	}
	next, err := w.tree.from.child(dir, step)
	if errors.Is(err, fs.ErrNotExist) {
		return notExist(w.op, w.name)
	}
	if err != nil {
		return err
	}
	last := len(w.rest) == 0
	switch {
	case next.isSubmodule() && (!last || w.follow):
		return submoduleError(next)
	case next.isLink() && (!last || w.follow):
		return w.turn(next)
	}
	w.at = append(w.at, next)
	return nil
}

// turn goes where a link points.
func (w *walker) turn(link node) error {
	target, err := w.tree.from.read(link)
	if err != nil {
		return err
	}
	w.last, w.target = link, string(target)
	if w.links++; w.links > MaxLinks {
		return &Error{Reason: PathLoop, Where: link.path, Message: fmt.Sprintf("the link to %q turns in a circle (more than %d links for %s)", shorten(w.target, 200), MaxLinks, w.name),
			Next: "point it at a file or a directory"}
	}
	if path.IsAbs(w.target) {
		return w.escape()
	}
	w.rest = append(strings.Split(w.target, "/"), w.rest...)
	return nil
}

func (w *walker) escape() error {
	return &Error{Reason: PathEscape, Where: w.last.path, Message: fmt.Sprintf("the link to %q leaves the repository", shorten(w.target, 200)),
		Next: "point it at something inside, or put a copy there"}
}

func submoduleError(n node) error {
	return &Error{Reason: SubmoduleFound, Where: n.path, Message: fmt.Sprintf("this is a Git submodule (at commit %s), and submodules are not fetched", n.id),
		Next: "put the files into this repository, or give the other one a GitRepo of its own"}
}

func (t *files) Stat(name string) (fs.FileInfo, error) {
	n, err := t.walk("stat", name, true)
	if err != nil {
		return nil, err
	}
	return t.info(name, n)
}

func (t *files) Lstat(name string) (fs.FileInfo, error) {
	n, err := t.walk("lstat", name, false)
	if err != nil {
		return nil, err
	}
	return t.info(name, n)
}

func (t *files) ReadLink(name string) (string, error) {
	n, err := t.walk("readlink", name, false)
	if err != nil {
		return "", err
	}
	if !n.isLink() {
		return "", &fs.PathError{Op: "readlink", Path: name, Err: fs.ErrInvalid}
	}
	target, err := t.from.read(n)
	return string(target), err
}

func (t *files) ReadDir(name string) ([]fs.DirEntry, error) {
	n, err := t.walk("readdir", name, true)
	if err != nil {
		return nil, err
	}
	if !n.mode.IsDir() {
		return nil, &fs.PathError{Op: "readdir", Path: name, Err: errors.New("not a directory")}
	}
	nodes, err := t.from.list(n)
	if err != nil {
		return nil, err
	}
	entries := make([]fs.DirEntry, len(nodes))
	for i, n := range nodes {
		entries[i] = entry{n, t}
	}
	return entries, nil
}

func (t *files) ReadFile(name string) ([]byte, error) {
	n, err := t.walk("read", name, true)
	if err != nil {
		return nil, err
	}
	return t.content(name, n)
}

// content of a file that is no directory and no pointer to what is kept elsewhere.
func (t *files) content(name string, n node) ([]byte, error) {
	if !n.mode.IsRegular() {
		return nil, &fs.PathError{Op: "read", Path: name, Err: errors.New("not a file")}
	}
	size, err := t.from.size(n)
	if err != nil {
		return nil, err
	}
	if size > MaxObjectBytes {
		return nil, &Error{Reason: TooLarge, Where: n.path, Message: fmt.Sprintf("the file is larger than %d MiB", MaxObjectBytes>>20), Next: "keep it elsewhere"}
	}
	data, err := t.from.read(n)
	if err != nil {
		return nil, err
	}
	if isLFSPointer(data) {
		return nil, &Error{Reason: LFSPointer, Where: n.path, Message: "this is a Git LFS pointer, and what it points to is not fetched",
			Next: "commit the file itself (git lfs untrack)"}
	}
	return data, nil
}

func isLFSPointer(data []byte) bool {
	return len(data) < 1024 && strings.HasPrefix(string(data), "version https://git-lfs.github.com/spec/") && strings.Contains(string(data), "\noid sha256:")
}

func (t *files) Open(name string) (fs.File, error) {
	n, err := t.walk("open", name, true)
	if err != nil {
		return nil, err
	}
	info, err := t.info(name, n)
	if err != nil {
		return nil, err
	}
	if n.mode.IsDir() {
		entries, err := t.ReadDir(name)
		if err != nil {
			return nil, err
		}
		return &openDir{info: info, rest: slices.Clone(entries)}, nil
	}
	data, err := t.content(name, n)
	if err != nil {
		return nil, err
	}
	return newOpenFile(info, data), nil
}
