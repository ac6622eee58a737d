package agent

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	"flotilla.io/flotilla/agent/apply"
	"flotilla.io/flotilla/agent/fields"
	"flotilla.io/flotilla/agent/inventory"
	"flotilla.io/flotilla/agent/plan"
	"flotilla.io/flotilla/agent/store"
	"flotilla.io/flotilla/bundle/layer"
)

// batch does the steps of one pass that need the objects themselves. They are opened when first needed, and not kept.
type batch struct {
	engine     *engine
	deployment *deployment

	mu      sync.Mutex
	entries map[layer.Key]layer.Entry
	had     []map[layer.Key]layer.Entry // what was applied before, opened on the first conflict
	hadErr  error
}

// wanted finds what is wanted of a key.
func (b *batch) wanted(key layer.Key) (plan.Wanted, bool) { return b.deployment.wants(key) }

// object makes the object to send.
func (b *batch) object(ctx context.Context, key layer.Key) (*unstructured.Unstructured, error) {
	w, ok := b.wanted(key)
	if !ok {
		return nil, fmt.Errorf("%s is not wanted any more", key)
	}
	from, moved := b.deployment.origin[key]
	if !moved {
		from = key
	}
	entry, err := b.entry(ctx, from)
	if err != nil {
		return nil, err
	}
	return apply.Prepare(entry, w, b.deployment.owner())
}

// entry finds an entry of the layers.
func (b *batch) entry(ctx context.Context, key layer.Key) (layer.Entry, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.entries == nil {
		entries := b.deployment.carried
		if entries == nil {
			var err error
			entries, err = b.engine.layers.Open(ctx, b.deployment.record.Target().Layers)
			if errors.Is(err, store.ErrNotStored) && b.deployment.rendersAgain() {
				b.deployment.opened = false // the next pass does
			}
			if err != nil {
				return layer.Entry{}, err
			}
		}
		b.entries = index(entries)
	}
	entry, ok := b.entries[key]
	if !ok {
		return layer.Entry{}, fmt.Errorf("%s is not in the layers any more", key)
	}
	return entry, nil
}

func index(entries []layer.Entry) map[layer.Key]layer.Entry {
	m := make(map[layer.Key]layer.Entry, len(entries))
	for _, e := range entries {
		m[e.Key] = e
	}
	return m
}

// apply brings the objects of these steps to the cluster, in two stages: Namespaces and CustomResourceDefinitions, until
// they are served, then the rest. An object that fails holds up no other one.
func (b *batch) apply(ctx context.Context, steps []plan.Step) []error {
	d := b.deployment
	var errs []error
	var first, rest []plan.Wanted
	for _, s := range steps {
		if other, ok := b.engine.claims.Take(d.name, s.Key); !ok {
			errs = append(errs, fmt.Errorf("%s belongs to bundle %s already; remove it from one of the two", s.Key, other))
			continue
		}
		w, _ := b.wanted(s.Key)
		if plan.IsDefinition(s.Key) {
			first = append(first, w)
		} else {
			rest = append(rest, w)
		}
	}
	if err := b.engine.creating(ctx, d, slices.Concat(first, rest)); err != nil {
		return append(errs, err)
	}
	errs = append(errs, b.applyAll(ctx, first)...)
	b.established(ctx, first)
	if err := b.namespace(ctx, rest); err != nil {
		return append(errs, err)
	}
	return append(errs, b.applyAll(ctx, rest)...)
}

// allowed tells whether the workspace's rules let the deployment change anything where it goes.
func (b *batch) allowed(ctx context.Context) error {
	o := b.deployment.record.Target().Options
	if o.AllowedTargetNamespaceSelector == nil {
		return nil
	}
	return apply.AllowedNamespace(ctx, b.deployment.account, apply.PlacementOf(o), o.AllowedTargetNamespaceSelector)
}

// namespace makes the namespace that the bundle deploys into, if any object goes there.
func (b *batch) namespace(ctx context.Context, objects []plan.Wanted) error {
	o := b.deployment.record.Target().Options
	name := apply.PlacementOf(o).Default
	if !slices.ContainsFunc(objects, func(w plan.Wanted) bool { return w.Key.Namespace == name }) {
		return nil
	}
	err := apply.EnsureNamespace(ctx, b.deployment.account, apply.Namespace{
		Name: name, Create: o.CreateNamespace == nil || *o.CreateNamespace,
		Labels: o.NamespaceLabels, Annotations: o.NamespaceAnnotations, For: b.deployment.name,
	})
	b.deployment.placed = b.deployment.placed || err == nil
	return err
}

// applyAll applies objects in the order in which they tend to need each other, several at a time.
func (b *batch) applyAll(ctx context.Context, objects []plan.Wanted) []error {
	return apply.Each(objects, func(w plan.Wanted) error { return b.one(ctx, w, false) })
}

// one applies one object, and remembers the answer.
func (b *batch) one(ctx context.Context, w plan.Wanted, heal bool) error {
	u, err := b.object(ctx, w.Key)
	if err != nil {
		return err
	}
	d := b.deployment
	request := apply.Request{
		Tenant: d.account, Key: w.Key, Object: u, Owner: d.owner().String(), Known: b.item(w.Key),
		Rules: d.rules, Heal: heal,
		Had: func(ctx context.Context, path fieldpath.Path) bool { return b.applied(ctx, w.Key, path) },
	}.As(d.record.Target().Options)
	if heal {
		request.Force = true
		request.Recreate = request.Recreate || d.correction().Force
	}
	if w.Once != "" {
		return b.applyOnce(ctx, w, request)
	}
	result, err := apply.Apply(ctx, request)
	if err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.answered(ctx, w, result)
	return nil
}

// answered remembers the answer to an apply; b.mu is held.
func (b *batch) answered(ctx context.Context, w plan.Wanted, result apply.Result) {
	d := b.deployment
	d.inv[w.Key] = result.Item(w)
	d.fresh[w.Key] = freshFrom(result)
	d.noteRead(ctx, w.Key, result.Object, true)
	delete(d.looked, w.Key)
	d.resent[w.Key] = d.again()
	delete(d.drift, w.Key)
}

func (b *batch) item(key layer.Key) inventory.Item {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.deployment.inv[key]
}

// applied tells whether what was applied before had a field. It is asked on a conflict only.
func (b *batch) applied(ctx context.Context, key layer.Key, path fieldpath.Path) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	d := b.deployment
	if d.inv[key].Digest == "" {
		return false // it was never applied to the end
	}
	if b.had == nil && b.hadErr == nil {
		specs := d.record.Previous
		if len(specs) == 0 || d.record.GivenUp != "" {
			specs = append(slices.Clone(specs), previous(d.record)...)
		}
		for _, spec := range specs {
			entries, err := b.engine.layers.Open(ctx, spec.Layers)
			b.hadErr = errors.Join(b.hadErr, err)
			b.had = append(b.had, index(entries))
		}
	}
	origin := key
	if from, moved := d.origin[key]; moved {
		origin = from
	}
	for _, entries := range b.had {
		var u unstructured.Unstructured
		if entry, ok := entries[origin]; ok && u.UnmarshalJSON(entry.Object) == nil {
			if _, has := fields.Pointer(u.Object, path); has {
				return true
			}
		}
	}
	return false
}

// establishWait bounds the wait for CustomResourceDefinitions; what comes too late is tried again.
const establishWait = 10 * time.Second

// established waits until the CustomResourceDefinitions among the objects are served.
func (b *batch) established(ctx context.Context, objects []plan.Wanted) {
	ctx, cancel := context.WithTimeout(ctx, establishWait)
	defer cancel()
	for _, w := range objects {
		if w.Key.Group == "" {
			continue
		}
		b.deployment.defined = true
		kind, err := b.engine.tenants.Kinds().Of(schema.GroupVersionKind{Group: w.Key.Group, Version: w.Version, Kind: w.Key.Kind})
		if err != nil {
			continue
		}
		for ctx.Err() == nil {
			crd, err := b.deployment.account.Object(kind, "").Get(ctx, w.Key.Name, metav1.GetOptions{})
			if err != nil || isEstablished(crd) && b.served(crd) {
				break
			}
			pause(ctx, 50*time.Millisecond)
		}
	}
}

// served tells whether discovery knows the kind that a CustomResourceDefinition defines: it hears of it a little later.
func (b *batch) served(crd *unstructured.Unstructured) bool {
	group, _, _ := unstructured.NestedString(crd.Object, "spec", "group")
	kind, _, _ := unstructured.NestedString(crd.Object, "spec", "names", "kind")
	versions, _, _ := unstructured.NestedSlice(crd.Object, "spec", "versions")
	for _, v := range versions {
		m, ok := v.(map[string]any)
		if !ok || m["served"] != true {
			continue
		}
		version, _ := m["name"].(string)
		if _, err := b.engine.tenants.Kinds().Of(schema.GroupVersionKind{Group: group, Version: version, Kind: kind}); err != nil {
			return false
		}
	}
	return true
}

func isEstablished(crd *unstructured.Unstructured) bool {
	conditions, _, _ := unstructured.NestedSlice(crd.Object, "status", "conditions")
	return slices.ContainsFunc(conditions, func(c any) bool {
		m, ok := c.(map[string]any)
		return ok && m["type"] == "Established" && m["status"] == "True"
	})
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}
