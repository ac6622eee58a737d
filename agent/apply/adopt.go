package apply

import (
	"context"
	"encoding/json"
	"slices"

	"github.com/fluxcd/pkg/ssa"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"flotilla.io/flotilla/agent/plan"
	"flotilla.io/flotilla/api/v1alpha1"
)

// formerManagers are the field managers of those that deploy for Fleet and Helm: Fleet's agent, its command line, and Helm's.
// Each is called as its program is. What they hold of an object that is adopted becomes ours, so that what the bundle no
// longer has goes with the adoption (Fleet's and Helm's own labels and annotations first of all), and no later change of it
// is a conflict with somebody who is gone.
var formerManagers = []string{v1alpha1.FleetFieldManager, "fleet", "helm"}

// migrate names them for ssa, which merges their entries into ours before the apply and after the dry run. Helm has
// applied on the client's side (Update) and on the server's (Apply); both may be on one object.
func migrate() []ssa.FieldManager {
	var managers []ssa.FieldManager
	for _, name := range formerManagers {
		for _, operation := range []metav1.ManagedFieldsOperationType{metav1.ManagedFieldsOperationUpdate, metav1.ManagedFieldsOperationApply} {
			managers = append(managers, ssa.FieldManager{Name: name, OperationType: operation, ExactMatch: true})
		}
	}
	return managers
}

// adopts tells whether the object exists and is not known to be ours yet, whatever is written on it: an adoption may have
// been cut short.
func (a *attempt) adopts() bool { return a.live != nil && !a.ours() && !plan.Borrowed(a.Key) }

// former tells whether a manager's fields become ours.
func (a *attempt) former(manager string) bool {
	return a.adopts() && slices.Contains(formerManagers, manager)
}

// takeEntries makes the entries of former managers ours, in a write that is bound to what was read and changes nothing else.
func (a *attempt) takeEntries(ctx context.Context, into *unstructured.Unstructured) error {
	if !a.adopts() {
		return nil
	}
	live, err := a.markQuietly(ctx)
	if err != nil {
		return err
	}
	patches, err := ssa.PatchReplaceFieldsManagers(live, migrate(), v1alpha1.AgentFieldManager)
	if err != nil || len(patches) == 0 {
		return err
	}
	entries := slices.DeleteFunc(patches[0].Value, func(e metav1.ManagedFieldsEntry) bool { return e.Manager == markManager })
	data, err := json.Marshal([]map[string]any{
		{"op": patches[0].Operation, "path": patches[0].Path, "value": entries},
		{"op": "replace", "path": "/metadata/resourceVersion", "value": live.GetResourceVersion()},
	})
	if err != nil {
		return err
	}
	answer, err := a.objects.Patch(ctx, live.GetName(), types.JSONPatchType, data, metav1.PatchOptions{FieldManager: v1alpha1.AgentFieldManager})
	if err != nil {
		return err
	}
	a.entriesTaken, a.forced = answer.GetResourceVersion(), false
	answer.DeepCopyInto(into)
	return nil
}

// markManager writes a Deployment's annotations; its entry is dropped with those of the former managers.
const markManager = "flotilla-agent-adoption"

// markQuietly brings the annotations of a Deployment to what they are after the apply, by way of its status: the API server
// counts a new generation for a change of a Deployment's annotations, but not there, and what nobody changed should not
// look as if somebody had. A tenant that may not write the status gets the generation, and no new Pods either way.
func (a *attempt) markQuietly(ctx context.Context) (*unstructured.Unstructured, error) {
	if a.Key.Group != "apps" || a.Key.Kind != "Deployment" {
		return a.live, nil
	}
	annotations := map[string]any{}
	for _, key := range []string{"meta.helm.sh/release-name", "meta.helm.sh/release-namespace"} {
		annotations[key] = nil
	}
	for key, value := range a.Object.GetAnnotations() {
		annotations[key] = value
	}
	data, err := json.Marshal(map[string]any{"metadata": map[string]any{
		"annotations": annotations, "resourceVersion": a.live.GetResourceVersion(),
	}})
	if err != nil {
		return nil, err
	}
	answer, err := a.objects.Patch(ctx, a.live.GetName(), types.MergePatchType, data, metav1.PatchOptions{FieldManager: markManager}, "status")
	if apierrors.IsForbidden(err) {
		return a.live, nil
	}
	return answer, err
}
