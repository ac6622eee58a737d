package agent_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	apiwatch "k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	fleet "flotilla.io/flotilla/api/v1alpha1"
)

// onceJob is a Job that ends by itself, unless more says otherwise.
func onceJob(labels, more string) string {
	return "\n---\napiVersion: batch/v1\nkind: Job\nmetadata: {name: once, labels: {" + labels + "}}\nspec: {" + more +
		"template: {spec: {restartPolicy: Never, containers: [{name: c, image: a}]}}}\n"
}

// made counts the objects of a kind that were ever made in the test's namespace from now on.
func (w *world) made(apiVersion, kind string) func() int {
	w.Helper()
	c, err := client.NewWithWatch(config(theEdge), client.Options{Scheme: scheme})
	w.must(err)
	list := &unstructured.UnstructuredList{}
	list.SetAPIVersion(apiVersion)
	list.SetKind(kind + "List")
	w.must(c.List(w.ctx, list, client.InNamespace(w.app)))
	from := list.GetResourceVersion()
	return func() int {
		w.Helper()
		// A watch from before brings all that happened since; the last of it is a mark of our own.
		watch, err := c.Watch(w.ctx, list, client.InNamespace(w.app), &client.ListOptions{Raw: &metav1.ListOptions{ResourceVersion: from}})
		w.must(err)
		defer watch.Stop()
		mark := &unstructured.Unstructured{Object: map[string]any{"spec": map[string]any{}}}
		if kind == "Job" {
			mark = w.objects(strings.Replace(onceJob("", "suspend: true, "), "\n---\n", "", 1))[0]
		}
		mark.SetAPIVersion(apiVersion)
		mark.SetKind(kind)
		mark.SetNamespace(w.app)
		mark.SetName("")
		mark.SetGenerateName("mark-")
		w.must(c.Create(w.ctx, mark))
		seen := map[string]bool{}
		for event := range watch.ResultChan() {
			u, ok := event.Object.(*unstructured.Unstructured)
			switch {
			case !ok:
				w.Fatalf("watching: %v", event.Object)
			case u.GetName() == mark.GetName():
				w.must(c.Delete(w.ctx, mark))
				return len(seen)
			case event.Type == apiwatch.Added && !strings.HasPrefix(u.GetName(), "mark-"):
				seen[string(u.GetUID())] = true
			}
		}
		w.Fatal("the watch ended")
		return 0
	}
}

// result waits until the hub is told how the objects of a deployment that are applied once ended.
func (w *world) result(name string, want fleet.OnceResult) {
	w.Helper()
	w.eventually(fmt.Sprintf("the result is %q", want), func() string {
		list := w.bd(name).Status.Once
		if len(list) != 1 || list[0].Result != want {
			return fmt.Sprintf("%+v", list)
		}
		return ""
	})
}

// forgets takes from a stopped agent all that it remembers of bundles.
func (w *world) forgets() {
	w.Helper()
	for _, kind := range []string{"record", "inventory", "layer"} {
		w.must(w.edge.DeleteAllOf(w.ctx, &corev1.Secret{}, client.InNamespace(w.own), client.MatchingLabels{"flotilla.io/agent": kind}))
	}
}

// A Job through all that makes other objects come back. Each step ends with a revision that brings another ConfigMap, so that it
// is known that the agent has looked at everything.
func TestAJobRunsAgainOnlyWhenItsSpecChanges(t *testing.T) {
	w := newWorld(t)
	w.startAgent()
	w.deploy("web", configMap("app", `v: "0"`), correctDrift)
	w.healthy("web")
	made, version := w.made("batch/v1", "Job"), 0
	push := func(job string) {
		t.Helper()
		version++
		w.deploy("web", configMap("app", fmt.Sprintf(`v: "%d"`, version))+job, correctDrift)
		w.healthy("web")
	}
	is := func(rule string, want int) {
		t.Helper()
		if got := made(); got != want {
			t.Errorf("%s: %d Jobs were made, want %d", rule, got, want)
		}
	}
	push(onceJob("a: b", ""))
	w.result("web", fleet.OnceComplete)
	is("a push runs it", 1)

	w.kubectl("", "delete", "job", "once")
	push(onceJob("a: b", ""))
	is("deleted by hand, another revision of the rest", 1)
	push(onceJob("a: c", ""))
	is("another label", 1)
	w.write("web", func(bd *fleet.BundleDeployment) { bd.Spec.Options.ForceSyncGeneration++ })
	w.eventually("all is applied again", func() string {
		g := w.bd("web").Status.SyncGeneration
		return want(g != nil && *g == 1)
	})
	is("all applied again", 1)
	w.stopAgent()
	w.startAgent()
	push(onceJob("a: c", ""))
	is("a restart", 1)
	w.stopAgent()
	w.forgets()
	w.startAgent()
	push(onceJob("a: c", ""))
	is("a lost memory", 1)
	w.result("web", fleet.OnceComplete)

	push(onceJob("a: c", "backoffLimit: 1, "))
	w.result("web", fleet.OnceComplete)
	is("another spec, while it is gone", 2)
	before := w.job("once").UID
	push(onceJob("a: c", "backoffLimit: 2, "))
	w.eventually("it is another", func() string { j := w.job("once"); return want(j != nil && j.UID != before) })
	is("another spec, while it is there", 3)
	w.result("web", fleet.OnceComplete)
	w.stopAgent()
	w.forgets()
	w.startAgent()
	push(onceJob("a: d", "backoffLimit: 2, "))
	if labels := w.job("once").Labels; labels["a"] != "d" {
		t.Errorf("its labels are %v", labels)
	}
	is("a lost memory, while it is there", 3)
	before = w.job("once").UID
	w.deploy("web", onceJob("a: d", "backoffLimit: -1, "))
	w.reads("web", fleet.HealthFailed, "Job.batch "+w.app+"/once is invalid: spec.backoffLimit")
	if j := w.job("once"); j == nil || j.UID != before {
		t.Error("a spec that is not valid took away the Job that is there")
	}
	push("")
	w.eventually("it is pruned", func() string { return want(w.job("once") == nil) })
	push(onceJob("a: d", "backoffLimit: 2, "))
	is("taken out of the bundle and put back", 4)
}

func TestAJobThatGoesBeforeItsEndIsReported(t *testing.T) {
	w := newWorld(t)
	w.startAgent()
	w.deploy("web", onceJob("", "suspend: true, "), correctDrift)
	w.reads("web", fleet.HealthProgressing, "Job not started")
	made := w.made("batch/v1", "Job")
	w.deploy("ttl", strings.ReplaceAll(onceJob("", "suspend: true, ttlSecondsAfterFinished: 1, "), "once", "ttl"), correctDrift)
	w.reads("ttl", fleet.HealthProgressing, "Job not started")
	w.kubectl("", "delete", "job", "once", "ttl")
	w.reads("web", fleet.HealthDrifted, "job.batch "+w.app+"/once missing; its end was not seen, and it is not made again by itself")
	w.result("web", fleet.OnceGone)
	w.result("ttl", fleet.OnceExpired)
	w.healthy("ttl")
	w.stopAgent()
	w.startAgent()
	w.deploy("ttl", strings.ReplaceAll(onceJob("a: b", "suspend: true, ttlSecondsAfterFinished: 1, "), "once", "ttl"), correctDrift)
	w.healthy("ttl")
	w.reads("web", fleet.HealthDrifted, "job.batch "+w.app+"/once missing")
	if got := made(); got != 1 {
		t.Errorf("%d Jobs were made, want the one of ttl", got)
	}
	w.deploy("web", strings.Replace(onceJob("", "activeDeadlineSeconds: 1, "), "{spec: {restart", "{spec: {nodeSelector: {no: where}, restart", 1))
	w.result("web", fleet.OnceFailed)
	w.kubectl("", "delete", "job", "once")
	w.reads("web", fleet.HealthFailed, "job.batch "+w.app+"/once error]")
}

// velero are the kinds of Velero that are applied once, without what makes them work.
func (w *world) velero() {
	w.Helper()
	for _, kind := range []string{"Restore", "Backup"} {
		plural := strings.ToLower(kind) + "s"
		w.must(makeAll(w.ctx, w.edge, w.objects(fmt.Sprintf(`
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: %s.velero.io}
spec:
  group: velero.io
  scope: Namespaced
  names: {kind: %s, listKind: %sList, plural: %s, singular: %s}
  versions:
  - name: v1
    served: true
    storage: true
    schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}
`, plural, kind, kind, plural, strings.ToLower(kind)))[0]))
	}
	w.eventually("the kinds are served", func() string {
		u := &unstructured.UnstructuredList{}
		u.SetAPIVersion("velero.io/v1")
		u.SetKind("RestoreList")
		if err := w.edge.List(w.ctx, u); err != nil {
			return err.Error()
		}
		u.SetKind("BackupList")
		if err := w.edge.List(w.ctx, u); err != nil {
			return err.Error()
		}
		return ""
	})
}

func ofVelero(kind, spec string) string {
	return "\n---\napiVersion: velero.io/v1\nkind: " + kind + "\nmetadata: {name: " + strings.ToLower(kind) + "}\nspec: {" + spec + "}\n"
}

// phase is what Velero's server writes.
func (w *world) phase(kind, phase string) {
	w.Helper()
	w.kubectl("", "patch", kind, kind, "--type=merge", "-p", `{"status":{"phase":"`+phase+`"}}`)
}

func TestARestoreAndABackupRunOnce(t *testing.T) {
	w := newWorldAlone(t)
	w.velero()
	w.startAgent()
	w.deploy("ns", configMap("app", `v: "0"`))
	w.healthy("ns")
	restores, backups := w.made("velero.io/v1", "Restore"), w.made("velero.io/v1", "Backup")
	w.deploy("dr", ofVelero("Restore", "backupName: a"))
	w.eventually("it is made", func() string { return want(w.live("velero.io/v1", "Restore", "restore") != nil) })
	w.deploy("dr", ofVelero("Restore", "backupName: b"))
	w.reads("dr", fleet.HealthWaiting, "Restore.velero.io "+w.app+"/restore has a new spec, and is made anew once it is over with the old one")
	if got := restores(); got != 1 {
		t.Fatalf("%d Restores were made while the first one works", got)
	}
	w.phase("restore", "Completed")
	w.result("dr", "")
	w.eventually("it is made anew", func() string {
		return want(w.fieldNow("velero.io/v1", "Restore", "restore", "spec", "backupName") == "b")
	})
	w.phase("restore", "PartiallyFailed")
	w.result("dr", fleet.OnceFailed)
	w.reads("dr", fleet.HealthFailed, "")
	w.kubectl("", "delete", "restore", "restore")
	w.stopAgent()
	w.forgets()
	w.startAgent()
	w.deploy("dr", configMap("more", `v: "0"`)+ofVelero("Restore", "backupName: b"))
	w.eventually("the rest is applied", func() string { return want(w.live("v1", "ConfigMap", "more") != nil) })
	w.reads("dr", fleet.HealthFailed, "restore.velero.io "+w.app+"/restore error]")
	if got := restores(); got != 2 {
		t.Errorf("%d Restores were made, want 2", got)
	}

	w.deploy("backup", ofVelero("Backup", "ttl: 1h"))
	w.eventually("it is made", func() string { return want(w.live("velero.io/v1", "Backup", "backup") != nil) })
	w.phase("backup", "Completed")
	w.result("backup", fleet.OnceComplete)
	refused := "Backup.velero.io " + w.app + "/backup: its spec changed, but Velero keeps a backup by its name"
	w.deploy("backup", ofVelero("Backup", "ttl: 2h"))
	w.reads("backup", fleet.HealthFailed, refused)
	w.kubectl("", "delete", "backup", "backup")
	w.deploy("backup", configMap("beside", `v: "0"`)+ofVelero("Backup", "ttl: 2h"))
	w.eventually("the rest is applied", func() string { return want(w.live("v1", "ConfigMap", "beside") != nil) })
	w.reads("backup", fleet.HealthFailed, refused)
	w.deploy("backup", configMap("beside", `v: "1"`)+ofVelero("Backup", "ttl: 1h"))
	w.healthy("backup")
	if got := backups(); got != 1 {
		t.Errorf("%d Backups were made, want 1", got)
	}
}

// The agent is cut off for good after its n-th write, for each n until it gets through, and the Restore is deleted if it was made:
// whatever a new agent makes of it, no second one is made.
func TestAKilledAgentMakesNoSecondRestore(t *testing.T) {
	w := newWorldAlone(t)
	w.velero()
	w.startAgent()
	w.deploy("ns", configMap("app", `v: "0"`))
	w.healthy("ns")
	w.stopAgent()
	doubts := 0
	for n := int64(0); ; n++ {
		name := fmt.Sprintf("dr-%d", n)
		restore := strings.ReplaceAll(ofVelero("Restore", "backupName: a"), "name: restore", "name: "+name)
		made := w.made("velero.io/v1", "Restore")
		cut := &cutter{}
		cut.left.Store(n)
		w.proxy = func(c *rest.Config) {
			c.Wrap(func(next http.RoundTripper) http.RoundTripper { return &sharedCut{cut, next} })
		}
		w.deploy(name, restore)
		w.startAgent()
		through := false
		for deadline := time.Now().Add(patience); !cut.dead.Load() && !through && time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
			bd := w.bd(name)
			through = bd.Status.AppliedDeploymentID == bd.Spec.DeploymentID && len(bd.Status.Once) == 1
		}
		w.stopAgent()
		first := w.live("velero.io/v1", "Restore", name)
		if first != nil {
			w.kubectl("", "delete", "restore", name)
		}
		w.proxy = nil
		w.startAgent()
		w.eventually("the new agent has carried out the order", func() string {
			bd := w.bd(name)
			return want(bd.Status.AppliedDeploymentID == bd.Spec.DeploymentID && len(bd.Status.Once) == 1)
		})
		if got := made(); got > 1 || first != nil && w.live("velero.io/v1", "Restore", name) != nil {
			t.Errorf("after %d writes: %d Restores were made", n, got)
		} else if got == 0 {
			doubts++
			w.reads(name, fleet.HealthDrifted, "its end was not seen, and it is not made again by itself")
		}
		w.stopAgent()
		if through {
			if n < 4 {
				t.Errorf("it got through after %d writes; are they counted?", n)
			}
			break
		}
		if n > 30 {
			t.Fatal("it never got through")
		}
	}
	if doubts > 1 {
		t.Errorf("%d of the places to be killed at leave open whether it was made, want just the one before it is", doubts)
	}
}
