package source

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	git "github.com/go-git/go-git/v5"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
	"github.com/go-git/go-git/v5/plumbing/format/packfile"
	"github.com/go-git/go-git/v5/plumbing/object"
)

// fileRemote is a repository on this machine, read without running git. It may be bare, a work tree, or shallow.
type fileRemote struct {
	at   *location
	repo *git.Repository
}

func newFileRemote(at *location) (*fileRemote, error) {
	repo, err := git.PlainOpenWithOptions(at.path, &git.PlainOpenOptions{EnableDotGitCommonDir: true})
	if errors.Is(err, git.ErrRepositoryNotExists) {
		return nil, &Error{Reason: RepoNotFound, Where: at.display, Message: "there is no Git repository", Next: "check the path"}
	}
	if err != nil {
		return nil, at.explain(fmt.Errorf("opening the repository: %w", err))
	}
	return &fileRemote{at, repo}, nil
}

func (r *fileRemote) list(context.Context) (*refs, error) {
	out := &refs{heads: map[string]plumbing.Hash{}, tags: map[string]tag{}, anyCommit: true}
	all, err := r.repo.References()
	if err != nil {
		return nil, r.at.explain(fmt.Errorf("reading the refs: %w", err))
	}
	err = all.ForEach(func(ref *plumbing.Reference) error {
		switch name := ref.Name(); {
		case ref.Type() != plumbing.HashReference:
		case name.IsBranch():
			out.heads[strings.TrimPrefix(name.String(), "refs/heads/")] = ref.Hash()
		case name.IsTag():
			out.tags[strings.TrimPrefix(name.String(), "refs/tags/")] = tag{ref.Hash(), r.peel(ref.Hash())}
		}
		return nil
	})
	if err != nil {
		return nil, r.at.explain(fmt.Errorf("reading the refs: %w", err))
	}
	if head, err := r.repo.Head(); err == nil {
		out.head, out.headName = head.Hash(), strings.TrimPrefix(head.Name().String(), "refs/heads/")
	}
	if len(out.heads)+len(out.tags) == 0 && out.head.IsZero() {
		return nil, &Error{Reason: RepoEmpty, Where: r.at.display, Message: "the repository has no commits", Next: "commit to it"}
	}
	return out, nil
}

// peel is the commit behind an annotated tag, the object itself otherwise.
func (r *fileRemote) peel(hash plumbing.Hash) plumbing.Hash {
	if t, err := r.repo.TagObject(hash); err == nil {
		if commit, err := t.Commit(); err == nil {
			return commit.Hash
		}
	}
	return hash
}

func (r *fileRemote) pack(ctx context.Context, wants []plumbing.Hash, depth int, s *store) (io.ReadCloser, error) {
	c := &collector{from: r.repo, lacks: func(h plumbing.Hash) bool { return !s.has(h) }, seen: map[plumbing.Hash]bool{}, ctx: ctx}
	for _, want := range wants {
		if err := c.history(want, depth); err != nil {
			if errors.Is(err, plumbing.ErrObjectNotFound) {
				return nil, &Error{Reason: RefNotFound, Where: r.at.display, Message: fmt.Sprintf("the repository does not have commit %s", want),
					Next: "push it, or set revision to one that is there"}
			}
			return nil, r.at.explain(fmt.Errorf("reading what to copy: %w", err))
		}
	}
	pr, pw := io.Pipe()
	go func() {
		out := bufio.NewWriterSize(pw, 64<<10)
		_, err := packfile.NewEncoder(out, r.repo.Storer, false).Encode(c.objects, 0)
		if err == nil {
			err = out.Flush()
		}
		pw.CloseWithError(err)
	}()
	return pr, nil
}

func (r *fileRemote) close() {}

// collector gathers the objects of a repository that a mirror lacks.
type collector struct {
	from    *git.Repository
	lacks   func(plumbing.Hash) bool
	seen    map[plumbing.Hash]bool
	objects []plumbing.Hash
	ctx     context.Context
}

// take says whether an object is to be copied, once.
func (c *collector) take(h plumbing.Hash) bool {
	if c.seen[h] || !c.lacks(h) {
		return false
	}
	c.seen[h] = true
	c.objects = append(c.objects, h)
	return true
}

// history gathers commits at most depth deep, and all that they hold.
func (c *collector) history(from plumbing.Hash, depth int) error {
	for {
		t, err := c.from.TagObject(from)
		if err != nil {
			break
		}
		c.take(from)
		from = t.Target
	}
	level := []plumbing.Hash{from}
	for deep := 0; len(level) > 0 && deep < depth; deep++ {
		var parents []plumbing.Hash
		for _, hash := range level {
			commit, err := c.from.CommitObject(hash)
			if errors.Is(err, plumbing.ErrObjectNotFound) && deep > 0 {
				continue // the repository itself is shallow
			}
			if err != nil {
				return err
			}
			if !c.take(hash) {
				continue
			}
			if err := c.files(commit.TreeHash); err != nil {
				return err
			}
			parents = append(parents, commit.ParentHashes...)
		}
		level = parents
	}
	return nil
}

// files gathers a tree with all below it. What the mirror has of it, it has whole.
func (c *collector) files(hash plumbing.Hash) error {
	if err := c.ctx.Err(); err != nil {
		return err
	}
	if !c.take(hash) {
		return nil
	}
	tree, err := object.GetTree(c.from.Storer, hash)
	if err != nil {
		return err
	}
	for _, entry := range tree.Entries {
		switch entry.Mode {
		case filemode.Dir:
			if err := c.files(entry.Hash); err != nil {
				return err
			}
		case filemode.Submodule:
		default:
			c.take(entry.Hash)
		}
	}
	return nil
}
