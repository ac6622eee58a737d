package once

import (
	"fmt"

	"k8s.io/apimachinery/pkg/types"

	"flotilla.io/flotilla/agent/inventory"
	"flotilla.io/flotilla/api/v1alpha1"
	"flotilla.io/flotilla/bundle/layer"
)

// Action is what to do about an object that is applied once.
type Action string

const (
	Make     Action = "make"     // create it: it never ran
	Anew     Action = "anew"     // delete it and create it: its spec changed
	InPlace  Action = "in place" // apply what changed around its spec, and create nothing
	Vanished Action = "vanished" // it was made and is gone: that is remembered, and nothing is done
	Leave    Action = "leave"    // do nothing now
	Wait     Action = "wait"     // its spec changed, and it still works by the old one
	Refuse   Action = "refuse"   // its spec changed, and it cannot do its work again by this name
)

// Live is the object as a live read shows it.
type Live struct {
	UID    types.UID
	Ours   bool   // it names us as its owner
	Going  bool   // it is being deleted
	Digest string // of the spec that it was made with, as it says itself; "" if it does not say
	Over   bool   // its work ended
}

// Case is all that a decision is made from.
type Case struct {
	Key    layer.Key
	Wanted string         // digest of the wanted spec
	Item   inventory.Item // what is remembered of it
	Live   *Live          // nil if it does not exist
	// Doubt: an agent that was stopped since was about to create it, and did or did not.
	Doubt bool
	// Stays: it would be there if it had been made, since nothing takes it away when its work is over.
	Stays bool
	// Back: a revision was given up and the one before is put back, which is no reason to do its work again.
	Back bool
}

// Decide says what to do. An object that ran with the wanted spec is never made again; nor is one of which that cannot be told.
func Decide(c Case) Action {
	made := c.Item.Once // with which spec; "" if that is not known
	if c.Live != nil && c.Live.UID != c.Item.UID && c.Live.Ours {
		made = c.Live.Digest
	}
	changed := made != "" && made != c.Wanted
	switch {
	case c.Live == nil:
		return c.absent(changed)
	case c.Live.UID != c.Item.UID && !c.Live.Ours && c.Item.UID != "" && !changed:
		return Vanished // another object has its name
	case !changed && c.Live.Going && c.Live.UID == c.Item.UID:
		return Leave
	case !changed || c.Live.UID != c.Item.UID && !c.Live.Ours:
		return InPlace // also where it belongs to nobody yet, or to somebody else, which the apply finds out
	}
	return c.again()
}

// absent decides about an object that does not exist.
func (c Case) absent(changed bool) Action {
	switch {
	case changed && c.Back:
		return Leave
	case changed && isBackup(c.Key):
		return Refuse
	case changed:
		return Make
	case c.Item.UID != "" || c.Item.End != "":
		return Vanished
	case c.Doubt && !c.Stays:
		return Vanished
	}
	return Make
}

// again decides about an object that is there and ours, and was made with another spec.
func (c Case) again() Action {
	switch {
	case c.Back:
		return Leave
	case isBackup(c.Key):
		return Refuse
	case isRestore(c.Key) && !c.Live.Over:
		return Wait
	}
	return Anew
}

// Stays tells whether objects of this kind stay when their work is over, until somebody deletes them.
func Stays(key layer.Key) bool { return isJob(key) }

// Refusal says why a changed spec is refused.
func Refusal(key layer.Key) error {
	return fmt.Errorf("%s: its spec changed, but Velero keeps a backup by its name and makes no second one of that name; give it a new name", key)
}

// Waiting says what a changed spec waits for.
func Waiting(key layer.Key) string {
	return fmt.Sprintf("%s has a new spec, and is made anew once it is over with the old one; delete it if it hangs", key)
}

// Missing says why an object that is gone is not made again.
const Missing = "its end was not seen, and it is not made again by itself: give it another spec or another name to have its work done again"

// Message is what is reported of an object that failed.
func Message(item inventory.Item) string {
	if item.Why == "" {
		return "failed"
	}
	return item.Why
}

// IsOver tells whether nothing more is expected of the object that an item is about.
func IsOver(item inventory.Item) bool { return item.Once != "" && item.End != "" }

// Vanish is the item of an object that is gone; left tells that its absence is left to others, as that of a Job with a time to live.
func Vanish(item inventory.Item, digest string, left bool) inventory.Item {
	item.Once = digest
	switch {
	case item.End != "":
	case left:
		item.End = v1alpha1.OnceExpired
	default:
		item.End = v1alpha1.OnceGone
	}
	return item
}
