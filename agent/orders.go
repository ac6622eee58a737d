package agent

import (
	"flotilla.io/flotilla/api/v1alpha1"
)

// The engine receives what package pull hears from the hub. A deployment that is missing from a list, or was deleted, is
// marked as missing, and that is all.

// order brings a BundleDeployment as the hub has it now.
func (e *engine) order(bd *v1alpha1.BundleDeployment) { e.take(bd, false) }

// take brings an order; whole tells that it is from a list.
func (e *engine) take(bd *v1alpha1.BundleDeployment, whole bool) {
	bd.ManagedFields = nil
	e.mu.Lock()
	d := e.deployments[bd.Name]
	if d == nil {
		d = newDeployment(bd.Name)
		e.deployments[bd.Name] = d
		e.claims.Announce(bd.Name)
	}
	e.mu.Unlock()
	d.post(func(in *inbox) { in.order, in.gone, in.whole = bd, false, whole })
	e.wake(bd.Name)
}

// gone marks a BundleDeployment that the hub does not have any more.
func (e *engine) gone(name string) {
	if d := e.deployment(name); d != nil {
		d.post(func(in *inbox) { in.order, in.gone = nil, true })
		e.wake(name)
	}
}

// orders brings the hub's whole list.
func (e *engine) orders(list []*v1alpha1.BundleDeployment) {
	listed := map[string]bool{}
	for _, bd := range list { // announced before any is worked on
		listed[bd.Name] = true
		e.claims.Announce(bd.Name)
	}
	for _, bd := range list {
		e.take(bd, true)
	}
	for _, name := range e.names() {
		if !listed[name] {
			e.gone(name)
		}
	}
}

// missing lists the deployments that the hub does not have, without an order to delete them.
func (e *engine) missing() []string {
	var missing []string
	for _, name := range e.names() {
		if d := e.deployment(name); d != nil && d.isMissing() {
			missing = append(missing, name)
		}
	}
	return missing
}
