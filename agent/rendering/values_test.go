package rendering

import (
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"flotilla.io/flotilla/api/v1alpha1"
)

func TestSourcesAreReadInTheirOrder(t *testing.T) {
	for _, row := range []struct {
		rule, options string
		want          string
	}{
		{"in the order of the list", `{helm: {valuesFrom: [{secretKeyRef: {name: b}}, {configMapKeyRef: {name: a}}]}}`, "Secret default/b values.yaml, ConfigMap default/a values.yaml"},
		{"of one entry the Secret is the later one", `{helm: {valuesFrom: [{secretKeyRef: {name: b}, configMapKeyRef: {name: a}}]}}`, "ConfigMap default/a values.yaml, Secret default/b values.yaml"},
		{"a key is used as given", `{helm: {valuesFrom: [{secretKeyRef: {name: b, key: k}}]}}`, "Secret default/b k"},
		{"a namespace is used as given", `{namespace: shop, helm: {valuesFrom: [{secretKeyRef: {name: b, namespace: own}}]}}`, "Secret own/b values.yaml"},
		{"without one it is the release's", `{namespace: shop, defaultNamespace: d, helm: {valuesFrom: [{secretKeyRef: {name: b}}]}}`, "Secret shop/b values.yaml"},
		{"which may be the default one", `{defaultNamespace: d, helm: {valuesFrom: [{secretKeyRef: {name: b}}]}}`, "Secret d/b values.yaml"},
		{"what the hub copies is read where it is copied to", `{defaultNamespace: d, downstreamResources: [{kind: secret, name: b}], helm: {valuesFrom: [{secretKeyRef: {name: b, namespace: own}}, {configMapKeyRef: {name: b, namespace: own}}]}}`,
			"Secret d/b values.yaml, ConfigMap own/b values.yaml"},
		{"no chart, no source", `{}`, ""},
	} {
		t.Run(row.rule, func(t *testing.T) {
			var o v1alpha1.BundleDeploymentOptions
			if err := yaml.UnmarshalStrict([]byte(row.options), &o); err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, s := range Sources(o) {
				got = append(got, s.String()+" "+s.Key)
			}
			if strings.Join(got, ", ") != row.want {
				t.Errorf("got %q", got)
			}
		})
	}
}

func TestTheKeyOfAnObject(t *testing.T) {
	for _, row := range []struct {
		rule, kind, object string
		want               string
		found              bool
	}{
		{"a ConfigMap holds text", "ConfigMap", `{data: {k: "a: b"}}`, "a: b", true},
		{"or bytes", "ConfigMap", `{binaryData: {k: YTogYg==}}`, "a: b", true},
		{"a Secret holds bytes", "Secret", `{data: {k: YTogYg==}}`, "a: b", true},
		{"a key that is not there is missing", "Secret", `{data: {other: YTogYg==}}`, "", false},
		{"so is one of an empty object", "ConfigMap", `{}`, "", false},
	} {
		t.Run(row.rule, func(t *testing.T) {
			u := &unstructured.Unstructured{}
			if err := yaml.Unmarshal([]byte(row.object), &u.Object); err != nil {
				t.Fatal(err)
			}
			data, found, err := Source{Kind: row.kind, Key: "k"}.of(u)
			if string(data) != row.want || found != row.found || err != nil {
				t.Errorf("%q, %v, %v", data, found, err)
			}
		})
	}
}
