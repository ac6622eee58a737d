package dump

import (
	"archive/tar"
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/yaml"
)

// bundle has something confidential wherever an object of a hub can have it.
const bundle = `
metadata:
  annotations:
    kubectl.kubernetes.io/last-applied-configuration: '{"secret": "of kubectl"}'
    mine: stays
spec:
  resources: [{name: secret.yaml, content: "secret of a file"}]
  helm: {chart: web, values: {password: secret of values, deep: {token: secret below}}, templateValues: {x: secret template}}
  targets: [{name: a, helm: {values: {password: secret of a target}}}]
  options: {helm: {values: {password: secret of options}}}
  stagedOptions: {helm: {values: {password: secret of staged options}}}
  templateValues: {password: secret of a cluster}
`

func TestWhatIsLeftOut(t *testing.T) {
	for _, c := range []struct {
		rule    string
		options Options
		shown   []string // of what is confidential
	}{
		{"nothing confidential is shown unless it is asked for", Options{SecretsMetadata: true, ContentMetadata: true}, nil},
		{"files are shown with contents", Options{Content: true}, []string{"secret of a file"}},
		{"values are shown with Secrets", Options{Secrets: true}, []string{"secret of values", "secret below", "secret template",
			"secret of a target", "secret of options", "secret of staged options", "secret of a cluster"}},
		{"all is shown with both", Options{Secrets: true, Content: true}, strings.Split("of kubectl|secret of a file|secret of values|secret below|secret template|"+
			"secret of a target|secret of options|secret of staged options|secret of a cluster", "|")},
	} {
		t.Run(c.rule, func(t *testing.T) {
			u := &unstructured.Unstructured{}
			if err := yaml.Unmarshal([]byte(bundle), &u.Object); err != nil {
				t.Fatal(err)
			}
			before := u.DeepCopy()
			data, err := yaml.Marshal(reduced(u, c.options).Object)
			if err != nil {
				t.Fatal(err)
			}
			text := string(data)
			if got := strings.Count(text, "secret ") + strings.Count(text, `"secret": `); got != len(c.shown) {
				t.Errorf("it shows %d, want %d:\n%s", got, len(c.shown), text)
			}
			for _, want := range append(c.shown, "mine: stays", "chart: web", "password:", "token:", "name: secret.yaml") {
				if !strings.Contains(text, want) {
					t.Errorf("%q is missing:\n%s", want, text)
				}
			}
			if before.Object["spec"] == nil || !strings.Contains(u.GetAnnotations()["kubectl.kubernetes.io/last-applied-configuration"], "of kubectl") {
				t.Error("the object itself was changed")
			}
		})
	}
}

// A hub that answers for its Services, and for the metrics of one of them.
func TestMetrics(t *testing.T) {
	const services = "/api/v1/namespaces/cattle-fleet-system/services"
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case services:
			w.Header().Set("Content-Type", "application/json")
			fmt.Fprint(w, `{"kind":"ServiceList","apiVersion":"v1","items":[`+
				`{"metadata":{"name":"monitoring-fleet-controller","namespace":"cattle-fleet-system"},"spec":{"ports":[{"port":8080}]}},`+
				`{"metadata":{"name":"monitoring-gone","namespace":"cattle-fleet-system"},"spec":{"ports":[{"port":8081}]}},`+
				`{"metadata":{"name":"webhook","namespace":"cattle-fleet-system"},"spec":{"ports":[{"port":80}]}}]}`)
		case services + "/http:monitoring-fleet-controller:8080/proxy/metrics":
			fmt.Fprint(w, "fleet_bundle_ready 1\n")
		default:
			http.Error(w, "no endpoints", http.StatusServiceUnavailable)
		}
	}))
	defer server.Close()
	h, err := Reach(&rest.Config{Host: server.URL})
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	a := &archive{hub: h, tar: tar.NewWriter(&out), names: map[string]bool{}}
	if err := a.metrics(t.Context()); err != nil {
		t.Fatal(err)
	}
	if !a.names["metrics_cattle-fleet-system_monitoring-fleet-controller"] || !strings.Contains(out.String(), "fleet_bundle_ready 1") || len(a.names) != 1 {
		t.Errorf("it has %v", a.names)
	}
	if len(a.left) != 1 || !strings.Contains(a.left[0].Error(), "metrics of service monitoring-gone") {
		t.Errorf("it left out %v", a.left)
	}
}
