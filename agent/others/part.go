package others

import (
	"cmp"
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"

	jsonpatch "github.com/evanphx/json-patch/v5"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"flotilla.io/flotilla/agent/fields"
	"flotilla.io/flotilla/api/v1alpha1"
)

// Part is what is left to others in one object.
type Part struct {
	pointers   []string
	operations [][]v1alpha1.Operation // each list is of one comparePatch
}

func (p Part) empty() bool { return len(p.pointers) == 0 && len(p.operations) == 0 }

// Compared is an object as it is compared: without what is left to others. The object itself is not modified.
func (p Part) Compared(u *unstructured.Unstructured) *unstructured.Unstructured {
	if p.empty() {
		return u
	}
	doc, err := json.Marshal(u.Object)
	if err != nil {
		return u
	}
	for _, pointer := range p.pointers {
		doc, _ = change(doc, v1alpha1.Operation{Op: "remove", Path: pointer})
	}
	for _, operations := range p.operations {
		for _, op := range operations {
			changed, ok := change(doc, op)
			if !ok && op.Op == "test" {
				break // the rest of this patch is for objects that pass it
			}
			doc = changed
		}
	}
	compared := &unstructured.Unstructured{}
	if err := compared.UnmarshalJSON(doc); err != nil {
		return u
	}
	return compared
}

// change applies one operation. One that does not fit the document leaves it as it is.
func change(doc []byte, op v1alpha1.Operation) (changed []byte, ok bool) {
	if op.Op == v1alpha1.IgnoreOp {
		return doc, true
	}
	for _, value := range values(op) {
		data, err := json.Marshal([]map[string]any{{"op": op.Op, "path": op.Path, "value": value}})
		if err != nil {
			return doc, false
		}
		patch, err := jsonpatch.DecodePatch(data)
		if err != nil {
			return doc, false
		}
		if changed, err = patch.Apply(doc); err == nil {
			return changed, true
		}
	}
	return doc, false
}

// values are what an operation's value may mean: the API has text only, so a test of a number is one of what the text
// says in JSON as well.
func values(op v1alpha1.Operation) []any {
	list := []any{op.Value}
	var parsed any
	if op.Op == "test" && json.Unmarshal([]byte(op.Value), &parsed) == nil {
		list = append(list, parsed)
	}
	return list
}

// Send is what is sent of a wanted object: without the fields that are left to others and that another manager owns by
// now; ours tells which entries of managedFields are not another's. heal tells that drift is put back and nothing else: then a field that nobody owns stays away too.
func (p Part) Send(wanted, live *unstructured.Unstructured, ours func(metav1.ManagedFieldsEntry) bool, heal bool) *unstructured.Unstructured {
	pointers := p.all()
	if len(pointers) == 0 || live == nil {
		return wanted
	}
	sent := wanted.DeepCopy()
	s := sending{held: fields.HoldersOf(live, wanted, ours), heal: heal}
	for _, pointer := range pointers {
		at := s.held.Whole(pointer)
		fields.Edit(sent.Object, at, func(value any) (any, bool) { return s.reduce(at, value) })
	}
	return sent
}

// all are the pointers of the part, those in lists from their end, so that removing one moves no other.
func (p Part) all() []string {
	all := slices.Clone(p.pointers)
	for _, operations := range p.operations {
		for _, op := range operations {
			if op.Op != "test" && op.Op != v1alpha1.IgnoreOp {
				all = append(all, op.Path)
			}
		}
	}
	slices.SortFunc(all, func(a, b string) int {
		return slices.CompareFunc(strings.Split(b, "/"), strings.Split(a, "/"), bySteps)
	})
	return slices.Compact(all)
}

// bySteps orders the steps of pointers; positions in a list as numbers.
func bySteps(a, b string) int {
	x, errX := strconv.Atoi(a)
	y, errY := strconv.Atoi(b)
	if errX == nil && errY == nil {
		return cmp.Compare(x, y)
	}
	return strings.Compare(a, b)
}

// sending is one object on its way.
type sending struct {
	held fields.Holders
	heal bool
}

// reduce gives what stays of a value; false if nothing does.
func (s sending) reduce(pointer string, value any) (rest any, stays bool) {
	switch s.held.Of(pointer) {
	case fields.Theirs:
		return nil, false
	case fields.Ours:
		return value, true
	}
	switch v := value.(type) {
	case map[string]any:
		if len(v) > 0 {
			return s.reduceMap(pointer, v)
		}
	case []any:
		if s.held.Inside(pointer) {
			return s.reduceList(pointer, v)
		}
	}
	return value, !s.heal
}

// reduceMap reduces field by field. Of the item of a list the fields that tell it apart go last: it stays for as long as
// another field of it does, or nobody else has it.
func (s sending) reduceMap(pointer string, m map[string]any) (any, bool) {
	rest := make(map[string]any, len(m))
	keys, stays := map[string]any{}, false
	for _, key := range slices.Sorted(maps.Keys(m)) {
		at := pointer + "/" + fields.Escape(key)
		value, kept := s.reduce(at, m[key])
		if s.held.IsKey(at) {
			keys[key], stays = m[key], stays || kept
		} else if kept {
			rest[key], stays = value, true
		}
	}
	if stays {
		maps.Copy(rest, keys)
	}
	return rest, stays
}

func (s sending) reduceList(pointer string, list []any) (any, bool) {
	rest := make([]any, 0, len(list))
	for i, item := range list {
		if value, stays := s.reduce(pointer+"/"+strconv.Itoa(i), item); stays {
			rest = append(rest, value)
		}
	}
	return rest, len(rest) > 0
}
