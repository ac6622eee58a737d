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
}

// Plans hands plans from controller/bundle to the roll-up. They live in memory: the first walk after a start makes them
// anew.
type Plans struct {
	mu      sync.Mutex
	plans   map[client.ObjectKey]Plan
	changed chan event.TypedGenericEvent[*fleet.Bundle]
}

// NewPlans returns an empty table.
func NewPlans() *Plans {
	return &Plans{plans: map[client.ObjectKey]Plan{}, changed: make(chan event.TypedGenericEvent[*fleet.Bundle], 1024)}
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
}

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
	return maps.Equal(p.Errors, q.Errors)
}
