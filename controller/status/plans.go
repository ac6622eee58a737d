package status

import (
	"maps"
	"sync"

	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"

	fleet "flotilla.io/flotilla/api/v1alpha1"
)

// Conditions of a Bundle besides Ready, each written by the reconciler that knows.
const (
	ConditionSource    = "SourceValid"            // gitrepo: the directory can be read
	ConditionNotServed = fleet.ConditionNotServed // bundle: asks for what this version does not do
	ConditionTargeted  = "Targeted"               // bundle: some cluster matches
	ConditionRendered  = "Rendered"               // bundle: every cluster's options could be rendered
	ConditionHeld      = "Held"                   // bundle: something waits for a person
	ConditionWaiting   = fleet.ConditionWaiting   // bundle: something waits for something else
)

// ConditionUnclaimed of a GitRepo: a chart or kustomization lies below its paths that no bundle takes up.
const ConditionUnclaimed = "Unclaimed"

// Plan is what controller/bundle last decided about a Bundle: who should have it. The roll-up counts the clusters that
// have no BundleDeployment yet by it.
type Plan struct {
	Desired int
	Pending []string          // clusters ("namespace/name") that will have a BundleDeployment and do not yet
	Errors  map[string]string // clusters whose BundleDeployment cannot be written, and why; those that have one keep it
	Nearest string            // why no cluster matches
	// Waiting are clusters whose newest order is not written until something else has happened, and what.
	Waiting map[string]string
	// Behind are all clusters that do not have the newest order, and why; and Written are the sequences of the orders that this walk
	// wrote, which caches may not have yet. Who depends on the bundle goes by them.
	Behind  map[string]string
	Written map[string]int64
	// Stopped says why the walk ended before any cluster's turn; what is deployed stays.
	Stopped string
	// Seen names what the walk took for the clusters and rules of its workspace: another walk that sees something else may be ahead.
	Seen string
}

// Plans hands plans from controller/bundle to the roll-up. They live in memory: the first walk after a start makes them
// anew.
type Plans struct {
	mu      sync.Mutex
	plans   map[client.ObjectKey]Plan
	changed chan event.TypedGenericEvent[*fleet.Bundle] // for the roll-up
	moved   chan event.TypedGenericEvent[*fleet.Bundle] // for who depends on the bundle
}

// NewPlans returns an empty table.
func NewPlans() *Plans {
	const bursts = 1024
	return &Plans{
		plans:   map[client.ObjectKey]Plan{},
		changed: make(chan event.TypedGenericEvent[*fleet.Bundle], bursts), moved: make(chan event.TypedGenericEvent[*fleet.Bundle], bursts),
	}
}

// Set records a plan and wakes the roll-up if it is another one.
func (p *Plans) Set(key client.ObjectKey, plan Plan) {
	p.mu.Lock()
	old, had := p.plans[key]
	p.plans[key] = plan
	p.mu.Unlock()
	if had && old.equal(plan) {
		return
	}
	b := &fleet.Bundle{}
	b.Namespace, b.Name = key.Namespace, key.Name
	p.changed <- event.TypedGenericEvent[*fleet.Bundle]{Object: b}
	p.moved <- event.TypedGenericEvent[*fleet.Bundle]{Object: b}
}

// Moved brings the Bundles whose plan changed, their key alone. It must be drained.
func (p *Plans) Moved() <-chan event.TypedGenericEvent[*fleet.Bundle] { return p.moved }

// Forget drops the plan of a Bundle that is gone.
func (p *Plans) Forget(key client.ObjectKey) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.plans, key)
}

// Of returns the plan of a Bundle; ok is false before the first walk.
func (p *Plans) Of(key client.ObjectKey) (plan Plan, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	plan, ok = p.plans[key]
	return plan, ok
}

func (p Plan) equal(q Plan) bool {
	if p.Desired != q.Desired || p.Nearest != q.Nearest || len(p.Pending) != len(q.Pending) {
		return false
	}
	for i := range p.Pending {
		if p.Pending[i] != q.Pending[i] {
			return false
		}
	}
	return p.Seen == q.Seen && p.Stopped == q.Stopped && maps.Equal(p.Errors, q.Errors) && maps.Equal(p.Waiting, q.Waiting) &&
		maps.Equal(p.Behind, q.Behind) && maps.Equal(p.Written, q.Written)
}
