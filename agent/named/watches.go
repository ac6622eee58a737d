// Package named watches single objects by their names, or few by their labels, for those who read one again when it has changed: values that come from
// it, or an output that looks at it.
package named

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"

	"flotilla.io/flotilla/agent/tenant"
)

// Object is an object on the cluster, or all that a selector picks; its namespace is "" where it is in none, or where all count.
type Object struct {
	Kind            schema.GroupVersionKind
	Namespace, Name string
	Many            bool   // Labels picks, not the name
	Labels          string // a label selector; "" picks all
}

func (o Object) String() string {
	if o.Many {
		return fmt.Sprintf("%s %s/(%s)", o.Kind.Kind, cmp.Or(o.Namespace, "*"), cmp.Or(o.Labels, "all"))
	}
	if o.Namespace == "" {
		return o.Kind.Kind + " " + o.Name
	}
	return fmt.Sprintf("%s %s/%s", o.Kind.Kind, o.Namespace, o.Name)
}

// Watches tells when an object changes. Each is watched by its name or labels, metadata only, as the tenant. Its methods may be called at
// the same time.
type Watches struct {
	ctx     context.Context
	tenants *tenant.Tenants
	notify  func(deployment string)

	mu      sync.Mutex
	wants   map[string]map[watched]bool // by deployment
	moved   map[string]bool
	running map[watched]*watching
}

type watched struct {
	account string
	Object
}

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

// Want replaces what is watched for a deployment. It returns false when one cannot be watched, since the cluster does not serve its
// kind: who wants it has to ask again.
func (w *Watches) Want(deployment string, t *tenant.Tenant, objects []Object) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	wanted := map[watched]bool{}
	for _, o := range objects {
		wanted[watched{t.ServiceAccount, o}] = true
	}
	if maps.Equal(w.wants[deployment], wanted) && w.allRun(wanted) {
		return true
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
	for key := range wanted {
		if w.running[key] == nil {
			w.start(key, t)
		}
	}
	return w.allRun(wanted)
}

// allRun tells whether each is watched; one whose kind the cluster did not serve is not.
func (w *Watches) allRun(wanted map[watched]bool) bool {
	for key := range wanted {
		if w.running[key] == nil {
			return false
		}
	}
	return true
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
	kind, err := t.Kinds.Of(key.Kind)
	if err != nil {
		return
	}
	ctx, cancel := context.WithCancel(w.ctx)
	one := &watching{cancel: cancel}
	w.running[key] = one
	objects := t.Meta(kind, key.Namespace)
	pick := func(o *metav1.ListOptions) {
		if o.LabelSelector = key.Labels; !key.Many {
			o.FieldSelector = fields.OneTermEqualSelector(metav1.ObjectNameField, key.Name).String()
		}
	}
	lw := &cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
			pick(&o)
			list, err := objects.List(ctx, o)
			w.note(key, one, err)
			return list, err
		},
		WatchFuncWithContext: func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
			pick(&o)
			events, err := objects.Watch(ctx, o)
			w.note(key, one, err)
			return events, err
		},
	}
	r := cache.NewReflectorWithOptions(lw, &metav1.PartialObjectMetadata{}, told(func() { w.touch(key) }),
		cache.ReflectorOptions{Name: "named", TypeDescription: key.Kind.Kind})
	go r.RunWithContext(ctx)
}

func (w *Watches) note(key watched, one *watching, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	one.problem = ""
	if apierrors.IsForbidden(err) {
		one.problem = fmt.Sprintf("service account %s may not list and watch %s: give it the right, or a change of it is not seen", key.account, key.Object)
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
