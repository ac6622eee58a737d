package source

import (
	"fmt"
	"strings"
	"unicode"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
)

const maxKnownWhole = 1 << 19 // trees remembered as whole, before we start anew

// check finds out whether all that a tree holds is there and may be taken. Trees found whole before are not read again.
func (s *store) check(tree plumbing.Hash) error {
	s.mu.Lock()
	if len(s.whole) > maxKnownWhole {
		clear(s.whole)
	}
	s.mu.Unlock()
	found, err := s.measureTree(tree, ".", 1)
	if err != nil {
		return err
	}
	if found.files > MaxFiles {
		return &Error{Reason: TooLarge, Where: ".", Message: fmt.Sprintf("the revision has more than %d files", MaxFiles),
			Next: "keep what is not deployed in another repository"}
	}
	return nil
}

func (s *store) measureTree(tree plumbing.Hash, path string, depth int) (size, error) {
	if known, ok := s.known(tree); ok && depth+known.depth <= MaxDirDepth {
		return known, nil
	}
	if depth > MaxDirDepth {
		return size{}, &Error{Reason: TooLarge, Where: path, Message: fmt.Sprintf("directories nest more than %d deep", MaxDirDepth), Next: "flatten them"}
	}
	entries, err := s.entries(tree)
	if err != nil {
		return size{}, fmt.Errorf("directory %s (tree %s): %w", path, tree, err)
	}
	var total size
	for _, entry := range entries {
		if forbidden(entry.Name) {
			return size{}, &Error{Reason: TreeRefused, Where: path, Message: fmt.Sprintf("the repository holds an entry named %q", entry.Name[:min(len(entry.Name), 100)]),
				Next: "remove it with git rm: names like .git are Git's own"}
		}
		below := size{files: 1}
		switch entry.Mode {
		case filemode.Dir:
			if below, err = s.measureTree(entry.Hash, join(path, entry.Name), depth+1); err != nil {
				return size{}, err
			}
		case filemode.Submodule: // refused when it is opened
		default:
			if !s.has(entry.Hash) {
				return size{}, fmt.Errorf("file %s (blob %s): %w", join(path, entry.Name), entry.Hash, plumbing.ErrObjectNotFound)
			}
		}
		total.files = min(total.files+below.files, MaxFiles+1)
		total.depth = max(total.depth, below.depth+1)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.whole[tree] = total
	return total, nil
}

func (s *store) known(tree plumbing.Hash) (size, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	known, ok := s.whole[tree]
	return known, ok
}

// forbidden names are those that Git itself never stores: paths, and .git in the spellings that some disk takes for it.
func forbidden(name string) bool {
	if name == "" || name == "." || name == ".." || strings.Contains(name, "/") {
		return true
	}
	folded := strings.Map(func(r rune) rune {
		if unicode.Is(unicode.Cf, r) { // invisible: macOS leaves them out
			return -1
		}
		return unicode.ToLower(r)
	}, name)
	folded, _, _ = strings.Cut(folded, ":") // a stream's name on Windows
	folded = strings.TrimRight(folded, ". ")
	return folded == ".git" || folded == "git~1"
}
