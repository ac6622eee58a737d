package agent_test

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	fleet "flotilla.io/flotilla/api/v1alpha1"
)

const company = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, labels: {app: web}}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: web, image: "web:1", ports: [{containerPort: 80}]}]}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{name: http, port: 80}]}
---
apiVersion: batch/v1
kind: CronJob
metadata: {name: web}
spec:
  schedule: "0 3 * * *"
  suspend: true
  jobTemplate: {spec: {template: {spec: {restartPolicy: Never, containers: [{name: web, image: "web:1"}]}}}}
`

// fleetMarks are what Fleet and Helm put on every object.
const fleetMarks = `
metadata:
  labels: {app.kubernetes.io/managed-by: Helm, objectset.rio.cattle.io/hash: 3b8e6f8a0f4a8d0d0c3e0c0c9f4f6d8a1b2c3d4e}
  annotations: {meta.helm.sh/release-name: web, meta.helm.sh/release-namespace: $NS, objectset.rio.cattle.io/id: default-web}
`

// TestWhatFleetOrHelmDeployedIsTakenOver: as their programs left it, whichever way they applied.
func TestWhatFleetOrHelmDeployedIsTakenOver(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		rule  string
		apply []string
		owner string
	}{
		{"what Fleet's agent created is ours without a change", []string{"create", "--field-manager=fleetagent"}, ""},
		{"what Fleet's agent applied on the server is, too", []string{"apply", "--server-side", "--field-manager=fleetagent"}, ""},
		{"and what Helm's own command did", []string{"create", "--field-manager=helm"}, ""},
		{"an adoption that was cut short is taken up", []string{"create", "--field-manager=fleetagent"}, "/web"},
	} {
		t.Run(row.rule, func(t *testing.T) {
			w := newWorld(t)
			w.kubectl("", "create", "namespace", w.app)
			w.kubectl(w.marked(company+configMap("settings", `kept: "1", moved: "1", dropped: "1"`), row.owner), append(row.apply, "-f", "-")...)
			w.kubectl("", "rollout", "status", "deploy/web")
			before := w.company()
			w.startAgent()
			w.deploy("web", company+configMap("settings", `kept: "1", moved: "2"`))
			w.healthy("web")
			for name, was := range before {
				w.takenOver(was, w.company()[name])
			}
			if data := w.live("v1", "ConfigMap", "settings").Object["data"]; !maps.Equal(data.(map[string]any), map[string]any{"kept": "1", "moved": "2"}) {
				t.Errorf("the bundle changes a key and drops one; it holds %v", data)
			}
			w.noDeletes()
		})
	}
}

// marked gives each object the marks of Fleet and Helm, and ours where an owner is given.
func (w *world) marked(text, owner string) string {
	w.Helper()
	mark := w.objects(fleetMarks)[0]
	if owner != "" {
		annotations := mark.GetAnnotations()
		annotations[fleet.OwnerAnnotation] = w.ns + owner
		mark.SetAnnotations(annotations)
	}
	var out []string
	for _, u := range w.objects(text) {
		labels := maps.Clone(mark.GetLabels())
		maps.Copy(labels, u.GetLabels())
		u.SetLabels(labels)
		u.SetAnnotations(mark.GetAnnotations())
		data, err := u.MarshalJSON()
		w.must(err)
		out = append(out, string(data))
	}
	return strings.Join(out, "\n---\n")
}

// company reads its objects, but for the ConfigMap, which changes.
func (w *world) company() map[string]*unstructured.Unstructured {
	w.Helper()
	found := map[string]*unstructured.Unstructured{}
	for _, kind := range [][2]string{{"apps/v1", "Deployment"}, {"v1", "Service"}, {"batch/v1", "CronJob"}} {
		found[kind[1]] = w.live(kind[0], kind[1], "web")
	}
	return found
}

// takenOver fails where more than the marks of an object changed.
func (w *world) takenOver(before, after *unstructured.Unstructured) {
	w.Helper()
	name := after.GetKind()
	if before.GetUID() != after.GetUID() || before.GetGeneration() != after.GetGeneration() {
		w.Errorf("%s: UID %s → %s, generation %d → %d", name, before.GetUID(), after.GetUID(), before.GetGeneration(), after.GetGeneration())
	}
	if was, is := specOf(before), specOf(after); was != is {
		w.Errorf("%s: the spec was\n%s\nand is\n%s", name, was, is)
	}
	for key := range after.GetAnnotations() {
		if strings.HasPrefix(key, "meta.helm.sh/") {
			w.Errorf("%s: annotation %s is still there: Helm would take it for its own", name, key)
		}
	}
	if by := after.GetLabels()["app.kubernetes.io/managed-by"]; by != "" || after.GetLabels()[fleet.OwnedLabel] != "true" {
		w.Errorf("%s: labels are %v", name, after.GetLabels())
	}
	for _, e := range after.GetManagedFields() {
		if e.Manager == "fleetagent" || e.Manager == "helm" {
			w.Errorf("%s: %s still manages fields", name, e.Manager)
		}
	}
}

func specOf(u *unstructured.Unstructured) string {
	data, _ := (&unstructured.Unstructured{Object: map[string]any{"spec": u.Object["spec"]}}).MarshalJSON()
	return string(data)
}

// A person's change is not Fleet's: it is named, as ever, and nothing is touched.
func TestWhatAPersonChangedAfterFleetIsNotTakenUnasked(t *testing.T) {
	w := newWorld(t)
	w.kubectl("", "create", "namespace", w.app)
	w.kubectl(w.marked(configMap("settings", `a: "1", b: "1"`), ""), "create", "--field-manager=fleetagent", "-f", "-")
	w.kubectl("", "patch", "configmap", "settings", "--field-manager=kubectl-edit", "-p", `{"data":{"a":"by hand"}}`)
	before := w.live("v1", "ConfigMap", "settings")
	w.startAgent()
	w.deploy("web", configMap("settings", `a: "2", b: "2"`))
	w.reads("web", fleet.HealthFailed, `.data.a is managed by "kubectl-edit"`)
	after := w.live("v1", "ConfigMap", "settings")
	if after.GetResourceVersion() != before.GetResourceVersion() {
		t.Errorf("it was touched: %v", after.Object)
	}
	managers := func(u *unstructured.Unstructured) (names []string) {
		for _, e := range u.GetManagedFields() {
			names = append(names, e.Manager)
		}
		return names
	}
	if !slices.Equal(managers(before), managers(after)) {
		t.Errorf("managers were %v and are %v", managers(before), managers(after))
	}
	w.deploy("web", configMap("settings", `a: "2", b: "2"`), func(bd *fleet.BundleDeployment) {
		bd.Spec.Options.Helm = &fleet.HelmOptions{TakeOwnership: true}
		bd.Spec.DeploymentID += "+own"
	})
	w.healthy("web")
}
