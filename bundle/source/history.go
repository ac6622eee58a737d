package source

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/go-git/go-git/v5/plumbing"
)

// LastChanged is the commit that brought name to what it is in a tree that Fetch returned: the newest, first parents
// only, whose parent holds something else there. Where the history at hand ends before that commit is found, it is the
// oldest one at hand, with OrEarlier set.
func LastChanged(ctx context.Context, tree Tree, name string) (Revision, error) {
	t, ok := tree.(*files)
	if !ok {
		return Revision{}, errNoHistory(name)
	}
	c, ok := t.from.(*commitFiles)
	if !ok {
		return Revision{}, errNoHistory(name)
	}
	wanted, err := t.Hash(name)
	if err != nil {
		return Revision{}, err
	}
	for {
		if err := ctx.Err(); err != nil {
			return Revision{}, fmt.Errorf("looking for the commit that last changed %s: %w", name, err)
		}
		if len(c.commit.parents) == 0 {
			return c.commit.Revision, nil
		}
		parent, err := c.parent()
		if errors.Is(err, plumbing.ErrObjectNotFound) {
			last := c.commit.Revision
			last.OrEarlier = true
			return last, nil
		}
		if err != nil {
			return Revision{}, fmt.Errorf("reading the history of %s: %w", name, err)
		}
		same, err := parent.holds(name, wanted)
		if err != nil {
			return Revision{}, fmt.Errorf("reading the history of %s: %w", name, err)
		}
		if !same {
			return c.commit.Revision, nil
		}
		c = parent
	}
}

// holds says whether name hashes to wanted.
func (c *commitFiles) holds(name, wanted string) (bool, error) {
	t := &files{c}
	n, err := t.walk("hash", name, true)
	found := n.id
	if err == nil && !commitID.MatchString(wanted) { // links lead out of it: its own hash does not say all
		found, err = t.hashNode(n, map[string]string{})
	}
	if known := (*Error)(nil); errors.Is(err, fs.ErrNotExist) || errors.As(err, &known) {
		return false, nil
	}
	return found == wanted, err
}

func errNoHistory(name string) error {
	return &Error{Reason: RefNotFound, Where: name, Message: "a directory on disk has no history", Next: "read it from its repository"}
}

// parent is the files of the first parent.
func (c *commitFiles) parent() (*commitFiles, error) {
	found, err := c.store.commit(c.commit.parents[0])
	if err != nil {
		return nil, err
	}
	parent := newCommit(found)
	parent.Branch = c.commit.Branch
	return &commitFiles{c.store, parent, c.listings}, nil
}
