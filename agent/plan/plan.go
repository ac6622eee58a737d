// Package plan decides what has to happen to each object of one BundleDeployment.
//
// It compares three things that the agent holds in memory, digests of what is wanted, the inventory of what was applied,
// and fingerprints of what the watches last saw, and asks Claims what other BundleDeployments want. It is pure: no
// client, no clock, no object content. An object that is wanted as it was applied and whose fingerprint has not moved
// costs nothing more than a map lookup here.
package plan

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/types"

	"flotilla.io/flotilla/agent/inventory"
	"flotilla.io/flotilla/bundle/layer"
)

// Wanted is one object of the revision that should run.
type Wanted struct {
	Key     layer.Key // with the namespace that the object ends up in
	Version string    // its API version
	Digest  string    // see Digest and Under
	Judged  bool      // it may be anything but ready once it is applied, so it has to be read
	Once    string    // the digest of its spec, if it is applied once; see package once
}

// Digest names what exactly would be applied: an object of a layer, in a namespace, in the name of an owner. An equal
// digest means that nothing needs to be sent.
func Digest(object, namespace, owner string) string {
	sum := sha256.Sum256([]byte(fmt.Sprintf("%s\n%s\n%s", object, namespace, owner)))
	return hex.EncodeToString(sum[:16])
}

// Under adds to a digest the rules that the object is under: what of it is left to others. Another digest for their sake
// alone means that the object needs a look, since the fields that were not sent are no part of its fingerprint.
func Under(digest, rules string) string {
	if rules == "" {
		return digest
	}
	return digest + " " + rules
}

// SameObject tells whether two digests are of the same object, be it under other rules.
func SameObject(a, b string) bool {
	a, _, _ = strings.Cut(a, " ")
	b, _, _ = strings.Cut(b, " ")
	return a == b
}

// Live is what the watches say about one object.
type Live struct {
	Covered     bool // a watch that has its first list covers the object; if not, the rest says nothing
	Present     bool
	UID         types.UID
	Fingerprint string
	Suspect     bool // it changed within the grain of the fingerprint's time: only a read can tell
}

// Action is what one object needs.
type Action string

const (
	Skip     Action = "skip"     // it is as it should be
	Apply    Action = "apply"    // it is new, changed, or its creation was not confirmed
	Look     Action = "look"     // somebody moved it: read it and compare
	Refuse   Action = "refuse"   // another BundleDeployment has it and still wants it
	Prune    Action = "prune"    // it left the bundle: delete it
	Keep     Action = "keep"     // it left the bundle, but its kind is deleted only when asked: let it go
	HandOver Action = "handover" // it left the bundle, and another BundleDeployment wants it: leave it to that one
)

// Step is an action on an object. Other names the BundleDeployment that Refuse and HandOver are about.
type Step struct {
	Key    layer.Key
	Action Action
	Other  string
}

// Input is what a plan is made from; none of it is modified.
type Input struct {
	Self      string // the BundleDeployment
	Wanted    []Wanted
	Inventory inventory.Inventory
	Live      func(layer.Key) Live
	Looked    func(layer.Key) string // the fingerprint at which the object was last read and judged, "" for none
	Again     func(layer.Key) bool   // whether the object is applied whatever is known of it
	Claims    *Claims
	// DeleteCRDs is the option deleteCRDResources: CustomResourceDefinitions go like other objects.
	DeleteCRDs bool
	// Back tells that a revision was given up, and the one before is put back.
	Back bool
}

// Make lists a step for each object that is wanted or in the inventory, sorted by key.
func Make(in Input) []Step {
	steps := make([]Step, 0, len(in.Wanted))
	wanted := make(map[layer.Key]bool, len(in.Wanted))
	for _, w := range in.Wanted {
		wanted[w.Key] = true
		steps = append(steps, in.want(w))
	}
	for key := range in.Inventory {
		if !wanted[key] {
			steps = append(steps, in.leave(key))
		}
	}
	slices.SortFunc(steps, func(a, b Step) int { return a.Key.Compare(b.Key) })
	return steps
}

func (in Input) want(w Wanted) Step {
	if other := in.Claims.Blocks(w.Key, in.Self); other != "" {
		return Step{w.Key, Refuse, other}
	}
	item, known := in.Inventory[w.Key]
	if step, settled := in.once(w, item); settled {
		return step
	}
	if !known || item.UID == "" || !SameObject(item.Digest, w.Digest) || in.Again(w.Key) {
		return Step{Key: w.Key, Action: Apply}
	}
	live := in.Live(w.Key)
	switch {
	case !live.Covered:
		return Step{Key: w.Key, Action: Skip}
	case !live.Present:
		if in.Looked(w.Key) == Missing {
			return Step{Key: w.Key, Action: Skip}
		}
		return Step{Key: w.Key, Action: Look}
	case live.Suspect:
		return Step{Key: w.Key, Action: Look}
	case live.UID == item.UID && live.Fingerprint == item.Fingerprint && item.Digest == w.Digest:
		return Step{Key: w.Key, Action: Skip}
	case in.Looked(w.Key) == Seen(live.UID, live.Fingerprint):
		return Step{Key: w.Key, Action: Skip}
	}
	return Step{Key: w.Key, Action: Look}
}

// once decides about an object that is applied once and was; false where it is like any other. What is over is not made again,
// whatever else of it changed, and is compared only while it is there.
func (in Input) once(w Wanted, item inventory.Item) (Step, bool) {
	switch {
	case w.Once == "" || item.Once == "":
		return Step{}, false
	case item.Once != w.Once && in.Back:
		return Step{Key: w.Key, Action: Skip}, true
	case item.Once != w.Once:
		return Step{Key: w.Key, Action: Apply}, true
	case item.End == "":
		return Step{}, false
	}
	if live := in.Live(w.Key); live.Covered && live.Present && live.UID == item.UID {
		return Step{}, false
	}
	return Step{Key: w.Key, Action: Skip}, true
}

// Missing is what Looked answers for an object that was found to be gone.
const Missing = "missing"

// Seen is what Looked answers for an object that was read and judged at this fingerprint.
func Seen(uid types.UID, fingerprint string) string { return string(uid) + " " + fingerprint }

func (in Input) leave(key layer.Key) Step {
	if others := in.Claims.Others(key, in.Self); len(others) > 0 {
		return Step{key, HandOver, others[0]}
	}
	if Protected(key) && !(in.DeleteCRDs && isCRD(key)) {
		return Step{Key: key, Action: Keep}
	}
	return Step{Key: key, Action: Prune}
}

// Protected tells whether objects of this kind stay when they leave a bundle, since with them goes what they hold: the
// objects of a Namespace, the instances of a CustomResourceDefinition, the data of a volume or a claim, the Pods of a Node.
func Protected(key layer.Key) bool {
	switch key.Group {
	case "":
		return key.Kind == "Namespace" || key.Kind == "PersistentVolume" || key.Kind == "PersistentVolumeClaim" || Borrowed(key)
	case "apiextensions.k8s.io":
		return isCRD(key)
	}
	return false
}

// Borrowed tells whether objects of this kind are made by the cluster itself, so that a bundle only adds fields to one that is
// there, a label say. It is never created and never deleted; what leaves the bundle is the fields.
func Borrowed(key layer.Key) bool { return key.Group == "" && key.Kind == "Node" }

// IsDefinition tells whether others need an object of this kind to exist at all.
func IsDefinition(key layer.Key) bool {
	return key.Group == "" && key.Kind == "Namespace" || isCRD(key)
}

func isCRD(key layer.Key) bool {
	return key.Group == "apiextensions.k8s.io" && key.Kind == "CustomResourceDefinition"
}
