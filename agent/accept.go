package agent

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"flotilla.io/flotilla/agent/apply"
	"flotilla.io/flotilla/agent/health"
	"flotilla.io/flotilla/agent/hooks"
	"flotilla.io/flotilla/agent/others"
	"flotilla.io/flotilla/agent/plan"
	"flotilla.io/flotilla/agent/rendering"
	"flotilla.io/flotilla/agent/store"
	"flotilla.io/flotilla/api/v1alpha1"
	"flotilla.io/flotilla/bundle/layer"
)

// Reasons for a hold.
const (
	holdOlder   = "SequenceWentBack"
	holdMissing = "BundleDeploymentMissing"
	holdOther   = "AnotherHub"
)

// older tells whether an order is from a state of the hub before the one that was seen last. One of equal sequence that
// says something else is: the hub grows the sequence with every write, so it was written on another past.
func older(order v1alpha1.BundleDeploymentSpec, seen store.Record) bool {
	return order.Sequence < seen.Sequence || order.Sequence == seen.Sequence && !equal(order, seen.Spec)
}

// accept takes in the hub's order: it decides whether the order counts, fetches and verifies all that it needs, and stores
// it as the record. Until then the last record stands, whatever the order says.
func (e *engine) accept(ctx context.Context, d *deployment) error {
	d.hold, d.frozen = nil, ""
	order := d.order
	if order == nil {
		return nil
	}
	at, hold := e.membership()
	if hold != nil {
		d.hold = hold
		if hold.Reason == v1alpha1.ReasonFleetRuns {
			d.frozen = "waits until Rancher Fleet's agent is off" // it may be right in what it changes
		}
		return nil
	}
	if sameHome(d.record, at) && older(order.Spec, d.record) {
		d.hold = &v1alpha1.Hold{Reason: holdOlder, Message: fmt.Sprintf(
			"the hub orders sequence %d, but %d was seen: the hub was restored from an older state; all is kept as it is until "+
				"`flotilla resume cluster/%s -n %s` makes what the hub wants now count",
			order.Spec.Sequence, d.record.Sequence, order.Labels[v1alpha1.ClusterLabel], order.Labels[v1alpha1.ClusterNamespaceLabel])}
		return nil
	}
	if order.UID == d.record.UID && at.namespace == d.record.Namespace && equal(order.Spec, d.record.Spec) {
		d.frozen = frozen(order.Spec)
		return nil
	}
	if d.frozen = frozen(order.Spec); d.frozen != "" {
		return nil
	}
	next := d.record
	next.UID, next.Spec, next.Deletion = order.UID, order.Spec, ""
	next.Namespace, next.Hub, next.Sequence = at.namespace, at.hubUID, order.Spec.Sequence
	if order.Spec.Deletion != nil {
		return e.acceptDeletion(ctx, d, next)
	}
	return e.acceptRevision(ctx, d, next)
}

// sameHome tells whether the record is of an order of this hub for this cluster; if not, a person had the cluster join
// anew, and the sequences have nothing to do with each other.
func sameHome(r store.Record, at home) bool {
	return r.Namespace == at.namespace && (r.Hub == "" || at.hubUID == "" || r.Hub == at.hubUID)
}

// frozen says why nothing of an order may be carried out now, "" if it may. An order to delete is not held up by it.
func frozen(spec v1alpha1.BundleDeploymentSpec) string {
	switch {
	case spec.Deletion != nil:
		return ""
	case spec.Paused:
		return "paused"
	case spec.OffSchedule:
		return "waits for its maintenance window"
	case spec.WaitingForValues:
		return "waits for its values"
	case spec.DeploymentID == "":
		return "waits for its first revision"
	}
	return ""
}

func equal[T any](a, b T) bool {
	x, errX := json.Marshal(a)
	y, errY := json.Marshal(b)
	return errX == nil && errY == nil && bytes.Equal(x, y)
}

func (e *engine) acceptRevision(ctx context.Context, d *deployment, next store.Record) error {
	order := d.order
	e.useBoth(d, next)
	entries, err := e.layers.Open(ctx, order.Spec.Layers)
	if err == nil {
		entries, err = e.deployable(ctx, d, &next, entries)
	}
	if err != nil {
		return fmt.Errorf("revision %s: %w", revisionOf(order), err)
	}
	next.Revision = revisionOf(order)
	next.KeepResources = order.Spec.Options.KeepResources
	return e.adopt(ctx, d, next, entries)
}

// adopt makes a record the one that counts, with the entries that it deploys.
func (e *engine) adopt(ctx context.Context, d *deployment, next store.Record, entries []layer.Entry) error {
	old := d.record
	isNew := old.ID() != next.ID()
	if isNew && old.Spec.DeploymentID != "" {
		next.Previous = previous(d.record)
	}
	if isNew {
		next.GivenUp = ""
		next.Hooks, next.DeleteHooks = newRun(d, next, entries)
	}
	if err := e.store.PutRecord(ctx, next); err != nil {
		return err
	}
	if isNew {
		d.staged, d.applied = time.Now(), false
		e.log.Info("took in a revision", "bundle", d.name, "revision", next.Revision, "sequence", next.Sequence, "objects", len(entries))
	}
	if d.record.Spec.Options.ForceSyncGeneration != next.Spec.Options.ForceSyncGeneration {
		d.resent = map[layer.Key]bool{}
	}
	d.placed = d.placed && samePlace(d.record.Spec.Options, next.Spec.Options)
	if readsOtherwise(d.record.Spec.Options, next.Spec.Options) {
		d.reads = map[layer.Key]*reading{}
	}
	if next.GivenUp != "" {
		d.goBack(next)
		return nil
	}
	d.record, d.account, d.failures, d.carried = next, nil, 0, entries
	d.looked = map[layer.Key]string{} // what was drift may be none under the new rules, and the other way round
	e.use(d.name, next.Spec.Layers, next.Layers(), previousLayers(next))
	e.want(d, entries)
	return nil
}

// samePlace tells whether two sets of options want the same of the namespace.
func samePlace(a, b v1alpha1.BundleDeploymentOptions) bool {
	return apply.PlacementOf(a) == apply.PlacementOf(b) &&
		maps.Equal(a.NamespaceLabels, b.NamespaceLabels) && maps.Equal(a.NamespaceAnnotations, b.NamespaceAnnotations)
}

// useBoth keeps the layers of the record and of the next one, with those that come besides.
func (e *engine) useBoth(d *deployment, next store.Record, more ...v1alpha1.LayerRef) {
	e.use(d.name, next.Spec.Layers, d.record.Spec.Layers, d.record.Layers(), previousLayers(d.record), more)
}

// previous keeps the last revision that was Ready and the last that was tried, each with the layers that its objects are in.
func previous(r store.Record) []v1alpha1.BundleDeploymentSpec {
	last := r.Spec
	last.Layers = r.Layers()
	if len(r.Previous) == 0 || r.Good == r.ID() {
		return []v1alpha1.BundleDeploymentSpec{last}
	}
	return []v1alpha1.BundleDeploymentSpec{r.Previous[0], last}
}

// goBack takes up a record that gave its revision up.
func (d *deployment) goBack(next store.Record) {
	d.record, d.account, d.failures, d.carried = next, nil, 0, nil
	d.opened, d.applied, d.looked, d.reads = false, false, map[layer.Key]string{}, map[layer.Key]*reading{}
}

// acceptDeletion stores the order to delete. It needs no layers: what is deleted is what the inventory has.
func (e *engine) acceptDeletion(ctx context.Context, d *deployment, next store.Record) error {
	next.Deployed = d.record.Target().Layers // the hooks of what runs, whatever was ordered since
	next.Hooks = nil
	if next.DeleteHooks && !orphans(next) && (next.Applied != "" || len(d.inv) > 0) {
		next.Hooks = &hooks.Run{ID: runID(next)}
	}
	if err := e.store.PutRecord(ctx, next); err != nil {
		return err
	}
	e.log.Info("took in an order to delete", "bundle", d.name, "reason", next.Spec.Deletion.Reason,
		"by", next.Spec.Deletion.By, "policy", next.Spec.Deletion.Policy)
	d.record, d.account, d.opened, d.wanted = next, nil, true, nil
	e.wake(e.claims.Want(d.name, nil)...)
	return nil
}

// open makes wanted from the stored record, at a start.
func (e *engine) open(ctx context.Context, d *deployment) error {
	if d.record.Spec.Deletion != nil {
		d.opened, d.wanted = true, nil
		e.wake(e.claims.Want(d.name, nil)...)
		return nil
	}
	entries, err := e.layers.Open(ctx, d.record.Target().Layers)
	if errors.Is(err, store.ErrNotStored) && d.rendersAgain() {
		return e.renderAgain(ctx, d)
	}
	if err != nil {
		return fmt.Errorf("revision %s: %w", d.record.Revision, err)
	}
	d.carried = entries
	e.want(d, entries)
	return nil
}

// want works out what the entries are on this cluster, and tells the others.
func (e *engine) want(d *deployment, entries []layer.Entry) {
	d.wanted = make([]plan.Wanted, 0, len(entries))
	d.origin, d.misfit = map[layer.Key]layer.Key{}, nil
	options := d.record.Target().Options
	place, owner := apply.PlacementOf(options), d.owner()
	d.rules, d.judge = others.New(options, scalers(entries, place)), health.New(options)
	seen := map[layer.Key]bool{}
	var maybe []plan.Wanted // what cannot be placed now might still be one of these
	entries, d.hooks = hooks.Split(rendering.Objects(entries))
	for _, entry := range entries {
		w, err := apply.Resolve(e.tenants.Kinds(), entry, place, owner)
		switch {
		case err != nil:
			d.misfit = append(d.misfit, err)
			inside := entry.Key
			inside.Namespace = cmp.Or(place.Forced, entry.Key.Namespace, place.Default)
			maybe = append(maybe, plan.Wanted{Key: entry.Key}, plan.Wanted{Key: inside})
			continue
		case seen[w.Key]:
			d.misfit = append(d.misfit, fmt.Errorf("%s is in the bundle twice, once as %s; remove one", w.Key, entry.Key))
			continue
		}
		seen[w.Key] = true
		w.Digest = plan.Under(w.Digest, d.rules.Digest(w.Key))
		w.Judged = d.judge.Judges(schema.GroupKind{Group: w.Key.Group, Kind: w.Key.Kind}, decoded(entry))
		d.wanted = append(d.wanted, w)
		if w.Key != entry.Key {
			d.origin[w.Key] = entry.Key
		}
	}
	slices.SortFunc(d.wanted, func(a, b plan.Wanted) int { return a.Key.Compare(b.Key) })
	d.tidy()
	d.opened = len(d.misfit) == 0 // what cannot be placed is tried anew in each pass
	e.wake(e.claims.Want(d.name, append(maybe, d.wanted...))...)
}

// decoded reads an entry where it has to be looked at; nil if it cannot be.
func decoded(entry layer.Entry) func() *unstructured.Unstructured {
	return func() *unstructured.Unstructured {
		u := &unstructured.Unstructured{}
		if u.UnmarshalJSON(entry.Object) != nil {
			return nil
		}
		return u
	}
}

// scalers are the autoscalers among the entries, where they end up: what they scale is theirs to scale.
func scalers(entries []layer.Entry, place apply.Placement) []*unstructured.Unstructured {
	var list []*unstructured.Unstructured
	for _, entry := range entries {
		u := &unstructured.Unstructured{}
		if entry.Key.Kind != "HorizontalPodAutoscaler" || u.UnmarshalJSON(entry.Object) != nil {
			continue
		}
		u.SetNamespace(cmp.Or(place.Forced, entry.Key.Namespace, place.Default))
		list = append(list, u)
	}
	return list
}

// owner is who the objects belong to, as the order was taken in: it needs no hub to know.
func (d *deployment) owner() apply.Owner {
	return apply.Owner{ClusterNamespace: d.record.Namespace, Deployment: d.name}
}

// revisionOf is what a person knows a revision by: the commit where there is one.
func revisionOf(bd *v1alpha1.BundleDeployment) string {
	if commit := bd.Labels[v1alpha1.CommitLabel]; commit != "" {
		return commit[:min(12, len(commit))]
	}
	return short(bd.Spec.DeploymentID)
}

func short(id string) string {
	id = cmp.Or(id, "none")
	return id[:min(12, len(id))]
}
