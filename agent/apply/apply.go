// Package apply changes objects on the cluster: it applies, re-creates where asked, and deletes.
//
// # How an object is applied
//
// fluxcd/pkg/ssa carries the apply. Its Apply reads the object, applies it as a dry run, compares, and applies; always
// with force. Here it works through a client (attempt) that knows what this agent knows, so that an object costs as few
// requests as are sound, and force is never used unseen:
//
//   - The read is real. It tells whether the object exists, is ours, is going away, and who manages its fields.
//
//   - The dry run is sent only to adopt an object that exists and was not ours: it must be known to pass before anything
//     of another manager is touched. For a new object, or one of ours, it could only repeat what the apply itself answers:
//     an apply without force that conflicts changes nothing, and one that would change nothing writes nothing.
//
//   - The apply goes without force. On a conflict each field is judged: force is used where our own last applied set had
//     all of them, or where it was asked for; it is then bound to the resourceVersion that was judged, so that nobody
//     else's field is taken in between. Otherwise the conflict is the error, with field and manager.
//
//   - Adopting what Fleet or Helm deployed makes their managedFields entries ours, after the dry run and before the apply, in
//     a write that touches nothing else; see formerManagers.
//
// That is two requests for a new or changed object of ours (read, apply), three to adopt one, four or five where Fleet or
// Helm had it. An object whose digest and fingerprint are unchanged never gets here.
//
// # What it never does
//
// It never deletes but by UID and resourceVersion after a live read that shows our owner annotation; it never re-creates
// a Namespace, a CustomResourceDefinition, a volume or a claim. No error holds a value: the API server's texts are taken
// apart, and what quotes an object's content is left out.
package apply

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/fluxcd/pkg/ssa"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	"flotilla.io/flotilla/agent/inventory"
	"flotilla.io/flotilla/agent/others"
	"flotilla.io/flotilla/agent/plan"
	"flotilla.io/flotilla/agent/tenant"
	"flotilla.io/flotilla/api/v1alpha1"
	"flotilla.io/flotilla/bundle/layer"
)

// Request is one object to apply.
type Request struct {
	Tenant *tenant.Tenant
	Key    layer.Key
	Object *unstructured.Unstructured // as it is sent: see Prepare; Apply may modify it
	Owner  string                     // the owner annotation's value
	Known  inventory.Item             // what the inventory has; the zero Item for an object that is new to it
	// Force takes every field from whoever has it; it was asked for.
	Force bool
	// TakeOwnership adopts an object that another deployment owns, with all fields we want.
	TakeOwnership bool
	// Recreate deletes and creates the object anew when a field cannot be changed in place.
	Recreate bool
	// Begin is called before an object is created that does not exist, and may refuse it; nil means that it may be created.
	Begin func(context.Context) error
	// Rules say which fields are not sent, because another manager has them and they are left to others. Heal tells that
	// drift is put back and nothing else.
	Rules others.Rules
	Heal  bool
	// Had tells whether our own last applied set had a field. It is asked on a conflict only; nil means never.
	Had func(context.Context, fieldpath.Path) bool
}

// Result is what the API server answered.
type Result struct {
	UID             types.UID
	Fingerprint     string
	ResourceVersion string
	CreatedAt       metav1.Time
	Created         bool
	Object          *unstructured.Unstructured // as it is live now
}

// recreateWait bounds the wait for an object that is re-created to be gone.
const recreateWait = 30 * time.Second

// forceTries bounds how often a forced apply is judged anew because the object moved in between.
const forceTries = 5

// Apply brings one object to the cluster. The errors that a caller may tell apart are *ConflictError, *OwnedError,
// *ImmutableError, *GoingError, *AbsentError and *tenant.NotServedError.
func Apply(ctx context.Context, r Request) (Result, error) {
	for try := 1; ; try++ {
		result, err := carry(ctx, r)
		switch {
		case err == nil:
			return result, nil
		case isRace(err) && try < forceTries:
			continue
		case r.Recreate && isImmutable(err) && !plan.Protected(r.Key) && try < forceTries:
			if err := Remove(ctx, r); err != nil {
				return Result{}, err
			}
			continue
		}
		err = explain(r.Key, err)
		if immutable := (*ImmutableError)(nil); errors.As(err, &immutable) {
			immutable.Heal = r.Heal
		}
		return Result{}, err
	}
}

func carry(ctx context.Context, r Request) (Result, error) {
	kind, err := r.Tenant.Kinds.Of(r.Object.GroupVersionKind())
	if err != nil {
		return Result{}, err
	}
	a := &attempt{Request: r, kind: kind, objects: r.Tenant.Object(kind, r.Object.GetNamespace())}
	manager := ssa.NewResourceManager(a, nil, ssa.Owner{Field: inventory.Manager, Group: "flotilla.io"})
	options := ssa.DefaultApplyOptions()
	options.Cleanup.FieldManagers = migrate()
	_, err = manager.Apply(ctx, r.Object.DeepCopy(), options)
	if a.err != nil {
		err = a.err // ssa looks at some errors of a client and passes over them
	}
	if err != nil {
		return Result{}, err
	}
	if a.applied == nil {
		a.applied = a.live // it was ours already, just as it should be: its creation was not confirmed
	}
	return Result{
		UID:             a.applied.GetUID(),
		Fingerprint:     inventory.Fingerprint(a.applied),
		ResourceVersion: a.applied.GetResourceVersion(),
		CreatedAt:       a.applied.GetCreationTimestamp(),
		Created:         a.live == nil,
		Object:          a.applied,
	}, nil
}

// Remove deletes the object that is to be re-created, by the UID that is known of it, and waits until it is gone.
func Remove(ctx context.Context, r Request) error {
	kind, err := r.Tenant.Kinds.Of(r.Object.GroupVersionKind())
	if err != nil {
		return err
	}
	objects := r.Tenant.Object(kind, r.Object.GetNamespace())
	live, err := objects.Get(ctx, r.Object.GetName(), metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("re-creating %s: %w", r.Key, err)
	}
	if r.Known.UID != live.GetUID() || live.GetAnnotations()[v1alpha1.OwnerAnnotation] != r.Owner {
		return &OwnedError{r.Key, ownerOf(live)}
	}
	if err := objects.Delete(ctx, live.GetName(), deleteOptions(live)); err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("re-creating %s: deleting the old one: %w", r.Key, err)
	}
	ctx, cancel := context.WithTimeout(ctx, recreateWait)
	defer cancel()
	for {
		now, err := objects.Get(ctx, live.GetName(), metav1.GetOptions{})
		if apierrors.IsNotFound(err) || err == nil && now.GetUID() != live.GetUID() {
			return nil
		}
		select {
		case <-ctx.Done():
			return &GoingError{r.Key}
		case <-time.After(100 * time.Millisecond):
		}
	}
}

func deleteOptions(live metav1.Object) metav1.DeleteOptions {
	uid, version := live.GetUID(), live.GetResourceVersion()
	background := metav1.DeletePropagationBackground
	return metav1.DeleteOptions{
		Preconditions:     &metav1.Preconditions{UID: &uid, ResourceVersion: &version},
		PropagationPolicy: &background,
	}
}
