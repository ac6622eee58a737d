// Package nearest finds the word that was likely meant by a mistyped one.
package nearest

import (
	"slices"
	"strings"
)

// Word returns the word of known that is closest to typed, and whether it is close enough to propose: a difference in case
// only, or few edits for its length. Of equally close words the first in the alphabet is taken.
func Word(typed string, known []string) (string, bool) {
	best, distance := "", len(typed)/3+2
	for _, word := range slices.Sorted(slices.Values(known)) {
		if strings.EqualFold(word, typed) {
			return word, true
		}
		if d := edits(strings.ToLower(typed), strings.ToLower(word)); d < distance && d < len(word) {
			best, distance = word, d
		}
	}
	return best, best != ""
}

// Hint is the half sentence that proposes a word: `; did you mean "x"?`, or "" when nothing is close.
func Hint(typed string, known []string) string {
	word, ok := Word(typed, known)
	if !ok {
		return ""
	}
	return `; did you mean "` + word + `"?`
}

// edits counts the insertions, deletions, replacements and swaps of neighbours that lead from a to b.
func edits(a, b string) int {
	before, row, next := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		next[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			next[j] = min(row[j]+1, next[j-1]+1, row[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				next[j] = min(next[j], before[j-2]+1)
			}
		}
		before, row, next = row, next, before
	}
	return row[len(b)]
}
