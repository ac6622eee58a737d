package webhook

import (
	"testing"

	fleet "flotilla.io/flotilla/api/v1alpha1"
)

func TestAddressesOfOneRepositoryAreOne(t *testing.T) {
	const same = "git.example.com/team/apps"
	for address, want := range map[string]string{
		"https://git.example.com/team/apps":              same,
		"https://git.example.com/team/apps.git":          same,
		"http://user:password@git.example.com/team/apps": same,
		"https://Git.Example.com/Team/Apps.git":          same,
		"ssh://git@git.example.com/team/apps.git":        same,
		"git@git.example.com:team/apps.git":              same,
		"git://git.example.com/team/apps":                same,
		"https://git.example.com/team/apps-2":            same + "-2",
		"https://git.example.org/team/apps":              "git.example.org/team/apps",
	} {
		if got := normal(address); got != want {
			t.Errorf("%s is %q, want %q", address, got, want)
		}
	}
}

func TestWhichPushesConcernAGitRepo(t *testing.T) {
	for _, c := range []struct {
		rule, branch, ref string
		want              bool
	}{
		{"a push to its branch does", "main", "refs/heads/main", true},
		{"a push to another branch does not", "main", "refs/heads/next", false},
		{"nor one to a branch that begins alike", "main", "refs/heads/main-2", false},
		{"nor a tag of that name", "main", "refs/tags/main", false},
		{"without a branch every push does, as in Fleet", "", "refs/heads/next", true},
	} {
		_, got := push{changes: []change{{"refs/heads/first", "a"}, {c.ref, "b"}}}.to(&fleet.GitRepo{Spec: fleet.GitRepoSpec{Branch: c.branch}})
		if got != c.want {
			t.Errorf("%s: %v", c.rule, got)
		}
	}
}
