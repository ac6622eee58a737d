package bundle

import (
	"context"
	"sort"

	"flotilla.io/flotilla/bundle/layer"
	"flotilla.io/flotilla/controller/content"
)

// split cuts what was rendered anew into layers. What was not rendered anew keeps the layers it has.
//
// The clusters that stay as they are stand in the split as one output that equals the shared layers, with their weight:
// so a change for one cluster of fifty is a small layer of its own, not a new idea of what most have in common.
func (r *Reconciler) split(ctx context.Context, in *run) error {
	fresh := make([]*rendering, 0, len(in.rendered))
	weight := 0
	for _, out := range in.rendered {
		fresh = append(fresh, out)
		weight += out.clusters
	}
	if len(fresh) == 0 {
		return nil
	}
	sort.Slice(fresh, func(i, j int) bool { return fresh[i].key < fresh[j].key })
	previous, err := r.sharedLayers(ctx, in)
	if err != nil {
		return err
	}
	outputs := make([]layer.Output, 0, len(fresh)+1)
	for _, out := range fresh {
		outputs = append(outputs, layer.Output{Entries: out.entries, Clusters: out.clusters})
	}
	if rest := in.settled() - weight; rest > 0 && len(previous) > 0 {
		outputs = append(outputs, layer.Output{Entries: layer.Stack(previous...), Clusters: rest})
	}
	shared, own := r.Store.Secret().Split(previous, outputs)
	in.shared = shared
	for i, out := range fresh {
		out.own = own[i]
	}
	return nil
}

// settled counts the places that have or get a rendering.
func (in *run) settled() int {
	n := 0
	for _, p := range in.places {
		if p.err == nil {
			n++
		}
	}
	return n
}

// sharedLayers opens the layers that the last split shared. One that cannot be read is no reason to stop: the split
// starts over.
func (r *Reconciler) sharedLayers(ctx context.Context, in *run) ([]layer.Layer, error) {
	var out []layer.Layer
	names := in.bundle.Status.SharedLayers
	if len(names) == 0 {
		names = in.mostUsed()
	}
	for _, s := range names {
		id, chunks, err := content.ParseID(s)
		if err != nil {
			return nil, nil
		}
		l, err := r.Store.Layer(ctx, id, chunks)
		if err != nil {
			return nil, ctx.Err()
		}
		out = append(out, l)
	}
	return out, nil
}

// mostUsed are the layers, in their order, that more than half of several deployments have: what the last split shared,
// when its record was lost.
func (in *run) mostUsed() []string {
	count := map[string]int{}
	for i := range in.have {
		for _, ref := range in.have[i].Spec.Layers {
			count[ref.ID]++
		}
	}
	for i := range in.have {
		var shared []string
		for _, ref := range in.have[i].Spec.Layers {
			if count[ref.ID] > 1 && count[ref.ID]*2 > len(in.have) {
				shared = append(shared, content.ID(layer.Ref{ID: ref.ID, Chunks: int(ref.Chunks)}))
			}
		}
		if len(shared) > 0 {
			return shared
		}
	}
	return nil
}

// publish writes the layers of all new renderings before any BundleDeployment names them.
func (r *Reconciler) publish(ctx context.Context, in *run) error {
	if len(in.rendered) == 0 {
		return nil
	}
	sharedRefs, names := make([]layer.Ref, len(in.shared)), make([]string, len(in.shared))
	for i, l := range in.shared {
		ref, err := r.Store.PublishLayer(ctx, l)
		if err != nil {
			return err
		}
		sharedRefs[i], names[i] = ref, content.ID(ref)
	}
	for _, out := range in.rendered {
		out.layers, out.refs = append(out.layers, in.shared...), append(out.refs, sharedRefs...)
		if len(out.own.Entries) == 0 {
			continue
		}
		ref, err := r.Store.PublishLayer(ctx, out.own)
		if err != nil {
			return err
		}
		out.layers, out.refs = append(out.layers, out.own), append(out.refs, ref)
	}
	in.sharedNow = names
	return nil
}
