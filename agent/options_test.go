package agent_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	fleet "flotilla.io/flotilla/api/v1alpha1"
)

// compare makes patches the deployment's diff.comparePatches.
func compare(patches ...fleet.ComparePatch) func(*fleet.BundleDeployment) {
	return func(bd *fleet.BundleDeployment) {
		bd.Spec.Options.Diff = &fleet.DiffOptions{ComparePatches: patches}
	}
}

// field waits until a field of the live Deployment web, or of another object, reads as wanted.
func (w *world) field(apiVersion, kind, name, value string, path ...string) {
	w.Helper()
	w.eventually(fmt.Sprintf("%s %s has %s at %v", kind, name, value, path), func() string {
		if got := w.fieldNow(apiVersion, kind, name, path...); got != value {
			return "it is " + got
		}
		return ""
	})
}

func (w *world) fieldNow(apiVersion, kind, name string, path ...string) string {
	w.Helper()
	u := w.live(apiVersion, kind, name)
	if u == nil {
		return "missing"
	}
	var at any = u.Object
	for _, step := range path {
		m, _ := at.(map[string]any)
		at = m[step]
	}
	return fmt.Sprint(at)
}

func TestWhatIsLeftToOthersIsNoDriftAndStays(t *testing.T) {
	w := newWorld(t)
	w.startAgent()
	hpa := "\n---\napiVersion: autoscaling/v2\nkind: HorizontalPodAutoscaler\nmetadata: {name: scaled}\nspec: {minReplicas: 1, maxReplicas: 9, scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: scaled}, metrics: [{type: Resource, resource: {name: cpu, target: {type: Utilization, averageUtilization: 80}}}]}\n"
	more := configMap("volatile", `a: "1"`) + configMap("mine", `a: "1"`) + "\n---\n" + strings.ReplaceAll(strings.SplitN(web, "---", 2)[0], "name: web,", "name: scaled,") + hpa
	left := compare(
		fleet.ComparePatch{APIVersion: "apps/v1", Kind: "Deploy*", Name: "we?", JsonPointers: []string{"/spec/replicas"}},
		fleet.ComparePatch{APIVersion: "v1", Kind: "ConfigMap", Namespace: w.app, Name: "vol.*", Operations: []fleet.Operation{{Op: "ignore"}}},
		fleet.ComparePatch{APIVersion: "v1", Kind: "ConfigMap", Namespace: w.app, Name: "mine", Operations: []fleet.Operation{{Op: "remove", Path: "/data"}}})
	w.deploy("web", web+more, left, correctDrift)
	w.healthy("web")
	replicas := []string{"spec", "replicas"}

	w.kubectl("", "scale", "deployment", "web", "--replicas=2")
	w.kubectl("", "scale", "deployment", "scaled", "--replicas=4")
	w.kubectl("", "delete", "configmap", "volatile")
	w.kubectl("", "patch", "configmap", "mine", "-p", `{"data":{"a":"2"}}`)
	w.quiet("web", 3*time.Second)
	w.kubectl("", "patch", "deployment", "web", "-p", `{"metadata":{"labels":{"team":"red"}}}`)
	w.field("apps/v1", "Deployment", "web", "blue", "metadata", "labels", "team") // put back, and nothing else
	w.healthy("web")
	w.deploy("web", strings.ReplaceAll(web, "team: blue", "team: green")+more)
	w.field("apps/v1", "Deployment", "web", "green", "metadata", "labels", "team")
	w.healthy("web")
	for _, row := range [][3]string{{"apps/v1", "Deployment", "web"}, {"apps/v1", "Deployment", "scaled"}, {"v1", "ConfigMap", "mine"}} {
		path, want := replicas, map[string]string{"web": "2", "scaled": "4", "mine": "2"}[row[2]]
		if row[2] == "mine" {
			path = []string{"data", "a"}
		}
		if got := w.fieldNow(row[0], row[1], row[2], path...); got != want {
			t.Errorf("%s %s has %s at %v, want %s", row[1], row[2], got, path, want)
		}
	}
	if w.live("v1", "ConfigMap", "volatile") != nil {
		t.Error("an object whose absence is ignored was made again")
	}

	w.write("web", compare()) // nothing is left to others any more but what an autoscaler has
	w.field("apps/v1", "Deployment", "web", "3", replicas...)
	w.field("v1", "ConfigMap", "mine", "1", "data", "a")
	w.field("v1", "ConfigMap", "volatile", "1", "data", "a")
	w.healthy("web")
	if got := w.fieldNow("apps/v1", "Deployment", "scaled", replicas...); got != "4" {
		t.Errorf("the autoscaler's replicas were put back to %s", got)
	}
	w.noDeletes()
}

func helm(options fleet.HelmOptions) func(*fleet.BundleDeployment) {
	return func(bd *fleet.BundleDeployment) { bd.Spec.Options.Helm = &options }
}

func TestWhatCannotBeChangedInPlaceIsMadeAnewWhereAsked(t *testing.T) {
	w := newWorld(t)
	w.startAgent()
	job := func(image string) string {
		return "\n---\napiVersion: batch/v1\nkind: Job\nmetadata: {name: once}\nspec: {template: {spec: {restartPolicy: Never, containers: [{name: c, image: " + image + "}]}}}\n"
	}
	claim := func(class string) string {
		return "\n---\napiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {name: claim}\nspec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}, storageClassName: " + class + "}\n"
	}
	w.deploy("web", configMap("settings", "a: wanted")+job("a")+claim("one"), correctDrift)
	w.eventually("the first revision is applied", func() string {
		return want(w.live("batch/v1", "Job", "once") != nil && w.live("v1", "PersistentVolumeClaim", "claim") != nil)
	})
	before := w.live("batch/v1", "Job", "once").GetUID()
	holds := w.live("v1", "PersistentVolumeClaim", "claim").GetUID()

	w.deploy("web", configMap("settings", "a: wanted")+job("b")+claim("two"), helm(fleet.HelmOptions{Force: true}))
	w.reads("web", fleet.HealthFailed, "PersistentVolumeClaim "+w.app+"/claim: spec (Forbidden: spec is immutable after creation")
	w.reads("web", fleet.HealthFailed, "it is never re-created")
	if now := w.live("batch/v1", "Job", "once"); now == nil || now.GetUID() == before {
		t.Error("helm.force did not re-create the Job")
	}
	if w.live("v1", "PersistentVolumeClaim", "claim").GetUID() != holds {
		t.Fatal("a claim was re-created")
	}

	w.deploy("web", configMap("settings", "a: wanted"), helm(fleet.HelmOptions{}))
	w.healthy("web")
	settings := w.live("v1", "ConfigMap", "settings").GetUID()
	w.kubectl("", "patch", "configmap", "settings", "-p", `{"data":{"a":"fixed"},"immutable":true}`)
	w.reads("web", fleet.HealthDrifted, "cannot be put back: ConfigMap "+w.app+"/settings: data (Forbidden: field is immutable when `immutable` is set) cannot be changed in place; set correctDrift.force")
	w.write("web", func(bd *fleet.BundleDeployment) {
		bd.Spec.CorrectDrift = &fleet.CorrectDrift{Enabled: true, Force: true, KeepFailHistory: true}
	})
	w.field("v1", "ConfigMap", "settings", "wanted", "data", "a")
	w.healthy("web")
	if w.live("v1", "ConfigMap", "settings").GetUID() == settings {
		t.Error("it was not re-created")
	}
}

func TestForceSyncGenerationDeploysAgain(t *testing.T) {
	w := newWorld(t)
	w.startAgent()
	w.tenant("blind", rule("", "configmaps", "get", "create", "patch", "delete"), rule("", "namespaces", "get", "create"))
	blind := func(bd *fleet.BundleDeployment) { bd.Spec.Options.ServiceAccount = "blind" }
	w.deploy("web", configMap("one", `a: "1"`)+configMap("two", `a: "1"`), blind)
	w.healthy("web")
	w.kubectl("", "patch", "configmap", "one", "-p", `{"data":{"a":"2"}}`) // its account may not watch, so nobody sees
	w.kubectl("", "delete", "configmap", "two")
	w.write("web", func(bd *fleet.BundleDeployment) {
		bd.Spec.Options.ForceSyncGeneration, bd.Spec.DeploymentID = 7, bd.Spec.DeploymentID+"-7"
	})
	w.field("v1", "ConfigMap", "one", "1", "data", "a")
	w.field("v1", "ConfigMap", "two", "1", "data", "a")
	bd := w.healthy("web")
	if bd.Status.SyncGeneration == nil || *bd.Status.SyncGeneration != 7 {
		t.Errorf("syncGeneration is %v", bd.Status.SyncGeneration)
	}
	w.kubectl("", "delete", "configmap", "two")
	w.stopAgent()
	w.startAgent()
	w.write("web", correctDrift) // not a word about doing it all again
	w.eventually("the order is observed", func() string {
		bd := w.bd("web")
		return want(bd.Status.ObservedSequence == bd.Spec.Sequence)
	})
	if w.live("v1", "ConfigMap", "two") != nil {
		t.Error("what was carried out was carried out again")
	}
}

func TestIgnoredConditionsDoNotCount(t *testing.T) {
	w := newWorldAlone(t)
	w.startAgent()
	w.deploy("web", definition+thing)
	w.healthy("web")
	w.kubectl("", "patch", "things."+w.app+".example.com", "thing", "--type=merge", "-p",
		`{"status":{"conditions":[{"type":"Ready","status":"False","reason":"Never","message":"m"},{"type":"Stalled","status":"True","reason":"Old"}]}}`)
	w.reads("web", fleet.HealthFailed, "thing."+w.app+".example.com "+w.app+"/thing")
	ignore := func(conditions ...map[string]string) func(*fleet.BundleDeployment) {
		return func(bd *fleet.BundleDeployment) {
			bd.Spec.Options.IgnoreOptions = &fleet.IgnoreOptions{Conditions: conditions}
		}
	}
	w.write("web", ignore(map[string]string{"type": "Stalled", "reason": "Old"}))
	w.reads("web", fleet.HealthProgressing, "thing."+w.app+".example.com "+w.app+"/thing [progressing]")
	w.write("web", ignore(map[string]string{"type": "Stalled", "reason": "Old"}, map[string]string{"type": "Ready", "status": "False", "reason": "Never"}))
	w.healthy("web")
}

// Helm's fields become ours with an adoption, so a field that is left to others must not be left to Helm: it would be gone.
func TestWhatHelmHadIsNotLeftToIt(t *testing.T) {
	w := newWorld(t)
	w.startAgent()
	w.kubectl("", "create", "namespace", w.app)
	w.kubectl(strings.Replace(strings.SplitN(web, "---", 2)[0], "replicas: 3", "replicas: 2", 1), "create", "--field-manager=helm", "-f", "-")
	w.deploy("web", web, compare(fleet.ComparePatch{APIVersion: "apps/v1", Kind: "Deployment", JsonPointers: []string{"/spec/replicas"}}))
	w.healthy("web")
	if got := w.fieldNow("apps/v1", "Deployment", "web", "spec", "replicas"); got != "3" {
		t.Errorf("replicas is %s", got)
	}
}
