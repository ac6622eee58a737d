package drift

import (
	"encoding/json"
	"slices"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

func TestValuesAreShownOnlyWhereTheyCannotBeConfidential(t *testing.T) {
	object := func(kind string, spec map[string]any) *unstructured.Unstructured {
		return &unstructured.Unstructured{Object: map[string]any{"apiVersion": "v1", "kind": kind, "spec": spec, "metadata": map[string]any{"labels": map[string]any{"l": spec["l"]}}}}
	}
	for _, row := range []struct {
		rule, kind, field string
		wanted, found     any
		path, show, was   string
	}{
		{"a number shows", "Thing", "n", int64(3), int64(5), "/spec/n", "3", "5"},
		{"a boolean shows", "Thing", "b", true, false, "/spec/b", "true", "false"},
		{"a string does not", "Thing", "s", "canary", "other", "/spec/s", "(hidden)", "(hidden)"},
		{"an image does", "Thing", "image", "a:1", "a:2", "/spec/image", "a:1", "a:2"},
		{"not even a number of a Secret does", "Secret", "n", int64(3), int64(5), "/spec/n", "(hidden)", "(hidden)"},
		{"a label does", "Thing", "l", "blue", "red", "/metadata/labels/l", "blue", "red"},
		{"a list as a whole does not", "Thing", "list", []any{"a"}, []any{"a", "b"}, "/spec/list", "(hidden)", "(hidden)"},
		{"a name is escaped", "Thing", "a/b~c", int64(1), int64(2), "/spec/a~1b~0c", "1", "2"},
	} {
		got := Compare(object(row.kind, map[string]any{row.field: row.found}), object(row.kind, map[string]any{row.field: row.wanted}))
		if len(got) == 0 || got[0].Path != row.path || got[0].Wanted != row.show || got[0].Found != row.was {
			t.Errorf("%s: %+v", row.rule, got)
		}
	}
	same := object("Thing", map[string]any{"n": int64(1)})
	if got := Compare(same, same.DeepCopy()); len(got) != 0 {
		t.Errorf("two equal objects differ: %v", got)
	}
}

func TestWhatIsLostIsNamedWhereNothingCanBePutBack(t *testing.T) {
	entry := func(manager, operation, fields string) map[string]any {
		var set map[string]any
		if err := json.Unmarshal([]byte(fields), &set); err != nil {
			t.Fatal(err)
		}
		return map[string]any{"manager": manager, "operation": operation, "fieldsType": "FieldsV1", "fieldsV1": set}
	}
	object := func(data map[string]any, managed ...any) *unstructured.Unstructured {
		return &unstructured.Unstructured{Object: map[string]any{
			"apiVersion": "v1", "kind": "ConfigMap", "metadata": map[string]any{"managedFields": managed}, "data": data,
		}}
	}
	live := object(map[string]any{"same": "1", "ours": "other form", "theirs": "2", "more": "x"},
		entry("flotilla-agent", "Apply", `{"f:data": {"f:same": {}, "f:ours": {}}}`), entry("kubectl", "Update", `{"f:data": {"f:theirs": {}, "f:more": {}}}`))
	got := Lost(live, object(map[string]any{"same": "1", "ours": "form", "theirs": "1", "gone": "1"}))
	var paths []string
	for _, f := range got {
		paths = append(paths, f.Path)
	}
	if !slices.Equal(paths, []string{"/data/gone", "/data/theirs"}) || got[1].Manager != "kubectl" {
		t.Errorf("lost are %v", got)
	}
}
