package rollout

import (
	"errors"
	"fmt"
	"time"
	_ "time/tzdata" // images have no files with time zones

	"github.com/reugn/go-quartz/quartz"

	fleet "flotilla.io/flotilla/api/v1alpha1"
	"flotilla.io/flotilla/bundle/target"
)

const (
	// gaps is how many starts ahead a window is compared with the next one.
	gaps = 100
	// fold is how far back the starts are counted from at least. Of an hour that a time zone has twice, which one fires depends
	// on where the count begins: from before it, it is always the same.
	fold = 3 * time.Hour
)

// Window is the maintenance window of a Schedule: it opens whenever the cron expression fires, for a while.
type Window struct {
	trigger  *quartz.CronTrigger
	duration time.Duration
}

// NewWindow reads a Schedule. A window that is still open when it would open again is refused, as in Fleet.
func NewWindow(spec *fleet.ScheduleSpec, now time.Time) (*Window, error) {
	location, err := time.LoadLocation(spec.Location)
	if spec.Location == "" || spec.Location == "Local" {
		location, err = time.Local, nil
	}
	if err != nil {
		return nil, fmt.Errorf("spec.location: %w; write an IANA name such as Europe/Paris", err)
	}
	w := &Window{duration: spec.Duration.Duration}
	if w.trigger, err = quartz.NewCronTriggerWithLoc(spec.Schedule, location); err != nil {
		return nil, fmt.Errorf("spec.schedule %q: %w; write seconds, minutes, hours, day of month, month, day of week, such as \"0 0 22 * * *\"", spec.Schedule, err)
	}
	start := w.after(now)
	if start.IsZero() {
		return nil, fmt.Errorf("spec.schedule %q: never fires again", spec.Schedule)
	}
	for range gaps {
		next := w.after(start)
		if next.IsZero() {
			break
		}
		if w.duration >= next.Sub(start) {
			return nil, fmt.Errorf("spec.duration %s is too long: a window that opens at %s would be open when the next one opens at %s",
				w.duration, shown(start), shown(next))
		}
		start = next
	}
	return w, nil
}

// after is the first start after a moment, zero if there is none.
func (w *Window) after(t time.Time) time.Time {
	at, err := w.trigger.NextFireTime(t.UnixNano())
	if err != nil {
		return time.Time{}
	}
	return time.Unix(0, at)
}

// Opening is how a window is at a moment.
type Opening struct {
	Open bool
	Ends time.Time // while it is open
	Next time.Time // when it opens next; zero: never again
}

// At tells how the window is. It needs no memory of when it opened: whoever was away finds what he left, or what became of it.
func (w *Window) At(now time.Time) Opening {
	var start time.Time
	next := w.after(now.Add(-w.duration - fold))
	for !next.IsZero() && !next.After(now) {
		start, next = next, w.after(next)
	}
	o := Opening{Next: next}
	if ends := start.Add(w.duration); !start.IsZero() && ends.After(now) {
		o.Open, o.Ends = true, ends
	}
	return o
}

// Turn is when that changes; zero: never.
func (o Opening) Turn() time.Time {
	if o.Open {
		return o.Ends
	}
	return o.Next
}

// Windows are those of a workspace.
type Windows struct {
	list []scheduled
	now  time.Time
}

type scheduled struct {
	name    string
	picks   *target.Selection
	opening Opening
	err     error
}

// NewWindows reads the Schedules of a workspace, whose ClusterGroups are groups, as they are now.
func NewWindows(schedules []fleet.Schedule, groups []fleet.ClusterGroup, now time.Time) *Windows {
	w := &Windows{now: now}
	for i := range schedules {
		s := &schedules[i]
		if !s.DeletionTimestamp.IsZero() {
			continue
		}
		one := scheduled{name: s.Name}
		var window *Window
		if window, one.err = NewWindow(&s.Spec, now); one.err == nil {
			one.opening = window.At(now)
		}
		picks, err := target.NewSelection(s.Spec.Targets.Clusters, groups)
		one.picks, one.err = picks, errors.Join(one.err, err)
		w.list = append(w.list, one)
	}
	return w
}

// Schedule tells how one Schedule is; an error says what is wrong with it.
func (w *Windows) Schedule(name string) (Opening, error) {
	for _, s := range w.list {
		if s.name == name {
			return s.opening, s.err
		}
	}
	return Opening{}, nil
}

// Picks tells whether a Schedule has a cluster.
func (w *Windows) Picks(name string, c *fleet.Cluster) bool {
	for _, s := range w.list {
		if s.name == name {
			return s.picks != nil && s.picks.Picks(c)
		}
	}
	return false
}

// Access is what the Schedules of its workspace say of a cluster.
type Access struct {
	Scheduled bool   // some Schedule picks it: it is changed only while a window is open
	Open      bool   // one is
	Waits     string // what it waits for, "" when nothing keeps it from being changed
}

// Of tells how a cluster is. Of several Schedules one open window is enough. One that is not valid keeps the clusters that it picks
// closed: whoever wrote it did not mean "at any time".
func (w *Windows) Of(c *fleet.Cluster) Access {
	var a Access
	var next scheduled
	var wrong string
	for _, s := range w.list {
		if s.picks == nil || !s.picks.Picks(c) {
			continue
		}
		a.Scheduled = true
		a.Open = a.Open || s.opening.Open
		switch at := s.opening.Next; {
		case s.err != nil:
			wrong = fmt.Sprintf("waits for a maintenance window, but Schedule %s cannot be read: %s", s.name, s.err)
		case !at.IsZero() && (next.name == "" || at.Before(next.opening.Next)):
			next = s
		}
	}
	switch {
	case !a.Scheduled || a.Open:
	case next.name != "":
		a.Waits = fmt.Sprintf("waits for its maintenance window: Schedule %s opens at %s", next.name, shown(next.opening.Next))
	case wrong != "":
		a.Waits = wrong
	default:
		a.Waits = "waits for a maintenance window, and none opens any more"
	}
	return a
}

func shown(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05Z") }
