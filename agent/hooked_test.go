package agent_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	fleet "flotilla.io/flotilla/api/v1alpha1"
)

// job is a hook that ends by itself; more goes into its spec.
func job(name, events, annotations, more string) string {
	return fmt.Sprintf(`
---
apiVersion: batch/v1
kind: Job
metadata:
  name: %s
  namespace: $NS
  annotations: {helm.sh/hook: %q%s}
spec:
  backoffLimit: 0
  %s
  template:
    spec:
      restartPolicy: Never
      %s
      containers: [{name: a, image: a}]
`, name, events, annotations, more, map[bool]string{true: "nodeSelector: {none: such}"}[strings.Contains(more, "activeDeadline")])
}

// hookMap is a hook that is over once it is there.
func hookMap(name, events, annotations string) string {
	return fmt.Sprintf("\n---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: %s, namespace: $NS, annotations: {helm.sh/hook: %q%s}}\n", name, events, annotations)
}

// steps lists what the agent created, changed and deleted in the test's namespace since a moment, each once in a row.
func (w *world) steps(since time.Time) []string {
	w.Helper()
	var list []string
	for _, r := range writes(w.requests(theEdge, since)) {
		step := r.Verb + " " + r.ObjectRef.Name
		if r.ObjectRef.Namespace != w.app || r.ObjectRef.Resource == "namespaces" {
			continue
		}
		if len(list) == 0 || list[len(list)-1] != step {
			list = append(list, step)
		}
	}
	return list
}

func (w *world) job(name string) *batchv1.Job {
	w.Helper()
	j := &batchv1.Job{}
	if err := w.edge.Get(w.ctx, client.ObjectKey{Namespace: w.app, Name: name}, j); err != nil {
		w.must(client.IgnoreNotFound(err))
		return nil
	}
	return j
}

// A life of a bundle with hooks: installed, upgraded, drifted, restarted, and taken away.
func TestHooksRunInTheirOrderOncePerRevision(t *testing.T) {
	w := newWorld(t)
	w.startAgent()
	hooks := job("last", "post-install,post-upgrade", ", helm.sh/hook-weight: '5'", "") +
		job("migrate", "pre-install, pre-upgrade", ", helm.sh/hook-weight: '1'", "ttlSecondsAfterFinished: 0") +
		hookMap("seed", "pre-install", ", helm.sh/hook-weight: '-3', helm.sh/hook-delete-policy: hook-succeeded") +
		hookMap("leaving", "pre-delete", "") + hookMap("left", "post-delete", "")
	heal := func(bd *fleet.BundleDeployment) { bd.Spec.CorrectDrift = &fleet.CorrectDrift{Enabled: true} }
	w.deploy("web", configMap("app", `v: "1"`)+hooks, heal)
	bd := w.healthy("web")
	want := []string{"create seed", "create migrate", "delete seed", "patch app", "create last"}
	if got := w.steps(w.began); !slices.Equal(got, want) {
		t.Errorf("an install went %q, want %q", got, want)
	}
	if len(bd.Status.Resources) != 1 || bd.Status.ResourceCounts.Ready != 1 {
		t.Errorf("hooks are counted: %v", bd.Status.ResourceCounts)
	}
	first := w.job("migrate")

	t.Run("an upgrade runs those of an upgrade", func(t *testing.T) {
		since := time.Now()
		w.deploy("web", configMap("app", `v: "2"`)+hooks)
		w.healthy("web")
		want := []string{"delete migrate", "create migrate", "patch app", "delete last", "create last"}
		if got := w.steps(since); !slices.Equal(got, want) {
			t.Errorf("an upgrade went %q, want %q", got, want)
		}
		if w.job("migrate").UID == first.UID {
			t.Error("the hook did not run again")
		}
	})
	t.Run("drift, a restart and another order of the same revision run none", func(t *testing.T) {
		since := time.Now()
		w.must(w.edge.Delete(w.ctx, w.live("v1", "ConfigMap", "app")))
		w.eventually("it is put back", func() string {
			if w.live("v1", "ConfigMap", "app") == nil {
				return "it is not there"
			}
			return ""
		})
		w.stopAgent()
		w.write("web")
		w.startAgent()
		w.healthy("web")
		for _, step := range w.steps(since) {
			if step != "patch app" && step != "create app" {
				t.Errorf("there was: %s", step)
			}
		}
	})
	t.Run("those of a deletion run before and after it", func(t *testing.T) {
		since := time.Now()
		w.stopAgent()
		w.write("web", func(bd *fleet.BundleDeployment) {
			bd.Spec.Deletion = &fleet.Deletion{Reason: "BundleRemoved", Policy: fleet.DeletionPolicyDelete}
		})
		w.startAgent()
		w.eventually("it is taken away", func() string {
			return map[bool]string{false: w.bd("web").Status.Deletion + "."}[w.bd("web").Status.Deletion == "done"]
		})
		want := []string{"create leaving", "delete app", "create left"}
		if got := w.steps(since); !slices.Equal(got, want) {
			t.Errorf("a deletion went %q, want %q", got, want)
		}
	})
}

func TestAHookThatFailsKeepsWhatRuns(t *testing.T) {
	w := newWorld(t)
	w.startAgent()
	w.deploy("web", configMap("app", `v: "1"`)+configMap("gone", `v: "1"`))
	w.healthy("web")
	fails := job("migrate", "pre-upgrade", ", helm.sh/hook-delete-policy: 'before-hook-creation,hook-failed'", "activeDeadlineSeconds: 1")
	w.deploy("web", configMap("app", `v: "2"`)+fails)
	bd := w.reads("web", fleet.HealthFailed, "hook pre-upgrade Job.batch "+w.app+"/migrate failed: DeadlineExceeded: ")
	if v := w.live("v1", "ConfigMap", "app").Object["data"].(map[string]any)["v"]; v != "1" || w.live("v1", "ConfigMap", "gone") == nil {
		t.Errorf("the revision before does not stay: %v", v)
	}
	if bd.Status.AppliedDeploymentID == bd.Spec.DeploymentID {
		t.Error("the revision counts as applied")
	}
	w.eventually("its policy deletes it", func() string { return map[bool]string{true: "it is there"}[w.job("migrate") != nil] })
	w.stopAgent()
	w.startAgent()
	w.reads("web", fleet.HealthFailed, "DeadlineExceeded")
	if w.job("migrate") != nil {
		t.Error("a restart ran it again")
	}
	w.deploy("web", configMap("app", `v: "3"`)+job("migrate", "pre-upgrade", "", ""))
	w.healthy("web")
}

func TestAnAgentKilledWhileAHookRunsWaitsForIt(t *testing.T) {
	w := newWorld(t)
	w.startAgent()
	w.deploy("web", configMap("app", `v: "1"`)+job("slow", "pre-install", "", "suspend: true"))
	w.reads("web", fleet.HealthWaiting, "hook pre-install Job.batch "+w.app+"/slow runs")
	w.stopAgent()
	before := w.job("slow")
	w.startAgent()
	running := before.DeepCopy()
	running.Spec.Suspend = new(bool)
	w.must(w.edge.Patch(w.ctx, running, client.MergeFrom(before)))
	w.healthy("web")
	if w.job("slow").UID != before.UID {
		t.Error("it ran twice")
	}
}

// What hooks do, they do as the tenant; and nothing that is no hook of the bundle makes room for one.
func TestHooksActAsTheTenantAndTouchNothingElse(t *testing.T) {
	w := newWorld(t)
	w.startAgent()
	w.tenant("small", rule("", "configmaps", "*"), rule("", "namespaces", "get", "create", "patch"))
	as := func(bd *fleet.BundleDeployment) { bd.Spec.Options.ServiceAccount = "small" }
	w.deploy("web", configMap("app", `v: "1"`)+job("migrate", "pre-install", "", ""), as)
	w.reads("web", fleet.HealthFailed, "give the bundle's service account the right")
	if w.job("migrate") != nil || w.live("v1", "ConfigMap", "app") != nil {
		t.Error("the tenant got more than its rights")
	}
	w.kubectl("", "create", "configmap", "taken")
	w.deploy("other", configMap("fine", `v: "1"`)+hookMap("taken", "pre-install", ""))
	w.reads("other", fleet.HealthFailed, "hook pre-install ConfigMap "+w.app+"/taken: an object of that name is there and is no hook of this bundle")
	w.kubectl("", "annotate", "configmap", "taken", "helm.sh/hook=pre-install")
	w.healthy("other")
}

// A bundle that Helm or Fleet installed is upgraded, not installed.
func TestWhatHelmInstalledIsNotInstalledAgain(t *testing.T) {
	w := newWorld(t)
	w.tenant("maker", rbacv1.PolicyRule{APIGroups: []string{""}, Resources: []string{"configmaps"}, Verbs: []string{"*"}})
	w.kubectl("", "create", "namespace", w.app)
	w.kubectl("", "create", "configmap", "app")
	w.kubectl("", "annotate", "configmap", "app", "meta.helm.sh/release-name=web", "meta.helm.sh/release-namespace="+w.app)
	w.kubectl("", "label", "configmap", "app", "app.kubernetes.io/managed-by=Helm")
	w.startAgent()
	w.deploy("web", configMap("app", `v: "1"`)+job("init", "pre-install", "", "")+hookMap("up", "post-upgrade", ""),
		func(bd *fleet.BundleDeployment) { bd.Spec.Options.Helm = &fleet.HelmOptions{TakeOwnership: true} })
	w.healthy("web")
	if w.job("init") != nil || w.live("v1", "ConfigMap", "up") == nil {
		t.Error("the hooks of an install ran")
	}
}

func TestAHookThatNeverEndsFailsInTime(t *testing.T) {
	w := newWorld(t)
	w.startAgent()
	w.deploy("web", configMap("app", `v: "1"`))
	w.healthy("web")
	stuck := job("stuck", "pre-upgrade", "", "suspend: true") + hookMap("later", "pre-upgrade", ", helm.sh/hook-weight: '1'")
	w.deploy("web", configMap("app", `v: "2"`)+stuck, helm(fleet.HelmOptions{TimeoutSeconds: 2}))
	failed := "hook pre-upgrade Job.batch " + w.app + "/stuck failed: it did not end within 2s; `kubectl -n " + w.app + " logs job/stuck` shows"
	w.reads("web", fleet.HealthFailed, failed)
	before := w.job("stuck")
	if w.live("v1", "ConfigMap", "later") != nil || w.fieldNow("v1", "ConfigMap", "app", "data", "v") != "1" {
		t.Error("something of the revision was done after its hook failed")
	}
	w.deploy("web", configMap("app", `v: "3"`)+stuck, helm(fleet.HelmOptions{TimeoutSeconds: 2, Atomic: true}))
	w.reads("web", fleet.HealthFailed, "was given up: "+failed)
	if now := w.job("stuck"); now.UID == before.UID || w.fieldNow("v1", "ConfigMap", "app", "data", "v") != "1" {
		t.Error("an atomic revision did not begin, or was applied in part")
	}
	w.deploy("web", configMap("app", `v: "4"`)+strings.Replace(stuck, "suspend: true", "", 1), helm(fleet.HelmOptions{}))
	w.healthy("web")
	if w.live("v1", "ConfigMap", "later") == nil || w.fieldNow("v1", "ConfigMap", "app", "data", "v") != "4" {
		t.Error("the next revision did not get going")
	}
}

// With helm.timeoutSeconds, hooks that come after wait for what is applied; and while they run, no revision is late.
func TestHooksAfterWaitUntilAllIsReady(t *testing.T) {
	w := newWorld(t)
	w.startAgent()
	gated := strings.Replace(strings.SplitN(web, "---", 2)[0], "      containers:", "      nodeSelector: {gate: "+w.app+"}\n      containers:", 1)
	w.deploy("web", gated+hookMap("after", "post-install", "")+job("last", "post-install", ", helm.sh/hook-weight: '1'", "suspend: true"),
		helm(fleet.HelmOptions{TimeoutSeconds: 600}))
	w.reads("web", fleet.HealthWaiting, "hooks at post-install wait until Deployment.apps "+w.app+"/web is ready")
	if w.live("v1", "ConfigMap", "after") != nil {
		t.Error("a hook did not wait")
	}
	w.kubectl("", "label", "nodes", "--all", "gate="+w.app, "--overwrite")
	w.reads("web", fleet.HealthWaiting, "hook post-install Job.batch "+w.app+"/last runs")
	if w.live("v1", "ConfigMap", "after") == nil {
		t.Error("the first hook was passed over")
	}
	before := w.job("last")
	running := before.DeepCopy()
	running.Spec.Suspend = new(bool)
	w.must(w.edge.Patch(w.ctx, running, client.MergeFrom(before)))
	w.healthy("web")
}
