package source

import (
	"cmp"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"sync"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
	"github.com/go-git/go-git/v5/plumbing/object"
)

// commitFiles are the files of a commit in a mirror.
type commitFiles struct {
	store    *store
	commit   commit
	listings *listings
}

// commit is a Revision and what leads from it to its files and parents.
type commit struct {
	Revision
	hash, tree plumbing.Hash
	parents    []plumbing.Hash
}

// newCommitFiles opens a commit that is in the store with all that it holds. It asks nobody.
func newCommitFiles(s *store, hash plumbing.Hash, branch string) (*files, error) {
	found, err := s.peel(hash)
	if err != nil {
		return nil, err
	}
	if err := s.check(found.TreeHash); err != nil {
		return nil, err
	}
	c := newCommit(found)
	c.Branch = branch
	return &files{&commitFiles{s, c, &listings{nodes: map[plumbing.Hash][]node{}}}}, nil
}

func newCommit(c *object.Commit) commit {
	subject, _, _ := strings.Cut(strings.TrimSpace(c.Message), "\n")
	return commit{
		Revision: Revision{
			Commit: c.Hash.String(), Author: shorten(c.Author.Name, 200), Email: shorten(c.Author.Email, 200),
			Subject: shorten(subject, 200), Time: c.Committer.When.UTC(),
		},
		hash: c.Hash, tree: c.TreeHash, parents: c.ParentHashes,
	}
}

// revision of a tree that newCommitFiles made.
func (t *files) revision() commit { return t.from.(*commitFiles).commit }

// listings of directories that were read, by tree hash. Paths in them are names only.
type listings struct {
	mu    sync.Mutex
	nodes map[plumbing.Hash][]node
}

func (c *commitFiles) root() node {
	return node{path: ".", mode: fs.ModeDir | 0o755, id: c.commit.tree.String()}
}

func (c *commitFiles) listing(tree plumbing.Hash) ([]node, error) {
	c.listings.mu.Lock()
	defer c.listings.mu.Unlock()
	if nodes, ok := c.listings.nodes[tree]; ok {
		return nodes, nil
	}
	entries, err := c.store.entries(tree)
	if err != nil {
		return nil, fmt.Errorf("reading a directory from its mirror: %w", err)
	}
	nodes := make([]node, len(entries))
	for i, e := range entries {
		nodes[i] = node{path: e.Name, mode: modes[e.Mode], id: e.Hash.String()}
	}
	slices.SortFunc(nodes, func(a, b node) int { return cmp.Compare(a.path, b.path) })
	c.listings.nodes[tree] = nodes
	return nodes, nil
}

// modes of Git's kinds of entries; what is none of them is a file.
var modes = map[filemode.FileMode]fs.FileMode{
	filemode.Dir:        fs.ModeDir | 0o755,
	filemode.Executable: 0o755,
	filemode.Symlink:    fs.ModeSymlink | 0o777,
	filemode.Submodule:  fs.ModeIrregular | 0o755,
	filemode.Regular:    0o644,
	filemode.Deprecated: 0o644,
	filemode.Empty:      0o644,
}

func (c *commitFiles) list(dir node) ([]node, error) {
	names, err := c.listing(plumbing.NewHash(dir.id))
	if err != nil {
		return nil, err
	}
	nodes := slices.Clone(names)
	for i := range nodes {
		nodes[i].path = join(dir.path, nodes[i].path)
	}
	return nodes, nil
}

func (c *commitFiles) child(dir node, name string) (node, error) {
	names, err := c.listing(plumbing.NewHash(dir.id))
	if err != nil {
		return node{}, err
	}
	i, found := slices.BinarySearchFunc(names, name, func(n node, name string) int { return cmp.Compare(n.path, name) })
	if !found {
		return node{}, fs.ErrNotExist
	}
	n := names[i]
	n.path = join(dir.path, n.path)
	return n, nil
}

func (c *commitFiles) read(n node) ([]byte, error) {
	data, err := c.store.blob(plumbing.NewHash(n.id))
	if err != nil {
		return nil, fmt.Errorf("reading %s from its mirror: %w", n.path, err)
	}
	return data, nil
}

func (c *commitFiles) size(n node) (int64, error) {
	size, err := c.store.blobSize(plumbing.NewHash(n.id))
	if err != nil {
		return 0, fmt.Errorf("reading %s from its mirror: %w", n.path, err)
	}
	return size, nil
}

func (c *commitFiles) hash(n node) (string, error) { return n.id, nil }
