package agent

import (
	"context"
	"time"

	"flotilla.io/flotilla/agent/outputs"
	"flotilla.io/flotilla/api/v1alpha1"
)

// unsure is how long after a look that came to nothing the next one follows, where no watch tells.
const unsure = 15 * time.Second

// yield finds what other bundles get from here, when an object that an output looks at may have moved. It goes by what the hub
// ordered last, whatever became of the rest of that order, and ends with the deployment.
func (e *engine) yield(ctx context.Context, d *deployment) {
	if d.order == nil {
		return
	}
	orders := d.record.Spec.Outputs
	if len(orders) == 0 || d.record.Spec.Deletion != nil {
		e.yields.Want(d.name, nil, nil)
		d.outputs = nil
		return
	}
	account, err := e.tenantOf(ctx, d.record.Spec.Options)
	key, keyErr := e.store.Key(ctx)
	if err != nil || keyErr != nil {
		d.outputs = d.order.Status.Outputs // the order itself says what is wrong
		return
	}
	bundle := outputs.Bundle{
		Name: d.name, Key: key,
		Commit: d.order.Labels[v1alpha1.CommitLabel], Committed: d.order.Annotations[v1alpha1.CommitTimeAnnotation],
		ClusterName: d.order.Labels[v1alpha1.ClusterLabel], ClusterNamespace: d.order.Labels[v1alpha1.ClusterNamespaceLabel],
	}
	ones := outputs.Ones(ctx, bundle, orders)
	all := e.yields.Want(d.name, account, outputs.Objects(ones))
	if moved := e.yields.Moved(d.name); !moved && all && d.yielded == d.record.Sequence {
		return
	}
	before := d.outputs
	if before == nil {
		before = d.order.Status.Outputs
	}
	var sure bool
	d.outputs, sure = outputs.Values(ctx, account, bundle, ones, before)
	d.yielded = d.record.Sequence
	if !sure || !all {
		e.yields.Again(d.name)
		d.after(unsure)
	}
}
