package fields

import (
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"
)

// Holder tells who manages a field.
type Holder int

const (
	Nobody Holder = iota // or several, for what has fields in it
	Ours                 // we alone
	Theirs               // another manager, be it together with us
)

// Holders answers who manages which field of a live object, by where the field stands in the object that we want: the
// items of a list may stand elsewhere there.
type Holders struct {
	holder map[string]Holder // of whole values: plain ones, and lists and maps that are managed as one
	keys   map[string]bool   // the fields that tell the items of a list apart
}

// HoldersOf reads the managedFields of live once. ours tells which entries are ours.
func HoldersOf(live, wanted *unstructured.Unstructured, ours func(metav1.ManagedFieldsEntry) bool) Holders {
	h := Holders{holder: map[string]Holder{}, keys: map[string]bool{}}
	for _, e := range live.GetManagedFields() {
		set := Set(e)
		if set == nil {
			continue
		}
		who := Theirs
		if ours(e) {
			who = Ours
		}
		set.Leaves().Iterate(func(p fieldpath.Path) {
			if pointer, ok := Pointer(wanted.Object, p); ok {
				h.holder[pointer] = max(h.holder[pointer], who)
				h.noteKeys(wanted, p)
			}
		})
	}
	return h
}

func (h Holders) noteKeys(wanted *unstructured.Unstructured, p fieldpath.Path) {
	for i, element := range p {
		if element.Key == nil {
			continue
		}
		item, _ := Pointer(wanted.Object, p[:i+1])
		for _, key := range *element.Key {
			h.keys[item+"/"+Escape(key.Name)] = true
		}
	}
}

// Of tells who manages the whole value at a pointer.
func (h Holders) Of(pointer string) Holder { return h.holder[pointer] }

// IsKey tells whether the field tells the items of a list apart.
func (h Holders) IsKey(pointer string) bool { return h.keys[pointer] }

// Whole is the pointer to the value that is managed as one and that the pointer leads into; the pointer itself, where there
// is none.
func (h Holders) Whole(pointer string) string {
	for i := 1; i < len(pointer); i++ {
		if pointer[i] == '/' && h.holder[pointer[:i]] != Nobody {
			return pointer[:i]
		}
	}
	return pointer
}

// Inside tells whether something in the value at a pointer is managed by itself.
func (h Holders) Inside(pointer string) bool {
	for at := range h.holder {
		if strings.HasPrefix(at, pointer+"/") {
			return true
		}
	}
	return false
}
