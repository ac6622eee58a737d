package target

import (
	"reflect"
	"strings"
	"testing"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"

	"flotilla.io/flotilla/api/v1alpha1"
)

func TestAssumedInputs(t *testing.T) {
	taker := &v1alpha1.Bundle{}
	taker.Name = "taker"
	taker.Spec.Inputs = []v1alpha1.Input{
		{Name: "address", From: v1alpha1.InputFrom{Bundle: "maker", Output: "address"}},
		{Name: "token", From: v1alpha1.InputFrom{Bundle: "maker", Output: "token"}, Optional: true},
		{Name: "port", From: v1alpha1.InputFrom{Fact: "cluster.name"}, Optional: true, Default: &apiextensionsv1.JSON{Raw: []byte("443")}},
	}
	maker := &v1alpha1.Bundle{}
	maker.Name = "maker"
	maker.Spec.Outputs = []v1alpha1.Output{{Name: "address"}, {Name: "token", Sensitive: true}}
	edge := &v1alpha1.Cluster{}
	edge.Name = "edge"
	for _, c := range []struct {
		rule, values, err, missing string
		open, sensitive            map[string]any
	}{
		{"a value of the bundle", "taker: {address: a}", "", "", map[string]any{"address": "a", "port": 443.0}, map[string]any{"token": nil}},
		{"one of the cluster wins over that of the bundle, and that over one for all", "'': {address: c, token: t}\ntaker: {address: a}\nedge/taker: {address: b}",
			"", "", map[string]any{"address": "b", "port": 443.0}, map[string]any{"token": "t"}},
		{"one of another cluster is no matter", "other/taker: {address: b}", "", "only a hub knows input address (output address of bundle maker): give values by --input", nil, nil},
		{"a value for no bundle is a mistake", "takr: {address: a}", `there is no bundle "takr"; did you mean "taker"?`, "", nil, nil},
		{"a value that the bundle does not take is a mistake", "taker: {adress: a}", `bundle taker has no input "adress"; did you mean "address"?`, "", nil, nil},
		{"a value that no bundle takes is a mistake", "'': {adress: a}", `no bundle has an input "adress"; did you mean "address"?`, "", nil, nil},
	} {
		t.Run(c.rule, func(t *testing.T) {
			values, err := ParseAssumed([]byte(c.values))
			if err != nil {
				t.Fatal(err)
			}
			assumed, err := values.Among([]*v1alpha1.Bundle{maker, taker}, true)
			if c.err != "" || err != nil {
				if err == nil || err.Error() != c.err {
					t.Errorf("got %v, want %s", err, c.err)
				}
				return
			}
			given := assumed.For(taker)(edge)
			if c.missing != "" || given.Missing != "" {
				if c.missing == "" || !strings.HasPrefix(given.Missing, c.missing) {
					t.Errorf("got %q, want %q", given.Missing, c.missing)
				}
				return
			}
			if !reflect.DeepEqual(given.Open, c.open) || !reflect.DeepEqual(given.Sensitive, c.sensitive) {
				t.Errorf("got %v and sensitive %v", given.Open, given.Sensitive)
			}
		})
	}
	if _, err := ParseAssumed([]byte("taker: a")); err == nil || !strings.Contains(err.Error(), "want BUNDLE: {INPUT: value}") {
		t.Errorf("another form is a mistake: %v", err)
	}
}
