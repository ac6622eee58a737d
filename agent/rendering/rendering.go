// Package rendering renders on the cluster what no hub can: bundles that look something up there, take values from objects
// that are only there, or draw random values, which are then kept.
//
// It is the same renderer as on the hub, in a child process of this program that has no connection of its own. What a
// template looks up is read here, as the tenant.
package rendering

import (
	"context"
	"fmt"
	"os"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"flotilla.io/flotilla/agent/tenant"
	"flotilla.io/flotilla/bundle/layer"
	"flotilla.io/flotilla/bundle/render"
	"flotilla.io/flotilla/bundle/render/worker"
)

// Command makes this program a child that renders.
const Command = "render-worker"

// Renderer renders, one bundle at a time. No child runs as long as there is nothing to do.
type Renderer struct{ pool *worker.Pool }

// New makes a Renderer without starting anything.
func New() (*Renderer, error) {
	exe, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("finding the program that renders: %w", err)
	}
	return &Renderer{worker.New(worker.Options{Exe: exe, Args: []string{Command}, Children: 1})}, nil
}

// Close ends the child.
func (r *Renderer) Close() { r.pool.Close() }

// Unpack finds the input among the entries of a bundle's layers; ok is false when they are objects to deploy.
func Unpack(entries []layer.Entry) (in render.Input, ok bool, err error) {
	var objects [][]byte
	for _, e := range entries {
		if e.Key.Group == render.PackedGroup {
			objects = append(objects, e.Object)
		}
	}
	return render.Unpack(objects)
}

// On is the cluster as what is rendered there sees it: what it serves, and what the tenant may read.
func On(ctx context.Context, t *tenant.Tenant, kept render.Kept) (render.Cluster, error) {
	on := render.Cluster{Kept: kept, Lookup: func(l render.Lookup) (map[string]any, error) { return lookup(ctx, t, l) }}
	var err error
	if on.Capabilities.KubernetesVersion, err = t.Kinds.Version(); err != nil {
		return on, err
	}
	on.Capabilities.APIs, err = t.Kinds.Served()
	if len(on.Capabilities.APIs) > 0 {
		err = nil // one API that does not answer: charts do not see it
	}
	return on, err
}

// Render renders as the tenant. What it returns holds the values to keep besides the objects.
func (r *Renderer) Render(ctx context.Context, t *tenant.Tenant, in render.Input, kept render.Kept) ([]layer.Entry, error) {
	on, err := On(ctx, t, kept)
	if err != nil {
		return nil, err
	}
	out, err := r.pool.RenderOn(ctx, in, on)
	if err != nil {
		return nil, err
	}
	objects := out.Objects
	if len(out.Kept) > 0 {
		object, err := out.Kept.Object()
		if err != nil {
			return nil, err
		}
		objects = append(objects, object)
	}
	entries := make([]layer.Entry, len(objects))
	for i, object := range objects {
		if entries[i], err = layer.NewEntry(object); err != nil {
			return nil, err
		}
	}
	return entries, nil
}

// Kept finds what Render kept, nil when it is nothing.
func Kept(entries []layer.Entry) (render.Kept, error) {
	for _, e := range entries {
		if e.Key.Group == render.PackedGroup {
			return render.KeptOf(e.Object)
		}
	}
	return nil, nil
}

// Objects leaves out what Render kept, and Values all else.
func Objects(entries []layer.Entry) []layer.Entry {
	if !slices.ContainsFunc(entries, isKept) {
		return entries
	}
	return slices.DeleteFunc(slices.Clone(entries), isKept)
}

func Values(entries []layer.Entry) []layer.Entry {
	return slices.DeleteFunc(slices.Clone(entries), func(e layer.Entry) bool { return !isKept(e) })
}

func isKept(e layer.Entry) bool { return e.Key.Group == render.PackedGroup }

func lookup(ctx context.Context, t *tenant.Tenant, l render.Lookup) (map[string]any, error) {
	gv, err := schema.ParseGroupVersion(l.APIVersion)
	if err != nil {
		return nil, err
	}
	kind, err := t.Kinds.Of(gv.WithKind(l.Kind))
	if err != nil {
		return nil, err
	}
	objects := t.Object(kind, l.Namespace)
	if l.Name == "" {
		list, err := objects.List(ctx, metav1.ListOptions{})
		if err != nil {
			return nil, err
		}
		return list.UnstructuredContent(), nil
	}
	object, err := objects.Get(ctx, l.Name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return object.Object, nil
}
