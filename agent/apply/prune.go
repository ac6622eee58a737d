package apply

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"flotilla.io/flotilla/agent/inventory"
	"flotilla.io/flotilla/agent/plan"
	"flotilla.io/flotilla/agent/tenant"
	"flotilla.io/flotilla/api/v1alpha1"
)

// DeleteAnnotation, "true" on an object whose kind is else never deleted (a Namespace, a CustomResourceDefinition, a volume,
// a claim), asks for its deletion when it leaves the bundle. It must stand on the live object, so it has to be deployed
// before the object leaves.
const DeleteAnnotation = "flotilla.io/delete"

// resourcePolicy "keep" is Helm's word that an object stays when its release goes.
const resourcePolicy = "helm.sh/resource-policy"

// Outcome is what became of an object that left its bundle.
type Outcome string

const (
	Gone    Outcome = "gone"    // it does not exist (any more)
	Going   Outcome = "going"   // it is being deleted
	Foreign Outcome = "foreign" // it is another object by that name, or it belongs to somebody else now
	Kept    Outcome = "kept"    // it stays, because its kind or an annotation says so
	Back    Outcome = "back"    // it stays, without the fields that it had of us
)

// Prune is one object to delete.
type Prune struct {
	Tenant    *tenant.Tenant
	Item      inventory.Item
	Owner     string // the owner annotation's value
	Protected bool   // only the object's own annotation allows the deletion
}

// Delete deletes an object that was in the inventory and is wanted no more, if the live object is that one and still ours.
// The read is never served from a cache, and the deletion is bound to what was read.
func Delete(ctx context.Context, p Prune) (Outcome, error) {
	for try := 1; ; try++ {
		outcome, err := deleteOnce(ctx, p)
		if err != nil && isRace(err) && try < forceTries {
			continue
		}
		if err != nil {
			return "", fmt.Errorf("deleting %s: %s", p.Item.Key, quiet(p.Item.Key, err.Error()))
		}
		return outcome, nil
	}
}

func deleteOnce(ctx context.Context, p Prune) (Outcome, error) {
	kind, err := kindNow(p)
	if tenant.IsNotServed(err) {
		return Gone, nil // the kind is served in no version: its objects went with it
	}
	if err != nil {
		return "", err
	}
	objects := p.Tenant.Meta(kind, p.Item.Key.Namespace)
	live, err := objects.Get(ctx, p.Item.Key.Name, metav1.GetOptions{})
	if isStaleKind(err) {
		p.Tenant.Kinds.Forget(kind.Resource.GroupVersion())
		return "", err
	}
	if apierrors.IsNotFound(err) {
		return Gone, nil
	}
	if apierrors.IsForbidden(err) && p.Item.UID == "" {
		return Foreign, nil // an apply reads first: what the tenant may not read, it never created
	}
	if err != nil {
		return "", err
	}
	if outcome, settled := judgePrune(p, live); settled {
		return outcome, nil
	}
	if plan.Borrowed(p.Item.Key) {
		return Back, giveBack(ctx, p, kind, live)
	}
	if err := objects.Delete(ctx, live.Name, deleteOptions(live)); err != nil && !apierrors.IsNotFound(err) {
		return "", err
	}
	return Going, nil
}

// judgePrune decides by the live object; false if it is to be deleted.
func judgePrune(p Prune, live *metav1.PartialObjectMetadata) (Outcome, bool) {
	annotations := live.GetAnnotations()
	switch {
	case p.Item.UID != "" && live.GetUID() != p.Item.UID:
		return Foreign, true
	case annotations[v1alpha1.OwnerAnnotation] != p.Owner:
		return Foreign, true
	case live.GetDeletionTimestamp() != nil:
		return Going, true
	case strings.EqualFold(strings.TrimSpace(annotations[resourcePolicy]), "keep"):
		return Kept, true
	case p.Item.Key.Group == "" && p.Item.Key.Kind == "Namespace" && isReserved(p.Item.Key.Name):
		return Kept, true
	case plan.Borrowed(p.Item.Key):
		return "", false
	case p.Protected && annotations[DeleteAnnotation] != "true":
		return Kept, true
	}
	return "", false
}

// giveBack takes the fields that we manage off an object that is not ours to delete: an apply of nothing gives them all up, and
// those that others manage too stay.
func giveBack(ctx context.Context, p Prune, kind tenant.Kind, live *metav1.PartialObjectMetadata) error {
	nothing := &unstructured.Unstructured{}
	nothing.SetGroupVersionKind(kind.Resource.GroupVersion().WithKind(kind.Kind))
	nothing.SetName(live.Name)
	nothing.SetNamespace(live.Namespace)
	nothing.SetUID(live.UID)
	nothing.SetResourceVersion(live.ResourceVersion)
	data, err := json.Marshal(nothing.Object)
	if err != nil {
		return err
	}
	options := metav1.PatchOptions{FieldManager: v1alpha1.AgentFieldManager}
	_, err = p.Tenant.Object(kind, live.Namespace).Patch(ctx, live.Name, types.ApplyPatchType, data, options)
	return err
}

func kindNow(p Prune) (tenant.Kind, error) {
	gk := schema.GroupKind{Group: p.Item.Key.Group, Kind: p.Item.Key.Kind}
	kind, err := p.Tenant.Kinds.Of(gk.WithVersion(p.Item.Version))
	if tenant.IsNotServed(err) {
		return p.Tenant.Kinds.InAnyVersion(gk, p.Item.Version)
	}
	return kind, err
}
