package pipeline

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"

	"flotilla.io/flotilla/agent/apply"
	"flotilla.io/flotilla/agent/hooks"
	"flotilla.io/flotilla/agent/plan"
	"flotilla.io/flotilla/agent/rendering"
	"flotilla.io/flotilla/agent/tenant"
	"flotilla.io/flotilla/bundle/layer"
	"flotilla.io/flotilla/bundle/render"
)

// Cluster is where a pipeline deploys to, with the rights of whoever runs it.
type Cluster struct {
	tenants *tenant.Tenants
	self    *tenant.Tenant
	kube    kubernetes.Interface
	log     *slog.Logger
}

// Reach prepares deploying to the cluster of a config. accounts is the namespace with the service accounts that bundles
// name; log is told of hooks.
func Reach(cfg *rest.Config, accounts string, log *slog.Logger) (*Cluster, error) {
	c := &Cluster{log: log}
	var err error
	if c.tenants, err = tenant.New(cfg, accounts); err != nil {
		return nil, err
	}
	c.self = &tenant.Tenant{Kinds: c.tenants.Kinds()}
	if c.self.Objects, err = dynamic.NewForConfig(cfg); err != nil {
		return nil, err
	}
	if c.self.Metadata, err = metadata.NewForConfig(cfg); err != nil {
		return nil, err
	}
	c.kube, err = kubernetes.NewForConfig(cfg)
	return c, err
}

// Deploy brings a deployment to the cluster, takes away what it had before and has no more, and returns its objects. What
// was deployed is remembered in a Secret of its namespace, so that nothing else is ever deleted.
//
// Its hooks run at each deploy; one that was interrupted goes on, when it is run again, where its hooks were.
func (c *Cluster) Deploy(ctx context.Context, d Deployment) ([]*unstructured.Unstructured, error) {
	run, err := c.begin(ctx, d)
	if err == nil {
		err = run.deploy(ctx)
	}
	if err != nil {
		return nil, fmt.Errorf("bundle %s: %w", d.Object.Name, err)
	}
	return run.objects, nil
}

// run is one deployment on its way.
type run struct {
	Deployment
	tenant *tenant.Tenant
	place  apply.Placement
	memory memory
	log    *slog.Logger

	first, rest []layer.Entry // what others need to exist, and the others
	hooks       []hooks.Hook
	hooked      map[layer.Key]layer.Entry // the objects of hooks

	wanted map[layer.Key]placed // by where it goes

	mu      sync.Mutex
	past    past
	objects []*unstructured.Unstructured // as they were sent, sorted
}

// placed is an object of the bundle, and what it is on this cluster.
type placed struct {
	plan.Wanted
	entry layer.Entry
}

// begin finds out all that a deployment needs, before anything is changed.
func (c *Cluster) begin(ctx context.Context, d Deployment) (*run, error) {
	options := d.Object.Spec.Options
	r := &run{Deployment: d, tenant: c.self, place: apply.PlacementOf(options), log: c.log, wanted: map[layer.Key]placed{}}
	var err error
	if options.ServiceAccount != "" {
		if r.tenant, err = c.tenants.As(options.ServiceAccount); err != nil {
			return nil, err
		}
	}
	if allowed := options.AllowedTargetNamespaceSelector; allowed != nil {
		if err := apply.AllowedNamespace(ctx, r.tenant, r.place, allowed); err != nil {
			return nil, err
		}
	}
	r.memory = memory{c.kube.CoreV1().Secrets(r.place.Default), memoryName(d.Object.Name)}
	if r.past, err = r.memory.load(ctx); err != nil {
		return nil, err
	}
	return r, r.render(ctx)
}

// render renders on the cluster, with the random values of the last time.
func (r *run) render(ctx context.Context) error {
	values, digest, err := rendering.Read(ctx, r.tenant, rendering.Sources(r.Object.Spec.Options))
	var missing *rendering.MissingError
	if errors.As(err, &missing) {
		return fmt.Errorf("%s; it has to be on the cluster before the bundle", missing.Problem())
	}
	if err != nil {
		return err
	}
	on, err := rendering.On(ctx, r.tenant, r.past.Kept)
	if err != nil {
		return err
	}
	out, err := render.RenderOn(ctx, rendering.WithValues(r.input(), values), on)
	if err != nil {
		return err
	}
	r.past.Kept = out.Kept
	entries, err := entriesOf(out.Objects)
	if err != nil {
		return err
	}
	var all []layer.Entry
	all, r.hooks = hooks.Split(entries)
	r.past.begin(r.Object.Spec.DeploymentID+" "+digest, len(r.hooks) > 0)
	r.hooked = map[layer.Key]layer.Entry{}
	for _, e := range entries {
		r.hooked[e.Key] = e
	}
	for _, e := range all {
		if plan.IsDefinition(e.Key) {
			r.first = append(r.first, e)
		} else {
			r.rest = append(r.rest, e)
		}
	}
	return nil
}

func entriesOf(objects []*unstructured.Unstructured) (entries []layer.Entry, err error) {
	entries = make([]layer.Entry, len(objects))
	for i, u := range objects {
		if entries[i], err = layer.NewEntry(u); err != nil {
			return nil, err
		}
	}
	return entries, nil
}

// deploy goes through the steps of a deploy, until one fails: nothing is pruned unless all was applied, and no hook runs
// unless the cluster knows all kinds of the bundle.
func (r *run) deploy(ctx context.Context) error {
	o := r.Object.Spec.Options
	if err := apply.EnsureNamespace(ctx, r.tenant, apply.Namespace{
		Name: r.place.Default, Create: o.CreateNamespace == nil || *o.CreateNamespace,
		Labels: o.NamespaceLabels, Annotations: o.NamespaceAnnotations, For: r.Object.Name,
	}); err != nil {
		return err
	}
	var first, rest []plan.Wanted
	for _, step := range []func() error{
		func() (err error) { first, err = r.resolve(ctx, r.first); return err },
		func() error { return r.apply(ctx, first) },
		func() (err error) { rest, err = r.resolve(ctx, r.rest); return err },
		func() error { return r.hooksBefore(ctx, rest) },
		func() error { return r.apply(ctx, rest) },
		func() error { return r.prune(ctx) },
		func() error { return r.memory.save(ctx, r.past) },
		func() error { return r.ready(ctx) },
		func() error { return r.hooksAfter(ctx) },
	} {
		if err := step(); err != nil {
			return errors.Join(err, r.memory.save(context.WithoutCancel(ctx), r.past))
		}
	}
	r.past.end()
	return r.memory.save(ctx, r.past)
}

// prune deletes what was deployed before and is wanted no more, if it is still ours. Kinds that hold data stay.
func (r *run) prune(ctx context.Context) error {
	var failed []error
	for _, item := range r.past.known.Sorted() {
		if _, wanted := r.wanted[item.Key]; wanted {
			continue
		}
		_, err := apply.Delete(ctx, apply.Prune{Tenant: r.tenant, Item: item, Owner: r.owner().String(), Protected: plan.Protected(item.Key)})
		if err != nil {
			failed = append(failed, err)
			continue
		}
		delete(r.past.known, item.Key)
	}
	return errors.Join(failed...)
}

func nameOf(u *unstructured.Unstructured) string {
	return strings.Join([]string{u.GroupVersionKind().Group, u.GetKind(), u.GetNamespace(), u.GetName()}, "\x00")
}

func sortObjects(objects []*unstructured.Unstructured) {
	slices.SortFunc(objects, func(a, b *unstructured.Unstructured) int { return strings.Compare(nameOf(a), nameOf(b)) })
}
