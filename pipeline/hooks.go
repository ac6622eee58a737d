package pipeline

import (
	"context"
	"errors"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"flotilla.io/flotilla/agent/apply"
	"flotilla.io/flotilla/agent/hooks"
	"flotilla.io/flotilla/agent/plan"
	"flotilla.io/flotilla/bundle/layer"
)

// hooksBefore runs the hooks that come before the objects. What Helm or Fleet installed is upgraded.
func (r *run) hooksBefore(ctx context.Context, objects []plan.Wanted) error {
	if r.past.Hooks == nil {
		return nil
	}
	if r.past.Hooks.Install && !r.past.Hooks.Judged {
		released, err := hooks.IsReleased(ctx, r.tenant, objects)
		if err != nil {
			return err
		}
		r.past.Hooks.Install, r.past.Hooks.Judged = !released, true
	}
	return r.do(ctx, r.past.Hooks.Before())
}

// hooksAfter runs those that come when all is applied and, where that is waited for, ready.
func (r *run) hooksAfter(ctx context.Context) error {
	return r.do(ctx, r.past.Hooks.After())
}

// do runs the hooks of an event to their end.
func (r *run) do(ctx context.Context, event hooks.Event) error {
	runner := &hooks.Runner{
		Tenant: r.tenant, Owner: r.owner().String(), Timeout: hooks.Timeout(r.Object.Spec.Options),
		Hooks: r.hooks, Object: r.hook, Log: r.log,
		Save: func(ctx context.Context, run *hooks.Run) error {
			r.past.Hooks = run
			return r.memory.save(ctx, r.past)
		},
	}
	for !r.past.Hooks.Over(event) {
		err := runner.Do(ctx, r.past.Hooks.Copy(), event)
		var runs *hooks.RunningError
		if !errors.As(err, &runs) {
			return err
		}
		select {
		case <-ctx.Done():
			return errors.Join(ctx.Err(), runs)
		case <-time.After(runs.Again):
		}
	}
	return nil
}

// hook makes the object of a hook, where it goes.
func (r *run) hook(_ context.Context, key layer.Key) (*unstructured.Unstructured, error) {
	w, err := apply.Resolve(r.tenant.Kinds, r.hooked[key], r.place, r.owner())
	if err != nil {
		return nil, err
	}
	return hooks.Object(r.hooked[key], w.Key.Namespace)
}
