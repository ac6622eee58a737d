package rendering

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"

	"flotilla.io/flotilla/agent/tenant"
)

// Watches tells when an object changes that values come from. Each is watched by its name, metadata only, as the tenant.
// Its methods may be called at the same time.
type Watches struct {
	ctx     context.Context
	tenants *tenant.Tenants
	notify  func(deployment string)

	mu      sync.Mutex
	wants   map[string]map[watched]bool // by deployment
	moved   map[string]bool
	running map[watched]*watching
}

type watched struct{ account, kind, namespace, name string }

type watching struct {
	cancel  context.CancelFunc
	problem string
}

// NewWatches makes Watches that run until ctx ends. notify must not block.
func NewWatches(ctx context.Context, tenants *tenant.Tenants, notify func(deployment string)) *Watches {
	return &Watches{
		ctx: ctx, tenants: tenants, notify: notify,
		wants: map[string]map[watched]bool{}, moved: map[string]bool{}, running: map[watched]*watching{},
	}
}

// Want replaces what is watched for a deployment.
func (w *Watches) Want(deployment string, t *tenant.Tenant, sources []Source) {
	w.mu.Lock()
	defer w.mu.Unlock()
	wanted := map[watched]bool{}
	for _, s := range sources {
		wanted[watched{t.ServiceAccount, s.Kind, s.Namespace, s.Name}] = true
	}
	if maps.Equal(w.wants[deployment], wanted) {
		return
	}
	w.wants[deployment] = wanted
	if len(wanted) == 0 {
		delete(w.wants, deployment)
	}
	all := map[watched]bool{}
	for _, wants := range w.wants {
		maps.Copy(all, wants)
	}
	for key, one := range w.running {
		if !all[key] {
			one.cancel()
			delete(w.running, key)
		}
	}
	for key := range all {
		if w.running[key] == nil {
			w.start(key, t)
		}
	}
}

// Moved tells whether any of a deployment's objects may have changed since the last call.
func (w *Watches) Moved(deployment string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	moved, known := w.moved[deployment]
	w.moved[deployment] = false
	return moved || !known
}

// Again makes Moved answer yes: what was read came to nothing.
func (w *Watches) Again(deployment string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.moved[deployment] = true
}

// Problems lists which of a deployment's objects are not watched, and why, sorted.
func (w *Watches) Problems(deployment string) []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var problems []string
	for key := range w.wants[deployment] {
		if one := w.running[key]; one != nil && one.problem != "" {
			problems = append(problems, one.problem)
		}
	}
	slices.Sort(problems)
	return slices.Compact(problems)
}

// start watches one object; w.mu is held.
func (w *Watches) start(key watched, t *tenant.Tenant) {
	ctx, cancel := context.WithCancel(w.ctx)
	one := &watching{cancel: cancel}
	w.running[key] = one
	kind, err := t.Kinds.Of(Source{Kind: key.kind}.kind())
	if err != nil {
		one.problem = err.Error()
		return
	}
	objects := t.Meta(kind, key.namespace)
	name := fields.OneTermEqualSelector(metav1.ObjectNameField, key.name).String()
	lw := &cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
			o.FieldSelector = name
			list, err := objects.List(ctx, o)
			w.note(key, one, err)
			return list, err
		},
		WatchFuncWithContext: func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
			o.FieldSelector = name
			events, err := objects.Watch(ctx, o)
			w.note(key, one, err)
			return events, err
		},
	}
	r := cache.NewReflectorWithOptions(lw, &metav1.PartialObjectMetadata{}, told(func() { w.touch(key) }),
		cache.ReflectorOptions{Name: "values", TypeDescription: key.kind})
	go r.RunWithContext(ctx)
}

func (w *Watches) note(key watched, one *watching, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	one.problem = ""
	if apierrors.IsForbidden(err) {
		one.problem = fmt.Sprintf("service account %s may not list and watch %s %s/%s: give it the right, or a change of the values in it is not seen",
			key.account, key.kind, key.namespace, key.name)
	}
}

// touch tells the deployments that read an object that it changed.
func (w *Watches) touch(key watched) {
	w.mu.Lock()
	var names []string
	for deployment, wants := range w.wants {
		if wants[key] {
			w.moved[deployment] = true
			names = append(names, deployment)
		}
	}
	w.mu.Unlock()
	for _, name := range names {
		w.notify(name)
	}
}

// told is a reflector's store that keeps nothing, and tells of each event.
type told func()

func (t told) Add(any) error               { t(); return nil }
func (t told) Update(any) error            { t(); return nil }
func (t told) Delete(any) error            { t(); return nil }
func (t told) Replace([]any, string) error { t(); return nil }
func (t told) Resync() error               { return nil }
