package v1alpha1

import (
	"encoding/json"
	"reflect"
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"
)

func TestGenericMapReadsAndWritesTheMapItself(t *testing.T) {
	for _, row := range []struct {
		rule, in string
		want     map[string]any
		out      string
	}{
		{"the map is not wrapped", `{"a":"b"}`, map[string]any{"a": "b"}, `{"a":"b"}`},
		{"a large whole number keeps its digits", `{"n":9007199254740993}`, map[string]any{"n": int64(9007199254740993)}, `{"n":9007199254740993}`},
		{"a fraction is a fraction", `{"n":1.5}`, map[string]any{"n": 1.5}, `{"n":1.5}`},
		{"numbers deep inside count too", `{"l":[{"n":3}]}`, map[string]any{"l": []any{map[string]any{"n": int64(3)}}}, `{"l":[{"n":3}]}`},
		{"null inside stays: Helm reads it as a removed default", `{"a":null}`, map[string]any{"a": nil}, `{"a":null}`},
		{"an empty map stays empty", `{}`, map[string]any{}, `{}`},
	} {
		var got GenericMap
		if err := json.Unmarshal([]byte(row.in), &got); err != nil {
			t.Errorf("%s: %v", row.rule, err)
		}
		if !reflect.DeepEqual(got.Data, row.want) {
			t.Errorf("%s: %s was read as %#v, want %#v", row.rule, row.in, got.Data, row.want)
		}
		if out, err := json.Marshal(got); err != nil || string(out) != row.out {
			t.Errorf("%s: it was written as %s (%v), want %s", row.rule, out, err, row.out)
		}
	}
	var got GenericMap
	if err := json.Unmarshal([]byte(`["a"]`), &got); err == nil {
		t.Errorf("a list was read as the map %v", got.Data)
	}
}

func TestGenericMapInOptions(t *testing.T) {
	var options BundleDeploymentOptions
	if err := yaml.UnmarshalStrict([]byte("helm: {values: {replicas: 3, image: {tag: v1}}}"), &options); err != nil {
		t.Fatal(err)
	}
	if got := options.Helm.Values.Data["replicas"]; got != int64(3) {
		t.Errorf("replicas is %v (%T), want int64 3", got, got)
	}
	if out, _ := json.Marshal(BundleDeploymentOptions{Helm: &HelmOptions{}}); string(out) != `{"helm":{}}` {
		t.Errorf("options without values are written as %s", out)
	}
}

func TestGenericMapCopiesShareNothing(t *testing.T) {
	type own struct{ n int } // a type that JSON does not know is carried along
	m := &GenericMap{Data: map[string]any{"map": map[string]any{"a": 1}, "list": []any{map[string]any{"b": 2}}, "own": own{3}}}
	c := m.DeepCopy()
	if !reflect.DeepEqual(m, c) {
		t.Fatalf("the copy is %#v, want %#v", c, m)
	}
	c.Data["map"].(map[string]any)["a"] = 9
	c.Data["list"].([]any)[0].(map[string]any)["b"] = 9
	c.Data["new"] = 9
	want := map[string]any{"map": map[string]any{"a": 1}, "list": []any{map[string]any{"b": 2}}, "own": own{3}}
	if !reflect.DeepEqual(m.Data, want) {
		t.Errorf("changing the copy made the original %#v", m.Data)
	}
	if c := (&GenericMap{}).DeepCopy(); c.Data != nil {
		t.Errorf("the copy of a nil map is %#v", c.Data)
	}
}

func TestSetCondition(t *testing.T) {
	const before = "2020-01-01T00:00:00Z"
	have := GenericCondition{Type: "Ready", Status: "False", Reason: "Error", Message: "no", LastUpdateTime: before, LastTransitionTime: before}
	for _, row := range []struct {
		rule                        string
		conditionType               string
		status                      corev1.ConditionStatus
		reason, message             string
		changed, updated, transited bool
	}{
		{"the same verdict changes nothing, not even times", "Ready", "False", "Error", "no", false, false, false},
		{"another message is an update, no transition", "Ready", "False", "Error", "not yet", true, true, false},
		{"another reason is an update, no transition", "Ready", "False", "Waiting", "no", true, true, false},
		{"another status is a transition", "Ready", "True", "Error", "no", true, true, true},
		{"a new type is added", "Deployed", "True", "", "", true, true, true},
	} {
		conditions := []GenericCondition{have}
		if changed := SetCondition(&conditions, row.conditionType, row.status, row.reason, row.message); changed != row.changed {
			t.Errorf("%s: changed is %v", row.rule, changed)
		}
		got := *Condition(conditions, row.conditionType)
		if got.Status != row.status || got.Reason != row.reason || got.Message != row.message {
			t.Errorf("%s: the condition is %+v", row.rule, got)
		}
		for _, at := range []struct {
			name, value string
			moved       bool
		}{{"lastUpdateTime", got.LastUpdateTime, row.updated}, {"lastTransitionTime", got.LastTransitionTime, row.transited}} {
			if moved := at.value != before; moved != at.moved {
				t.Errorf("%s: %s moved is %v", row.rule, at.name, moved)
			}
			if _, err := time.Parse(time.RFC3339, at.value); err != nil {
				t.Errorf("%s: %s: %v", row.rule, at.name, err)
			}
		}
	}
}

func TestConditionsAreFoundAndRemoved(t *testing.T) {
	conditions := []GenericCondition{{Type: "Deployed", Status: "True"}, {Type: "Ready", Status: "False"}}
	if Condition(conditions, "Missing") != nil {
		t.Error("a missing condition was found")
	}
	if !ConditionIs(conditions, "Deployed", "True") || ConditionIs(conditions, "Ready", "True") || ConditionIs(conditions, "Missing", "False") {
		t.Error("ConditionIs does not tell the status")
	}
	if !RemoveCondition(&conditions, "Deployed") || RemoveCondition(&conditions, "Deployed") {
		t.Error("RemoveCondition does not tell whether there was one")
	}
	if len(conditions) != 1 || conditions[0].Type != "Ready" {
		t.Errorf("what is left is %v", conditions)
	}
}

func TestStateRankKeepsFleetsOrder(t *testing.T) {
	want := []BundleState{"ErrApplied", "WaitApplied", "Modified", "OutOfSync", "Pending", "NotReady", "Unknown", "Ready", "no state"}
	got := slices.Clone(want)
	slices.Reverse(got)
	slices.SortStableFunc(got, func(a, b BundleState) int { return StateRank[b] - StateRank[a] })
	if !slices.Equal(got, want) {
		t.Errorf("worst first, the states are %v, want %v", got, want)
	}
}
