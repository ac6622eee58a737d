package bundle

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"golang.org/x/time/rate"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/client-go/metadata"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"

	fleet "flotilla.io/flotilla/api/v1alpha1"
)

// original is a ConfigMap or Secret that bundles copy.
type original struct {
	kind string
	key  client.ObjectKey
}

// originals knows what bundles copy, and wakes them when it changes. ConfigMaps are watched, their metadata only. A Secret is
// looked at by its name, for as long as a bundle wants it: the controller may read Secrets by name and watch none, since who may
// watch one may list them all.
type originals struct {
	client metadata.Interface
	pace   *rate.Limiter
	events chan event.GenericEvent // the Bundles that have to be walked

	mu      sync.Mutex
	ctx     context.Context // nil until the manager runs
	wanted  map[original]map[client.ObjectKey]bool
	running map[original]context.CancelFunc
}

func newOriginals(c metadata.Interface) *originals {
	return &originals{
		client: c, pace: rate.NewLimiter(looksPerSecond, looksPerSecond), events: make(chan event.GenericEvent, 64),
		wanted: map[original]map[client.ObjectKey]bool{}, running: map[original]context.CancelFunc{},
	}
}

// Start looks until ctx ends.
func (s *originals) Start(ctx context.Context) error {
	s.mu.Lock()
	s.ctx = ctx
	s.adjust()
	s.mu.Unlock()
	<-ctx.Done()
	return nil
}

// want replaces what one bundle copies.
func (s *originals) want(bundle client.ObjectKey, needed []original) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, src := range needed {
		if s.wanted[src] == nil {
			s.wanted[src] = map[client.ObjectKey]bool{}
		}
		s.wanted[src][bundle] = true
	}
	for src, bundles := range s.wanted {
		if bundles[bundle] && !slices.Contains(needed, src) {
			if delete(bundles, bundle); len(bundles) == 0 {
				delete(s.wanted, src)
			}
		}
	}
	s.adjust()
}

// adjust starts and stops looking; s.mu is held.
func (s *originals) adjust() {
	if s.ctx == nil {
		return
	}
	for src := range s.wanted {
		if s.running[src] == nil && src.kind == "Secret" {
			ctx, cancel := context.WithCancel(s.ctx)
			s.running[src] = cancel
			go s.follow(ctx, src)
		}
	}
	for src, cancel := range s.running {
		if s.wanted[src] == nil {
			cancel()
			delete(s.running, src)
		}
	}
}

const (
	// lookEvery is how often a Secret is looked at, as long as there are few.
	lookEvery = 5 * time.Second
	// looksPerSecond bounds the looks at all Secrets together: many are looked at in turn.
	looksPerSecond = 10
)

// follow wakes the bundles that copy src each time it changes. What a bundle was walked with may be older than the first look.
func (s *originals) follow(ctx context.Context, src original) {
	seen := "never"
	for s.pace.Wait(ctx) == nil {
		m, err := s.client.Resource(corev1.SchemeGroupVersion.WithResource("secrets")).Namespace(src.key.Namespace).Get(ctx, src.key.Name, metav1.GetOptions{})
		if client.IgnoreNotFound(err) == nil {
			now := ""
			if err == nil {
				now = string(m.GetUID()) + "/" + m.GetResourceVersion()
			}
			if now != seen {
				seen = now
				s.wake(ctx, src)
			}
		}
		select {
		case <-ctx.Done():
		case <-time.After(lookEvery):
		}
	}
}

// of are the bundles that copy src.
func (s *originals) of(src original) []client.ObjectKey {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Collect(maps.Keys(s.wanted[src]))
}

// ofConfigMap are the bundles that copy a ConfigMap.
func (s *originals) ofConfigMap(_ context.Context, obj client.Object) (out []ctrl.Request) {
	for _, key := range s.of(original{"ConfigMap", client.ObjectKeyFromObject(obj)}) {
		out = append(out, ctrl.Request{NamespacedName: key})
	}
	return out
}

// ByObject is how the manager's cache should keep what this package watches: of ConfigMaps nothing but that they changed, and
// not those that Kubernetes puts into each namespace.
func ByObject() map[client.Object]cache.ByObject {
	return map[client.Object]cache.ByObject{
		&corev1.ConfigMap{}: {Field: fields.OneTermNotEqualSelector("metadata.name", "kube-root-ca.crt"), Transform: trim},
	}
}

func trim(obj any) (any, error) {
	m, ok := obj.(*metav1.PartialObjectMetadata)
	if !ok {
		return obj, nil
	}
	return &metav1.PartialObjectMetadata{TypeMeta: m.TypeMeta, ObjectMeta: metav1.ObjectMeta{
		Namespace: m.Namespace, Name: m.Name, UID: m.UID, ResourceVersion: m.ResourceVersion}}, nil
}

func (s *originals) wake(ctx context.Context, src original) {
	for _, key := range s.of(src) {
		b := &fleet.Bundle{ObjectMeta: metav1.ObjectMeta{Namespace: key.Namespace, Name: key.Name}}
		select {
		case s.events <- event.GenericEvent{Object: b}:
		case <-ctx.Done():
			return
		}
	}
}
