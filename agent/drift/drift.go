// Package drift finds out that somebody changed what the agent applied, and names the fields.
//
// # How it is noticed
//
// Watches of metadata only, that select our owner label, keep four things of each object: UID, fingerprint,
// resourceVersion, deletionTimestamp. Whoever changes a field that we own moves the fingerprint (see inventory); then, and
// only then, the object is read and compared. The fingerprint's time has a grain of one second: an apply under our own
// manager's name, within the same second as our own apply, to a kind without generation, would leave it as it was. So the
// first event with another resourceVersion after an apply of ours makes one look, a second after the apply.
//
// # How it is named
//
// The wanted object is applied as a dry run, with force, as the tenant. What the answer differs in from the live object is
// what an apply would put back: fields we own and lost, with the API server's defaults and admission taken into account.
// Who changed a field, and when, is read from the live object's managedFields. Fields that we do not own never show.
//
// Values obey the rule that no plaintext leaves the cluster: numbers and booleans show, except in Secrets; strings only
// where the field's name says that they cannot be confidential.
package drift

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	apiequality "k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"flotilla.io/flotilla/agent/fields"
	"flotilla.io/flotilla/agent/inventory"
	"flotilla.io/flotilla/agent/others"
	"flotilla.io/flotilla/agent/tenant"
	"flotilla.io/flotilla/api/v1alpha1"
)

// Finding is how one object differs.
type Finding struct {
	Missing     bool // it does not exist, or another object has its name
	Left        bool // with Missing: that is left to others
	Replaced    bool // with Missing: another object has its name
	UID         types.UID
	Fingerprint string                     // of the object as it was read
	Live        *unstructured.Unstructured // nil if it is missing
	Fields      []v1alpha1.DriftedField    // sorted by path; empty if nothing differs
}

// Open tells whether there is a difference.
func (f Finding) Open() bool { return f.Missing && !f.Left || len(f.Fields) > 0 }

// Look reads the live object, if uid is still its UID, and compares it with the wanted one, without what the rules leave to
// others.
func Look(ctx context.Context, t *tenant.Tenant, wanted *unstructured.Unstructured, uid types.UID, rules others.Rules) (Finding, error) {
	kind, err := t.Kinds.Of(wanted.GroupVersionKind())
	if tenant.IsNotServed(err) {
		return Finding{Missing: true, Left: rules.Absent(wanted)}, nil
	}
	if err != nil {
		return Finding{}, err
	}
	objects := t.Object(kind, wanted.GetNamespace())
	live, err := objects.Get(ctx, wanted.GetName(), metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return Finding{Missing: true, Left: rules.Absent(wanted)}, nil
	}
	if err != nil {
		return Finding{}, fmt.Errorf("looking at %s %s: %w", wanted.GetKind(), wanted.GetName(), err)
	}
	found := Finding{UID: live.GetUID(), Fingerprint: inventory.Fingerprint(live), Live: live}
	if live.GetUID() != uid {
		found.Missing, found.Replaced, found.Left = true, true, rules.Absent(wanted)
		return found, nil
	}
	left := rules.Of(wanted, live)
	merged, err := dryRun(ctx, t, kind, left.Send(wanted, live, inventory.Ours, true))
	if apierrors.IsInvalid(err) { // what differs cannot be put back in place, and differs all the same
		if found.Fields = Lost(left.Compared(live), left.Compared(wanted)); len(found.Fields) > 0 {
			return found, nil
		}
	}
	if err != nil {
		return Finding{}, fmt.Errorf("comparing %s %s: %s", wanted.GetKind(), wanted.GetName(), reason(err))
	}
	found.Fields = Compare(left.Compared(live), left.Compared(merged))
	return found, nil
}

// reason keeps an answer's kind and leaves its text, which may quote the object, where it came from.
func reason(err error) string {
	var status apierrors.APIStatus
	if errors.As(err, &status) {
		if apierrors.IsForbidden(err) {
			return status.Status().Message
		}
		return string(status.Status().Reason)
	}
	return err.Error()
}

func dryRun(ctx context.Context, t *tenant.Tenant, kind tenant.Kind, wanted *unstructured.Unstructured) (*unstructured.Unstructured, error) {
	data, err := json.Marshal(wanted.Object)
	if err != nil {
		return nil, err
	}
	force := true
	return t.Object(kind, wanted.GetNamespace()).Patch(ctx, wanted.GetName(), types.ApplyPatchType, data,
		metav1.PatchOptions{FieldManager: inventory.Manager, Force: &force, DryRun: []string{metav1.DryRunAll}})
}

// Compare lists the fields in which a live object differs from what an apply would make of it.
func Compare(live, merged *unstructured.Unstructured) []v1alpha1.DriftedField {
	c := comparison{secret: live.GetKind() == "Secret" && live.GroupVersionKind().Group == ""}
	top := slices.Sorted(maps.Keys(union(live.Object, merged.Object)))
	for _, key := range top {
		switch key {
		case "metadata":
			c.metadata(live, merged)
		case "status", "apiVersion", "kind":
		default:
			c.walk("/"+fields.Escape(key), merged.Object[key], live.Object[key], has(merged.Object, key), has(live.Object, key))
		}
	}
	return c.named(live)
}

// Lost lists the fields of a wanted object that are another value in the live one, or not there, and are not ours there any
// more. It stands in for Compare where the API server does not say what it would make of the wanted object.
func Lost(live, wanted *unstructured.Unstructured) []v1alpha1.DriftedField {
	c := comparison{secret: live.GetKind() == "Secret" && live.GroupVersionKind().Group == ""}
	for _, key := range slices.Sorted(maps.Keys(wanted.Object)) {
		if key != "metadata" && key != "status" {
			c.lost("/"+fields.Escape(key), wanted.Object[key], live.Object[key], has(live.Object, key))
		}
	}
	held := fields.HoldersOf(live, wanted, inventory.Ours)
	c.fields = slices.DeleteFunc(c.fields, func(f v1alpha1.DriftedField) bool { return held.Of(f.Path) == fields.Ours })
	return c.named(live)
}

func (c *comparison) lost(path string, want, have any, found bool) {
	switch w := want.(type) {
	case map[string]any:
		if h, ok := have.(map[string]any); ok {
			for _, key := range slices.Sorted(maps.Keys(w)) {
				c.lost(path+"/"+fields.Escape(key), w[key], h[key], has(h, key))
			}
			return
		}
	case []any:
		if h, ok := have.([]any); ok && len(h) == len(w) {
			for i := range w {
				c.lost(path+"/"+strconv.Itoa(i), w[i], h[i], true)
			}
			return
		}
	}
	if !found || !apiequality.Semantic.DeepEqual(want, have) {
		c.fields = append(c.fields, v1alpha1.DriftedField{Path: path, Wanted: c.show(path, want, true), Found: c.show(path, have, found)})
	}
}

// named says for each field of which object it is, and who changed it.
func (c *comparison) named(live *unstructured.Unstructured) []v1alpha1.DriftedField {
	owners := fields.OwnersOf(live)
	for i := range c.fields {
		f := &c.fields[i]
		f.Kind, f.APIVersion, f.Namespace, f.Name = live.GetKind(), live.GetAPIVersion(), live.GetNamespace(), live.GetName()
		owner, ok := owners.Of(f.Path)
		if !ok {
			owner, ok = owners.Newest()
		}
		if ok {
			f.Manager, f.At = owner.Manager, metav1.NewTime(owner.At)
		}
	}
	return c.fields
}

// comparison walks two objects at once.
type comparison struct {
	secret bool
	fields []v1alpha1.DriftedField
}

// metadata compares what people write; the rest of it is the API server's.
func (c *comparison) metadata(live, merged *unstructured.Unstructured) {
	for _, key := range []string{"annotations", "finalizers", "labels", "ownerReferences"} {
		l, hasL, _ := unstructured.NestedFieldNoCopy(live.Object, "metadata", key)
		m, hasM, _ := unstructured.NestedFieldNoCopy(merged.Object, "metadata", key)
		c.walk("/metadata/"+key, m, l, hasM, hasL)
	}
}

func (c *comparison) walk(path string, want, have any, wanted, found bool) {
	if wanted == found && apiequality.Semantic.DeepEqual(want, have) {
		return
	}
	if w, ok := want.(map[string]any); ok {
		if h, ok := have.(map[string]any); ok || !found {
			for _, key := range slices.Sorted(maps.Keys(union(w, h))) {
				c.walk(path+"/"+fields.Escape(key), w[key], h[key], has(w, key), has(h, key))
			}
			return
		}
	}
	if w, ok := want.([]any); ok {
		if h, ok := have.([]any); ok && len(h) == len(w) {
			for i := range w {
				c.walk(path+"/"+strconv.Itoa(i), w[i], h[i], true, true)
			}
			return
		}
	}
	c.fields = append(c.fields, v1alpha1.DriftedField{
		Path: path, Wanted: c.show(path, want, wanted), Found: c.show(path, have, found),
	})
}

// hidden stands for a value that may be confidential.
const hidden = "(hidden)"

// shown lists the last steps of paths whose strings are no secrets.
var shown = []string{"image", "cpu", "memory", "storage", "ephemeral-storage", "type"}

func (c *comparison) show(path string, value any, present bool) string {
	if !present {
		return ""
	}
	switch v := value.(type) {
	case bool, int64, float64:
		if !c.secret {
			return fmt.Sprint(v)
		}
	case string:
		last := path[strings.LastIndexByte(path, '/')+1:]
		if !c.secret && slices.Contains(shown, last) || strings.HasPrefix(path, "/metadata/labels/") {
			return v
		}
	}
	return hidden
}

func has(m map[string]any, key string) bool { _, ok := m[key]; return ok }

func union(a, b map[string]any) map[string]bool {
	keys := make(map[string]bool, len(a))
	for k := range a {
		keys[k] = true
	}
	for k := range b {
		keys[k] = true
	}
	return keys
}
