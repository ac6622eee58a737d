package drift

import (
	"bytes"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	fleet "flotilla.io/flotilla/api/v1alpha1"
)

func deployment(bundle, cluster string, s fleet.BundleDeploymentStatus) fleet.BundleDeployment {
	return fleet.BundleDeployment{
		ObjectMeta: metav1.ObjectMeta{Name: bundle, Namespace: "cluster-" + cluster, Labels: map[string]string{fleet.BundleLabel: bundle, fleet.ClusterLabel: cluster}},
		Status:     s,
	}
}

var (
	modified = fleet.ModifiedStatus{Kind: "Deployment", APIVersion: "apps/v1", Namespace: "web", Name: "web", Patch: "/spec/replicas 3 → 5"}
	replicas = fleet.DriftedField{Kind: "Deployment", APIVersion: "apps/v1", Namespace: "web", Name: "web", Path: "/spec/replicas", Wanted: "3", Found: "5",
		Manager: "kubectl", At: metav1.Date(2026, 8, 1, 9, 14, 0, 0, time.UTC)}
	image   = fleet.DriftedField{Kind: "Deployment", APIVersion: "apps/v1", Namespace: "web", Name: "web", Path: "/spec/template/spec/containers/0/image", Wanted: "(hidden)", Found: "(hidden)"}
	missing = fleet.DriftedField{Kind: "ConfigMap", APIVersion: "v1", Namespace: "web", Name: "settings"}
)

func TestText(t *testing.T) {
	all := Of([]fleet.BundleDeployment{
		deployment("web", "b", fleet.BundleDeploymentStatus{ModifiedStatus: []fleet.ModifiedStatus{
			modified, {Kind: "ConfigMap", APIVersion: "v1", Namespace: "web", Name: "settings", Create: true},
			{Kind: "Namespace", APIVersion: "v1", Name: "web", Create: true, Exist: true},
		}, Drift: []fleet.DriftedField{replicas, image, missing}}),
		deployment("web", "c", fleet.BundleDeploymentStatus{}),
		deployment("db", "a", fleet.BundleDeploymentStatus{NonReadyStatus: []fleet.NonReadyStatus{{Kind: "Pod", APIVersion: "v1", Namespace: "db", Name: "db-0",
			Summary: fleet.Summary{State: "InProgress", Message: []string{"0 of 1 ready"}}}}}),
	})
	const want = `Bundle: db

  BundleDeployment: cluster-a/db (cluster a)
  Non-Ready Resources (1):
    Pod.v1 db/db-0: InProgress, 0 of 1 ready

Bundle: web

  BundleDeployment: cluster-b/web (cluster b)
  Modified Resources (3):
    Deployment.apps/v1 web/web: is modified
      /spec/replicas: 3 → 5 by kubectl at 2026-08-01T09:14:00Z
      /spec/template/spec/containers/0/image: changed (its values are not shown)
    ConfigMap.v1 web/settings: is missing (should be created)
    Namespace.v1 web: exists but is not owned by Fleet
`
	var out bytes.Buffer
	if Text(&out, all); out.String() != want {
		t.Errorf("got\n%s\nwant\n%s", out.String(), want)
	}
}

func TestNothingDrifted(t *testing.T) {
	var out bytes.Buffer
	if Text(&out, Of(nil)); out.String() != "No modified resources found.\n" {
		t.Errorf("got %s", out.String())
	}
	out.Reset()
	if err := JSON(&out, "", "fleet-local", nil); err != nil || out.String() != "{\n  \"namespace\": \"fleet-local\",\n  \"bundleDeploymentDiffs\": []\n}\n" {
		t.Errorf("got %s, %v", out.String(), err)
	}
}

func TestFleetYAML(t *testing.T) {
	have := []fleet.ComparePatch{
		{APIVersion: "apps/v1", Kind: "Deployment", Namespace: "web", Name: "web", Operations: []fleet.Operation{{Op: "remove", Path: "/spec/replicas"}}},
		{APIVersion: "v1", Kind: "Service", Name: "web", JsonPointers: []string{"/spec/clusterIP"}},
	}
	for _, c := range []struct {
		rule  string
		drift []fleet.DriftedField
		want  string
	}{
		{"what drifted is left out, beside what is left out already", []fleet.DriftedField{replicas, image, missing}, `diff:
  comparePatches:
  - apiVersion: apps/v1
    kind: Deployment
    name: web
    namespace: web
    operations:
    - op: remove
      path: /spec/replicas
    - op: remove
      path: /spec/template/spec/containers/0/image
  - apiVersion: v1
    kind: ConfigMap
    name: settings
    namespace: web
    operations:
    - op: ignore
  - apiVersion: v1
    jsonPointers:
    - /spec/clusterIP
    kind: Service
    name: web
`},
		{"nothing is written when nothing drifted", nil, ""},
	} {
		t.Run(c.rule, func(t *testing.T) {
			var out bytes.Buffer
			if err := FleetYAML(&out, Difference{Drift: c.drift}, have); err != nil || out.String() != c.want {
				t.Errorf("got\n%s%v\nwant\n%s", out.String(), err, c.want)
			}
		})
	}
}
