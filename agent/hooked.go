package agent

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"flotilla.io/flotilla/agent/apply"
	"flotilla.io/flotilla/agent/hooks"
	"flotilla.io/flotilla/agent/once"
	"flotilla.io/flotilla/agent/plan"
	"flotilla.io/flotilla/agent/record"
	"flotilla.io/flotilla/agent/store"
	"flotilla.io/flotilla/api/v1alpha1"
	"flotilla.io/flotilla/bundle/layer"
)

// newRun is what the hooks of a new revision begin with, nil when it has none to run; and whether it has hooks for the day
// that it is deleted.
func newRun(d *deployment, next store.Record, entries []layer.Entry) (run *hooks.Run, atDeletion bool) {
	_, found := hooks.Split(entries)
	if hooks.Has(found, hooks.PreInstall, hooks.PostInstall, hooks.PreUpgrade, hooks.PostUpgrade) {
		run = &hooks.Run{ID: runID(next), Install: len(d.inv) == 0 && d.record.Applied == ""}
	}
	return run, hooks.Has(found, hooks.PreDelete, hooks.PostDelete)
}

// runID is another for each order, also for one that comes back to an earlier revision, and for each change of values.
func runID(r store.Record) string {
	sum := sha256.Sum256([]byte(fmt.Sprintf("%s %s %d", r.UID, r.Values, r.Sequence)))
	return hex.EncodeToString(sum[:8])
}

// runner runs the deployment's hooks.
func (b *batch) runner() *hooks.Runner {
	d := b.deployment
	return &hooks.Runner{
		Tenant: d.account, Owner: d.owner().String(), Timeout: hooks.Timeout(d.record.Spec.Options), Hooks: d.hooks, Object: b.hook, Log: b.engine.log,
		Save: func(ctx context.Context, run *hooks.Run) error {
			next := d.record
			next.Hooks = run
			if err := b.engine.store.PutRecord(ctx, next); err != nil {
				return err
			}
			d.record = next
			return nil
		},
	}
}

// hook makes the object of a hook: placed like any object.
func (b *batch) hook(ctx context.Context, key layer.Key) (*unstructured.Unstructured, error) {
	entry, err := b.entry(ctx, key)
	if err != nil {
		return nil, err
	}
	w, err := b.place(entry)
	if err != nil {
		return nil, err
	}
	return hooks.Object(entry, w.Key.Namespace)
}

func (b *batch) place(entry layer.Entry) (plan.Wanted, error) {
	d := b.deployment
	return apply.Resolve(b.engine.tenants.Kinds(), entry, apply.PlacementOf(d.record.Spec.Options), d.owner())
}

// do runs the hooks of an event, as far as it goes now.
func (b *batch) do(ctx context.Context, event hooks.Event) error {
	d := b.deployment
	err := b.runner().Do(record.Because(ctx, record.Hook), d.record.Hooks.Copy(), event)
	var runs *hooks.RunningError
	var failed *hooks.FailedError
	switch {
	case errors.As(err, &runs):
		d.after(runs.Again)
	case errors.As(err, &failed):
		return fmt.Errorf("%w; nothing of it is tried again before the next revision", err)
	}
	return err
}

// hooksBefore applies what hooks may need (namespaces and kinds), runs those that come before the objects, and returns which
// applies are left to do: none as long as hooks are. Until then what runs stays as it is. Nothing is begun while the
// revision could not be applied in whole, or while all is held.
func (b *batch) hooksBefore(ctx context.Context, steps []plan.Step, stuck bool) (left []plan.Step, errs []error) {
	d := b.deployment
	if d.hold != nil {
		return nil, []error{&waitError{"the hooks of the revision wait until the hold ends"}}
	}
	first := slices.DeleteFunc(slices.Clone(steps), func(s plan.Step) bool { return !plan.IsDefinition(s.Key) })
	if len(first) > 0 {
		errs = b.apply(ctx, first)
	}
	if stuck {
		return nil, append(errs, &waitError{"the hooks of the revision wait until all of it can be applied"})
	}
	err := b.whoInstalled(ctx)
	if err == nil && len(errs) == 0 {
		if err = b.namespaceOfHooks(ctx); err == nil {
			err = b.do(ctx, d.record.Hooks.Before())
		}
	}
	if err != nil {
		errs = append(errs, err)
	}
	if len(errs) > 0 {
		return nil, errs
	}
	d.staged = time.Now()
	return slices.DeleteFunc(slices.Clone(steps), func(s plan.Step) bool { return plan.IsDefinition(s.Key) }), nil
}

// hooksAfter runs the hooks that come when all is applied, or with helm.timeoutSeconds, when all is ready.
func (b *batch) hooksAfter(ctx context.Context) []error {
	d := b.deployment
	if d.hold != nil {
		return []error{&waitError{"the hooks of the revision wait until the hold ends"}}
	}
	event := d.record.Hooks.After()
	if helm := d.record.Spec.Options.Helm; helm != nil && helm.TimeoutSeconds > 0 && hooks.Has(d.hooks, event) {
		if key, waits := d.unready(); waits {
			d.after(readCalm)
			return []error{&waitError{fmt.Sprintf("hooks at %s wait until %s is ready", event, key)}}
		}
	}
	if err := b.do(ctx, event); err != nil {
		return []error{err}
	}
	return nil
}

func (d *deployment) unready() (layer.Key, bool) {
	for _, w := range d.wanted {
		if item := d.inv[w.Key]; once.IsOver(item) && item.End != v1alpha1.OnceFailed && item.End != v1alpha1.OnceGone {
			continue
		}
		if r := d.reads[w.Key]; w.Judged && (r == nil || r.verdict.Behind()) {
			return w.Key, true
		}
	}
	return layer.Key{}, false
}

// namespaceOfHooks makes the namespace that the bundle deploys into, if a hook goes there.
func (b *batch) namespaceOfHooks(ctx context.Context) error {
	var placed []plan.Wanted
	for _, h := range b.deployment.hooks {
		entry, err := b.entry(ctx, h.Key)
		if err != nil {
			return err
		}
		if w, err := b.place(entry); err == nil { // if not, it is told when its turn comes
			placed = append(placed, w)
		}
	}
	return b.namespace(ctx, placed)
}

// whoInstalled finds out, once, whether Helm or Fleet installed the bundle before: then these are the hooks of an upgrade.
func (b *batch) whoInstalled(ctx context.Context) error {
	d := b.deployment
	run := d.record.Hooks
	if run.Judged || !run.Install {
		return nil
	}
	run = run.Copy()
	run.Judged = true
	released, err := hooks.IsReleased(ctx, d.account, d.wanted)
	if err != nil {
		return err
	}
	run.Install = !released
	return b.runner().Save(ctx, run)
}

// hooksOfDeletion runs the hooks of an order to delete. One that fails afterwards holds up nothing: what it could still need
// is gone.
func (e *engine) hooksOfDeletion(ctx context.Context, d *deployment, event hooks.Event) error {
	if d.record.Hooks.Over(event) {
		return nil
	}
	entries, err := e.layers.Open(ctx, d.record.Layers())
	if errors.Is(err, store.ErrNotStored) {
		return fmt.Errorf("hooks at %s: %w; %s", event, err, howToDelete)
	}
	if err != nil {
		return fmt.Errorf("hooks at %s: %w", event, err)
	}
	d.carried = entries
	_, d.hooks = hooks.Split(entries)
	err = (&batch{engine: e, deployment: d}).do(ctx, event)
	var failed *hooks.FailedError
	switch {
	case !errors.As(err, &failed):
		return err
	case event == hooks.PostDelete:
		return nil
	}
	return fmt.Errorf("%w; %s", err, howToDelete)
}

const howToDelete = "nothing is deleted: have the bundle deployed here again and take it away anew, or with keepResources to leave out its hooks"
