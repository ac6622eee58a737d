package agent_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	fleet "flotilla.io/flotilla/api/v1alpha1"
)

const two = `
apiVersion: v1
kind: ConfigMap
metadata: {name: one, namespace: $NS}
data: {a: "1"}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: two}
data: {b: "2"}
`

func TestARevisionIsAppliedChangedAndPruned(t *testing.T) {
	w := newWorld(t)
	w.startAgent()
	w.deploy("web", two)
	bd := w.healthy("web")
	if bd.Status.AppliedDeploymentID != bd.Spec.DeploymentID || !bd.Status.Ready || !bd.Status.NonModified {
		t.Errorf("status = %+v", bd.Status)
	}
	one := w.live("v1", "ConfigMap", "one")
	if one == nil || one.GetAnnotations()[fleet.OwnerAnnotation] != w.ns+"/web" || one.GetLabels()[fleet.OwnedLabel] != "true" {
		t.Fatalf("ConfigMap one is %v", one)
	}
	w.deploy("web", `
apiVersion: v1
kind: ConfigMap
metadata: {name: one}
data: {a: "3"}
`)
	w.eventually("two is pruned", func() string {
		if w.live("v1", "ConfigMap", "two") != nil {
			return "it is still there"
		}
		return ""
	})
	w.healthy("web")
	if again := w.live("v1", "ConfigMap", "one"); again.GetUID() != one.GetUID() || again.Object["data"].(map[string]any)["a"] != "3" {
		t.Errorf("one is %v", again.Object)
	}
}

func configMap(name, data string) string {
	return "\n---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: " + name + "}\ndata: {" + data + "}\n"
}

func TestAnObjectThatMovesBetweenBundlesIsHandedOver(t *testing.T) {
	w := newWorld(t)
	w.startAgent()
	w.deploy("old", configMap("moves", `a: "1"`)+configMap("stays", `a: "1"`))
	w.deploy("other", configMap("else", `a: "1"`))
	w.healthy("old")
	before := w.live("v1", "ConfigMap", "moves").GetUID()
	// As the hub does it: who gets the object is told first.
	w.deploy("new", configMap("moves", `a: "1"`))
	w.deploy("old", configMap("stays", `a: "1"`))
	w.healthy("new")
	w.healthy("old")
	moved := w.live("v1", "ConfigMap", "moves")
	if moved == nil || moved.GetUID() != before {
		t.Fatalf("the object was not handed over, but deleted or made anew: %v", moved)
	}
	if owner := moved.GetAnnotations()[fleet.OwnerAnnotation]; owner != w.ns+"/new" {
		t.Errorf("owner is %q", owner)
	}
	w.noDeletes()
	// And the new owner may prune it.
	w.deploy("new", configMap("another", `a: "1"`))
	w.eventually("the new owner prunes it", func() string {
		if w.live("v1", "ConfigMap", "moves") != nil {
			return "it is still there"
		}
		return ""
	})
}

func TestOfTwoBundlesThatWantAnObjectTheFirstKeepsItAndBothSayWhy(t *testing.T) {
	w := newWorld(t)
	w.startAgent()
	w.deploy("first", configMap("shared", `a: "first"`))
	w.healthy("first")
	w.deploy("second", configMap("shared", `a: "second"`)+configMap("own", `a: "1"`))
	w.reads("second", fleet.HealthFailed, "ConfigMap "+w.app+"/shared belongs to bundle first already")
	if w.live("v1", "ConfigMap", "own") == nil {
		t.Error("an object that nobody else wants was held up")
	}
	w.eventually("the first names the second", func() string {
		c := fleet.Condition(w.bd("first").Status.Conditions, "Conflict")
		if c == nil || !strings.Contains(c.Message, "also wanted by bundle second") {
			return fmt.Sprint(c)
		}
		return ""
	})
	if got := w.bd("first").Status.Health; got != fleet.HealthHealthy {
		t.Errorf("the first reads %s", got)
	}
	if data := w.live("v1", "ConfigMap", "shared").Object["data"].(map[string]any); data["a"] != "first" {
		t.Errorf("the second took it: %v", data)
	}
	w.deploy("first", configMap("more", `a: "1"`)) // the first gives it up
	w.healthy("second")
	w.noDeletes()
}

const stays = `
apiVersion: v1
kind: Namespace
metadata: {name: kept-$NS}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: claim}
spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}, storageClassName: none}
---
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: things.$NS.example.com}
spec:
  group: $NS.example.com
  scope: Namespaced
  names: {kind: Thing, plural: things}
  versions:
  - {name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}}
`

const thing = "\n---\napiVersion: $NS.example.com/v1\nkind: Thing\nmetadata: {name: thing}\nspec: {a: 1}\n"

func TestWhatHoldsDataStaysWhenItLeavesTheBundle(t *testing.T) {
	w := newWorldAlone(t)
	w.startAgent()
	w.deploy("web", stays+thing)
	w.reads("web", fleet.HealthProgressing, "persistentvolumeclaim.v1 "+w.app+"/claim [progressing]") // nobody provisions here
	if w.live(w.app+".example.com/v1", "Thing", "thing") == nil {
		t.Fatal("a kind and its instance in one revision did not both come")
	}
	w.deploy("web", configMap("one", `a: "1"`))
	bd := w.healthy("web")
	want := []string{"customresourcedefinition/things." + w.app + ".example.com", "namespace/kept-" + w.app, "persistentvolumeclaim/" + w.app + "/claim"}
	if !slices.Equal(bd.Status.Kept, want) {
		t.Errorf("kept is %v, want %v", bd.Status.Kept, want)
	}
	for _, kind := range [][3]string{
		{"v1", "PersistentVolumeClaim", "claim"}, {"apiextensions.k8s.io/v1", "CustomResourceDefinition", "things." + w.app + ".example.com"},
	} {
		if u := w.live(kind[0], kind[1], kind[2]); u == nil || u.GetDeletionTimestamp() != nil {
			t.Errorf("%v is gone", kind)
		}
	}
	w.eventually("the instance was pruned", func() string {
		if w.live(w.app+".example.com/v1", "Thing", "thing") != nil {
			return "it is still there"
		}
		return ""
	})
}

func TestAnOrderToDeleteIsCarriedOutByTheRules(t *testing.T) {
	w := newWorld(t)
	w.startAgent()
	deletion := func(policy fleet.DeletionPolicy) func(*fleet.BundleDeployment) {
		return func(bd *fleet.BundleDeployment) {
			bd.Spec.Deletion = &fleet.Deletion{Revision: bd.Spec.DeploymentID, Reason: "the bundle was deleted", By: "test", Policy: policy}
		}
	}
	gone := func(name string) {
		t.Helper()
		w.eventually(name+" is taken away", func() string {
			if s := w.bd(name).Status; s.Deletion != fleet.DeletionDone || s.Health != fleet.HealthDeleting {
				return fmt.Sprintf("%q, %s", s.Deletion, s.Health)
			}
			return ""
		})
	}
	w.deploy("goes", configMap("goes", `a: "1"`))
	w.deploy("orphaned", configMap("orphaned", `a: "1"`))
	w.deploy("keeps", configMap("keeps", `a: "1"`), func(bd *fleet.BundleDeployment) { bd.Spec.Options.KeepResources = true })
	for _, name := range []string{"goes", "orphaned", "keeps"} {
		w.healthy(name)
	}
	w.write("goes", deletion(fleet.DeletionPolicyDelete))
	w.write("orphaned", deletion(fleet.DeletionPolicyOrphan))
	w.write("keeps", deletion(fleet.DeletionPolicyDelete), func(bd *fleet.BundleDeployment) { bd.Spec.Options.KeepResources = false })
	for _, name := range []string{"goes", "orphaned", "keeps"} {
		gone(name)
	}
	if w.live("v1", "ConfigMap", "goes") != nil {
		t.Error("an object that was ordered to be deleted is there")
	}
	for _, name := range []string{"orphaned", "keeps"} {
		if w.live("v1", "ConfigMap", name) == nil {
			t.Errorf("%s is gone", name)
		}
	}
	w.write("goes", func(bd *fleet.BundleDeployment) { bd.Spec.Deletion = nil }) // undone
	w.healthy("goes")
	if w.live("v1", "ConfigMap", "goes") == nil {
		t.Error("an order to delete that was taken back did not bring the object back")
	}
}

func TestFailuresNameTheObjectAndSpareTheOthers(t *testing.T) {
	t.Parallel()
	deployment := func(app string) string {
		return "\n---\napiVersion: apps/v1\nkind: Deployment\nmetadata: {name: fixed}\nspec: {replicas: 0, selector: {matchLabels: {app: " + app + "}}, " +
			"template: {metadata: {labels: {app: " + app + "}}, spec: {containers: [{name: c, image: a}]}}}\n"
	}
	for _, row := range []struct {
		rule          string
		first, second string
		options       func(*fleet.BundleDeployment)
		health        fleet.Health
		message       string
	}{
		{"a denied object is named", "", configMap("ok", `a: "1"`) + "\n---\napiVersion: v1\nkind: Secret\nmetadata: {name: denied}\nstringData: {p: canary}\n",
			func(bd *fleet.BundleDeployment) { bd.Spec.Options.ServiceAccount = "tenant" }, fleet.HealthFailed, "/denied: secrets \"denied\" is forbidden"},
		{"an immutable field is named", deployment("a"), configMap("ok", `a: "1"`) + deployment("b"), nil, fleet.HealthFailed, "fixed: spec.selector (invalid value: field is immutable) cannot be changed in place"},
		{"an object with an unknown field is named", "", configMap("ok", `a: "1"`) + "\n---\napiVersion: v1\nkind: Service\nmetadata: {name: bad}\nspec: {portz: 1, ports: [{port: 1}]}\n",
			nil, fleet.HealthFailed, "field not declared in schema"},
		{"an unknown kind is waited for", "", configMap("ok", `a: "1"`) + "\n---\napiVersion: nobody.example.com/v1\nkind: Thing\nmetadata: {name: x}\n",
			nil, fleet.HealthWaiting, "kind Thing of nobody.example.com/v1 is not served by this cluster"},
		{"an object without namespace scope cannot be forced into one", "", configMap("ok", `a: "1"`) + "\n---\napiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata: {name: x}\n",
			func(bd *fleet.BundleDeployment) { bd.Spec.Options.TargetNamespace = bd.Spec.Options.DefaultNamespace }, fleet.HealthFailed, "ClusterRole.rbac.authorization.k8s.io x has no namespace scope"},
		{"a service account that does not exist is named", "", configMap("never", `a: "1"`),
			func(bd *fleet.BundleDeployment) { bd.Spec.Options.ServiceAccount = "nobody" }, fleet.HealthFailed, "nobody"},
		{"a missing namespace is named when createNamespace is off", "", configMap("never", `a: "1"`),
			func(bd *fleet.BundleDeployment) {
				off := false
				bd.Spec.Options.CreateNamespace = &off
				bd.Spec.Options.DefaultNamespace = "nowhere"
			}, fleet.HealthFailed, "Namespace nowhere does not exist"},
	} {
		t.Run(row.rule, func(t *testing.T) {
			w := newWorld(t)
			w.tenant("tenant", rule("", "configmaps", "get", "list", "watch", "create", "patch", "delete"), rule("", "namespaces", "get", "create"))
			w.startAgent()
			if row.first != "" {
				w.deploy("web", row.first)
				w.eventually("the first revision is applied", func() string {
					bd := w.bd("web")
					return want(bd.Status.AppliedDeploymentID == bd.Spec.DeploymentID)
				})
			}
			var changes []func(*fleet.BundleDeployment)
			if row.options != nil {
				changes = append(changes, row.options)
			}
			w.deploy("web", row.second, changes...)
			bd := w.reads("web", row.health, row.message)
			if strings.Contains(row.second, "name: ok") && w.live("v1", "ConfigMap", "ok") == nil {
				t.Error("an object that does not fail was held up")
			}
			if row.first != "" && !strings.Contains(fleet.Condition(bd.Status.Conditions, fleet.ConditionReady).Message, "revision s-l-") {
				t.Error("the revision that runs is not named")
			}
			if strings.Contains(fmt.Sprint(bd.Status), "canary") {
				t.Error("the status holds a value")
			}
			w.noDeletes()
		})
	}
}

func TestWhoHasAFieldKeepsItUnlessWeHadItOrWereTold(t *testing.T) {
	w := newWorld(t)
	w.startAgent()
	w.deploy("ns", configMap("ns", ""))
	w.healthy("ns")
	w.kubectl("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: theirs}\ndata: {a: theirs}\n", "apply", "--server-side", "--field-manager=them", "-f", "-")
	w.deploy("web", configMap("theirs", "a: ours"))
	w.reads("web", fleet.HealthFailed, `ConfigMap `+w.app+`/theirs: .data.a is managed by "them"`)
	w.deploy("web", configMap("theirs", "b: ours"))
	w.healthy("web") // a field that nobody else has
	w.deploy("web", configMap("theirs", "a: ours"), func(bd *fleet.BundleDeployment) {
		bd.Spec.Options.Helm = &fleet.HelmOptions{TakeOwnership: true}
	})
	w.healthy("web")
	if data := w.live("v1", "ConfigMap", "theirs").Object["data"].(map[string]any); data["a"] != "ours" || data["b"] != nil {
		t.Errorf("data is %v", data)
	}
	// What was ours and was taken from us is ours again with the next revision.
	w.kubectl("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: theirs}\ndata: {a: stolen}\n", "apply", "--server-side", "--force-conflicts", "--field-manager=them", "-f", "-")
	w.reads("web", fleet.HealthDrifted, "/data/a")
	w.deploy("web", configMap("theirs", "a: newer"), func(bd *fleet.BundleDeployment) { bd.Spec.Options.Helm = nil })
	w.healthy("web")
	if data := w.live("v1", "ConfigMap", "theirs").Object["data"].(map[string]any); data["a"] != "newer" {
		t.Errorf("data is %v", data)
	}
}

func TestANamespaceIsMadeAndLabelledButPodSecurityIsLeftToItsMaker(t *testing.T) {
	w := newWorld(t)
	w.startAgent()
	labels := map[string]string{"team": "blue", "pod-security.kubernetes.io/enforce": "privileged"}
	w.kubectl("", "create", "namespace", w.app+"-theirs")
	w.deploy("made", configMap("one", ""), func(bd *fleet.BundleDeployment) { bd.Spec.Options.NamespaceLabels = labels })
	w.deploy("theirs", configMap("one", ""), func(bd *fleet.BundleDeployment) {
		bd.Spec.Options.NamespaceLabels, bd.Spec.Options.DefaultNamespace = labels, w.app+"-theirs"
	})
	w.healthy("made")
	w.healthy("theirs")
	for name, want := range map[string]string{w.app: "privileged", w.app + "-theirs": ""} {
		ns := w.live("v1", "Namespace", name)
		if got := ns.GetLabels(); got["team"] != "blue" || got["pod-security.kubernetes.io/enforce"] != want {
			t.Errorf("namespace %s has labels %v", name, got)
		}
	}

	// Other labels are a revision without another object, and those of another bundle stay.
	w.deploy("second", configMap("two", ""), func(bd *fleet.BundleDeployment) {
		bd.Spec.Options.NamespaceLabels = map[string]string{"second": "yes"}
		bd.Spec.Options.NamespaceAnnotations = map[string]string{"note": "a"}
	})
	w.healthy("second")
	w.deploy("made", configMap("one", ""), func(bd *fleet.BundleDeployment) {
		bd.Spec.Options.NamespaceLabels, bd.Spec.DeploymentID = map[string]string{"stage": "prod"}, bd.Spec.DeploymentID+"-2"
	})
	w.eventually("the namespace has the new labels only", func() string {
		ns := w.live("v1", "Namespace", w.app)
		got, note := ns.GetLabels(), ns.GetAnnotations()["note"]
		if got["team"] != "" || got["stage"] != "prod" || got["second"] != "yes" || note != "a" {
			return fmt.Sprint(got, note)
		}
		return ""
	})
}

func TestOnlyTheObjectThatWeAppliedIsDeleted(t *testing.T) {
	w := newWorld(t)
	w.startAgent()
	w.deploy("web", configMap("replaced", `a: "1"`)+configMap("claimed", `a: "1"`)+configMap("kept", `a: "1"`)+configMap("plain", `a: "1"`))
	w.healthy("web")
	w.stopAgent()
	w.kubectl("", "delete", "configmap", "replaced")
	w.kubectl("", "create", "configmap", "replaced")
	w.kubectl("", "annotate", "configmap", "replaced", "flotilla.io/owner="+w.ns+"/web") // a copy, as a backup brings it back
	w.kubectl("", "annotate", "--overwrite", "configmap", "claimed", "flotilla.io/owner=another/owner")
	w.kubectl("", "annotate", "configmap", "kept", "helm.sh/resource-policy=keep")
	w.deploy("web", configMap("stays", `a: "1"`))
	w.startAgent()
	w.eventually("what left is pruned", func() string { return want(w.live("v1", "ConfigMap", "plain") == nil) })
	bd := w.healthy("web")
	for _, name := range []string{"replaced", "claimed", "kept"} {
		if w.live("v1", "ConfigMap", name) == nil {
			t.Errorf("%s was deleted", name)
		}
	}
	if !slices.Equal(bd.Status.Kept, []string{"configmap/" + w.app + "/kept"}) {
		t.Errorf("kept is %v", bd.Status.Kept)
	}
}
