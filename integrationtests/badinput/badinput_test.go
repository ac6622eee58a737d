package badinput

import (
	"testing"

	"flotilla.io/flotilla/integrationtests/world"
)

// TestBadInput shares one fleet: what one part breaks must not concern the next.
func TestBadInput(t *testing.T) {
	w := newWorld(t)
	for _, part := range []struct {
		name string
		do   func(*testing.T, *world.World)
	}{
		{"a mistake in a repository", mistakesInARepository},
		{"a mistake in a GitRepo", mistakesInAGitRepo},
		{"a change of many clusters", unTargeting},
		{"a hold", holds},
		{"a lost Content", lostContents},
		{"a source of a copy", copiesOfTheWorkspace},
		{"a rule of the workspace", rules},
		{"a kind that is not served", kindsNotServed},
		{"a chart from elsewhere", chartsFromElsewhere},
	} {
		t.Run(part.name, func(t *testing.T) { part.do(t, of(t, w)) })
	}
}
