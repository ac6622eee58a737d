package probes

import (
	"fmt"
	"time"
)

// state is what a probe's checks came to.
type state struct {
	made      bool   // it was made at all
	succeeded bool   // once
	failures  int    // in a row
	said      string // what the last failure was
	since     time.Time
}

// after is the state that follows a check, which failed for a reason or succeeded with "".
func (s state) after(failed string, now time.Time) state {
	if failed == "" {
		return state{made: true, succeeded: true}
	}
	if s.failures == 0 {
		s.since = now
	}
	s.made, s.failures, s.said = true, s.failures+1, failed
	return s
}

// verdict says what is wrong, "" for nothing: a probe that never succeeded has only to, one that did fails when it failed as
// often as its threshold says.
func (s state) verdict(threshold int) string {
	switch {
	case !s.made:
		return "is not made yet"
	case s.failures == 0, s.succeeded && s.failures < threshold:
		return ""
	case !s.succeeded:
		return s.said
	}
	return fmt.Sprintf("%s, since %s", s.said, s.since.UTC().Format(time.RFC3339))
}

// firstTries is how soon a probe that never succeeded is made again; each time it takes twice as long, up to its interval.
const firstTries = time.Second

// wait is how long after a check the next one follows.
func (s state) wait(interval time.Duration) time.Duration {
	if s.succeeded || s.failures > 16 {
		return interval
	}
	return min(firstTries<<max(s.failures-1, 0), interval)
}
