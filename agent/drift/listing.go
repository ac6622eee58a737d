package drift

import (
	"context"
	"strconv"
	"sync"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/tools/cache"

	"flotilla.io/flotilla/agent/inventory"
	"flotilla.io/flotilla/bundle/layer"
)

// listing is what one watch sees. It is the reflector's store, and throws away all but Observed as objects arrive.
type listing struct {
	kind   schema.GroupKind
	notify func(layer.Key)
	cancel context.CancelFunc

	mu      sync.Mutex
	objects map[layer.Key]Observed
	asOf    uint64 // the newest resourceVersion that arrived
	listed  bool
	why     string // the problem, "" for none
}

var _ cache.TransformingStore = &listing{}

// fingerprintKey is where Transformer leaves the fingerprint of an object whose managedFields it drops.
const fingerprintKey = "fingerprint"

// Transformer trims objects while a list is still arriving.
func (l *listing) Transformer() cache.TransformFunc {
	return func(object any) (any, error) {
		m, ok := object.(*metav1.PartialObjectMetadata)
		if !ok {
			return object, nil
		}
		return &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{
			Namespace: m.Namespace, Name: m.Name, UID: m.UID, ResourceVersion: m.ResourceVersion,
			DeletionTimestamp: m.DeletionTimestamp,
			Annotations:       map[string]string{fingerprintKey: inventory.Fingerprint(m)},
		}}, nil
	}
}

func (l *listing) read(object any) (layer.Key, Observed, bool) {
	if gone, ok := object.(cache.DeletedFinalStateUnknown); ok {
		object = gone.Obj
	}
	m, ok := object.(*metav1.PartialObjectMetadata)
	if !ok {
		return layer.Key{}, Observed{}, false
	}
	fingerprint, trimmed := m.Annotations[fingerprintKey]
	if !trimmed || len(m.Annotations) != 1 {
		fingerprint = inventory.Fingerprint(m)
	}
	key := layer.Key{Group: l.kind.Group, Kind: l.kind.Kind, Namespace: m.Namespace, Name: m.Name}
	return key, Observed{m.UID, fingerprint, m.ResourceVersion, m.DeletionTimestamp != nil}, true
}

// Add is part of cache.ReflectorStore.
func (l *listing) Add(object any) error { return l.Update(object) }

// Update is part of cache.ReflectorStore.
func (l *listing) Update(object any) error {
	key, seen, ok := l.read(object)
	if !ok {
		return nil
	}
	l.mu.Lock()
	if l.objects == nil {
		l.objects = map[layer.Key]Observed{}
	}
	changed := l.objects[key] != seen
	l.objects[key] = seen
	l.asOf = max(l.asOf, Version(seen.ResourceVersion))
	l.mu.Unlock()
	if changed {
		l.notify(key)
	}
	return nil
}

// Delete is part of cache.ReflectorStore.
func (l *listing) Delete(object any) error {
	key, last, ok := l.read(object)
	if !ok {
		return nil
	}
	l.mu.Lock()
	delete(l.objects, key)
	l.asOf = max(l.asOf, Version(last.ResourceVersion))
	l.mu.Unlock()
	l.notify(key)
	return nil
}

// Replace is part of cache.ReflectorStore: a whole list came.
func (l *listing) Replace(list []any, resourceVersion string) error {
	now := make(map[layer.Key]Observed, len(list))
	for _, object := range list {
		if key, seen, ok := l.read(object); ok {
			now[key] = seen
		}
	}
	l.mu.Lock()
	before := l.objects
	first := !l.listed
	l.objects, l.listed, l.why = now, true, ""
	l.asOf = Version(resourceVersion)
	l.mu.Unlock()
	for key, seen := range now {
		if first || before[key] != seen {
			l.notify(key)
		}
	}
	for key := range before {
		if _, still := now[key]; !still {
			l.notify(key)
		}
	}
	if first {
		l.notify(layer.Key{}) // an object that is missing from the first list has no event of its own
	}
	return nil
}

// Resync is part of cache.ReflectorStore.
func (l *listing) Resync() error { return nil }

// UpdateResourceVersion is part of cache.ResourceVersionUpdater: a bookmark came.
func (l *listing) UpdateResourceVersion(resourceVersion string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.asOf = max(l.asOf, Version(resourceVersion))
}

// Version makes resourceVersions comparable, as those of one kind are; 0 for one that is no number.
func Version(resourceVersion string) uint64 {
	n, _ := strconv.ParseUint(resourceVersion, 10, 64)
	return n
}

func (l *listing) get(key layer.Key) View {
	l.mu.Lock()
	defer l.mu.Unlock()
	seen, present := l.objects[key]
	return View{Observed: seen, Present: present, Covered: l.listed, AsOf: l.asOf}
}

func (l *listing) setProblem(why string) {
	l.mu.Lock()
	changed := l.why != why
	l.why = why
	l.mu.Unlock()
	if changed {
		l.notify(layer.Key{})
	}
}

func (l *listing) problem() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.why
}

// settled tells that the first list came, or that it is known why not.
func (l *listing) settled() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.listed || l.why != ""
}
