package pipeline

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"
	"sigs.k8s.io/yaml"

	"flotilla.io/flotilla/agent/apply"
	"flotilla.io/flotilla/agent/inventory"
	"flotilla.io/flotilla/agent/plan"
	"flotilla.io/flotilla/agent/tenant"
	"flotilla.io/flotilla/bundle/layer"
	"flotilla.io/flotilla/bundle/render"
	"flotilla.io/flotilla/bundle/target"
)

// Cluster is where a pipeline deploys to, with the rights of whoever runs it.
type Cluster struct {
	// Namespace is where objects go that name none, of bundles that name none; "" is default.
	Namespace string
	// Accounts is the namespace with the service accounts that bundles name.
	Accounts string

	tenants *tenant.Tenants
	self    *tenant.Tenant
	kube    kubernetes.Interface
	caps    *render.Capabilities
}

// Reach prepares deploying to the cluster of a config, and asks it what charts may ask.
func Reach(cfg *rest.Config, namespace, accounts string) (*Cluster, error) {
	c := &Cluster{Namespace: namespace, Accounts: accounts}
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
	if c.kube, err = kubernetes.NewForConfig(cfg); err != nil {
		return nil, err
	}
	c.caps = &render.Capabilities{}
	if c.caps.KubernetesVersion, err = c.tenants.Kinds().Version(); err != nil {
		return nil, err
	}
	c.caps.APIs, err = c.tenants.Kinds().Served()
	if len(c.caps.APIs) > 0 {
		err = nil // one API that does not answer: charts do not see it
	}
	return c, err
}

// Render shows what would be deployed, without a cluster: namespaces are as they were written, since only a cluster knows
// which kinds have one.
func Render(ctx context.Context, d Deployment, caps *render.Capabilities) ([]*unstructured.Unstructured, error) {
	entries, err := d.entries(ctx, caps)
	if err != nil {
		return nil, err
	}
	var objects []*unstructured.Unstructured
	for _, e := range entries {
		u, err := apply.Prepare(e, plan.Wanted{Key: e.Key}, d.owner())
		if err != nil {
			return nil, err
		}
		objects = append(objects, u)
	}
	return objects, nil
}

func (d Deployment) owner() apply.Owner {
	return apply.Owner{ClusterNamespace: d.Object.Namespace, Deployment: d.Object.Name}
}

// entries renders the deployment. What needs an agent, or is not served yet, must not be passed over in silence.
func (d Deployment) entries(ctx context.Context, caps *render.Capabilities) ([]layer.Entry, error) {
	if h := d.Object.Spec.Options.Helm; h != nil && len(h.ValuesFrom) > 0 {
		return nil, fmt.Errorf("bundle %s: helm.valuesFrom is not served without an agent; write the values into helm.values", d.Object.Name)
	}
	for _, n := range target.NotServedOptions(&d.Object.Spec.Options) {
		if n.Blocks {
			return nil, fmt.Errorf("bundle %s: %s is not served yet: %s", d.Object.Name, n.Field, n.Why)
		}
	}
	out, err := render.Render(ctx, d.input(), caps)
	if err != nil {
		return nil, fmt.Errorf("bundle %s: %w", d.Object.Name, err)
	}
	if out.OnCluster != "" {
		return nil, fmt.Errorf("bundle %s: only an agent renders this: %s", d.Object.Name, out.OnCluster)
	}
	var entries []layer.Entry
	for _, u := range out.Objects {
		e, err := layer.NewEntry(u)
		if err != nil {
			return nil, fmt.Errorf("bundle %s: %w", d.Object.Name, err)
		}
		entries = append(entries, e)
	}
	return entries, nil
}

// Deploy brings a deployment to the cluster, takes away what it had before and has no more, and returns its objects. What
// was deployed is remembered in a Secret of its namespace, so that nothing else is ever deleted.
func (c *Cluster) Deploy(ctx context.Context, d Deployment) ([]*unstructured.Unstructured, error) {
	entries, err := d.entries(ctx, c.caps)
	if err != nil {
		return nil, err
	}
	run, err := c.begin(ctx, d)
	if err != nil {
		return nil, fmt.Errorf("bundle %s: %w", d.Object.Name, err)
	}
	if err := run.deploy(ctx, entries); err != nil {
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

	mu      sync.Mutex
	known   inventory.Inventory
	objects []*unstructured.Unstructured
}

func (c *Cluster) begin(ctx context.Context, d Deployment) (*run, error) {
	options := d.Object.Spec.Options
	r := &run{Deployment: d, tenant: c.self, place: apply.PlacementOf(options)}
	if options.DefaultNamespace == "" && options.TargetNamespace == "" && c.Namespace != "" {
		r.place.Default = c.Namespace
	}
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
	if err := apply.EnsureNamespace(ctx, r.tenant, apply.Namespace{
		Name: r.place.Default, Create: options.CreateNamespace == nil || *options.CreateNamespace,
		Labels: options.NamespaceLabels, Annotations: options.NamespaceAnnotations,
	}); err != nil {
		return nil, err
	}
	r.memory = memory{c.kube.CoreV1().Secrets(r.place.Default), memoryName(d.Object.Name)}
	r.known, err = r.memory.load(ctx)
	return r, err
}

// deploy applies in two stages, Namespaces and CustomResourceDefinitions before the rest, prunes when all went well, and waits
// where it is asked to.
func (r *run) deploy(ctx context.Context, entries []layer.Entry) error {
	wanted := map[layer.Key]bool{}
	for _, definitions := range []bool{true, false} {
		var stage []layer.Entry
		for _, e := range entries {
			if plan.IsDefinition(e.Key) == definitions {
				stage = append(stage, e)
			}
		}
		if err := r.apply(ctx, stage, wanted); err != nil {
			return errors.Join(err, r.memory.save(ctx, r.known))
		}
	}
	if err := errors.Join(r.prune(ctx, wanted), r.memory.save(ctx, r.known)); err != nil {
		return err
	}
	return r.ready(ctx)
}

// atOnce is how many requests are under way at a time.
const atOnce = 6

// apply brings the objects of a stage to the cluster. Names that are new are remembered before their objects are made.
func (r *run) apply(ctx context.Context, stage []layer.Entry, wanted map[layer.Key]bool) error {
	type object struct {
		entry layer.Entry
		plan.Wanted
	}
	var objects []object
	var failed []error
	news := false
	for _, e := range stage {
		w, err := r.resolve(ctx, e)
		if err != nil {
			failed = append(failed, err)
			continue
		}
		if wanted[w.Key] {
			failed = append(failed, fmt.Errorf("%s is in the bundle twice", w.Key))
			continue
		}
		wanted[w.Key] = true
		if _, known := r.known[w.Key]; !known {
			r.known[w.Key], news = inventory.Item{Key: w.Key, Version: w.Version}, true
		}
		objects = append(objects, object{e, w})
	}
	if len(failed) > 0 {
		return errors.Join(failed...)
	}
	if news {
		if err := r.memory.save(ctx, r.known); err != nil {
			return err
		}
	}
	var group errgroup.Group
	group.SetLimit(atOnce)
	for _, o := range objects {
		group.Go(func() error {
			if err := r.one(ctx, o.entry, o.Wanted); err != nil {
				r.mu.Lock()
				defer r.mu.Unlock()
				failed = append(failed, err)
			}
			return nil
		})
	}
	_ = group.Wait()
	slices.SortFunc(r.objects, func(a, b *unstructured.Unstructured) int { return strings.Compare(nameOf(a), nameOf(b)) })
	slices.SortFunc(failed, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
	return errors.Join(failed...)
}

func nameOf(u *unstructured.Unstructured) string {
	return strings.Join([]string{u.GroupVersionKind().Group, u.GetKind(), u.GetNamespace(), u.GetName()}, "\x00")
}

// definedWait bounds the wait for kinds that were defined just now.
const definedWait = 20 * time.Second

// resolve finds out what an object is on this cluster. A kind that is not served may be one that was defined a moment ago.
func (r *run) resolve(ctx context.Context, e layer.Entry) (plan.Wanted, error) {
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

// one applies one object. Fields of an object that was deployed before are taken back from whoever changed them, as an
// upgrade does; what somebody else made is not touched unless the bundle says so.
func (r *run) one(ctx context.Context, e layer.Entry, w plan.Wanted) error {
	u, err := apply.Prepare(e, w, r.owner())
	if err != nil {
		return err
	}
	r.mu.Lock()
	item := r.known[w.Key]
	r.mu.Unlock()
	request := apply.Request{
		Tenant: r.tenant, Key: w.Key, Object: u.DeepCopy(), Owner: r.owner().String(), Known: item,
		Had: func(context.Context, fieldpath.Path) bool { return item.UID != "" },
	}
	if h := r.Object.Spec.Options.Helm; h != nil {
		request.Force, request.Recreate, request.TakeOwnership = h.Force, h.Force, h.TakeOwnership
	}
	result, err := apply.Apply(ctx, request)
	if err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.known[w.Key] = inventory.Item{Key: w.Key, Version: w.Version, UID: result.UID, Digest: w.Digest, Fingerprint: result.Fingerprint}
	r.objects = append(r.objects, u)
	return nil
}

// prune deletes what was deployed before and is wanted no more, if it is still ours. Kinds that hold data stay.
func (r *run) prune(ctx context.Context, wanted map[layer.Key]bool) error {
	var failed []error
	for _, item := range r.known.Sorted() {
		if wanted[item.Key] {
			continue
		}
		_, err := apply.Delete(ctx, apply.Prune{Tenant: r.tenant, Item: item, Owner: r.owner().String(), Protected: plan.Protected(item.Key)})
		if err != nil {
			failed = append(failed, err)
			continue
		}
		delete(r.known, item.Key)
	}
	return errors.Join(failed...)
}

// PrintObjects writes objects as one YAML list, in Fleet's form. Secrets show no values unless they are asked for.
func PrintObjects(w io.Writer, objects []*unstructured.Unstructured, secrets bool) error {
	list := []map[string]any{}
	for _, u := range objects {
		if !secrets && u.GetKind() == "Secret" && u.GetAPIVersion() == "v1" {
			u = hide(u)
		}
		list = append(list, u.Object)
	}
	data, err := yaml.Marshal(list)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, "%s\n", data)
	return err
}

// hide leaves of a Secret its keys.
func hide(u *unstructured.Unstructured) *unstructured.Unstructured {
	u = u.DeepCopy()
	for _, field := range []string{"data", "stringData"} {
		values, _ := u.Object[field].(map[string]any)
		for key := range values {
			values[key] = "(hidden)"
		}
	}
	return u
}
