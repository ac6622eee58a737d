package argocd

import (
	"encoding/json"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestParametersSetValues(t *testing.T) {
	for _, row := range []struct{ rule, name, value, want string }{
		{"a name with dots goes deeper", "a.b", "x", `{"a":{"b":"x"}}`},
		{"a dot with a backslash is part of the key", `a\.b.c`, "x", `{"a.b":{"c":"x"}}`},
		{"an index makes a list", "a[1].b", "x", `{"a":[null,{"b":"x"}]}`},
		{"an index in an index makes lists of lists", "a[0][0]", "x", `{"a":[["x"]]}`},
		{"whole numbers are numbers", "a", "5", `{"a":5}`},
		{"a leading zero makes a text", "a", "05", `{"a":"05"}`},
		{"true and false are no texts", "a", "false", `{"a":false}`},
		{"null takes away", "a", "null", `{"a":null}`},
	} {
		t.Run(row.rule, func(t *testing.T) {
			values := map[string]any{}
			must(t, setValue(values, row.name, leaf{text: literal(row.value)}))
			got, err := json.Marshal(writtenValues(values, false))
			must(t, err)
			if string(got) != row.want {
				t.Errorf("got %s, want %s", got, row.want)
			}
		})
	}
	for _, name := range []string{"", ".a", "a[x]", "a[1001]"} {
		if err := setValue(map[string]any{}, name, leaf{}); err == nil {
			t.Errorf("%q is taken as a name", name)
		}
	}
}

func TestImagesInShortForm(t *testing.T) {
	for _, row := range []struct{ image, want string }{
		{"web:v1", `{"name":"web","newTag":"v1"}`},
		{"host:5000/web", `{"name":"host:5000/web"}`},
		{"web=host:5000/other:v1", `{"name":"web","newName":"host:5000/other","newTag":"v1"}`},
		{"web@sha256:abc", `{"digest":"sha256:abc","name":"web"}`},
		{"web=other:v1@sha256:abc", `{"digest":"sha256:abc","name":"web","newName":"other","newTag":"v1"}`},
	} {
		got, err := json.Marshal(imageOf(literal(row.image)))
		must(t, err)
		if string(got) != row.want {
			t.Errorf("%s: got %s, want %s", row.image, got, row.want)
		}
	}
}

func TestPlacesMeet(t *testing.T) {
	label := func(key string, operator metav1.LabelSelectorOperator, values ...string) place {
		return place{needs: []metav1.LabelSelectorRequirement{{Key: key, Operator: operator, Values: values}}}
	}
	production, staging := label("env", "In", "production"), label("env", "In", "staging")
	for _, row := range []struct {
		rule   string
		a, b   place
		meet   bool
		within bool // a within b
	}{
		{"two names never meet", place{name: "a"}, place{name: "b"}, false, false},
		{"one name meets itself", place{name: "a"}, place{name: "a"}, true, true},
		{"a name is within everything", place{name: "a"}, place{}, true, true},
		{"two values of one label never meet", production, staging, false, false},
		{"a value and its absence never meet", production, label("env", "DoesNotExist"), false, false},
		{"a value and its exclusion never meet", production, label("env", "NotIn", "production"), false, false},
		{"a value meets a list that has it", production, label("env", "In", "production", "staging"), true, false},
		{"different labels may meet", production, label("region", "In", "eu"), true, false},
		{"a selector is within everything", production, place{}, true, true},
		{"everything is not within a selector", place{}, production, true, false},
	} {
		t.Run(row.rule, func(t *testing.T) {
			if _, meet := row.a.and(row.b); meet != row.meet {
				t.Errorf("meet: %v", meet)
			}
			if _, meet := row.b.and(row.a); meet != row.meet {
				t.Errorf("meet, the other way: %v", meet)
			}
			if got := row.a.within(row.b); got != row.within {
				t.Errorf("within: %v", got)
			}
		})
	}
}

func TestFilePatterns(t *testing.T) {
	for _, row := range []struct {
		pattern, name string
		want          bool
	}{
		{"a/*.json", "a/b.json", true},
		{"a/*.json", "a/b/c.json", false},
		{"a/**/c.json", "a/c.json", true},
		{"a/**/c.json", "a/b/b/c.json", true},
		{"**/c.json", "c.json", true},
		{"a/?.json", "a/b.json", true},
		{"a.json", "aXjson", false},
	} {
		if got := globbed(row.pattern, row.name); got != row.want {
			t.Errorf("%s on %s: %v", row.pattern, row.name, got)
		}
	}
}
