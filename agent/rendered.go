package agent

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"flotilla.io/flotilla/agent/rendering"
	"flotilla.io/flotilla/agent/store"
	"flotilla.io/flotilla/agent/tenant"
	"flotilla.io/flotilla/api/v1alpha1"
	"flotilla.io/flotilla/bundle/layer"
	"flotilla.io/flotilla/bundle/render"
)

// deployable turns the entries of an order's layers into those to deploy: most often they are. Where the hub could not
// render them, they are rendered here, once per revision and set of values, and next tells where that is kept.
func (e *engine) deployable(ctx context.Context, d *deployment, next *store.Record, entries []layer.Entry) ([]layer.Entry, error) {
	next.Deployed, next.Values = nil, ""
	in, packed, err := rendering.Unpack(entries)
	if err != nil || !packed {
		e.sources.Want(d.name, nil, nil)
		return entries, err
	}
	account, err := e.tenantOf(ctx, next.Spec.Options)
	if err != nil {
		return nil, err
	}
	sources := rendering.Sources(next.Spec.Options)
	e.sources.Want(d.name, account, rendering.Named(sources))
	values, digest, err := rendering.Read(ctx, account, sources)
	if err != nil {
		return nil, err
	}
	next.Values = digest
	if isRendered(d.record, *next) {
		if rendered, err := e.layers.Open(ctx, d.record.Deployed); !errors.Is(err, store.ErrNotStored) {
			next.Deployed = d.record.Deployed
			return rendered, err
		}
	}
	return e.renderHere(ctx, d, next, account, rendering.WithValues(in, values))
}

// renderHere renders as the tenant, with the random values of the last time.
func (e *engine) renderHere(ctx context.Context, d *deployment, next *store.Record, account *tenant.Tenant, in render.Input) ([]layer.Entry, error) {
	kept, err := e.kept(ctx, d.record)
	if err != nil {
		return nil, err
	}
	rendered, err := e.renderer.Render(ctx, account, in, kept)
	if err != nil {
		return nil, fmt.Errorf("rendering on this cluster: %w", err)
	}
	lists := [][]layer.Entry{rendered}
	if values := rendering.Values(rendered); len(values) > 0 {
		lists = append(lists, values) // once more by themselves: nobody could draw them again
	}
	next.Deployed, err = e.layers.Keep(ctx, func(refs []v1alpha1.LayerRef) { e.useBoth(d, *next, refs...) }, lists...)
	if err != nil {
		return nil, err
	}
	e.log.Info("rendered a bundle", "bundle", d.name, "objects", len(rendered), "values", next.Values != "")
	return rendered, nil
}

func (e *engine) tenantOf(ctx context.Context, o v1alpha1.BundleDeploymentOptions) (*tenant.Tenant, error) {
	name, err := e.accounts.resolve(ctx, o.ServiceAccount)
	if err != nil {
		return nil, err
	}
	return e.tenants.As(name)
}

// isRendered tells whether what next would render to is what the record has.
func isRendered(have, next store.Record) bool {
	same := func(a, b v1alpha1.LayerRef) bool { return a.ID == b.ID }
	return have.Deployed != nil && have.Values == next.Values && have.Spec.DeploymentID == next.Spec.DeploymentID &&
		slices.EqualFunc(have.Spec.Layers, next.Spec.Layers, same)
}

// kept are the random values of the last rendering. Any of its layers that is left will do.
func (e *engine) kept(ctx context.Context, r store.Record) (render.Kept, error) {
	var lost error
	for _, ref := range r.Deployed {
		entries, err := e.layers.Open(ctx, []v1alpha1.LayerRef{ref})
		if err == nil {
			return rendering.Kept(entries)
		}
		if !errors.Is(err, store.ErrNotStored) {
			return nil, err
		}
		lost = err
	}
	if lost != nil {
		e.log.Warn("what was rendered last is not stored any more: passwords and certificates that charts made are made anew", "bundle", r.Name, "error", lost)
	}
	return nil, nil
}

// rendersAgain tells whether what is deployed was rendered here from layers of the hub, and so can be once more.
func (d *deployment) rendersAgain() bool {
	return d.record.Deployed != nil && d.record.GivenUp == "" && d.record.Spec.Deletion == nil
}

// renderAgain brings back a rendering that is not stored any more, or damaged. It is the same revision: its hooks are over.
func (e *engine) renderAgain(ctx context.Context, d *deployment) error {
	entries, err := e.layers.Open(ctx, d.record.Spec.Layers)
	if err != nil {
		return fmt.Errorf("revision %s: %w", d.record.Revision, err)
	}
	next := d.record
	if entries, err = e.deployable(ctx, d, &next, entries); err != nil {
		return fmt.Errorf("revision %s: %w", d.record.Revision, err)
	}
	return e.adopt(ctx, d, next, entries)
}

// readAgain looks at the objects that values come from, when one may have changed. Other values are a new revision here.
func (e *engine) readAgain(ctx context.Context, d *deployment) error {
	if d.record.Deployed == nil || d.hold != nil || d.frozen != "" || len(rendering.Sources(d.record.Spec.Options)) == 0 || !e.sources.Moved(d.name) {
		return nil
	}
	if err := e.takeValues(ctx, d); err != nil {
		e.sources.Again(d.name)
		return fmt.Errorf("%w; what was rendered with the values before stays", err)
	}
	return nil
}

func (e *engine) takeValues(ctx context.Context, d *deployment) error {
	entries, err := e.layers.Open(ctx, d.record.Spec.Layers)
	if err != nil {
		return err
	}
	next := d.record
	if entries, err = e.deployable(ctx, d, &next, entries); err != nil {
		return err
	}
	if next.Values == d.record.Values && d.opened {
		return nil
	}
	return e.adopt(ctx, d, next, entries)
}
