package bundle

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	fleet "flotilla.io/flotilla/api/v1alpha1"
	"flotilla.io/flotilla/bundle/layer"
	"flotilla.io/flotilla/controller/content"
	"flotilla.io/flotilla/controller/keys"
)

// writesAtOnce bounds the requests that one bundle has under way.
const writesAtOnce = 16

// write brings each BundleDeployment to what its cluster should have: one request where something changed, none where
// not. A cluster that cannot be written does not hold up the others.
func (r *Reconciler) write(ctx context.Context, in *run) error {
	var mu sync.Mutex
	var failed []error
	var group errgroup.Group
	group.SetLimit(writesAtOnce)
	busy := in.siblingsBusy()
	for _, p := range in.places {
		if p.err != nil {
			continue
		}
		if _, held := in.held(p.cluster.Status.Namespace); held || p.have != nil && in.wentBack(p.have) {
			if p.stale() {
				p.behind = "it is held"
			}
			continue
		}
		group.Go(func() error {
			if err := r.writePlace(ctx, in, p, busy); err != nil {
				mu.Lock()
				defer mu.Unlock()
				failed = append(failed, fmt.Errorf("cluster %s: %w", p.name(), err))
			}
			return nil
		})
	}
	_ = group.Wait()
	return in.sortFailures(failed)
}

// sortFailures turns errors that pass by themselves into a new walk and joins the rest.
func (in *run) sortFailures(failed []error) error {
	var rest []error
	for _, err := range failed {
		var w *wait
		if errors.As(err, &w) {
			in.again = max(in.again, w.After)
			continue
		}
		rest = append(rest, err)
	}
	return errors.Join(rest...)
}

func (r *Reconciler) writePlace(ctx context.Context, in *run, p *place, siblingsBusy bool) error {
	if p.cluster.Status.Namespace == "" {
		return nil // its namespace is being made; the Cluster's event comes back here
	}
	if p.waits.message != "" && p.stale() {
		p.behind = p.waits.message
		return r.keep(ctx, in, p)
	}
	want, err := r.desired(ctx, in, p)
	if err != nil {
		return err
	}
	if want.Spec.DownstreamResourcesGeneration, err = r.copied(ctx, p, want); err != nil {
		return err
	}
	if p.have == nil {
		dateCommit(want, in.bundle)
		err := r.Client.Create(ctx, want)
		if apierrors.IsAlreadyExists(err) {
			return r.explainTaken(ctx, in, p)
		}
		if err == nil {
			p.have, p.wrote = want, want.Spec.Sequence
			r.written.note(client.ObjectKeyFromObject(in.bundle), want)
		}
		return err
	}
	if in.same(p, want) {
		return nil
	}
	if siblingsBusy {
		removes, err := r.removes(ctx, p.have, want)
		if err != nil {
			return err
		}
		if removes {
			p.behind = "it waits for bundles that may take objects over"
			return &wait{Reason: "waiting for the bundles that may take objects over", After: 200 * time.Millisecond}
		}
	}
	want.Spec.Sequence = in.nextSequence(p)
	now := p.have.DeepCopy()
	now.Labels, now.Spec = want.Labels, want.Spec
	dateCommit(now, in.bundle)
	controllerutil.RemoveFinalizer(now, fleet.BundleDeploymentFinalizer)
	p.wrote = now.Spec.Sequence
	return r.patch(ctx, in, p.have, now)
}

// dateCommit tells beside the commit of a BundleDeployment when it was made. It is no reason to write one.
func dateCommit(bd *fleet.BundleDeployment, b *fleet.Bundle) {
	delete(bd.Annotations, fleet.CommitTimeAnnotation)
	if made := b.Annotations[fleet.CommitTimeAnnotation]; made != "" {
		metav1.SetMetaDataAnnotation(&bd.ObjectMeta, fleet.CommitTimeAnnotation, made)
	}
}

// patch writes a BundleDeployment that is there already, and notes that it did.
func (r *Reconciler) patch(ctx context.Context, in *run, have, now *fleet.BundleDeployment) error {
	if err := r.Client.Patch(ctx, now, client.MergeFrom(have)); err != nil {
		return err
	}
	r.written.note(client.ObjectKeyFromObject(in.bundle), now)
	return nil
}

// keep leaves a place that waits at the revision that it has, and tells its agent whether its window is open.
func (r *Reconciler) keep(ctx context.Context, in *run, p *place) error {
	if p.have == nil {
		return nil
	}
	now := p.have.DeepCopy()
	now.Spec.OffSchedule, now.Spec.Deletion, now.Spec.Outputs = in.closed[p.have.Namespace] != "", nil, in.orders
	if equality.Semantic.DeepEqual(now.Spec, p.have.Spec) {
		return nil
	}
	now.Spec.Sequence = in.nextSequence(p)
	p.wrote = now.Spec.Sequence
	return r.patch(ctx, in, p.have, now)
}

// stale tells whether the place should have another revision than it has, or may: who waits is not rendered for.
func (p *place) stale() bool {
	if p.have == nil || p.output == nil && p.twin == nil {
		return true
	}
	return p.have.Spec.DeploymentID != DeploymentID(p.manifest(), withoutValues(p.match.Options))
}

// explainTaken: a BundleDeployment has its bundle's name, so two bundles of one name from two workspaces collide.
func (r *Reconciler) explainTaken(ctx context.Context, in *run, p *place) error {
	bd := &fleet.BundleDeployment{}
	key := client.ObjectKey{Namespace: p.cluster.Status.Namespace, Name: in.bundle.Name}
	if err := r.Reader.Get(ctx, key, bd); err != nil {
		return client.IgnoreNotFound(err)
	}
	if ns := bd.Labels[fleet.BundleNamespaceLabel]; ns != in.bundle.Namespace {
		p.err = fmt.Errorf("cluster %s has a bundle %s from workspace %s already; give one of them another name", p.name(), in.bundle.Name, ns)
		return nil
	}
	return &wait{Reason: "the cache is behind", After: 100 * time.Millisecond}
}

// desired is the BundleDeployment of a place.
func (r *Reconciler) desired(ctx context.Context, in *run, p *place) (*fleet.BundleDeployment, error) {
	options := withoutValues(p.match.Options)
	manifest := p.manifest()
	bd := &fleet.BundleDeployment{
		ObjectMeta: metav1.ObjectMeta{Name: in.bundle.Name, Namespace: p.cluster.Status.Namespace, Labels: DeploymentLabels(in.bundle, p.cluster)},
		Spec: fleet.BundleDeploymentSpec{
			Options: options, DeploymentID: DeploymentID(manifest, options),
			CorrectDrift: options.CorrectDrift, ValueOrigins: p.match.Origins,
			Sequence: firstSequence(0), RenderBase: p.base, RenderKey: p.key, Asked: p.asked, Outputs: in.orders,
		},
	}
	spec := &bd.Spec
	spec.StagedOptions, spec.StagedDeploymentID = spec.Options, spec.DeploymentID
	var err error
	if spec.Layers, err = r.layers(ctx, in, p); err != nil {
		return nil, err
	}
	if in.bundle.Spec.Paused || p.cluster.Spec.Paused {
		freeze(spec, p.have)
	}
	spec.OffSchedule = in.closed[p.cluster.Status.Namespace] != ""
	return bd, nil
}

// freeze keeps what a paused deployment has, and lets only what is staged move.
func freeze(spec *fleet.BundleDeploymentSpec, have *fleet.BundleDeployment) {
	staged, options := spec.StagedDeploymentID, spec.StagedOptions
	*spec = fleet.BundleDeploymentSpec{Sequence: spec.Sequence}
	if have != nil {
		*spec = *have.Spec.DeepCopy()
	}
	spec.Paused, spec.StagedDeploymentID, spec.StagedOptions = true, staged, options
}

// manifest names the objects of a place's rendering, whatever layers they lie in.
func (p *place) manifest() string {
	if p.output != nil {
		return p.output.manifest
	}
	return manifestOf(p.twin)
}

func manifestOf(bd *fleet.BundleDeployment) string {
	manifest, _, _ := strings.Cut(bd.Spec.DeploymentID, ":")
	return manifest
}

// layers are the wrapped layers of a place: those it has, as long as they hold the same objects, those of its twin, or
// those of a new rendering.
func (r *Reconciler) layers(ctx context.Context, in *run, p *place) ([]fleet.LayerRef, error) {
	if h := p.have; h != nil && manifestOf(h) == p.manifest() && !in.lacks(h) && !h.CreationTimestamp.Before(&p.cluster.CreationTimestamp) {
		return h.Spec.Layers, nil // one that is older than its Cluster may be wrapped for the key of an earlier one
	}
	kek, err := r.Outputs.Keys.Of(ctx, r.Reader, p.cluster)
	if errors.Is(err, keys.ErrNotYet) {
		return nil, &wait{Reason: "waiting for the key of cluster " + p.cluster.Name, After: 300 * time.Millisecond}
	}
	if err != nil {
		return nil, err
	}
	if p.output == nil {
		return r.rewrap(kek, p.twin.Spec.Layers)
	}
	refs := make([]fleet.LayerRef, 0, len(p.output.refs))
	for _, ref := range p.output.refs {
		wrapped, err := layer.Wrap(kek, ref.Key)
		if err != nil {
			return nil, err
		}
		refs = append(refs, fleet.LayerRef{ID: ref.ID, Chunks: int32(ref.Chunks), Key: wrapped, Objects: int32(ref.Objects), Bytes: ref.Bytes})
	}
	return refs, nil
}

func (r *Reconciler) rewrap(kek []byte, refs []fleet.LayerRef) ([]fleet.LayerRef, error) {
	out := append([]fleet.LayerRef(nil), refs...)
	for i := range out {
		wrapped, err := layer.Wrap(kek, r.Store.Secret().ContentKey(out[i].ID))
		if err != nil {
			return nil, err
		}
		out[i].Key = wrapped
	}
	return out, nil
}

// same tells whether the BundleDeployment already says all that want says. A rendering from other files that came to
// the same objects is the same; so is another commit.
func (in *run) same(p *place, want *fleet.BundleDeployment) bool {
	if in.mustOvertake(p) {
		return false
	}
	have := p.have.Spec.DeepCopy()
	spec := want.Spec.DeepCopy()
	have.Sequence, spec.Sequence = 0, 0
	have.RenderBase, have.RenderKey, have.Asked = "", "", nil
	spec.RenderBase, spec.RenderKey, spec.Asked = "", "", nil
	labels := maps.Clone(want.Labels)
	if commit, ok := p.have.Labels[fleet.CommitLabel]; ok {
		labels[fleet.CommitLabel] = commit
	}
	return equality.Semantic.DeepEqual(have, spec) && maps.Equal(labels, p.have.Labels)
}

// mustOvertake: the agent has seen a newer hub, and a person said that this one counts.
func (in *run) mustOvertake(p *place) bool {
	seen := p.have.Status.ObservedSequence
	return seen > p.have.Spec.Sequence && accepted(p.cluster, seen)
}

func (in *run) nextSequence(p *place) int64 {
	switch {
	case ofFleet(p.have):
		return firstSequence(p.have.Status.ObservedSequence)
	case in.mustOvertake(p):
		return p.have.Status.ObservedSequence + 1
	}
	return p.have.Spec.Sequence + 1
}

// removes tells whether want lacks an object that have has; of a layer that was lost nobody knows.
func (r *Reconciler) removes(ctx context.Context, have, want *fleet.BundleDeployment) (bool, error) {
	before, err := r.keys(ctx, have)
	if content.IsLost(err) {
		return true, nil
	}
	if err != nil {
		return false, err
	}
	after, err := r.keys(ctx, want)
	if err != nil {
		return false, err
	}
	for k := range before {
		if !after[k] {
			return true, nil
		}
	}
	return false, nil
}

func (r *Reconciler) keys(ctx context.Context, bd *fleet.BundleDeployment) (map[layer.Key]bool, error) {
	entries, err := r.entries(ctx, bd)
	out := map[layer.Key]bool{}
	for _, e := range entries {
		out[e.Key] = true
	}
	return out, err
}

// entries are the objects that a BundleDeployment's layers hold together.
func (r *Reconciler) entries(ctx context.Context, bd *fleet.BundleDeployment) ([]layer.Entry, error) {
	layers := make([]layer.Layer, 0, len(bd.Spec.Layers))
	for _, ref := range bd.Spec.Layers {
		l, err := r.Store.Layer(ctx, ref.ID, int(ref.Chunks))
		if err != nil {
			return nil, err
		}
		layers = append(layers, l)
	}
	return layer.Stack(layers...), nil
}

// siblingsBusy tells whether another bundle of the same GitRepo has not been walked at its newest generation: it may be
// about to take over an object that this one lets go.
func (in *run) siblingsBusy() bool {
	for i := range in.siblings {
		s := &in.siblings[i]
		if s.Name != in.bundle.Name && s.DeletionTimestamp.IsZero() && s.Status.ObservedGeneration < s.Generation {
			return true
		}
	}
	return false
}

// DeploymentLabels are those of the bundle that concern users, all of fleet.cattle.io, and Fleet's own on top.
func DeploymentLabels(b *fleet.Bundle, c *fleet.Cluster) map[string]string {
	out := map[string]string{}
	for k, v := range b.Labels {
		if strings.HasPrefix(k, "fleet.cattle.io/") || !(strings.Contains(k, "cattle.io") || strings.HasPrefix(k, "kubectl")) {
			out[k] = v
		}
	}
	out[fleet.BundleLabel] = b.Name
	out[fleet.BundleNamespaceLabel] = b.Namespace
	out[fleet.ManagedLabel] = "true"
	out[fleet.ClusterLabel] = c.Name
	out[fleet.ClusterNamespaceLabel] = c.Namespace
	return out
}

// withoutValues leaves out what may be secret: values and patches went into the objects, which are sealed.
func withoutValues(o fleet.BundleDeploymentOptions) fleet.BundleDeploymentOptions {
	out := *o.DeepCopy()
	if out.Helm != nil {
		out.Helm.Values, out.Helm.TemplateValues = nil, nil
	}
	if out.Kustomize != nil {
		out.Kustomize.Patches = nil
	}
	return out
}

// DeploymentID is Fleet's: the objects, and a hash of the options without diff, correctDrift and health.
func DeploymentID(manifest string, o fleet.BundleDeploymentOptions) string {
	o.Diff, o.CorrectDrift, o.Health = nil, nil, nil
	data, err := json.Marshal(o)
	if err != nil {
		return manifest
	}
	sum := sha256.Sum256(append(data, '\n'))
	return manifest + ":" + hex.EncodeToString(sum[:])
}
