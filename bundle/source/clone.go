package source

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	git "github.com/go-git/go-git/v5"
	"github.com/go-git/go-git/v5/plumbing"
)

// Head is the commit that the work tree around a directory stands at, "" where there is none.
func Head(dir string) string {
	repo, err := git.PlainOpenWithOptions(dir, &git.PlainOpenOptions{DetectDotGit: true, EnableDotGitCommonDir: true})
	if err != nil {
		return ""
	}
	head, err := repo.Head()
	if err != nil {
		return ""
	}
	return head.Hash().String()
}

// Clone brings what req names into a directory that is empty or is made: the files, and below .git their repository, so that
// Git and Head know the commit. Files that are to be fetched from elsewhere stay what they are in Git: submodules empty
// directories, LFS files pointers. A Clone that fails leaves nothing in the directory.
func Clone(ctx context.Context, req Request, dir string) (Revision, error) {
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return Revision{}, fmt.Errorf("looking into the directory to clone to: %w", err)
	}
	if len(entries) > 0 {
		return Revision{}, fmt.Errorf("%s is not empty; clone to a new directory", dir)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return Revision{}, fmt.Errorf("making the directory to clone to: %w", err)
	}
	revision, err := clone(ctx, req, dir)
	if err != nil {
		left, _ := os.ReadDir(dir)
		for _, entry := range left {
			_ = os.RemoveAll(filepath.Join(dir, entry.Name()))
		}
	}
	return revision, err
}

// clone fetches into a mirror of its own, which then becomes the repository of the work tree.
func clone(ctx context.Context, req Request, dir string) (Revision, error) {
	fetched := filepath.Join(dir, ".git-fetched")
	defer os.RemoveAll(fetched)
	m := NewMirrors(Options{Dir: fetched, Local: true}) // who clones stands beside their servers
	_, revision, err := m.Fetch(ctx, req)
	if err != nil {
		return Revision{}, err
	}
	at, err := locate(req)
	if err != nil {
		return Revision{}, err
	}
	mirror := m.mirror(at)
	if _, shallows := mirror.store.frontier(); len(shallows) > 0 {
		if err := mirror.store.git.SetShallow(shallows); err != nil {
			return Revision{}, fmt.Errorf("noting where the history ends: %w", err)
		}
	}
	_ = os.Remove(mirror.store.goodFile())
	if err := os.Rename(mirror.store.dir, filepath.Join(dir, ".git")); err != nil {
		return Revision{}, fmt.Errorf("making the repository: %w", err)
	}
	return revision, checkOut(dir, revision)
}

// checkOut writes the files of a commit, and lets HEAD name it.
func checkOut(dir string, revision Revision) error {
	repo, err := git.PlainOpen(dir)
	if err != nil {
		return fmt.Errorf("opening the clone: %w", err)
	}
	config, err := repo.Config()
	if err != nil {
		return fmt.Errorf("reading the clone's configuration: %w", err)
	}
	config.Core.IsBare = false
	if err := repo.SetConfig(config); err != nil {
		return fmt.Errorf("writing the clone's configuration: %w", err)
	}
	commit := plumbing.NewHash(revision.Commit)
	head := plumbing.NewHashReference(plumbing.HEAD, commit)
	if revision.Branch != "" {
		branch := plumbing.NewBranchReferenceName(revision.Branch)
		if err := repo.Storer.SetReference(plumbing.NewHashReference(branch, commit)); err != nil {
			return fmt.Errorf("writing the clone's branch: %w", err)
		}
		head = plumbing.NewSymbolicReference(plumbing.HEAD, branch)
	}
	if err := repo.Storer.SetReference(head); err != nil {
		return fmt.Errorf("writing the clone's HEAD: %w", err)
	}
	tree, err := repo.Worktree()
	if err != nil {
		return fmt.Errorf("opening the clone's work tree: %w", err)
	}
	if err := tree.Reset(&git.ResetOptions{Commit: commit, Mode: git.HardReset}); err != nil {
		return fmt.Errorf("writing the files of commit %s: %w", revision.Commit, err)
	}
	return nil
}
