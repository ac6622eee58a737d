package reader

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"strings"
)

// ignoreFile lists, for the directory it is in and all below, what does not belong to a bundle.
const ignoreFile = ".fleetignore"

// ignores holds the patterns of the .fleetignore files of a directory that is being walked, by the directory they are in.
type ignores struct {
	root     string
	patterns map[string][]string
}

var trailingSpace = regexp.MustCompile(`([^\\])\s+$`)

// read adds the patterns of a directory: one glob a line, # begins a comment, a trailing space counts only after a backslash.
func (g *ignores) read(tree Tree, dir string) error {
	data, err := fs.ReadFile(tree, path.Join(dir, ignoreFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	} else if err != nil {
		return fmt.Errorf("reading %s: %w", path.Join(dir, ignoreFile), err)
	}
	lines := bufio.NewScanner(bytes.NewReader(data))
	for number := 1; lines.Scan(); number++ {
		line := trailingSpace.ReplaceAllString(lines.Text(), "$1")
		if strings.TrimSpace(line) == "" || strings.HasPrefix(line, "#") {
			continue
		}
		if _, err := path.Match(line, ""); err != nil {
			return fmt.Errorf("%s:%d: no valid glob: a bracket or backslash is left open", path.Join(dir, ignoreFile), number)
		}
		g.patterns[dir] = append(g.patterns[dir], line)
	}
	return lines.Err()
}

// match tells whether a pattern of a directory above name matches its last element. As in Fleet, a pattern with /* ignores the
// directory before it, wherever that is.
func (g *ignores) match(name string, isDir bool) bool {
	base := path.Base(name)
	for dir := name; dir != g.root; {
		dir = path.Dir(dir)
		for _, pattern := range g.patterns[dir] {
			if strings.Index(pattern, "/*") > 0 {
				if isDir && strings.TrimSuffix(pattern, "/*") == base {
					return true
				}
			} else if matched, _ := path.Match(pattern, base); matched {
				return true
			}
		}
	}
	return false
}
