package agent

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"flotilla.io/flotilla/agent/drift"
	"flotilla.io/flotilla/agent/health"
	"flotilla.io/flotilla/agent/once"
	"flotilla.io/flotilla/agent/plan"
	"flotilla.io/flotilla/agent/report"
	"flotilla.io/flotilla/api/v1alpha1"
	"flotilla.io/flotilla/bundle/layer"
)

// patience is how long a new revision may take to become ready before that is reported.
const patience = time.Second

// report says how the deployment is, if that is news and its time has come.
func (e *engine) report(ctx context.Context, d *deployment) {
	e.yield(ctx, d)
	facts := e.facts(ctx, d)
	if why := d.late(facts); why != "" {
		if e.giveUp(ctx, d, why) {
			return
		}
		facts.Failure = cmp.Or(facts.Failure, why)
	}
	e.settled(ctx, d, facts)
	at, _ := e.membership()
	if d.order == nil || at.hub == nil || e.blind(d) || e.probing(d) {
		return
	}
	before := d.order.Status
	after := report.Compose(before, facts)
	patch, err := report.Patch(before, after)
	if err != nil {
		e.log.Error("composing a status", "bundle", d.name, "error", err)
		return
	}
	if patch == nil {
		return
	}
	now := time.Now()
	urgent := urgent(before, after)
	d.pace.Ordered(d.order.Spec.Sequence)
	due := d.pace.Due(urgent)
	if after.Health == v1alpha1.HealthProgressing || d.deferred(after) {
		due = later(due, d.staged.Add(patience))
	}
	if due.After(now) {
		d.at(due)
		return
	}
	answer, err := at.hub.PatchStatus(ctx, d.name, patch)
	if err != nil {
		if !apierrors.IsNotFound(err) {
			e.log.Info("writing a status failed; it is tried again", "bundle", d.name, "error", err)
			d.after(backoff(2))
		}
		return
	}
	d.pace.Wrote(now, urgent)
	answer.ManagedFields = nil
	d.written = answer
	d.order = newer(d.order, answer)
}

// blindMost bounds how long a first report waits for the watches.
const blindMost = 10 * time.Second

// blind tells that the watches have not seen the deployment's objects yet, after a start: what could be said now might be
// better than the truth, and have to be taken back at once.
func (e *engine) blind(d *deployment) bool {
	if d.seen || e.watches.Synced(d.name) {
		d.seen = true
		return false
	}
	if d.blind.IsZero() {
		d.blind = time.Now()
	}
	d.seen = time.Since(d.blind) > blindMost
	d.at(d.blind.Add(blindMost))
	return !d.seen
}

// deferred tells whether a status is of the kind that passes when a revision comes in pieces: an object that moves between
// two bundles is refused here until the other one lets it go.
func (d *deployment) deferred(s v1alpha1.BundleDeploymentStatus) bool {
	return d.failures == 1 && (s.Health == v1alpha1.HealthFailed || s.Health == v1alpha1.HealthWaiting)
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// newer gives the order the status that was written last, if it was seen before that write.
func newer(order, written *v1alpha1.BundleDeployment) *v1alpha1.BundleDeployment {
	if written == nil || written.UID != order.UID || drift.Version(order.ResourceVersion) >= drift.Version(written.ResourceVersion) {
		return order
	}
	merged := *order
	merged.Status = written.Status
	return &merged
}

// urgent tells whether people wait for this news: the word changes, or what is on the cluster does.
func urgent(before, after v1alpha1.BundleDeploymentStatus) bool {
	return before.Health != after.Health || before.Ready != after.Ready || before.AppliedDeploymentID != after.AppliedDeploymentID ||
		before.Deletion != after.Deletion || before.ObservedSequence > after.ObservedSequence ||
		(before.Hold == nil) != (after.Hold == nil) || !equality.Semantic.DeepEqual(before.Outputs, after.Outputs) ||
		!equality.Semantic.DeepEqual(before.Once, after.Once)
}

// facts gathers what the status is made of.
func (e *engine) facts(ctx context.Context, d *deployment) report.Facts {
	spec := d.record.Spec
	if d.order != nil {
		spec = d.order.Spec
	}
	f := report.Facts{
		Spec: spec, Sequence: d.record.Sequence, Applied: d.appliedID(), Running: d.record.Running,
		Failure: cmp.Or(d.failure, d.record.GivenUp), Waiting: d.waiting, Lost: d.lost, Hold: d.hold, Total: len(d.wanted), Kept: d.kept(),
		Conflict: e.conflict(d), Deletion: d.record.Deletion, Synced: d.synced(), Outputs: d.outputs,
	}
	f.Once, f.Probes = e.onceObjects(ctx, d), e.probe(ctx, d)
	if spec.Deletion != nil {
		f.Deleting = d.deleting
	}
	if f.Waiting == "" && d.frozen != "" && (f.Applied != spec.DeploymentID || spec.DeploymentID == "") {
		f.Waiting = d.frozen
	}
	f.Watching = slices.Concat(e.watches.Problems(d.name), e.sources.Problems(d.name), e.yields.Problems(d.name))
	d.objects(&f)
	return f
}

// appliedID is what the cluster has: a revision counts when all of it was applied, and until another one was.
func (d *deployment) appliedID() string {
	if d.applied {
		return d.record.Target().DeploymentID
	}
	return d.record.Applied
}

// objects lists what is not as it should be.
func (d *deployment) objects(f *report.Facts) {
	for i, w := range d.wanted {
		item := d.inv[w.Key]
		if i < report.MostResources {
			one := report.Object{Key: w.Key, Version: w.Version}
			if !d.drift[w.Key].Missing && d.looked[w.Key] != plan.Missing || item.Once != "" {
				one.Created = item.Created
			}
			f.Applies = append(f.Applies, one)
		}
		if d.absent(w.Key) {
			continue
		}
		o := report.Object{Key: w.Key, Version: w.Version, UID: item.UID}
		switch item.End {
		case v1alpha1.OnceGone:
			o.Missing, o.Fight = true, once.Missing
		case v1alpha1.OnceFailed:
			o.Health = health.Verdict{State: health.Failed, Message: once.Message(item)}
		}
		if found := d.drift[w.Key]; found.open {
			o.Missing, o.Replaced, o.Fields, o.Fight = found.Missing, found.Replaced, found.Fields, cmp.Or(found.failed, found.fighter)
		}
		if w.Judged && item.UID != "" && !once.IsOver(item) {
			r := d.reads[w.Key]
			switch {
			case r != nil:
				o.Health = r.verdict
			case !o.Missing:
				f.Unread++
			}
		}
		if o.Missing || len(o.Fields) > 0 || o.Health.State != "" && o.Health.State != health.Ready {
			f.Objects = append(f.Objects, o)
		}
	}
}

// absent tells that an object does not exist and need not.
func (d *deployment) absent(key layer.Key) bool {
	return d.looked[key] == plan.Missing && !d.drift[key].open
}

// conflict says which objects two deployments want, from the side of each.
func (e *engine) conflict(d *deployment) string {
	var texts []string
	for _, s := range e.claims.Contested(d.name) {
		texts = append(texts, fmt.Sprintf("%s is also wanted by bundle %s, which does not get it", s.Key, s.Other))
	}
	for _, w := range d.wanted {
		if other := e.claims.Blocks(w.Key, d.name); other != "" {
			texts = append(texts, fmt.Sprintf("%s belongs to bundle %s already", w.Key, other))
		}
	}
	if len(texts) == 0 {
		return ""
	}
	slices.Sort(texts)
	if more := len(texts) - 3; more > 0 {
		texts = append(texts[:3], fmt.Sprintf("and %d more", more))
	}
	return strings.Join(texts, "; ") + "; remove it from one of the two"
}

// settled stores what is deployed now, and lets the layers of earlier revisions go once this one is ready.
func (e *engine) settled(ctx context.Context, d *deployment, f report.Facts) {
	if d.record.UID == "" || d.record.Deletion == v1alpha1.DeletionDone {
		return
	}
	next := d.record
	next.Kept = f.Kept
	next.Synced = d.synced()
	if d.applied {
		next.Applied, next.Running = d.record.Target().DeploymentID, d.record.Revision
		if d.record.GivenUp != "" {
			next.Running = d.record.GoodRevision
		}
	}
	if d.hold == nil && d.record.GivenUp == "" && f.Ready() {
		next.Good, next.GoodRevision = d.record.ID(), d.record.Revision
	}
	ready := d.applied && d.hold == nil && f.AsWanted()
	if ready {
		next.Previous = nil
	}
	if err := e.store.PutRecord(ctx, next); err != nil {
		e.log.Error("storing what is deployed", "bundle", d.name, "error", err)
		d.after(backoff(2))
		return
	}
	swept := len(d.record.Previous) > 0 && ready
	d.record = next
	if !swept {
		return
	}
	e.use(d.name, next.Spec.Layers, next.Layers())
	if err := e.sweep(ctx); err != nil {
		e.log.Error("dropping layers that are not used any more", "error", err)
	}
}

// tidy forgets what was seen of objects that are not wanted any more.
func (d *deployment) tidy() {
	wanted := make(map[layer.Key]bool, len(d.wanted))
	for _, w := range d.wanted {
		wanted[w.Key] = true
	}
	maps.DeleteFunc(d.drift, func(key layer.Key, _ drifted) bool { return !wanted[key] })
	maps.DeleteFunc(d.looked, func(key layer.Key, _ string) bool { return !wanted[key] })
	maps.DeleteFunc(d.reads, func(key layer.Key, _ *reading) bool { return !wanted[key] })
}
