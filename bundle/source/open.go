package source

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"path"
	"time"
)

// info describes a node under the name it was asked for by: a link's own, when one was followed.
func (t *files) info(name string, n node) (fs.FileInfo, error) {
	var size int64
	if !n.mode.IsDir() && !n.isSubmodule() {
		var err error
		if size, err = t.from.size(n); err != nil {
			return nil, err
		}
	}
	return info{path.Base(name), n, size}, nil
}

type info struct {
	name string
	node node
	size int64
}

func (i info) Name() string       { return i.name }
func (i info) Size() int64        { return i.size }
func (i info) Mode() fs.FileMode  { return i.node.mode }
func (i info) ModTime() time.Time { return time.Time{} } // Git keeps none
func (i info) IsDir() bool        { return i.node.mode.IsDir() }
func (i info) Sys() any           { return nil }

// entry is a line of a directory's listing: a link is a link, a submodule an irregular file.
type entry struct {
	node node
	tree *files
}

func (e entry) Name() string               { return path.Base(e.node.path) }
func (e entry) IsDir() bool                { return e.node.mode.IsDir() }
func (e entry) Type() fs.FileMode          { return e.node.mode.Type() }
func (e entry) Info() (fs.FileInfo, error) { return e.tree.info(e.node.path, e.node) }
func (e entry) String() string             { return fs.FormatDirEntry(e) }

type openFile struct {
	*bytes.Reader
	info fs.FileInfo
}

func newOpenFile(info fs.FileInfo, data []byte) *openFile {
	return &openFile{bytes.NewReader(data), info}
}

func (f *openFile) Stat() (fs.FileInfo, error) { return f.info, nil }
func (f *openFile) Close() error               { return nil }

type openDir struct {
	info fs.FileInfo
	rest []fs.DirEntry
}

func (d *openDir) Stat() (fs.FileInfo, error) { return d.info, nil }
func (d *openDir) Close() error               { return nil }

func (d *openDir) Read([]byte) (int, error) {
	return 0, &fs.PathError{Op: "read", Path: d.info.Name(), Err: errors.New("is a directory")}
}

func (d *openDir) ReadDir(n int) ([]fs.DirEntry, error) {
	if n <= 0 || n > len(d.rest) {
		if n > 0 && len(d.rest) == 0 {
			return nil, io.EOF
		}
		n = len(d.rest)
	}
	out := d.rest[:n]
	d.rest = d.rest[n:]
	return out, nil
}
