package agent

import (
	"context"
	"time"

	"golang.org/x/sync/errgroup"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"flotilla.io/flotilla/agent/apply"
	"flotilla.io/flotilla/agent/drift"
	"flotilla.io/flotilla/agent/health"
	"flotilla.io/flotilla/agent/once"
	"flotilla.io/flotilla/api/v1alpha1"
	"flotilla.io/flotilla/bundle/layer"
)

const (
	readCalm    = 2 * time.Second        // between two reads of one object
	readQuiet   = 300 * time.Millisecond // of no events, after which a read is worth it
	readSlowest = time.Minute            // between two reads of one that moves all the time and stays as it is
	readBlind   = 5 * time.Second        // between two reads of one that is not watched and not ready
)

// reading is what is known of the readiness of one object whose kind has a rule.
type reading struct {
	verdict  health.Verdict
	version  string    // the resourceVersion that was read
	at       time.Time // when it was read for its own sake; zero if the answer to an apply was all there was
	interval time.Duration
	pending  string    // the resourceVersion that asks for a read
	since    time.Time // since when
	last     time.Time // the last event
}

// noteRead takes the readiness from an object that was read, or answered, anyway.
func (d *deployment) noteRead(ctx context.Context, key layer.Key, live *unstructured.Unstructured, applied bool) {
	if w, ok := d.wants(key); live == nil || !ok || !w.Judged {
		d.ended(key, live)
		return
	}
	verdict := d.judge.Assess(ctx, live)
	if verdict.State == health.Ready && waitsForJobs(d.record.Target().Options) {
		verdict = health.Complete(live)
	}
	r := d.reads[key]
	if r == nil || applied {
		r = &reading{interval: readCalm}
		d.reads[key] = r
	}
	if verdict == r.verdict {
		r.interval = min(2*max(r.interval, readCalm), readSlowest)
	} else {
		r.interval = readCalm
	}
	r.verdict, r.version, r.pending = verdict, live.GetResourceVersion(), ""
	d.ended(key, live)
	if !applied {
		r.at = time.Now()
	}
}

// readsOtherwise tells whether what was read of the same objects would be judged in another way.
func readsOtherwise(before, after v1alpha1.BundleDeploymentOptions) bool {
	return !equal(before.IgnoreOptions, after.IgnoreOptions) || !equal(before.Health, after.Health) || waitsForJobs(before) != waitsForJobs(after)
}

func waitsForJobs(o v1alpha1.BundleDeploymentOptions) bool {
	return o.Helm != nil && o.Helm.WaitForJobs
}

// read reads those objects whose kind has a rule and whose resourceVersion moved, when it is time for each.
func (e *engine) read(ctx context.Context, d *deployment) {
	if d.account == nil {
		return
	}
	var due []layer.Key
	now := time.Now()
	for _, w := range d.wanted {
		item, known := d.inv[w.Key]
		if !known || item.UID == "" || !w.Judged || d.absent(w.Key) || once.IsOver(item) {
			continue
		}
		if when, needed := e.readAt(d, w.Key, item.Version, now); needed {
			if when.After(now) {
				d.at(when)
			} else {
				due = append(due, w.Key)
			}
		}
	}
	lives := make([]*unstructured.Unstructured, len(due))
	var group errgroup.Group
	group.SetLimit(apply.Parallel)
	for i, key := range due {
		group.Go(func() error {
			lives[i] = e.readOne(ctx, d, key)
			return nil
		})
	}
	group.Wait()
	for i, key := range due {
		d.noteRead(ctx, key, lives[i], false)
	}
	e.keepEnds(ctx, d)
}

// readAt tells whether an object has to be read, and when.
func (e *engine) readAt(d *deployment, key layer.Key, version string, now time.Time) (time.Time, bool) {
	v := e.watches.Live(d.account.ServiceAccount, version, key)
	r := d.reads[key]
	switch {
	case r == nil:
		return now, true
	case !v.Covered && r.verdict.State == health.Ready:
		return time.Time{}, false
	case !v.Covered:
		return r.at.Add(max(readBlind, r.interval)), true
	case !v.Present || v.ResourceVersion == r.version:
		r.pending = ""
		return time.Time{}, false
	case drift.Version(v.ResourceVersion) < d.fresh[key].version:
		return time.Time{}, false // the watch has not come to our apply yet
	}
	if r.pending == "" {
		r.since = now
	}
	if r.pending != v.ResourceVersion {
		r.pending, r.last = v.ResourceVersion, now
	}
	when := r.last.Add(readQuiet)
	if latest := r.since.Add(readCalm); when.After(latest) {
		when = latest
	}
	if earliest := r.at.Add(r.interval); when.Before(earliest) {
		when = earliest
	}
	return when, true
}

// readOne reads one object; nil if it could not be read, in which case drift or the next event tell.
func (e *engine) readOne(ctx context.Context, d *deployment, key layer.Key) *unstructured.Unstructured {
	gvk := schema.GroupVersionKind{Group: key.Group, Version: d.inv[key].Version, Kind: key.Kind}
	kind, err := e.tenants.Kinds().Of(gvk)
	if err == nil {
		var live *unstructured.Unstructured
		if live, err = d.account.Object(kind, key.Namespace).Get(ctx, key.Name, metav1.GetOptions{}); err == nil {
			return live
		}
	}
	if !apierrors.IsNotFound(err) {
		e.log.Info("reading an object failed; it is tried again", "bundle", d.name, "object", key.String(), "error", err)
		d.after(readBlind)
	}
	return nil
}
