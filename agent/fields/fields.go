// Package fields reads the API server's record of who manages which field, and says it in JSON pointers.
//
// It is pure. A managedFields entry names fields by structure (the container whose name is "web"); a person, and a diff of
// two objects, names them by position (/spec/template/spec/containers/0). The functions here go from the first to the
// second against a given object.
package fields

import (
	"bytes"
	"slices"
	"strconv"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"
	"sigs.k8s.io/structured-merge-diff/v6/value"

	"flotilla.io/flotilla/agent/inventory"
)

// Pointer finds where a managed field stands in an object; false if the object does not have it.
func Pointer(object map[string]any, path fieldpath.Path) (string, bool) {
	var at any = object
	var pointer strings.Builder
	for _, element := range path {
		step, next, ok := descend(at, element)
		if !ok {
			return "", false
		}
		pointer.WriteString("/" + Escape(step))
		at = next
	}
	return pointer.String(), true
}

func descend(at any, element fieldpath.PathElement) (step string, next any, ok bool) {
	switch {
	case element.FieldName != nil:
		m, isMap := at.(map[string]any)
		next, ok = m[*element.FieldName]
		return *element.FieldName, next, isMap && ok
	case element.Index != nil:
		list, _ := at.([]any)
		if *element.Index >= len(list) {
			return "", nil, false
		}
		return strconv.Itoa(*element.Index), list[*element.Index], true
	}
	list, _ := at.([]any)
	for i, item := range list {
		if matches(item, element) {
			return strconv.Itoa(i), item, true
		}
	}
	return "", nil, false
}

// matches tells whether a list's item is the one that the element means: by its value, or by its keys, where a key that
// the item leaves out has a default that we do not know and is taken to match.
func matches(item any, element fieldpath.PathElement) bool {
	if element.Value != nil {
		return value.Equals(value.NewValueInterface(item), *element.Value)
	}
	m, ok := item.(map[string]any)
	if !ok || element.Key == nil {
		return false
	}
	found := false
	for _, key := range *element.Key {
		have, present := m[key.Name]
		if !present {
			continue
		}
		if !value.Equals(value.NewValueInterface(have), key.Value) {
			return false
		}
		found = true
	}
	return found
}

// Set reads the fields of one managedFields entry; nil if it names none.
func Set(e metav1.ManagedFieldsEntry) *fieldpath.Set {
	if e.FieldsV1 == nil {
		return nil
	}
	set := &fieldpath.Set{}
	if err := set.FromJSON(bytes.NewReader(e.FieldsV1.GetRawBytes())); err != nil {
		return nil
	}
	return set
}

// Find gives the structure of a field that a conflict names in text, like .spec.containers[name="web"].image. It looks for
// it among the fields that others manage on the live object.
func Find(live *unstructured.Unstructured, text string) (fieldpath.Path, bool) {
	var found fieldpath.Path
	for _, e := range live.GetManagedFields() {
		set := Set(e)
		if set == nil || inventory.Ours(e) {
			continue
		}
		set.Iterate(func(p fieldpath.Path) {
			if found == nil && p.String() == text {
				found = p.Copy()
			}
		})
	}
	return found, found != nil
}

// Owner is who manages a field besides us, and since when.
type Owner struct {
	Manager string
	At      time.Time
}

// Owners answers who besides us manages a field of a live object.
type Owners struct{ entries []ownerEntry }

type ownerEntry struct {
	Owner
	pointers map[string]bool
}

// OwnersOf reads the object's managedFields once.
func OwnersOf(live *unstructured.Unstructured) Owners {
	var o Owners
	for _, e := range live.GetManagedFields() {
		set := Set(e)
		if set == nil || inventory.Ours(e) {
			continue
		}
		entry := ownerEntry{Owner: Owner{Manager: e.Manager}, pointers: map[string]bool{}}
		if e.Time != nil {
			entry.At = e.Time.Time
		}
		set.Iterate(func(p fieldpath.Path) {
			if pointer, ok := Pointer(live.Object, p); ok {
				entry.pointers[pointer] = true
			}
		})
		o.entries = append(o.entries, entry)
	}
	slices.SortStableFunc(o.entries, func(a, b ownerEntry) int { return b.At.Compare(a.At) })
	return o
}

// Of is who manages the field at the pointer, something in it, or what it is in; the newest if there are several.
func (o Owners) Of(pointer string) (Owner, bool) {
	for at := pointer; at != ""; at = at[:strings.LastIndexByte(at, '/')] {
		for _, e := range o.entries {
			if e.pointers[at] {
				return e.Owner, true
			}
		}
	}
	for _, e := range o.entries {
		for p := range e.pointers {
			if strings.HasPrefix(p, pointer+"/") {
				return e.Owner, true
			}
		}
	}
	return Owner{}, false
}

// Newest is the one besides us that wrote to the object last: where a field was removed, nobody manages it any more, and
// this is the best that the object itself can tell.
func (o Owners) Newest() (Owner, bool) {
	if len(o.entries) == 0 {
		return Owner{}, false
	}
	return o.entries[0].Owner, true
}
