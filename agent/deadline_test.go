package agent_test

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	fleet "flotilla.io/flotilla/api/v1alpha1"
)

// never is the Deployment web with more than any node has.
var never = strings.Replace(web, "image: web:1", "image: web:2\n        resources: {requests: {cpu: 100000}}", 1)

func (w *world) image() string {
	w.Helper()
	containers := w.live("apps/v1", "Deployment", "web").Object["spec"].(map[string]any)["template"].(map[string]any)["spec"].(map[string]any)["containers"]
	return containers.([]any)[0].(map[string]any)["image"].(string)
}

func TestARevisionThatIsNotReadyInTimeFails(t *testing.T) {
	w := newWorld(t)
	w.startAgent()
	w.deploy("web", never, helm(fleet.HelmOptions{TimeoutSeconds: 2, Atomic: true})) // nothing to go back to
	w.reads("web", fleet.HealthFailed, "not ready within 2s: deployment.apps "+w.app+"/web [progressing]")
	if w.image() != "web:2" {
		t.Error("a first revision was taken away")
	}
	good := w.deploy("web", web, helm(fleet.HelmOptions{TimeoutSeconds: 60}))
	w.healthy("web")

	w.deploy("web", never+configMap("more", ""), helm(fleet.HelmOptions{TimeoutSeconds: 2}))
	bd := w.reads("web", fleet.HealthFailed, "not ready within 2s: deployment.apps "+w.app+"/web [progressing]")
	if w.image() != "web:2" || bd.Status.AppliedDeploymentID != bd.Spec.DeploymentID {
		t.Error("a revision that is not atomic was given up")
	}

	w.deploy("web", web, helm(fleet.HelmOptions{}))
	w.healthy("web")
	bad := w.deploy("web", never+configMap("more", ""), helm(fleet.HelmOptions{TimeoutSeconds: 2, Atomic: true}))
	given := "was given up: not ready within 2s: deployment.apps " + w.app + "/web [progressing]"
	back := "the one before was applied again, as helm.atomic asks; revision s-l-"
	w.reads("web", fleet.HealthFailed, given)
	w.eventually("the revision before is back", func() string {
		bd = w.bd("web")
		return want(w.image() == "web:1" && w.live("v1", "ConfigMap", "more") == nil && bd.Status.AppliedDeploymentID == good.Spec.DeploymentID)
	})
	w.reads("web", fleet.HealthFailed, back)

	w.stopAgent()
	w.startAgent()
	w.write("web", correctDrift) // the same revision
	w.reads("web", fleet.HealthFailed, back)
	w.kubectl("", "scale", "deployment", "web", "--replicas=5")
	w.field("apps/v1", "Deployment", "web", "3", "spec", "replicas") // what was applied again is kept so
	if bd := w.bd("web"); w.image() != "web:1" || bd.Spec.DeploymentID != bad.Spec.DeploymentID {
		t.Error("the revision that was given up was tried again")
	}
	w.deploy("web", strings.Replace(web, "web:1", "web:3", 1), helm(fleet.HelmOptions{})) // as much time as this machine needs
	w.healthy("web")
	if w.image() != "web:3" {
		t.Error("the next order was not carried out")
	}
}

func TestWaitForJobsWaitsForThem(t *testing.T) {
	w := newWorld(t)
	w.startAgent()
	job := "\n---\napiVersion: batch/v1\nkind: Job\nmetadata: {name: once}\nspec: {template: {spec: {nodeSelector: {no: where}, restartPolicy: Never, containers: [{name: c, image: a}]}}}\n"
	w.deploy("web", job)
	w.healthy("web")
	w.write("web", helm(fleet.HelmOptions{WaitForJobs: true}), func(bd *fleet.BundleDeployment) { bd.Spec.DeploymentID += "-2" })
	w.reads("web", fleet.HealthProgressing, "job.batch "+w.app+"/once [progressing] is not complete")
	w.write("web", helm(fleet.HelmOptions{WaitForJobs: true, TimeoutSeconds: 1}), func(bd *fleet.BundleDeployment) { bd.Spec.DeploymentID += "-3" })
	w.reads("web", fleet.HealthFailed, "not ready within 1s: job.batch "+w.app+"/once [progressing] is not complete")
}

// Values that come from the cluster are part of what a revision is: if it is not ready with new ones, it goes on with the old.
func TestValuesThatMakeAnAtomicRevisionFailAreGivenUp(t *testing.T) {
	w := newWorld(t)
	w.kubectl("", "create", "namespace", w.app)
	w.put(&corev1.ConfigMap{}, "sizes", "values.yaml", "cpu: 10m\nv: one\n")
	w.startAgent()
	text := strings.Replace(strings.SplitN(web, "---", 2)[0], "image: web:1", "image: 'web:{{ .Values.v }}'\n        resources: {requests: {cpu: '{{ .Values.cpu }}'}}", 1)
	w.chart("web", map[string]string{"a.yaml": text}, helm(fleet.HelmOptions{Atomic: true, TimeoutSeconds: 20, ValuesFrom: []fleet.ValuesFrom{
		{ConfigMapKeyRef: &fleet.ConfigMapKeySelector{LocalObjectReference: fleet.LocalObjectReference{Name: "sizes"}}},
	}}))
	w.healthy("web")

	w.put(&corev1.ConfigMap{}, "sizes", "values.yaml", "cpu: 100000\nv: two\n")
	back := "the changed values of helm.valuesFrom were given up: not ready within 20s: deployment.apps " + w.app +
		"/web [progressing]"
	w.reads("web", fleet.HealthFailed, back)
	w.eventually("what was rendered before is back", func() string { return want(w.image() == "web:one") })
	w.stopAgent()
	w.startAgent()
	w.write("web", correctDrift)
	w.reads("web", fleet.HealthFailed, back)
	w.kubectl("", "scale", "deployment", "web", "--replicas=5")
	w.field("apps/v1", "Deployment", "web", "3", "spec", "replicas")
	if w.image() != "web:one" {
		t.Error("the values that were given up were tried again")
	}
	w.put(&corev1.ConfigMap{}, "sizes", "values.yaml", "cpu: 10m\nv: three\n")
	w.eventually("other values are taken", func() string { return want(w.image() == "web:three") })
	w.healthy("web")
}
