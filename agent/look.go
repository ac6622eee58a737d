package agent

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"flotilla.io/flotilla/agent/apply"
	"flotilla.io/flotilla/agent/drift"
	"flotilla.io/flotilla/agent/plan"
	"flotilla.io/flotilla/agent/record"
	"flotilla.io/flotilla/api/v1alpha1"
	"flotilla.io/flotilla/bundle/layer"
)

const (
	// grain is how long after an apply of ours a change may leave the fingerprint as it was: the second in which the API
	// server took the apply in, and a little more.
	grain = 1100 * time.Millisecond
	// freshFor is how long an event of such a change may take to arrive.
	freshFor = 30 * time.Second

	healCalm    = 10 * time.Second // between the first rounds of putting the same object back
	healSlowest = 5 * time.Minute
	fightRounds = 5                // rounds after which it is said who fights
	healForget  = 10 * time.Minute // of quiet after which rounds are counted anew
)

// fresh is an apply of ours that the watch may not have shown yet.
type fresh struct {
	version         uint64 // as a number, to tell what the watch saw before it
	resourceVersion string
	at              time.Time
	looked          bool // it was read after the grain had passed
}

func freshFrom(r apply.Result) fresh {
	return fresh{version: drift.Version(r.ResourceVersion), resourceVersion: r.ResourceVersion, at: time.Now()}
}

// drifted is an object that was found to differ, and how often it was put back.
type drifted struct {
	drift.Finding
	open    bool // it differs now
	rounds  int
	healed  time.Time
	next    time.Time // not before
	fighter string
	failed  string // why it could not be put back
}

// live is what the watches say, without what they saw before our own last apply.
func (e *engine) live(d *deployment, key layer.Key) plan.Live {
	item := d.inv[key]
	v := e.watches.Live(d.account.ServiceAccount, item.Version, key)
	if !v.Covered {
		return plan.Live{}
	}
	live := plan.Live{Covered: true, Present: v.Present, UID: v.UID, Fingerprint: v.Fingerprint}
	f, recent := d.fresh[key]
	if !recent {
		return live
	}
	seen := v.AsOf
	if v.Present {
		seen = drift.Version(v.ResourceVersion)
	}
	if seen < f.version {
		return plan.Live{} // the watch has not come to our apply yet
	}
	age := time.Since(f.at)
	switch {
	case age > freshFor || f.looked:
		if age > freshFor {
			delete(d.fresh, key)
		}
	case v.Present && v.ResourceVersion != f.resourceVersion && v.Fingerprint == item.Fingerprint:
		if age < grain {
			d.at(f.at.Add(grain))
		} else {
			live.Suspect = true
		}
	}
	return live
}

// look reads the objects that moved and compares them, and puts back what drifted where that is asked for.
func (b *batch) look(ctx context.Context, steps []plan.Step) {
	var group errgroup.Group
	group.SetLimit(apply.Parallel)
	var mu sync.Mutex
	for _, s := range steps {
		group.Go(func() error {
			found, err := b.lookAt(ctx, s.Key)
			mu.Lock()
			defer mu.Unlock()
			b.judge(ctx, s.Key, found, err)
			return nil
		})
	}
	group.Wait()
}

func (b *batch) lookAt(ctx context.Context, key layer.Key) (drift.Finding, error) {
	u, err := b.object(ctx, key)
	if err != nil {
		return drift.Finding{}, err
	}
	return drift.Look(ctx, b.deployment.account, u, b.item(key).UID, b.deployment.rules)
}

// judge remembers what a look found.
func (b *batch) judge(ctx context.Context, key layer.Key, found drift.Finding, err error) {
	d := b.deployment
	if err != nil {
		b.engine.log.Info("a look at an object that moved failed; it is tried again", "bundle", d.name, "object", key.String(), "error", err)
		d.after(2 * time.Second)
		return
	}
	if f, recent := d.fresh[key]; recent && time.Since(f.at) >= grain {
		f.looked = true
		d.fresh[key] = f
	}
	w, wanted := b.wanted(key)
	if found.Missing && w.Once != "" {
		b.vanished(w, found.Left)
		return
	}
	was := d.drift[key]
	now := was
	now.Finding, now.open = found, found.Open()
	now.Live = nil
	if found.Missing && !found.Replaced {
		d.looked[key] = plan.Missing
	} else {
		d.looked[key] = plan.Seen(found.UID, found.Fingerprint)
	}
	if wanted && !now.open { // under the rules of now it is as it should be
		item := d.inv[key]
		item.Digest = w.Digest
		d.inv[key] = item
	}
	d.noteRead(ctx, key, found.Live, false)
	switch {
	case now.open:
		d.drift[key] = now
		if !was.open {
			b.engine.log.Info("drift", "bundle", d.name, "object", key.String(), "missing", found.Missing, "fields", paths(found))
		}
	case was.rounds == 0:
		delete(d.drift, key)
	default:
		d.drift[key] = now
	}
}

func paths(f drift.Finding) []string {
	var list []string
	for _, field := range f.Fields[:min(3, len(f.Fields))] {
		list = append(list, field.Path)
	}
	return list
}

// correction says how drift is put back.
func (d *deployment) correction() v1alpha1.CorrectDrift {
	c := cmp.Or(d.record.Spec.CorrectDrift, d.record.Spec.Options.CorrectDrift)
	if c == nil {
		return v1alpha1.CorrectDrift{}
	}
	return *c
}

// heals tells whether drift is put back.
func (d *deployment) heals() bool {
	return d.correction().Enabled || strings.HasPrefix(d.name, v1alpha1.AgentBundlePrefix)
}

// retry puts drifted objects back, where that is asked for: at once the first time, and then later and later, since
// whoever changes the same object again and again would else be fought over it for ever.
func (b *batch) retry(ctx context.Context) {
	d := b.deployment
	if !d.heals() {
		return
	}
	for _, key := range slices.SortedFunc(maps.Keys(d.drift), layer.Key.Compare) {
		was := d.drift[key]
		if !was.open {
			if was.rounds > 0 && time.Since(was.healed) > healForget {
				delete(d.drift, key)
			}
			continue
		}
		if w, ok := b.wanted(key); ok && !plan.SameObject(d.inv[key].Digest, w.Digest) {
			continue // a new revision of it is on its way, or failed: that is no drift
		}
		if wait := time.Until(was.next); wait > 0 {
			d.at(was.next)
			continue
		}
		b.heal(ctx, key, was)
	}
}

func (b *batch) heal(ctx context.Context, key layer.Key, was drifted) {
	d := b.deployment
	w, ok := b.wanted(key)
	if !ok {
		delete(d.drift, key)
		return
	}
	was.rounds++
	if time.Since(was.healed) > healForget {
		was.rounds = 1
	}
	was.healed = time.Now()
	was.next = was.healed.Add(min(healCalm<<min(was.rounds-1, 6), healSlowest))
	was.fighter = fighter(was)
	if err := b.one(record.Because(ctx, record.Drift), w, true); err != nil {
		b.engine.log.Info("putting an object back failed", "bundle", d.name, "object", key.String(), "error", err)
		was.failed = "cannot be put back: " + err.Error()
		d.drift[key] = was
		d.at(was.next)
		return
	}
	b.engine.log.Info("put an object back", "bundle", d.name, "object", key.String(), "fields", paths(was.Finding), "round", was.rounds)
	was.open, was.failed, was.Finding = false, "", drift.Finding{}
	d.drift[key] = was // so that the next round is counted
}

// fighter names who changes an object again, once that has happened too often to be chance.
func fighter(was drifted) string {
	if was.rounds < fightRounds {
		return ""
	}
	managers := map[string]bool{}
	for _, f := range was.Fields {
		if f.Manager != "" {
			managers[f.Manager] = true
		}
	}
	who := strings.Join(slices.Sorted(maps.Keys(managers)), ", ")
	if who == "" {
		who = "somebody"
	}
	return fmt.Sprintf("put back %d times, and changed again by %s", was.rounds, who)
}
