package status

import (
	"context"

	"k8s.io/apimachinery/pkg/api/equality"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Patch changes the status of obj with mutate and writes it if it changed: one request, or none. The patch carries the
// resourceVersion that was read, because conditions are a list that several reconcilers write: a conflict is returned
// for the caller's queue to try again.
func Patch(ctx context.Context, c client.Client, obj client.Object, mutate func()) error {
	before := obj.DeepCopyObject().(client.Object)
	mutate()
	if equality.Semantic.DeepEqual(before, obj) {
		return nil
	}
	return c.Status().Patch(ctx, obj, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{}))
}
