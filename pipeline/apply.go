package pipeline

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	"flotilla.io/flotilla/agent/apply"
	"flotilla.io/flotilla/agent/inventory"
	"flotilla.io/flotilla/agent/plan"
	"flotilla.io/flotilla/agent/tenant"
	"flotilla.io/flotilla/bundle/layer"
)

// resolve finds out what objects are on this cluster.
func (r *run) resolve(ctx context.Context, entries []layer.Entry) ([]plan.Wanted, error) {
	var all []plan.Wanted
	var failed []error
	for _, e := range entries {
		w, err := r.resolveOne(ctx, e)
		if _, twice := r.wanted[w.Key]; twice && err == nil {
			err = fmt.Errorf("%s is in the bundle twice", w.Key)
		}
		if err != nil {
			failed = append(failed, err)
			continue
		}
		r.wanted[w.Key] = placed{w, e}
		all = append(all, w)
	}
	return all, errors.Join(failed...)
}

// definedWait bounds the wait for kinds that were defined just now.
const definedWait = 20 * time.Second

// resolveOne waits a while for a kind that is not served: it may be one that was defined a moment ago.
func (r *run) resolveOne(ctx context.Context, e layer.Entry) (plan.Wanted, error) {
	defined := slices.ContainsFunc(r.objects, func(u *unstructured.Unstructured) bool { return u.GetKind() == "CustomResourceDefinition" })
	ctx, cancel := context.WithTimeout(ctx, definedWait)
	defer cancel()
	for {
		w, err := apply.Resolve(r.tenant.Kinds, e, r.place, r.owner())
		if err == nil || !tenant.IsNotServed(err) || !defined {
			return w, err
		}
		select {
		case <-ctx.Done():
			return w, err
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// apply brings objects to the cluster. Names that are new are remembered before their objects are made.
func (r *run) apply(ctx context.Context, objects []plan.Wanted) error {
	news := false
	for _, w := range objects {
		if _, known := r.past.known[w.Key]; !known {
			r.past.known[w.Key], news = inventory.Item{Key: w.Key, Version: w.Version}, true
		}
	}
	if news {
		if err := r.memory.save(ctx, r.past); err != nil {
			return err
		}
	}
	failed := apply.Each(objects, func(w plan.Wanted) error { return r.one(ctx, w) })
	sortObjects(r.objects)
	return errors.Join(failed...)
}

// one applies one object. Fields of an object that was deployed before are taken back from whoever changed them, as an
// upgrade does; what somebody else made is not touched unless the bundle says so.
func (r *run) one(ctx context.Context, w plan.Wanted) error {
	u, err := apply.Prepare(r.wanted[w.Key].entry, w, r.owner())
	if err != nil {
		return err
	}
	r.mu.Lock()
	item := r.past.known[w.Key]
	r.mu.Unlock()
	result, err := apply.Apply(ctx, apply.Request{
		Tenant: r.tenant, Key: w.Key, Object: u.DeepCopy(), Owner: r.owner().String(), Known: item,
		Had: func(context.Context, fieldpath.Path) bool { return item.UID != "" },
	}.As(r.Object.Spec.Options))
	if err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.past.known[w.Key] = result.Item(w)
	r.objects = append(r.objects, u)
	return nil
}
