package apply

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"flotilla.io/flotilla/agent/fields"
	"flotilla.io/flotilla/agent/inventory"
	"flotilla.io/flotilla/agent/plan"
	"flotilla.io/flotilla/agent/tenant"
	"flotilla.io/flotilla/api/v1alpha1"
)

// attempt is the client through which ssa applies one object once. It answers what is known without a request, refuses
// what is not ours, and decides about force. ssa's Apply uses Get and Patch alone.
type attempt struct {
	client.Client
	Request
	kind    tenant.Kind
	objects dynamic.ResourceInterface

	live    *unstructured.Unstructured // as read; nil if it does not exist
	applied *unstructured.Unstructured // the answer to the apply
	forced  bool                       // the fields in conflict were judged to be ours to take
	err     error                      // why not to go on

	entriesTaken string // the resourceVersion with former managers' entries made ours; "" before
}

// Get reads the object, and decides whether it may be touched.
func (a *attempt) Get(ctx context.Context, key client.ObjectKey, into client.Object, _ ...client.GetOption) error {
	live, err := a.objects.Get(ctx, key.Name, metav1.GetOptions{})
	if err != nil {
		switch {
		case !apierrors.IsNotFound(err):
			a.err = err
		case plan.Borrowed(a.Key) && !isStaleKind(err):
			a.err = &AbsentError{a.Key}
		}
		return err
	}
	a.live = live
	live.DeepCopyInto(into.(*unstructured.Unstructured))
	a.err = a.mayTouch()
	return a.err
}

// mayTouch refuses an object that is going away, and one that names another owner. An object that was ours under another
// name (the cluster joined another hub) is known by its UID.
func (a *attempt) mayTouch() error {
	if a.live.GetDeletionTimestamp() != nil {
		return &GoingError{a.Key}
	}
	owner := a.live.GetAnnotations()[v1alpha1.OwnerAnnotation]
	if owner == "" || owner == a.Owner || a.ours() || a.TakeOwnership || sameAgent(owner, a.Owner) {
		return nil
	}
	return &OwnedError{a.Key, owner}
}

// ours tells whether the live object is the one that the inventory remembers.
func (a *attempt) ours() bool { return a.Known.UID != "" && a.Known.UID == a.live.GetUID() }

// Patch is ssa's dry run, its rewriting of former managers' entries, and its apply.
func (a *attempt) Patch(ctx context.Context, object client.Object, patch client.Patch, opts ...client.PatchOption) error {
	if a.err != nil {
		return a.err
	}
	var options client.PatchOptions
	options.ApplyOptions(opts)
	into := object.(*unstructured.Unstructured)
	switch patch.Type() {
	case types.ApplyPatchType:
	case types.JSONPatchType:
		a.err = a.takeEntries(ctx, into)
		return a.err
	default:
		return fmt.Errorf("applying %s: an unexpected %s was asked for", a.Key, patch.Type())
	}
	if len(options.DryRun) > 0 && (a.live == nil || a.ours()) {
		into.SetResourceVersion("") // ssa reads this as: to be applied
		return nil
	}
	answer, err := a.send(ctx, into, options.DryRun)
	if err != nil {
		a.err = err
		return err
	}
	if len(options.DryRun) == 0 {
		a.applied = answer
	}
	answer.DeepCopyInto(into)
	return nil
}

// holds tells whether the fields of an entry are ours, or will be with the adoption.
func (a *attempt) holds(e metav1.ManagedFieldsEntry) bool {
	return inventory.Ours(e) || e.Subresource == "" && a.former(e.Manager)
}

// send applies without force first, and with force once the conflict was judged.
func (a *attempt) send(ctx context.Context, object *unstructured.Unstructured, dryRun []string) (*unstructured.Unstructured, error) {
	if a.live != nil {
		object = a.Rules.Of(object, a.live).Send(object, a.live, a.holds, a.Heal)
	} else if a.Begin != nil {
		if err := a.Begin(ctx); err != nil {
			return nil, err
		}
	}
	if !a.forced {
		answer, err := a.patch(ctx, object, dryRun)
		if !isConflict(err) {
			return answer, err
		}
		if err := a.judge(ctx, err); err != nil {
			return nil, err
		}
		a.forced = true
	}
	bound := object.DeepCopy()
	if a.live != nil {
		bound.SetResourceVersion(cmp.Or(a.entriesTaken, a.live.GetResourceVersion()))
	}
	return a.patch(ctx, bound, dryRun)
}

func (a *attempt) patch(ctx context.Context, object *unstructured.Unstructured, dryRun []string) (*unstructured.Unstructured, error) {
	if plan.Borrowed(a.Key) { // by its UID it is changed, and not made
		object = object.DeepCopy()
		object.SetUID(a.live.GetUID())
	}
	data, err := json.Marshal(object.Object)
	if err != nil {
		return nil, fmt.Errorf("encoding %s: %w", a.Key, err)
	}
	options := metav1.PatchOptions{FieldManager: v1alpha1.AgentFieldManager, Force: &a.forced, DryRun: dryRun}
	answer, err := a.objects.Patch(ctx, object.GetName(), types.ApplyPatchType, data, options)
	if isStaleKind(err) {
		a.Tenant.Kinds.Forget(a.kind.Resource.GroupVersion())
		return nil, &tenant.NotServedError{GroupVersionKind: a.Object.GroupVersionKind()}
	}
	return answer, err
}

// judge decides whether the fields in conflict may be taken: nil, if all of them may.
func (a *attempt) judge(ctx context.Context, conflict error) error {
	if a.Force || a.TakeOwnership {
		return nil
	}
	var foreign []ConflictField
	for _, f := range conflictFields(conflict) {
		if a.former(f.Manager) {
			continue
		}
		if a.live != nil && a.Had != nil && a.ours() {
			if path, found := fields.Find(a.live, f.Path); found && a.Had(ctx, path) {
				continue
			}
		}
		foreign = append(foreign, f)
	}
	if len(foreign) == 0 {
		return nil
	}
	return &ConflictError{a.Key, foreign}
}
