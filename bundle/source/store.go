package source

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/go-git/go-billy/v5/osfs"
	git "github.com/go-git/go-git/v5"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/cache"
	"github.com/go-git/go-git/v5/plumbing/object"
	"github.com/go-git/go-git/v5/storage/filesystem"
)

// store is the bare repository of one mirror. It holds packs and, in the file `good`, the commits that were fetched last
// and found whole; it keeps no refs, since what a ref points to is asked anew each time.
//
// The history in it has gaps where it was fetched to a depth. Of each commit that is there, all files are there.
type store struct {
	dir string

	mu    sync.Mutex // go-git's storage is not made for concurrent use
	git   *filesystem.Storage
	good  []plumbing.Hash        // newest first
	whole map[plumbing.Hash]size // trees found whole
}

// size of a tree: files in it, and how deep directories nest.
type size struct{ files, depth int }

// openStore opens the repository in dir, or makes it. One that cannot be read is made anew: it is only a cache.
func openStore(dir string, objects cache.Object) (*store, error) {
	s, err := tryStore(dir, objects)
	if err == nil {
		return s, nil
	}
	if err := os.RemoveAll(dir); err != nil {
		return nil, fmt.Errorf("removing a mirror that cannot be read: %w", err)
	}
	return tryStore(dir, objects)
}

func tryStore(dir string, objects cache.Object) (*store, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("making a mirror: %w", err)
	}
	s := &store{dir: dir, git: filesystem.NewStorage(osfs.New(dir), objects), whole: map[plumbing.Hash]size{}}
	if _, err := os.Stat(filepath.Join(dir, "HEAD")); err != nil {
		if _, err := git.Init(s.git, nil); err != nil && !errors.Is(err, git.ErrRepositoryAlreadyExists) {
			return nil, fmt.Errorf("making a mirror: %w", err)
		}
	}
	if err := os.MkdirAll(s.packs(), 0o700); err != nil {
		return nil, fmt.Errorf("making a mirror: %w", err)
	}
	leftovers, _ := filepath.Glob(filepath.Join(s.packs(), tempPattern))
	for _, leftover := range leftovers {
		os.Remove(leftover)
	}
	if err := s.git.HasEncodedObject(plumbing.ZeroHash); err != nil && !errors.Is(err, plumbing.ErrObjectNotFound) {
		return nil, fmt.Errorf("reading a mirror: %w", err)
	}
	text, err := os.ReadFile(s.goodFile())
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("reading a mirror: %w", err)
	}
	for _, line := range strings.Fields(string(text)) {
		if commitID.MatchString(line) && s.git.HasEncodedObject(plumbing.NewHash(line)) == nil {
			s.good = append(s.good, plumbing.NewHash(line))
		}
	}
	return s, nil
}

func (s *store) packs() string    { return filepath.Join(s.dir, "objects", "pack") }
func (s *store) goodFile() string { return filepath.Join(s.dir, "good") }

func (s *store) has(hash plumbing.Hash) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.git.HasEncodedObject(hash) == nil
}

func (s *store) commit(hash plumbing.Hash) (*object.Commit, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return object.GetCommit(s.git, hash)
}

// peel follows annotated tags to a commit.
func (s *store) peel(hash plumbing.Hash) (*object.Commit, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for range 10 {
		tag, err := object.GetTag(s.git, hash)
		if err != nil {
			break
		}
		hash = tag.Target
	}
	return object.GetCommit(s.git, hash)
}

func (s *store) entries(tree plumbing.Hash) ([]object.TreeEntry, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t, err := object.GetTree(s.git, tree)
	if err != nil {
		return nil, err
	}
	return t.Entries, nil
}

func (s *store) blob(hash plumbing.Hash) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	encoded, err := s.git.EncodedObject(plumbing.BlobObject, hash)
	if err != nil {
		return nil, err
	}
	r, err := encoded.Reader()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(r)
}

func (s *store) blobSize(hash plumbing.Hash) (int64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.git.EncodedObjectSize(hash)
}

// keep notes a commit that was found whole as the newest, for later fetches to start from.
func (s *store) keep(commit plumbing.Hash) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.good) > 0 && s.good[0] == commit {
		return nil
	}
	good := slices.DeleteFunc(slices.Clone(s.good), func(h plumbing.Hash) bool { return h == commit })
	good = slices.Insert(good, 0, commit)
	good = good[:min(len(good), maxGood)]
	var text strings.Builder
	for _, hash := range good {
		fmt.Fprintln(&text, hash)
	}
	temp := s.goodFile() + ".new"
	if err := os.WriteFile(temp, []byte(text.String()), 0o600); err != nil {
		return fmt.Errorf("noting a fetched commit: %w", err)
	}
	if err := os.Rename(temp, s.goodFile()); err != nil {
		return fmt.Errorf("noting a fetched commit: %w", err)
	}
	s.good = good
	return nil
}

// frontier says what a server may take for granted: haves are commits that we have with all that they hold, and
// shallows those of them whose parents it must not take for granted.
func (s *store) frontier() (haves, shallows []plumbing.Hash) {
	s.mu.Lock()
	defer s.mu.Unlock()
	visited := map[plumbing.Hash]*object.Commit{}
	var queue []*object.Commit // newest last
	visit := func(hash plumbing.Hash) {
		if visited[hash] != nil || len(visited) >= maxFrontier {
			return
		}
		commit, err := object.GetCommit(s.git, hash)
		if err != nil {
			return
		}
		visited[hash] = commit
		at, _ := slices.BinarySearchFunc(queue, commit, func(a, b *object.Commit) int {
			return a.Committer.When.Compare(b.Committer.When)
		})
		queue = slices.Insert(queue, at, commit)
	}
	for _, hash := range s.good {
		visit(hash)
	}
	for len(queue) > 0 {
		newest := queue[len(queue)-1]
		queue = queue[:len(queue)-1]
		if len(haves) < maxHaves {
			haves = append(haves, newest.Hash)
		}
		for _, parent := range newest.ParentHashes {
			visit(parent)
		}
	}
	for hash, commit := range visited {
		if slices.ContainsFunc(commit.ParentHashes, func(p plumbing.Hash) bool { return visited[p] == nil }) {
			shallows = append(shallows, hash)
		}
	}
	slices.SortFunc(shallows, func(a, b plumbing.Hash) int { return cmp.Compare(a.String(), b.String()) })
	return haves, shallows
}
