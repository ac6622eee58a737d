package source

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
)

// defaultBranch is the branch of a Request that names none, as in Fleet.
const defaultBranch = "master"

// refs is what a repository offers. Names are without refs/heads/ and refs/tags/.
type refs struct {
	heads    map[string]plumbing.Hash
	tags     map[string]tag
	head     plumbing.Hash // what HEAD points to; zero when it points nowhere
	headName string        // the branch HEAD names, when the server says so
	// anyCommit: a commit may be asked for that no ref points to.
	anyCommit bool
}

// tag is a ref's object and the commit behind it; they differ for an annotated tag.
type tag struct{ object, commit plumbing.Hash }

// target is what a request comes to.
type target struct {
	want   plumbing.Hash // the object to ask for
	commit plumbing.Hash
	branch string // "" for a tag or a commit
}

// commitID matches what Git calls objects by, commits among them.
var commitID = regexp.MustCompile(`^[0-9a-f]{40}$`)

// pinned is the commit of a request that names one in full.
func (r Request) pinned() (plumbing.Hash, bool) {
	id := strings.ToLower(r.Revision)
	return plumbing.NewHash(id), commitID.MatchString(id)
}

// resolve finds what a request names.
func (l *location) resolve(req Request, r *refs) (target, error) {
	if commit, ok := req.pinned(); ok {
		return target{want: commit, commit: commit}, nil
	}
	if req.Revision != "" {
		return l.resolveTag(strings.TrimPrefix(req.Revision, "refs/tags/"), r)
	}
	if req.Branch != "" {
		return l.resolveBranch(strings.TrimPrefix(req.Branch, "refs/heads/"), r)
	}
	if commit, ok := r.heads[defaultBranch]; ok {
		return target{commit, commit, defaultBranch}, nil
	}
	if !r.head.IsZero() {
		return target{r.head, r.head, r.headBranch()}, nil
	}
	return target{}, l.refNotFound(fmt.Sprintf("no branch was given, so %q was assumed, but it does not exist and HEAD points to no branch either", defaultBranch),
		"branch", "", slices.Sorted(maps.Keys(r.heads)), "set branch")
}

func (l *location) resolveBranch(name string, r *refs) (target, error) {
	if commit, ok := r.heads[name]; ok {
		return target{commit, commit, name}, nil
	}
	next := "set branch to one of them, or push it"
	if _, ok := r.tags[name]; ok {
		next = fmt.Sprintf("%q is a tag: set revision in place of branch", name)
	}
	return target{}, l.refNotFound(fmt.Sprintf("branch %q does not exist", name), "branch", name, slices.Sorted(maps.Keys(r.heads)), next)
}

func (l *location) resolveTag(name string, r *refs) (target, error) {
	if t, ok := r.tags[name]; ok {
		return target{want: t.object, commit: t.commit}, nil
	}
	next := "set revision to one of them or to a commit of 40 digits"
	if _, ok := r.heads[name]; ok {
		next = fmt.Sprintf("%q is a branch: set branch in place of revision", name)
	}
	return target{}, l.refNotFound(fmt.Sprintf("revision %q is neither a tag nor a commit of 40 digits", name), "tag", name, slices.Sorted(maps.Keys(r.tags)), next)
}

// headBranch is the name of the branch HEAD stands for.
func (r *refs) headBranch() string {
	if r.headName != "" {
		return r.headName
	}
	for _, name := range slices.Sorted(maps.Keys(r.heads)) {
		if r.heads[name] == r.head {
			return name
		}
	}
	return "HEAD"
}

const maxNamed = 10 // branches or tags that an error names

// refNotFound names what exists, and the likely one when name is close to it.
func (l *location) refNotFound(message, kind, name string, exist []string, next string) *Error {
	likely := nearest(name, exist)
	plural := map[string]string{"branch": "branches", "tag": "tags"}[kind]
	if len(exist) == 1 {
		plural = kind
	}
	switch named := exist[:min(len(exist), maxNamed)]; {
	case len(exist) == 0:
		message += fmt.Sprintf("; the repository has no %s", plural)
	case len(exist) > len(named):
		message += fmt.Sprintf("; it has the %s %s and %d more", plural, strings.Join(named, ", "), len(exist)-len(named))
	default:
		message += fmt.Sprintf("; it has the %s %s", plural, strings.Join(named, ", "))
	}
	if likely != "" {
		message += fmt.Sprintf("; did you mean %q?", likely)
	}
	return &Error{Reason: RefNotFound, Where: l.display, Message: shorten(message, 1000), Next: next}
}

// nearest is the candidate that name was likely meant to be, "" when none is close.
func nearest(name string, candidates []string) string {
	best, least := "", max(1, len(name)/3)+1
	if name == "" || len(name) > 100 {
		return ""
	}
	for _, candidate := range candidates {
		if abs(len(name)-len(candidate)) >= least {
			continue
		}
		if d := distance(strings.ToLower(name), strings.ToLower(candidate)); d < least {
			best, least = candidate, d
		}
	}
	return best
}

func abs(n int) int { return max(n, -n) }

// distance counts the letters to insert, drop, replace or swap with a neighbour to turn a into b.
func distance(a, b string) int {
	rows := make([][]int, len(a)+1)
	for i := range rows {
		rows[i] = make([]int, len(b)+1)
		rows[i][0] = i
	}
	for j := range rows[0] {
		rows[0][j] = j
	}
	for i := 1; i <= len(a); i++ {
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			rows[i][j] = min(rows[i-1][j]+1, rows[i][j-1]+1, rows[i-1][j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				rows[i][j] = min(rows[i][j], rows[i-2][j-2]+1)
			}
		}
	}
	return rows[len(a)][len(b)]
}
