package source

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
)

// Dir is a directory on disk as a Tree, read as it is at each moment. What is named `.git` is left out. Links are
// followed inside the directory only, as in a repository whose root it is.
func Dir(name string) (Tree, error) {
	root, err := os.OpenRoot(name)
	if err != nil {
		return nil, fmt.Errorf("opening the directory to read: %w", err)
	}
	return &files{&diskFiles{root}}, nil
}

// diskFiles are the files below a directory on disk.
type diskFiles struct{ at *os.Root }

func (d *diskFiles) root() node { return node{path: ".", mode: fs.ModeDir | 0o755} }

func (d *diskFiles) list(dir node) ([]node, error) {
	entries, err := fs.ReadDir(d.at.FS(), dir.path)
	if err != nil {
		return nil, err
	}
	var nodes []node
	for _, e := range entries {
		if forbidden(e.Name()) {
			continue
		}
		n, err := d.child(dir, e.Name())
		if err != nil {
			return nil, err
		}
		nodes = append(nodes, n)
	}
	return nodes, nil
}

func (d *diskFiles) child(dir node, name string) (node, error) {
	if forbidden(name) {
		return node{}, fs.ErrNotExist
	}
	found, err := d.at.Lstat(filepath.FromSlash(join(dir.path, name)))
	if err != nil {
		return node{}, err
	}
	return node{path: join(dir.path, name), mode: gitMode(found.Mode())}, nil
}

// gitMode keeps of a mode what Git would: what umask and owner make of it must not count.
func gitMode(mode fs.FileMode) fs.FileMode {
	switch {
	case mode.IsDir():
		return fs.ModeDir | 0o755
	case mode&fs.ModeSymlink != 0:
		return fs.ModeSymlink | 0o777
	case mode.IsRegular() && mode&0o100 != 0:
		return 0o755
	case mode.IsRegular():
		return 0o644
	}
	return mode.Type() // a socket, a device: nothing that can be read
}

func (d *diskFiles) read(n node) ([]byte, error) {
	if n.isLink() {
		target, err := d.at.Readlink(filepath.FromSlash(n.path))
		return []byte(filepath.ToSlash(target)), err
	}
	return d.at.ReadFile(filepath.FromSlash(n.path))
}

func (d *diskFiles) size(n node) (int64, error) {
	found, err := d.at.Lstat(filepath.FromSlash(n.path))
	if err != nil {
		return 0, err
	}
	return found.Size(), nil
}

func (d *diskFiles) hash(n node) (string, error) {
	h := sha256.New()
	fmt.Fprintf(h, "%o\n", n.mode)
	switch {
	case n.mode.IsDir():
		nodes, err := d.list(n)
		if err != nil {
			return "", err
		}
		for _, below := range nodes {
			sum, err := d.hash(below)
			if err != nil {
				return "", err
			}
			fmt.Fprintf(h, "%q %s\n", path.Base(below.path), sum)
		}
	case n.mode.IsRegular(), n.isLink():
		data, err := d.read(n)
		if err != nil {
			return "", err
		}
		h.Write(data)
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}
