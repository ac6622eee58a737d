// Package agent runs on each cluster: it brings there what the hub orders, keeps it so, and reports.
//
// The work is done by an engine of BundleDeployments. Each has one worker at most, and a pass of it is the same whatever
// woke it: take in the order, plan from memory, act, look at what moved, report. Nothing that a pass decides rests on an
// event having been seen, so a lost event, a restart, or a hub that is away changes when something happens and not what.
//
// Absence is never deletion. Objects are deleted in two places, prune and uninstall, and both begin with a written order
// of the hub whose sequence is no lower than the highest seen, go over the inventory only, and end in apply.Delete.
package agent

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/util/workqueue"

	"flotilla.io/flotilla/agent/drift"
	"flotilla.io/flotilla/agent/named"
	"flotilla.io/flotilla/agent/plan"
	"flotilla.io/flotilla/agent/probes"
	"flotilla.io/flotilla/agent/pull"
	"flotilla.io/flotilla/agent/rendering"
	"flotilla.io/flotilla/agent/store"
	"flotilla.io/flotilla/agent/tenant"
	"flotilla.io/flotilla/api/v1alpha1"
	"flotilla.io/flotilla/bundle/dial"
	"flotilla.io/flotilla/bundle/layer"
)

// workers is how many deployments are worked on at once.
const workers = 8

// reporter writes statuses to the hub.
type reporter interface {
	PatchStatus(ctx context.Context, name string, patch []byte) (*v1alpha1.BundleDeployment, error)
}

// engine works on all deployments of the cluster.
type engine struct {
	log       *slog.Logger
	namespace string // the agent's own
	store     *store.Store
	layers    *pull.Layers
	tenants   *tenant.Tenants
	accounts  *accounts
	watches   *drift.Watches
	renderer  *rendering.Renderer
	sources   *named.Watches // where values come from
	yields    *named.Watches // what outputs look at
	guard     dial.Guard     // what probes may ask
	probes    *probes.Runner
	claims    plan.Claims
	queue     workqueue.TypedDelayingInterface[string]

	mu          sync.Mutex
	home        home
	hold        *v1alpha1.Hold
	deployments map[string]*deployment
	refs        map[string]map[string]bool // layers in use, by deployment
}

func newEngine(log *slog.Logger, namespace string, s *store.Store, layers *pull.Layers, tenants *tenant.Tenants, accounts *accounts, renderer *rendering.Renderer) *engine {
	return &engine{
		log: log, namespace: namespace, store: s, layers: layers, tenants: tenants, accounts: accounts, renderer: renderer,
		queue:       workqueue.NewTypedDelayingQueue[string](),
		deployments: map[string]*deployment{},
		refs:        map[string]map[string]bool{},
	}
}

// load takes up what the store remembers, before the hub is asked anything. Every deployment is announced first, so that
// none prunes before all are known.
func (e *engine) load(ctx context.Context) error {
	records, lost, err := e.store.Records(ctx)
	if err != nil {
		return err
	}
	if len(lost) > 0 {
		e.log.Warn("what the store remembers of bundles is damaged; what the hub orders of them is as new", "secrets", lost)
	}
	for _, r := range records {
		inv, err := e.store.Inventory(ctx, r.Name)
		if errors.Is(err, store.ErrNotStored) && inv != nil {
			e.log.Warn("a part of what the store remembers of objects is damaged; those that leave the bundle now stay", "bundle", r.Name, "error", err)
			err = nil
		}
		if err != nil {
			return err
		}
		d := newDeployment(r.Name)
		d.record, d.inv, d.placed = r, inv, r.Applied == r.Spec.DeploymentID
		d.staged = time.Now()
		for key, item := range inv {
			e.claims.Hold(r.Name, key)
			d.doubts[key] = item.Once != "" && item.UID == "" && item.End == ""
		}
		e.claims.Announce(r.Name)
		e.deployments[r.Name] = d
		e.use(r.Name, r.Spec.Layers, r.Layers(), previousLayers(r))
	}
	return nil
}

// run works until ctx ends.
func (e *engine) run(ctx context.Context) {
	e.watches = drift.NewWatches(ctx, e.tenants, e.log, e.touched)
	soon := func(name string) { e.queue.AddAfter(name, gather) }
	e.probes = probes.NewRunner(ctx, e.guard, soon)
	e.sources, e.yields = named.NewWatches(ctx, e.tenants, soon), named.NewWatches(ctx, e.tenants, soon)
	defer e.renderer.Close()
	e.wakeAll()
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for {
				name, stop := e.queue.Get()
				if stop {
					return
				}
				e.work(ctx, name)
				e.queue.Done(name)
			}
		})
	}
	<-ctx.Done()
	e.queue.ShutDown()
	wg.Wait()
}

func (e *engine) work(ctx context.Context, name string) {
	d := e.deployment(name)
	if d == nil || ctx.Err() != nil {
		return
	}
	if again := e.pass(ctx, d); again > 0 {
		e.queue.AddAfter(name, again)
	}
}

func (e *engine) deployment(name string) *deployment {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.deployments[name]
}

func (e *engine) names() []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	names := make([]string, 0, len(e.deployments))
	for name := range e.deployments {
		names = append(names, name)
	}
	return names
}

func (e *engine) wake(names ...string) {
	for _, name := range names {
		e.queue.Add(name)
	}
}

func (e *engine) wakeAll() { e.wake(e.names()...) }

// gather is how long events are gathered before the pass that they cause.
const gather = 30 * time.Millisecond

// touched wakes the deployment whose object changed; the zero key means any of them.
func (e *engine) touched(key layer.Key) {
	if key == (layer.Key{}) {
		for _, name := range e.names() {
			e.queue.AddAfter(name, gather)
		}
		return
	}
	if holder := e.claims.Holder(key); holder != "" {
		e.queue.AddAfter(holder, gather)
	}
}

// home is where the cluster is at home: what it is called on which hub.
type home struct {
	namespace string   // the cluster namespace
	hubUID    string   // "" if it is not known
	hub       reporter // nil as long as the cluster has not joined
	poke      func()   // what the cluster serves may have changed; nil as long as nobody wants to know
}

// joined tells the engine of the hub. What another hub ordered does not count any more, nor does what it lacked.
func (e *engine) joined(at home, layers pull.Remote) {
	e.layers.Use(layers)
	e.mu.Lock()
	e.home = at
	for _, d := range e.deployments {
		d.post(func(in *inbox) { *in = inbox{anew: true} })
	}
	e.mu.Unlock()
	e.wakeAll()
}

func (e *engine) membership() (home, *v1alpha1.Hold) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.home, e.hold
}

// setHold holds all deployments, or ends that with nil.
func (e *engine) setHold(hold *v1alpha1.Hold) {
	e.mu.Lock()
	before := e.hold
	e.hold = hold
	e.mu.Unlock()
	switch {
	case hold != nil && (before == nil || *before != *hold):
		e.log.Warn("everything is kept as it is", "reason", hold.Reason, "message", hold.Message)
	case hold == nil && before != nil:
		e.log.Info("the hold ended", "reason", before.Reason)
	}
	if (before == nil) != (hold == nil) || before != nil && *before != *hold {
		e.wakeAll()
	}
}

// use remembers which layers a deployment needs stored.
func (e *engine) use(name string, lists ...[]v1alpha1.LayerRef) {
	ids := map[string]bool{}
	for _, list := range lists {
		for _, ref := range list {
			ids[ref.ID] = true
		}
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.refs[name] = ids
}

// sweep drops the layers that no deployment needs any more.
func (e *engine) sweep(ctx context.Context) error {
	e.mu.Lock()
	keep := map[string]bool{}
	for _, ids := range e.refs {
		for id := range ids {
			keep[id] = true
		}
	}
	e.mu.Unlock()
	return e.store.Sweep(ctx, keep)
}

// forget drops a deployment that was taken away in whole.
func (e *engine) forget(ctx context.Context, d *deployment) error {
	if err := e.store.Forget(ctx, d.name); err != nil {
		return err
	}
	e.watches.Want(d.name, nil)
	e.sources.Want(d.name, nil, nil)
	e.yields.Want(d.name, nil, nil)
	e.probes.Want(d.name, nil, nil)
	e.claims.Forget(d.name)
	e.mu.Lock()
	delete(e.deployments, d.name)
	delete(e.refs, d.name)
	e.mu.Unlock()
	return e.sweep(ctx)
}

// backoff is how long to wait after a number of failures in a row: a second, doubling to a minute, with jitter.
func backoff(failures int) time.Duration {
	wait := time.Second << min(max(failures-1, 0), 6)
	wait = min(wait, time.Minute)
	return wait + time.Duration(rand.Int64N(int64(wait)/4))
}

func previousLayers(r store.Record) []v1alpha1.LayerRef {
	var refs []v1alpha1.LayerRef
	for _, spec := range r.Previous {
		refs = append(refs, spec.Layers...)
	}
	return refs
}

// lasting tells errors that say something about the hub's objects from those that say only that the hub is away.
func lasting(err error) bool {
	return apierrors.ReasonForError(err) != "" && !apierrors.IsServerTimeout(err) && !apierrors.IsTimeout(err) &&
		!apierrors.IsTooManyRequests(err) && !apierrors.IsInternalError(err) && !apierrors.IsServiceUnavailable(err)
}
