package bundle

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"

	fleet "flotilla.io/flotilla/api/v1alpha1"
	"flotilla.io/flotilla/bundle/layer"
	"flotilla.io/flotilla/bundle/target"
)

// inputs finds what the bundle takes from others, and what agents report of it for others.
func (r *Reconciler) inputs(ctx context.Context, in *run) error {
	var err error
	if in.inputs, err = r.Outputs.For(ctx, in.whole, in.agents); err != nil {
		return err
	}
	in.orders, err = r.Outputs.Orders(ctx, in.whole)
	return err
}

// givenOn are the inputs on one cluster.
func (in *run) givenOn(c *fleet.Cluster) target.Given {
	given := in.inputs.On(c)
	if in.given == nil {
		in.given = map[string]target.Given{}
	}
	in.given[c.Namespace+"/"+c.Name] = given
	return given
}

// await has a place wait for inputs that are missing: it keeps what it has, and their coming wakes the bundle.
func (in *run) await(p *place) {
	p.given = in.given[p.name()]
	var missing *target.Waiting
	if !errors.As(p.err, &missing) {
		return
	}
	p.err = nil
	if circle := in.inputs.Circle(p.cluster); circle != "" {
		p.wait(fleet.ReasonInputCycle, "inputs go in a circle: "+circle+"; take the output from a bundle that needs none of them")
		return
	}
	p.wait(fleet.ReasonInputs, missing.For)
}

// make adds the objects that inputs are made into, which are objects of the bundle like copies.
func (p *place) make(b *fleet.Bundle) error {
	objects, err := p.given.Objects(b)
	if err != nil {
		return err
	}
	for _, u := range objects {
		entry, err := layer.NewEntry(u)
		if err != nil {
			return err
		}
		p.copies = append(p.copies, entry)
	}
	return nil
}

// withInputs is the render base of a place with sensitive inputs, as a digest under the hub's secret: whoever reads a BundleDeployment
// shall not be able to guess them.
func (r *Reconciler) withInputs(base string, given target.Given) string {
	if len(given.Sensitive) == 0 {
		return base
	}
	sum := sha256.Sum256(r.Store.Secret().ContentKey("inputs/" + base))
	return hex.EncodeToString(sum[:])
}
