package apply

import (
	"slices"
	"sort"
	"strings"
	"sync"

	"github.com/fluxcd/cli-utils/pkg/object"
	"github.com/fluxcd/pkg/ssa"
	"golang.org/x/sync/errgroup"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"flotilla.io/flotilla/agent/inventory"
	"flotilla.io/flotilla/agent/plan"
	"flotilla.io/flotilla/api/v1alpha1"
)

// Parallel is how many requests for one deployment are under way at once.
const Parallel = 6

// Each does something for each object, in the order in which objects tend to need each other, several at a time. One that
// fails holds up no other one; the errors are sorted.
func Each(objects []plan.Wanted, do func(plan.Wanted) error) []error {
	byMeta := map[object.ObjMetadata]plan.Wanted{}
	var order ssa.SortableMetas
	for _, w := range objects {
		m := object.ObjMetadata{
			Namespace: w.Key.Namespace, Name: w.Key.Name, GroupKind: schema.GroupKind{Group: w.Key.Group, Kind: w.Key.Kind},
		}
		byMeta[m] = w
		order = append(order, m)
	}
	sort.Sort(order)
	var mu sync.Mutex
	var errs []error
	var group errgroup.Group
	group.SetLimit(Parallel)
	accounts := false
	for _, m := range order {
		w := byMeta[m]
		// Kubernetes deletes the Secret of a token whose account is not there yet.
		if accounts && m.GroupKind == (schema.GroupKind{Kind: "Secret"}) {
			_ = group.Wait()
			accounts = false
		}
		accounts = accounts || m.GroupKind == (schema.GroupKind{Kind: "ServiceAccount"})
		group.Go(func() error {
			if err := do(w); err != nil {
				mu.Lock()
				defer mu.Unlock()
				errs = append(errs, err)
			}
			return nil
		})
	}
	_ = group.Wait()
	slices.SortFunc(errs, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
	return errs
}

// As is the request with what the options of the deployment ask of each apply.
func (r Request) As(o v1alpha1.BundleDeploymentOptions) Request {
	if h := o.Helm; h != nil {
		r.Force, r.Recreate, r.TakeOwnership = h.Force, h.Force, h.TakeOwnership
	}
	return r
}

// Item is what the inventory remembers of an object that was applied as wanted.
func (r Result) Item(w plan.Wanted) inventory.Item {
	return inventory.Item{
		Key: w.Key, Version: w.Version, UID: r.UID, Digest: w.Digest, Fingerprint: r.Fingerprint, Created: r.CreatedAt.Unix(), Once: w.Once,
	}
}
