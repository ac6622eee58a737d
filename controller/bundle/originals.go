package bundle

import (
	"context"
	"slices"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/metadata"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"

	fleet "flotilla.io/flotilla/api/v1alpha1"
)

// original is a ConfigMap or Secret that bundles copy.
type original struct {
	kind string
	key  client.ObjectKey
}

// originals looks at what bundles copy: each object by its name, its metadata only, for as long as a bundle wants it.
type originals struct {
	client metadata.Interface
	events chan event.GenericEvent // the Bundles that have to be walked

	mu      sync.Mutex
	ctx     context.Context // nil until the manager runs
	wanted  map[original]map[client.ObjectKey]bool
	running map[original]context.CancelFunc
}

func newOriginals(c metadata.Interface) *originals {
	return &originals{
		client: c, events: make(chan event.GenericEvent, 64),
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
		if s.running[src] == nil {
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

// lookEvery is how often an original is looked at. The controller may read Secrets by name and watch none: who may watch one
// may list them all.
const lookEvery = 5 * time.Second

// follow wakes the bundles that copy src each time it changes. What a bundle was walked with may be older than the first look.
func (s *originals) follow(ctx context.Context, src original) {
	resource := schema.GroupVersionResource{Version: "v1", Resource: map[string]string{"ConfigMap": "configmaps", "Secret": "secrets"}[src.kind]}
	seen := "never"
	for ctx.Err() == nil {
		m, err := s.client.Resource(resource).Namespace(src.key.Namespace).Get(ctx, src.key.Name, metav1.GetOptions{})
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

func (s *originals) wake(ctx context.Context, src original) {
	s.mu.Lock()
	bundles := make([]client.ObjectKey, 0, len(s.wanted[src]))
	for key := range s.wanted[src] {
		bundles = append(bundles, key)
	}
	s.mu.Unlock()
	for _, key := range bundles {
		b := &fleet.Bundle{ObjectMeta: metav1.ObjectMeta{Namespace: key.Namespace, Name: key.Name}}
		select {
		case s.events <- event.GenericEvent{Object: b}:
		case <-ctx.Done():
			return
		}
	}
}
