package fleetyaml

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Error is one mistake in a file. Line and Column count from 1; 0 means that the place is not known. Message names the key
// and what to do, and never shows what a value holds: it ends up in conditions that anyone may read.
type Error struct {
	File         string
	Line, Column int
	Message      string
}

func (e Error) Error() string {
	switch {
	case e.Line == 0:
		return e.File + ": " + e.Message
	case e.Column == 0:
		return fmt.Sprintf("%s:%d: %s", e.File, e.Line, e.Message)
	}
	return fmt.Sprintf("%s:%d:%d: %s", e.File, e.Line, e.Column, e.Message)
}

// maxShown bounds the text of Errors: the first ones say enough, and a condition has little room.
const maxShown = 10

// Errors are all mistakes of one file, in the order of their lines.
type Errors []Error

func (e Errors) Error() string {
	lines := make([]string, 0, maxShown+1)
	for i, err := range e {
		if i == maxShown {
			lines = append(lines, fmt.Sprintf("and %d more", len(e)-maxShown))
			break
		}
		lines = append(lines, err.Error())
	}
	return strings.Join(lines, "\n")
}

// orNil gives the errors in order of place, or a nil error when there are none.
func (e Errors) orNil() error {
	if len(e) == 0 {
		return nil
	}
	slices.SortStableFunc(e, func(a, b Error) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	return e
}
