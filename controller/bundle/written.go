package bundle

import (
	"strconv"
	"sync"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	fleet "flotilla.io/flotilla/api/v1alpha1"
)

// unseen bounds how long a walk waits for the cache to show a write: what was deleted meanwhile is never shown.
const unseen = 5 * time.Second

// written remembers which BundleDeployments this process wrote, by Bundle, until the cache shows them: a walk that begins
// before would render and write them a second time. The zero value is ready.
type written struct {
	mu sync.Mutex
	of map[client.ObjectKey]map[client.ObjectKey]write
}

type write struct {
	version uint64
	at      time.Time
}

// note takes down a BundleDeployment as the API server answered its write.
func (w *written) note(bundle client.ObjectKey, bd *fleet.BundleDeployment) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.of == nil {
		w.of = map[client.ObjectKey]map[client.ObjectKey]write{}
	}
	if w.of[bundle] == nil {
		w.of[bundle] = map[client.ObjectKey]write{}
	}
	w.of[bundle][client.ObjectKeyFromObject(bd)] = write{version(bd), time.Now()}
}

// shown tells whether have, which the cache lists now, has all that was noted.
func (w *written) shown(bundle client.ObjectKey, have []fleet.BundleDeployment) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	waiting := w.of[bundle]
	if len(waiting) == 0 {
		return true
	}
	for i := range have {
		key := client.ObjectKeyFromObject(&have[i])
		if one, ok := waiting[key]; ok && version(&have[i]) >= one.version {
			delete(waiting, key)
		}
	}
	for key, one := range waiting {
		if time.Since(one.at) > unseen {
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
