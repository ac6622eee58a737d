package drift

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"

	"flotilla.io/flotilla/agent/tenant"
	"flotilla.io/flotilla/api/v1alpha1"
	"flotilla.io/flotilla/bundle/layer"
)

// Observed is all that is kept of a live object.
type Observed struct {
	UID             types.UID
	Fingerprint     string
	ResourceVersion string
	Deleting        bool
}

// Need is what a BundleDeployment needs watched: the objects of a kind, in a namespace ("" for kinds without), as one
// service account.
type Need struct {
	ServiceAccount string
	Kind           schema.GroupVersionKind
	Namespace      string
}

func (n Need) group() group { return group{n.ServiceAccount, n.Kind} }

// group is what one watch covers, if the tenant may watch all namespaces; else it takes one for each namespace.
type group struct {
	serviceAccount string
	kind           schema.GroupVersionKind
}

// Watches runs as many metadata watches as the inventories need, and no more. Its methods may be called at the same time.
type Watches struct {
	ctx     context.Context
	tenants *tenant.Tenants
	notify  func(layer.Key)
	log     *slog.Logger

	mu     sync.Mutex
	wants  map[string]map[Need]bool // by BundleDeployment
	groups map[group]*watched
}

// NewWatches makes Watches that run until ctx ends. notify is called, from several goroutines, for each object that came,
// went or changed in any way; it must not block.
func NewWatches(ctx context.Context, tenants *tenant.Tenants, log *slog.Logger, notify func(layer.Key)) *Watches {
	return &Watches{
		ctx: ctx, tenants: tenants, notify: notify, log: log,
		wants: map[string]map[Need]bool{}, groups: map[group]*watched{},
	}
}

// Want replaces what one BundleDeployment needs watched; nil for nothing.
func (w *Watches) Want(deployment string, needs map[Need]bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if maps.Equal(w.wants[deployment], needs) {
		return
	}
	w.wants[deployment] = needs
	if len(needs) == 0 {
		delete(w.wants, deployment)
	}
	wanted := map[group]map[string]bool{}
	for _, needs := range w.wants {
		for n := range needs {
			if wanted[n.group()] == nil {
				wanted[n.group()] = map[string]bool{}
			}
			wanted[n.group()][n.Namespace] = true
		}
	}
	for g, running := range w.groups {
		if wanted[g] == nil {
			running.stop()
			delete(w.groups, g)
		}
	}
	for g, namespaces := range wanted {
		running := w.groups[g]
		if running == nil {
			running = newWatched(w, g)
			w.groups[g] = running
		}
		running.cover(namespaces)
	}
}

// View is what the watches say about an object.
type View struct {
	Observed
	Present bool
	Covered bool   // a watch that has seen a whole list covers the object; if not, the rest says nothing
	AsOf    uint64 // the newest resourceVersion that the watch has seen of any object
}

// Live is what the watches say about an object.
func (w *Watches) Live(serviceAccount, version string, key layer.Key) View {
	gvk := schema.GroupVersionKind{Group: key.Group, Version: version, Kind: key.Kind}
	w.mu.Lock()
	running := w.groups[group{serviceAccount, gvk}]
	w.mu.Unlock()
	if running == nil {
		return View{}
	}
	return running.live(key)
}

// Problems lists why objects that a BundleDeployment needs watched are not, sorted; it is empty when all are.
func (w *Watches) Problems(deployment string) []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var problems []string
	for n := range w.wants[deployment] {
		if running := w.groups[n.group()]; running != nil {
			if p := running.problem(); p != "" {
				problems = append(problems, p)
			}
		}
	}
	slices.Sort(problems)
	return slices.Compact(problems)
}

// Synced tells whether all that a BundleDeployment needs watched has been seen once, or is known to be out of reach.
func (w *Watches) Synced(deployment string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	for n := range w.wants[deployment] {
		if running := w.groups[n.group()]; running != nil && !running.synced() {
			return false
		}
	}
	return true
}

// watched is the watch, or the watches, of one group.
type watched struct {
	owner *Watches
	group group

	mu         sync.Mutex
	namespaces map[string]bool
	running    map[string]*listing // by namespace, "" for all
	wide       bool                // one listing covers all namespaces
	decided    bool                // wide is known
	deciding   bool
	failed     string // why it cannot be watched
	stopped    bool
}

func newWatched(w *Watches, g group) *watched {
	return &watched{owner: w, group: g, running: map[string]*listing{}}
}

// cover makes the group watch these namespaces. How wide it may watch is asked once, in the background.
func (g *watched) cover(namespaces map[string]bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.namespaces = namespaces
	switch {
	case g.decided:
		g.adjust()
	case !g.deciding:
		g.deciding = true
		go g.decide()
	}
}

// decide asks whether the tenant may watch the kind in all namespaces, until there is an answer.
func (g *watched) decide() {
	for wait := 200 * time.Millisecond; ; wait = min(2*wait, time.Minute) {
		wide, err := g.mayWatchAll()
		g.mu.Lock()
		if err == nil {
			g.wide, g.decided, g.deciding, g.failed = wide, true, false, ""
			g.adjust()
			g.mu.Unlock()
			return
		}
		g.failed = err.Error()
		stopped := g.stopped
		g.mu.Unlock()
		if stopped {
			return
		}
		select {
		case <-g.owner.ctx.Done():
			return
		case <-time.After(wait):
		}
	}
}

func (g *watched) mayWatchAll() (bool, error) {
	t, err := g.owner.tenants.As(g.group.serviceAccount)
	if err != nil {
		return false, err
	}
	kind, err := t.Kinds.Of(g.group.kind)
	if err != nil {
		return false, err
	}
	if !kind.Namespaced {
		return true, nil
	}
	for _, verb := range []string{"list", "watch"} {
		allowed, err := g.may(t, kind, verb)
		if err != nil || !allowed {
			return false, err
		}
	}
	return true, nil
}

func (g *watched) may(t *tenant.Tenant, kind tenant.Kind, verb string) (bool, error) {
	review := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview",
		"spec": map[string]any{"resourceAttributes": map[string]any{
			"verb": verb, "group": kind.Resource.Group, "version": kind.Resource.Version, "resource": kind.Resource.Resource,
		}},
	}}
	reviews := schema.GroupVersionResource{Group: "authorization.k8s.io", Version: "v1", Resource: "selfsubjectaccessreviews"}
	answer, err := t.Objects.Resource(reviews).Create(g.owner.ctx, review, metav1.CreateOptions{})
	if err != nil {
		return false, fmt.Errorf("asking whether service account %s may %s %s: %w", t.ServiceAccount, verb, kind.Resource.Resource, err)
	}
	allowed, _, err := unstructured.NestedBool(answer.Object, "status", "allowed")
	return allowed, err
}

// adjust starts and stops listings; g.mu is held.
func (g *watched) adjust() {
	if g.stopped {
		return
	}
	wanted := g.namespaces
	if g.wide {
		wanted = map[string]bool{"": true}
	}
	for namespace, l := range g.running {
		if !wanted[namespace] {
			l.cancel()
			delete(g.running, namespace)
		}
	}
	for namespace := range wanted {
		if g.running[namespace] == nil {
			g.running[namespace] = g.start(namespace)
		}
	}
}

func (g *watched) start(namespace string) *listing {
	ctx, cancel := context.WithCancel(g.owner.ctx)
	l := &listing{kind: g.group.kind.GroupKind(), notify: g.owner.notify, cancel: cancel}
	t, err := g.owner.tenants.As(g.group.serviceAccount)
	if err == nil {
		var kind tenant.Kind
		if kind, err = t.Kinds.Of(g.group.kind); err == nil {
			resource := t.Meta(kind, namespace)
			lw := &cache.ListWatch{
				ListWithContextFunc: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
					o.LabelSelector = v1alpha1.OwnedLabel + "=true"
					list, err := resource.List(ctx, o)
					return list, g.note(l, err)
				},
				WatchFuncWithContext: func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
					o.LabelSelector = v1alpha1.OwnedLabel + "=true"
					w, err := resource.Watch(ctx, o)
					return w, g.note(l, err)
				},
			}
			r := cache.NewReflectorWithOptions(lw, &metav1.PartialObjectMetadata{}, l,
				cache.ReflectorOptions{Name: g.group.kind.Kind, TypeDescription: g.group.kind.String()})
			go r.RunWithContext(ctx)
			return l
		}
	}
	l.setProblem(err.Error())
	return l
}

// note remembers why a listing fails, in words that say whose right is missing; and when a right to watch everything was
// taken away, it has the group decide anew.
func (g *watched) note(l *listing, err error) error {
	switch {
	case err == nil:
		l.setProblem("")
	case apierrors.IsForbidden(err):
		l.setProblem(fmt.Sprintf("service account %s may not list and watch %s: give it the right, or drift and readiness are not seen",
			g.group.serviceAccount, strings.ToLower(g.group.kind.GroupKind().String())))
		g.mu.Lock()
		if g.wide && !g.deciding {
			g.deciding = true
			go g.decide()
		}
		g.mu.Unlock()
	case apierrors.IsNotFound(err):
		g.owner.tenants.Kinds().Forget(g.group.kind.GroupVersion())
	}
	return err
}

func (g *watched) live(key layer.Key) View {
	g.mu.Lock()
	l := g.running[key.Namespace]
	if g.wide {
		l = g.running[""]
	}
	g.mu.Unlock()
	if l == nil {
		return View{}
	}
	return l.get(key)
}

func (g *watched) problem() string {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.failed != "" {
		return g.failed
	}
	for _, namespace := range slices.Sorted(maps.Keys(g.running)) {
		if p := g.running[namespace].problem(); p != "" {
			return p
		}
	}
	return ""
}

func (g *watched) synced() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.failed != "" {
		return true
	}
	if !g.decided {
		return false
	}
	for _, l := range g.running {
		if !l.settled() {
			return false
		}
	}
	return true
}

func (g *watched) stop() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.stopped = true
	for _, l := range g.running {
		l.cancel()
	}
}
