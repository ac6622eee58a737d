package agent

import (
	"strings"
	"testing"
	"time"

	"flotilla.io/flotilla/agent/drift"
	"flotilla.io/flotilla/api/v1alpha1"
)

func TestAfterFiveRoundsItIsSaidWhoFights(t *testing.T) {
	was := drifted{Finding: drift.Finding{Fields: []v1alpha1.DriftedField{{Manager: "hpa"}, {Manager: "kubectl"}, {Manager: "hpa"}}}}
	for was.rounds = 1; was.rounds < fightRounds; was.rounds++ {
		if got := fighter(was); got != "" {
			t.Errorf("after %d rounds: %q", was.rounds, got)
		}
	}
	if got := fighter(was); got != "put back 5 times, and changed again by hpa, kubectl" {
		t.Errorf("after 5 rounds: %q", got)
	}
}

func TestBackoffGrowsToAMinute(t *testing.T) {
	for _, row := range []struct {
		failures int
		least    time.Duration
	}{{1, time.Second}, {2, 2 * time.Second}, {7, time.Minute}, {1000, time.Minute}} {
		if got := backoff(row.failures); got < row.least || got > row.least*5/4 {
			t.Errorf("backoff(%d) = %s", row.failures, got)
		}
	}
}

func TestASentenceNamesThreeAndCountsTheRest(t *testing.T) {
	errs := multi{}
	for _, text := range []string{"d", "a", "c", "b", "a"} {
		errs = append(errs, &waitError{text})
	}
	if got := sentence(errs); got != "a; b; c; and 1 more" || !waits(errs) {
		t.Errorf("sentence = %q, waits %v", got, waits(errs))
	}
}

type multi []error

func (m multi) Error() string   { return strings.Repeat("x", len(m)) }
func (m multi) Unwrap() []error { return m }
