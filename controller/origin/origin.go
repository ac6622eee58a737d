// Package origin is what GitRepos and HelmOps have in common as the origin of Bundles: what of a Bundle concerns them, how they say what
// was wrong, and how a Bundle goes with them.
package origin

import (
	"context"
	"errors"

	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/predicate"

	fleet "flotilla.io/flotilla/api/v1alpha1"
	"flotilla.io/flotilla/bundle/source"
	"flotilla.io/flotilla/controller/status"
)

// BundleTouched lets through what an origin has to mend or wait for: a Bundle that was deleted or edited, or whose files are lost.
var BundleTouched = predicate.Funcs{
	CreateFunc:  func(event.CreateEvent) bool { return false },
	GenericFunc: func(event.GenericEvent) bool { return false },
	UpdateFunc: func(e event.UpdateEvent) bool {
		return e.ObjectOld.GetGeneration() != e.ObjectNew.GetGeneration() || FilesLost(e.ObjectNew) && !FilesLost(e.ObjectOld)
	},
	DeleteFunc: func(event.DeleteEvent) bool { return true },
}

// FilesLost tells whether controller/bundle found that the Bundle's files are not on the hub any more.
func FilesLost(obj client.Object) bool {
	b, ok := obj.(*fleet.Bundle)
	if !ok || !b.DeletionTimestamp.IsZero() {
		return false
	}
	c := fleet.Condition(b.Status.Conditions, status.ConditionRendered)
	return c != nil && c.Reason == fleet.ReasonContentMissing
}

// Failure is an error with the reason that the condition shows.
type Failure struct {
	Reason string
	err    error
}

func (f *Failure) Error() string { return f.err.Error() }
func (f *Failure) Unwrap() error { return f.err }

// Fail gives an error a reason.
func Fail(reason string, err error) error { return &Failure{reason, err} }

// FromSource keeps the reason that bundle/source gives.
func FromSource(err error) error {
	var typed *source.Error
	if errors.As(err, &typed) {
		return Fail(typed.Reason, err)
	}
	return Fail(source.FetchFailed, err)
}

// TakeAway deletes the Bundles of an origin that goes. A keepResources of the origin is handed on to them: it may have been turned on
// last, while nothing else could be done.
func TakeAway(ctx context.Context, c client.Client, bundles []fleet.Bundle, keepResources bool) error {
	for i := range bundles {
		b := &bundles[i]
		if !b.DeletionTimestamp.IsZero() {
			continue
		}
		if keepResources && !b.Spec.KeepResources {
			before := b.DeepCopy()
			b.Spec.KeepResources = true
			if err := c.Patch(ctx, b, client.MergeFrom(before)); client.IgnoreNotFound(err) != nil {
				return err
			}
		}
		if err := c.Delete(ctx, b); client.IgnoreNotFound(err) != nil {
			return err
		}
	}
	return nil
}
