package bundle

import (
	"strconv"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	fleet "flotilla.io/flotilla/api/v1alpha1"
)

// unseen bounds how long a walk waits for the cache to show a write: what was deleted meanwhile is never shown.
const unseen = 5 * time.Second

// written remembers which BundleDeployments this process wrote and deleted, by Bundle, until the cache shows them: a walk that begins
// before would render and write them a second time. The zero value is ready.
type written struct {
	mu sync.Mutex
	of map[client.ObjectKey]map[client.ObjectKey]write
}

type write struct {
	version uint64
	gone    types.UID // of the one that was deleted, "" for a write that leaves one
	at      time.Time
}

// isShown tells whether the cache, which lists this now, or nil where it lists none, has the write.
func (one write) isShown(now *fleet.BundleDeployment) bool {
	switch {
	case now == nil:
		return one.gone != ""
	case one.gone != "":
		return now.UID != one.gone || now.DeletionTimestamp != nil
	}
	return version(now) >= one.version
}

// note takes down a BundleDeployment as the API server answered its write.
func (w *written) note(bundle client.ObjectKey, bd *fleet.BundleDeployment) {
	w.take(bundle, bd, write{version: version(bd), at: time.Now()})
}

// noteGone takes down that a BundleDeployment was deleted.
func (w *written) noteGone(bundle client.ObjectKey, bd *fleet.BundleDeployment) {
	w.take(bundle, bd, write{gone: bd.UID, at: time.Now()})
}

func (w *written) take(bundle client.ObjectKey, bd *fleet.BundleDeployment, one write) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.of == nil {
		w.of = map[client.ObjectKey]map[client.ObjectKey]write{}
	}
	if w.of[bundle] == nil {
		w.of[bundle] = map[client.ObjectKey]write{}
	}
	w.of[bundle][client.ObjectKeyFromObject(bd)] = one
}

// shown tells whether have, which the cache lists now, has all that was noted.
func (w *written) shown(bundle client.ObjectKey, have []fleet.BundleDeployment) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	waiting := w.of[bundle]
	if len(waiting) == 0 {
		return true
	}
	listed := make(map[client.ObjectKey]*fleet.BundleDeployment, len(have))
	for i := range have {
		listed[client.ObjectKeyFromObject(&have[i])] = &have[i]
	}
	for key, one := range waiting {
		if one.isShown(listed[key]) || time.Since(one.at) > unseen {
			delete(waiting, key)
		}
	}
	if len(waiting) == 0 {
		delete(w.of, bundle)
	}
	return len(waiting) == 0
}

// version is the object's resourceVersion, which grows with each write.
func version(bd *fleet.BundleDeployment) uint64 {
	n, _ := strconv.ParseUint(bd.ResourceVersion, 10, 64)
	return n
}
