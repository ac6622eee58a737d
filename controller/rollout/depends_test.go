package rollout

import (
	"testing"

	fleet "flotilla.io/flotilla/api/v1alpha1"
)

func TestDependencies(t *testing.T) {
	type (
		needs  = []Need
		found  = []Dependency
		states = []fleet.BundleState
	)
	for _, c := range []struct {
		rule  string
		needs needs
		waits string
	}{
		{"who depends on nothing waits for nothing", nil, ""},
		{"Ready alone is accepted where nothing is said", needs{{Found: found{{Name: "base", State: fleet.Ready}}}}, ""},
		{"another state is waited for, and named with the revision", needs{{Found: found{{Name: "base", State: fleet.WaitApplied, Revision: "77ab012"}}}},
			"dependent bundle(s) are not ready: [base: WaitApplied at 77ab012]"},
		{"a drifted dependency counts where Modified is accepted", needs{{Accepted: states{fleet.Ready, fleet.Modified}, Found: found{{Name: "base", State: fleet.Modified}}}}, ""},
		{"a drifted dependency that never was Ready is waited for", needs{{Found: found{{Name: "base", State: fleet.Modified}}}},
			"dependent bundle(s) are not ready: [base: Modified]"},
		{"one that was Ready at the revision once does not block later", needs{{Found: found{{Name: "base", State: fleet.Modified, WasReady: true}}}}, ""},
		{"one that was Ready at an earlier revision is waited for", needs{{Found: found{{Name: "base", State: fleet.Ready, WasReady: true, Behind: "3f2a91c is not there yet"}}}},
			"dependent bundle(s) are not ready: [base: 3f2a91c is not there yet]"},
		{"acceptedStates without Ready mean what they say", needs{{Accepted: states{fleet.NotReady}, Found: found{{Name: "base", State: fleet.Ready}}}},
			"dependent bundle(s) are not ready: [base: Ready]"},
		{"one whose turn has not come counts where Pending is accepted", needs{{Accepted: states{fleet.Pending}, Found: found{{Name: "base", Behind: "waits"}}}}, ""},
		{"all bundles of a selector must be there", needs{{Found: found{{Name: "a", State: fleet.Ready}, {Name: "c", State: fleet.NotReady}, {Name: "b", State: fleet.ErrApplied}}}},
			"dependent bundle(s) are not ready: [b: ErrApplied; c: NotReady]"},
		{"all entries must be there, and one bundle is named once", needs{{Found: found{{Name: "a", State: fleet.NotReady}}}, {Found: found{{Name: "a", State: fleet.NotReady}}}},
			"dependent bundle(s) are not ready: [a: NotReady]"},
		{"an entry that finds no bundle is told", needs{{Found: found{{Name: "a", State: fleet.NotReady}}}, {Missing: "dependsOn[1]: no bundle"}},
			"dependent bundle(s) are not ready: [a: NotReady]; dependsOn[1]: no bundle"},
	} {
		t.Run(c.rule, func(t *testing.T) {
			if got := Dependencies(c.needs); got != c.waits {
				t.Errorf("got  %q\nwant %q", got, c.waits)
			}
		})
	}
}

func TestCyclesAreNamed(t *testing.T) {
	for _, c := range []struct {
		rule  string
		edges map[string][]string
		want  string
	}{
		{"a chain is none", map[string][]string{"a": {"b"}, "b": {"c"}}, ""},
		{"two ways to one bundle are none", map[string][]string{"a": {"b", "c"}, "b": {"d"}, "c": {"d"}}, ""},
		{"two bundles that wait for each other", map[string][]string{"a": {"b"}, "b": {"a"}}, "a → b → a"},
		{"one that waits for itself", map[string][]string{"a": {"a"}}, "a → a"},
		{"a long one", map[string][]string{"a": {"x", "b"}, "b": {"c"}, "c": {"a"}, "x": {"y"}}, "a → b → c → a"},
		{"one of others does not concern who waits for it", map[string][]string{"a": {"b"}, "b": {"c"}, "c": {"b"}}, ""},
	} {
		if got := Cycle("a", func(name string) []string { return c.edges[name] }); got != c.want {
			t.Errorf("%s: got %q, want %q", c.rule, got, c.want)
		}
	}
}
