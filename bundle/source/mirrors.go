package source

import "context"

// Mirrors keeps one bare mirror on disk for each repository and credential.
type Mirrors struct{ dir string }

// NewMirrors keeps its mirrors below dir, which belongs to this process alone and is made on first use.
func NewMirrors(dir string) *Mirrors { return &Mirrors{dir: dir} }

// Head is the commit that req names now: one small request, none for a commit given in full.
func (m *Mirrors) Head(ctx context.Context, req Request) (string, error) { return "", nil }

// Fetch brings what req names into its mirror and returns its files.
func (m *Mirrors) Fetch(ctx context.Context, req Request) (Tree, Revision, error) {
	return nil, Revision{}, nil
}

// LastChanged is the commit that brought path to what it is in a tree that Fetch returned, first parents only.
func LastChanged(ctx context.Context, tree Tree, path string) (Revision, error) {
	return Revision{}, nil
}

// Dir is a directory on disk as a Tree. `.git` is left out.
func Dir(path string) (Tree, error) { return nil, nil }
