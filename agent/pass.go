package agent

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"flotilla.io/flotilla/agent/apply"
	"flotilla.io/flotilla/agent/drift"
	"flotilla.io/flotilla/agent/hooks"
	"flotilla.io/flotilla/agent/inventory"
	"flotilla.io/flotilla/agent/plan"
	"flotilla.io/flotilla/agent/pull"
	"flotilla.io/flotilla/agent/record"
	"flotilla.io/flotilla/agent/rendering"
	"flotilla.io/flotilla/agent/tenant"
	"flotilla.io/flotilla/api/v1alpha1"
	"flotilla.io/flotilla/bundle/layer"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// pass works on a deployment once and tells when to do so again, 0 for not before an event.
func (e *engine) pass(ctx context.Context, d *deployment) time.Duration {
	d.collect()
	d.next = time.Time{}
	if d.gone && (d.record.Deletion == v1alpha1.DeletionDone || d.record.Spec.DeploymentID == "" && len(d.inv) == 0) {
		if err := e.forget(ctx, d); err != nil {
			e.log.Error("forgetting a bundle that was taken away", "bundle", d.name, "error", err)
			return backoff(1)
		}
		return 0
	}
	err := e.act(ctx, d)
	d.carried = nil
	d.settle(err)
	if d.failures > 0 {
		if d.failures == 1 || d.failures%10 == 0 {
			e.log.Warn("the order could not be carried out", "bundle", d.name, "error", err)
		}
		d.after(backoff(d.failures))
	}
	e.report(ctx, d)
	if d.next.IsZero() {
		return 0
	}
	return max(time.Until(d.next), time.Millisecond)
}

// act takes in the order and carries it out. Its error is about what the order could not have.
func (e *engine) act(ctx context.Context, d *deployment) error {
	if err := e.accept(ctx, d); err != nil {
		if d.opened || len(d.wanted) > 0 { // the last good goes on
			return errors.Join(err, e.converge(ctx, d))
		}
		return err
	}
	if d.record.Spec.Deletion != nil && d.hold == nil {
		return e.uninstall(record.With(ctx, d.cause(record.Remove)), d)
	}
	if d.record.Spec.DeploymentID == "" {
		return nil // nothing was ever accepted
	}
	err := e.readAgain(ctx, d)
	return errors.Join(err, e.converge(ctx, d))
}

// settle turns the error of a pass into what is said about it.
func (d *deployment) settle(err error) {
	d.failure, d.waiting, d.lost = "", "", ""
	var runs *hooks.RunningError
	d.hooking = errors.As(err, &runs)
	var lost *pull.LostError
	if errors.As(err, &lost) {
		d.lost = lost.Error()
	}
	if err == nil {
		d.failures = 0
		return
	}
	d.failures++
	if waits(err) {
		d.waiting = sentence(err)
	} else {
		d.failure = sentence(err)
	}
}

// waitError is something that will come by itself.
type waitError struct{ what string }

func (w *waitError) Error() string { return w.what }

// waits tells whether all of err will come by itself.
func waits(err error) bool {
	for _, one := range flatten(err) {
		var wait *waitError
		var going *apply.GoingError
		var runs *hooks.RunningError
		var absent *apply.AbsentError
		var missing *rendering.MissingError
		if !errors.As(one, &wait) && !errors.As(one, &going) && !errors.As(one, &absent) && !errors.As(one, &runs) && !errors.As(one, &missing) && !tenant.IsNotServed(one) {
			return false
		}
	}
	return true
}

func flatten(err error) []error {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		var all []error
		for _, one := range joined.Unwrap() {
			all = append(all, flatten(one)...)
		}
		return all
	}
	return []error{err}
}

// sentence names the first three, sorted, and counts the rest.
func sentence(err error) string {
	var texts []string
	for _, one := range flatten(err) {
		texts = append(texts, one.Error())
	}
	slices.Sort(texts)
	texts = slices.Compact(texts)
	if more := len(texts) - 3; more > 0 {
		texts = append(texts[:3], fmt.Sprintf("and %d more", more))
	}
	return strings.Join(texts, "; ")
}

// converge makes the cluster what the record says, and looks at what moved.
func (e *engine) converge(ctx context.Context, d *deployment) error {
	ctx = record.With(ctx, d.cause(record.Deploy))
	if !d.opened {
		if err := e.open(ctx, d); err != nil {
			return err
		}
	}
	if d.frozen != "" {
		e.read(ctx, d)
		return nil
	}
	if err := e.actAs(ctx, d); err != nil {
		return err
	}
	err := e.step(ctx, d)
	if at, _ := e.membership(); d.defined && at.poke != nil {
		at.poke()
	}
	if d.defined {
		e.wakeAll() // some bundle may wait for these kinds
	}
	if len(d.misfit) > 0 && d.defined {
		if err = e.open(ctx, d); err == nil {
			err = e.step(ctx, d)
		}
	}
	e.watches.Want(d.name, d.needs())
	e.read(ctx, d)
	return err
}

// step makes a plan and carries it out.
func (e *engine) step(ctx context.Context, d *deployment) error {
	d.defined = false
	e.watches.Want(d.name, d.needs())
	return e.carryOut(ctx, d, plan.Make(plan.Input{
		Self: d.name, Wanted: d.wanted, Inventory: d.inv, Claims: &e.claims,
		Live:       func(key layer.Key) plan.Live { return e.live(d, key) },
		Looked:     func(key layer.Key) string { return d.looked[key] },
		Again:      func(key layer.Key) bool { return d.again() && !d.resent[key] },
		DeleteCRDs: d.record.Target().Options.DeleteCRDResources, Back: d.record.GivenUp != "",
	}))
}

// actAs finds the account that the deployment acts as; it is asked for once per accepted order.
func (e *engine) actAs(ctx context.Context, d *deployment) error {
	if d.account != nil {
		return nil
	}
	name, err := e.accounts.resolve(ctx, d.record.Target().Options.ServiceAccount)
	if err != nil {
		return err
	}
	d.account, err = e.tenants.As(name)
	return err
}

// carryOut does the steps of a plan: applies, then looks, and, when all of it went well, what left the bundle.
func (e *engine) carryOut(ctx context.Context, d *deployment, steps []plan.Step) error {
	by := map[plan.Action][]plan.Step{}
	for _, s := range steps {
		by[s.Action] = append(by[s.Action], s)
	}
	errs := slices.Clone(d.misfit)
	for _, s := range by[plan.Refuse] {
		errs = append(errs, fmt.Errorf("%s belongs to bundle %s already; remove it from one of the two", s.Key, s.Other))
	}
	work := &batch{engine: e, deployment: d}
	run := d.record.Hooks
	if len(by[plan.Apply]) > 0 || !d.placed || !run.Over(run.Before()) {
		if err := work.allowed(ctx); err != nil {
			errs, by[plan.Apply] = append(errs, err), nil
		}
	}
	if !run.Over(run.Before()) {
		var failed []error
		by[plan.Apply], failed = work.hooksBefore(ctx, by[plan.Apply], len(errs) > 0)
		errs = append(errs, failed...)
	}
	if len(by[plan.Apply]) > 0 {
		errs = append(errs, work.apply(ctx, by[plan.Apply])...)
	}
	if !d.placed && len(errs) == 0 {
		if err := work.namespace(ctx, d.wanted); err != nil {
			errs = append(errs, err)
		}
	}
	work.look(ctx, by[plan.Look])
	work.retry(ctx)
	leaving := slices.Concat(by[plan.Prune], by[plan.Keep], by[plan.HandOver])
	if len(errs) == 0 && d.hold == nil && len(leaving) > 0 {
		errs = append(errs, e.leave(record.Because(ctx, record.Remove), d, leaving)...)
	}
	if err := e.save(ctx, d); err != nil {
		errs = append(errs, err)
	}
	if run := d.record.Hooks; len(errs) == 0 && !run.Over(run.After()) {
		errs = append(errs, work.hooksAfter(ctx)...)
	}
	d.applied = len(errs) == 0
	return errors.Join(errs...)
}

// save stores the inventory, where it changed.
func (e *engine) save(ctx context.Context, d *deployment) error {
	return e.store.PutInventory(ctx, d.name, d.inv)
}

// needs lists what has to be watched for the deployment's inventory.
func (d *deployment) needs() map[drift.Need]bool {
	needs := map[drift.Need]bool{}
	if d.account == nil {
		return needs
	}
	for key, item := range d.inv {
		gvk := schema.GroupVersionKind{Group: key.Group, Version: item.Version, Kind: key.Kind}
		needs[drift.Need{ServiceAccount: d.account.ServiceAccount, Kind: gvk, Namespace: key.Namespace}] = true
	}
	return needs
}

// creating notes the names that are new, before anything of them is created.
func (e *engine) creating(ctx context.Context, d *deployment, wanted []plan.Wanted) error {
	news := false
	for _, w := range wanted {
		if _, known := d.inv[w.Key]; !known {
			d.inv[w.Key] = inventory.Item{Key: w.Key, Version: w.Version}
			news = true
		}
	}
	if !news {
		return nil
	}
	return e.save(ctx, d)
}
