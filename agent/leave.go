package agent

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"flotilla.io/flotilla/agent/apply"
	"flotilla.io/flotilla/agent/hooks"
	"flotilla.io/flotilla/agent/plan"
	"flotilla.io/flotilla/agent/store"
	"flotilla.io/flotilla/api/v1alpha1"
	"flotilla.io/flotilla/bundle/layer"
)

const (
	goingWait = 2 * time.Second // until a look whether an object that is being deleted is gone
	keptMost  = 100             // how many kept objects are remembered
)

// leave lets go of the objects that left the bundle. It is called when all that is wanted was applied, and while the
// wishes of every other deployment are known.
func (e *engine) leave(ctx context.Context, d *deployment, steps []plan.Step) []error {
	if unopened := e.claims.Unopened(); len(unopened) > 0 {
		d.after(goingWait)
		return []error{&waitError{fmt.Sprintf("%d objects left the bundle; they are deleted once it is known that %s does not want them",
			len(steps), strings.Join(unopened, ", "))}}
	}
	var mu sync.Mutex
	var errs []error
	var group errgroup.Group
	group.SetLimit(apply.Parallel)
	for _, s := range steps {
		item := d.inv[s.Key]
		group.Go(func() error {
			outcome, err := apply.Foreign, error(nil)
			if s.Action != plan.HandOver {
				outcome, err = apply.Delete(ctx, apply.Prune{
					Tenant: d.account, Item: item, Owner: d.owner().String(), Protected: s.Action == plan.Keep,
				})
			}
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				errs = append(errs, err)
				return nil
			}
			e.left(d, s, outcome)
			return nil
		})
	}
	group.Wait()
	return errs
}

// left drops an object from the inventory, if its outcome lets it.
func (e *engine) left(d *deployment, s plan.Step, outcome apply.Outcome) {
	switch outcome {
	case apply.Going:
		d.after(goingWait)
		return
	case apply.Kept:
		d.keep(s.Key)
	}
	what := string(outcome)
	if s.Action == plan.HandOver {
		what = "handed over to " + s.Other
	}
	e.log.Info("an object left", "bundle", d.name, "object", s.Key.String(), "outcome", what)
	d.dropped[s.Key] = true
	delete(d.inv, s.Key)
	delete(d.fresh, s.Key)
	delete(d.looked, s.Key)
	delete(d.drift, s.Key)
	delete(d.reads, s.Key)
	e.wake(e.claims.Release(d.name, s.Key)...)
}

// keep remembers an object that left the bundle and stays.
func (d *deployment) keep(key layer.Key) {
	d.remember(keptName(key))
}

func (d *deployment) remember(name string) {
	if i, found := slices.BinarySearch(d.record.Kept, name); !found && len(d.record.Kept) < keptMost {
		d.record.Kept = slices.Insert(slices.Clone(d.record.Kept), i, name)
	}
}

// keptName is "namespace/x", "persistentvolumeclaim/ns/x".
func keptName(key layer.Key) string {
	name := strings.ToLower(key.Kind) + "/"
	if key.Namespace != "" {
		name += key.Namespace + "/"
	}
	return name + key.Name
}

// kept drops from the kept objects those that are wanted again.
func (d *deployment) kept() []string {
	wanted := map[string]bool{}
	for _, w := range d.wanted {
		if plan.Protected(w.Key) || len(d.record.Kept) > 0 {
			wanted[keptName(w.Key)] = true
		}
	}
	return slices.DeleteFunc(slices.Clone(d.record.Kept), func(name string) bool { return wanted[name] })
}

// uninstall carries out the order to delete: the same rules as for what leaves a bundle, for all that the inventory has.
func (e *engine) uninstall(ctx context.Context, d *deployment) error {
	if d.record.Deletion == v1alpha1.DeletionDone {
		return nil
	}
	spec := d.record.Spec
	var errs []error
	orphans := orphans(d.record)
	if orphans {
		for key := range d.inv {
			d.keep(key)
			e.left(d, plan.Step{Key: key}, apply.Kept)
		}
	} else if len(d.inv) > 0 || d.record.Hooks != nil {
		if err := e.actAs(ctx, d); err != nil {
			return err
		}
		if err := e.hooksOfDeletion(ctx, d, hooks.PreDelete); err != nil {
			return err
		}
		steps := plan.Make(plan.Input{
			Self: d.name, Inventory: d.inv, Claims: &e.claims, DeleteCRDs: spec.Options.DeleteCRDResources,
		})
		errs = e.leave(ctx, d, reversed(steps))
	}
	if err := e.save(ctx, d); err != nil {
		errs = append(errs, err)
	}
	d.deleting = d.deleting[:0]
	for _, item := range d.inv.Sorted() {
		d.deleting = append(d.deleting, item.Key)
	}
	if len(errs) == 0 && len(d.inv) == 0 {
		if err := e.hooksOfDeletion(ctx, d, hooks.PostDelete); err != nil {
			errs = append(errs, err)
		}
	}
	if len(errs) == 0 && len(d.inv) == 0 && spec.Options.DeleteNamespace && !orphans {
		if err := e.dropNamespace(ctx, d); err != nil {
			errs = append(errs, err)
		}
	}
	if len(errs) == 0 && len(d.inv) == 0 {
		next := d.record
		next.Deletion = v1alpha1.DeletionDone
		next.Previous, next.Applied, next.Running = nil, "", ""
		if err := e.store.PutRecord(ctx, next); err != nil {
			return err
		}
		d.record = next
		e.use(d.name)
		if d.gone {
			d.after(time.Second) // to be forgotten
		}
		e.log.Info("the bundle was taken away", "bundle", d.name, "kept", len(next.Kept))
	}
	e.watches.Want(d.name, d.needs())
	return errors.Join(errs...)
}

// orphans tells whether the objects stay when the deployment goes. Of what was said last and before that, the most
// protective counts.
func orphans(r store.Record) bool {
	return r.Spec.Deletion.Policy == v1alpha1.DeletionPolicyOrphan || r.KeepResources || r.Spec.Options.KeepResources ||
		strings.HasPrefix(r.Name, v1alpha1.AgentBundlePrefix)
}

// dropNamespace deletes the namespace that the bundle was deployed into, which is what deleteNamespace asks for, or
// remembers why it stays.
func (e *engine) dropNamespace(ctx context.Context, d *deployment) error {
	name := apply.PlacementOf(d.record.Spec.Options).Default
	if unopened := e.claims.Unopened(); len(unopened) > 0 {
		d.after(goingWait)
		return &waitError{fmt.Sprintf("Namespace %s is deleted once it is known that %s does not need it", name, strings.Join(unopened, ", "))}
	}
	if err := e.actAs(ctx, d); err != nil {
		return err
	}
	why := ""
	if other := e.claims.In(name, d.name); other != "" {
		why = "bundle " + other + " is deployed into it"
	} else if name == e.namespace {
		why = "the agent runs in it"
	} else {
		outcome, reason, err := apply.DeleteNamespace(ctx, d.account, name)
		if err != nil {
			return err
		}
		if outcome == apply.Going {
			d.after(goingWait)
			return &waitError{fmt.Sprintf("Namespace %s is being deleted", name)}
		}
		why = reason
	}
	if why != "" {
		e.log.Info("a namespace stays", "bundle", d.name, "namespace", name, "reason", why)
		d.remember("namespace/" + name + " (" + why + ")")
	}
	return nil
}

// reversed puts last what others may live in.
func reversed(steps []plan.Step) []plan.Step {
	slices.SortStableFunc(steps, func(a, b plan.Step) int {
		if x, y := plan.IsDefinition(a.Key), plan.IsDefinition(b.Key); x != y {
			if x {
				return 1
			}
			return -1
		}
		return 0
	})
	return steps
}
