package hooks

import (
	"fmt"
	"slices"
	"time"
)

// Run is how far the hooks of one revision are. The agent keeps it in its record.
type Run struct {
	// ID names the run: no two have the same, also when a revision comes back.
	ID string `json:"id"`
	// Install: the cluster had nothing of the bundle, so these are the hooks of an install.
	Install bool `json:"install,omitempty"`
	// Judged: it was looked whether another tool installed the bundle before.
	Judged bool `json:"judged,omitempty"`
	// Started is the hook that was created, or is just about to be.
	Started *Started `json:"started,omitempty"`
	// Past are the hooks that succeeded: event and object.
	Past []string `json:"past,omitempty"`
	// Done are the events that are over.
	Done []Event `json:"done,omitempty"`
	// Failed says why the run is over, "" if it is not.
	Failed string `json:"failed,omitempty"`
}

// Started is a hook and when it was started.
type Started struct {
	Hook string    `json:"hook"` // event and object
	At   time.Time `json:"at"`
}

// Before is the event before the objects of the revision are applied; After the one when they are.
func (r *Run) Before() Event {
	if r != nil && r.Install {
		return PreInstall
	}
	return PreUpgrade
}

func (r *Run) After() Event {
	if r != nil && r.Install {
		return PostInstall
	}
	return PostUpgrade
}

// Over tells whether nothing is left to do at an event. A nil Run has no hooks.
func (r *Run) Over(event Event) bool { return r == nil || slices.Contains(r.Done, event) }

// Copy is a Run that may change by itself.
func (r *Run) Copy() *Run {
	c := *r
	c.Past, c.Done = slices.Clone(r.Past), slices.Clone(r.Done)
	if r.Started != nil {
		started := *r.Started
		c.Started = &started
	}
	return &c
}

// RunningError says which hook is waited for.
type RunningError struct {
	Hook  string // event and object
	What  string
	Again time.Duration // when to look
}

func (e *RunningError) Error() string { return fmt.Sprintf("hook %s %s", e.Hook, e.What) }

// FailedError says which hook failed, and why. The run does not go on.
type FailedError struct{ Why string }

func (e *FailedError) Error() string { return e.Why }
