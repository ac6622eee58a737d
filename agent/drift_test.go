package agent_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"flotilla.io/flotilla/agent/inventory"
	fleet "flotilla.io/flotilla/api/v1alpha1"
)

const web = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, labels: {team: blue}}
spec:
  replicas: 3
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - name: web
        image: web:1
        args: [a, b]
        env: [{name: PASSWORD, value: canary}]
---
apiVersion: v1
kind: ConfigMap
metadata: {name: settings}
data: {a: wanted}
---
apiVersion: v1
kind: Secret
metadata: {name: sealed}
data: {p: Y2FuYXJ5}
---
apiVersion: v1
kind: Endpoints
metadata: {name: list}
subsets: [{addresses: [{ip: 10.0.0.1}], ports: [{port: 80}]}]
`

// The managedFields fingerprint is what drift rests on: each row is a way to change an object, with the real kubectl where
// it has one, and the field and manager that the status must name for it. Rows that change nothing of ours must not show.
func TestEveryWayToChangeOurFieldsIsSeen(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		rule   string
		change func(w *world)
		want   string // in the Ready message; "" means that it is no drift
	}{
		{"kubectl edit", func(w *world) {
			w.editor = "sed -i s/wanted/edited/"
			w.kubectl("", "edit", "configmap", "settings")
		}, "configmap.v1 $NS/settings modified /data/a changed by kubectl-edit"},
		{"kubectl scale", func(w *world) { w.kubectl("", "scale", "deployment", "web", "--replicas=5") },
			"deployment.apps $NS/web modified /spec/replicas 3 → 5 by kubectl"},
		{"kubectl replace", func(w *world) {
			whole := w.kubectl("", "get", "configmap", "settings", "-o", "json")
			w.kubectl(strings.Replace(whole, `"a": "wanted"`, `"b": "other"`, 1), "replace", "-f", "-")
		}, "configmap.v1 $NS/settings modified /data/a removed by kubectl-replace"},
		{"kubectl apply --server-side --force-conflicts", func(w *world) {
			w.kubectl("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings}\ndata: {a: forced}\n",
				"apply", "--server-side", "--force-conflicts", "-f", "-")
		}, "/data/a changed by kubectl"},
		{"kubectl patch", func(w *world) {
			w.kubectl("", "patch", "deployment", "web", "--type=json", "-p", `[{"op":"replace","path":"/spec/template/spec/containers/0/image","value":"web:2"}]`)
		}, "/spec/template/spec/containers/0/image web:1 → web:2 by kubectl-patch"},
		{"a patch under our own manager's name", func(w *world) {
			w.kubectl("", "patch", "configmap", "settings", "--field-manager=flotilla-agent", "-p", `{"data":{"a":"posed"}}`)
		}, "/data/a changed by flotilla-agent"},
		{"an apply under our own manager's name", func(w *world) {
			w.kubectl("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings}\ndata: {a: posed}\n",
				"apply", "--server-side", "--force-conflicts", "--field-manager=flotilla-agent", "-f", "-")
		}, "configmap.v1 $NS/settings modified"},
		{"an item of an atomic list", func(w *world) {
			w.kubectl("", "patch", "endpoints", "list", "--type=json", "-p", `[{"op":"replace","path":"/subsets/0/addresses/0/ip","value":"10.0.0.2"}]`)
		}, "/subsets/0/addresses/0/ip changed by kubectl-patch"},
		{"an item more in an atomic list", func(w *world) {
			w.kubectl("", "patch", "deployment", "web", "--type=json", "-p", `[{"op":"add","path":"/spec/template/spec/containers/0/args/-","value":"c"}]`)
		}, "/spec/template/spec/containers/0/args changed by kubectl-patch"},
		{"a value of a Secret", func(w *world) { w.kubectl("", "patch", "secret", "sealed", "-p", `{"data":{"p":"c3RvbGVu"}}`) },
			"secret.v1 $NS/sealed modified /data/p changed by kubectl-patch"},
		{"the label that our watch selects", func(w *world) { w.kubectl("", "label", "configmap", "settings", "flotilla.io/managed-") },
			"/metadata/labels/flotilla.io~1managed removed"},
		{"managedFields cleared", func(w *world) {
			w.kubectl("", "patch", "configmap", "settings", "--type=json", "-p", `[{"op":"replace","path":"/metadata/managedFields","value":[{}]},{"op":"replace","path":"/data/a","value":"x"}]`)
		}, "/data/a changed"},
		{"a deletion", func(w *world) { w.kubectl("", "delete", "configmap", "settings") }, "configmap.v1 $NS/settings missing"},
		{"a deletion and another object by that name", func(w *world) {
			w.kubectl("", "delete", "configmap", "settings")
			w.kubectl("", "create", "configmap", "settings")
		}, "configmap.v1 $NS/settings"},
		{"a key that is not ours", func(w *world) { w.kubectl("", "patch", "configmap", "settings", "-p", `{"data":{"theirs":"x"}}`) }, ""},
		{"a label that is not ours", func(w *world) { w.kubectl("", "label", "deployment", "web", "theirs=x") }, ""},
		{"status", func(w *world) {
			w.kubectl("", "patch", "deployment", "web", "--subresource=status", "-p", `{"status":{"conditions":[{"type":"Theirs","status":"True"}]}}`)
		}, ""},
	} {
		t.Run(row.rule, func(t *testing.T) {
			w := newWorld(t)
			w.startAgent()
			w.deploy("web", web)
			w.healthy("web")

			row.change(w)
			if row.want == "" {
				w.quiet("web", 3*time.Second)
				return
			}
			bd := w.reads("web", fleet.HealthDrifted, strings.ReplaceAll(row.want, "$NS", w.app))
			if text := fmt.Sprint(bd.Status); strings.Contains(text, "canary") || strings.Contains(text, "Y2FuYXJ5") || strings.Contains(text, "c3RvbGVu") {
				t.Errorf("the status holds a value: %s", text)
			}
			if fleet.ConditionIs(bd.Status.Conditions, fleet.ConditionReady, "True") || bd.Status.NonModified || bd.Status.Display.State != "Modified" && bd.Status.Display.State != "NotReady" {
				t.Errorf("status = %+v", bd.Status)
			}
		})
	}
}

// quiet fails if a deployment stops reading Healthy.
func (w *world) quiet(name string, during time.Duration) {
	w.Helper()
	for end := time.Now().Add(during); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if s := w.bd(name).Status; s.Health != fleet.HealthHealthy && s.Health != fleet.HealthProgressing {
			w.Fatalf("%s reads %s: %s", name, s.Health, fleet.Condition(s.Conditions, fleet.ConditionReady).Message)
		}
	}
}

func correctDrift(bd *fleet.BundleDeployment) {
	bd.Spec.CorrectDrift = &fleet.CorrectDrift{Enabled: true}
}

func TestDriftIsPutBackWhereThatIsAskedFor(t *testing.T) {
	w := newWorld(t)
	w.startAgent()
	w.deploy("web", web, correctDrift)
	w.healthy("web")
	before := w.live("apps/v1", "Deployment", "web").GetUID()
	w.kubectl("", "scale", "deployment", "web", "--replicas=5")
	w.kubectl("", "delete", "configmap", "settings")
	w.eventually("replicas and settings are back", func() string {
		replicas := w.live("apps/v1", "Deployment", "web").Object["spec"].(map[string]any)["replicas"]
		if replicas != int64(3) || w.live("v1", "ConfigMap", "settings") == nil {
			return fmt.Sprint(replicas)
		}
		return ""
	})
	w.healthy("web")
	if w.live("apps/v1", "Deployment", "web").GetUID() != before {
		t.Error("the Deployment was made anew")
	}
}

func TestAPausedDeploymentIsLeftAlone(t *testing.T) {
	w := newWorld(t)
	w.startAgent()
	w.deploy("web", web, correctDrift)
	w.healthy("web")
	w.deploy("web", configMap("later", ""), func(bd *fleet.BundleDeployment) { bd.Spec.Paused = true })
	w.says("web", fleet.HealthWaiting, "paused")
	w.kubectl("", "scale", "deployment", "web", "--replicas=5")
	time.Sleep(3 * time.Second)
	if got := w.live("apps/v1", "Deployment", "web").Object["spec"].(map[string]any)["replicas"]; got != int64(5) {
		t.Errorf("replicas is %v", got)
	}
	if w.live("v1", "ConfigMap", "later") != nil || w.live("v1", "ConfigMap", "settings") == nil {
		t.Error("a paused deployment was changed")
	}
	w.write("web", func(bd *fleet.BundleDeployment) { bd.Spec.Paused = false })
	w.healthy("web")
	if w.live("v1", "ConfigMap", "later") == nil {
		t.Error("it did not go on")
	}
}

func TestReadinessIsThatOfTheObjects(t *testing.T) {
	w := newWorld(t)
	w.startAgent()
	w.deploy("web", strings.Replace(web, "image: web:1", "image: web:1\n        resources: {requests: {cpu: 100000}}", 1)) // no node has that
	bd := w.reads("web", fleet.HealthProgressing, "deployment.apps "+w.app+"/web [progressing]")
	if bd.Status.Ready || bd.Status.AppliedDeploymentID != bd.Spec.DeploymentID || bd.Status.ResourceCounts.NotReady != 1 {
		t.Errorf("status = %+v", bd.Status)
	}
	w.deploy("web", web)
	w.healthy("web")
}

func TestATenantOfOneNamespaceIsWatchedThere(t *testing.T) {
	w := newWorld(t)
	w.must(w.edge.Create(w.ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: w.app}}))
	w.must(w.edge.Create(w.ctx, &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "tenant", Namespace: w.own}}))
	meta := metav1.ObjectMeta{Name: "tenant", Namespace: w.app}
	role := &rbacv1.Role{ObjectMeta: meta, Rules: []rbacv1.PolicyRule{rule("", "configmaps", "get", "list", "watch", "create", "patch", "delete")}}
	w.must(makeAll(w.ctx, w.edge, role, &rbacv1.RoleBinding{
		ObjectMeta: meta, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: "tenant"},
		Subjects: []rbacv1.Subject{{Kind: "ServiceAccount", Name: "tenant", Namespace: w.own}},
	}))
	w.startAgent()
	w.deploy("web", configMap("one", `a: "1"`), func(bd *fleet.BundleDeployment) { bd.Spec.Options.ServiceAccount = "tenant" })
	w.healthy("web")
	w.kubectl("", "patch", "configmap", "one", "-p", `{"data":{"a":"2"}}`)
	w.reads("web", fleet.HealthDrifted, "/data/a")
	for _, r := range writes(w.requests(theEdge, w.began)) {
		if r.ObjectRef.Namespace != w.own && (r.ImpersonatedUser == nil || r.ImpersonatedUser.Username != "system:serviceaccount:"+w.own+":tenant") {
			t.Errorf("this was not done as the tenant: %s", r)
		}
	}
	role.Rules[0].Verbs = []string{"get", "create", "patch", "delete"}
	w.must(w.edge.Update(w.ctx, role))
	w.stopAgent()
	w.startAgent()
	w.eventually("it is said that nothing is watched", func() string {
		c := fleet.Condition(w.bd("web").Status.Conditions, fleet.ConditionMonitored)
		return want(c.Status == "False" && strings.Contains(c.Message, "service account tenant may not list and watch configmap"))
	})
}

// The fingerprint's time has a grain of a second: a change under our own manager's name, within the second of our own
// apply, to a kind without generation, leaves it as it was. It is seen all the same.
func TestAChangeWithinTheGrainOfTheFingerprintIsSeen(t *testing.T) {
	w := newWorld(t)
	w.startAgent()
	w.deploy("first", configMap("first", `a: "1"`)) // so that namespace and watch are there
	w.healthy("first")
	for try, end := 0, time.Now().Add(patience); time.Now().Before(end); try++ {
		name := fmt.Sprintf("quick-%d", try)
		w.deploy(name, configMap(name, `a: "1"`))
		var ours *unstructured.Unstructured
		w.eventually(name+" is there", func() string {
			ours = w.live("v1", "ConfigMap", name)
			return want(ours != nil)
		})
		before := inventory.Fingerprint(ours)
		posed := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "v1", "kind": "ConfigMap", "data": map[string]any{"a": "posed"}}}
		posed.SetNamespace(w.app)
		posed.SetName(name)
		posed.SetLabels(ours.GetLabels())
		posed.SetAnnotations(ours.GetAnnotations())
		w.must(w.edge.Patch(w.ctx, posed, client.Apply, client.ForceOwnership, client.FieldOwner(inventory.Manager)))
		if inventory.Fingerprint(posed) != before {
			continue // the second was over
		}
		w.reads(name, fleet.HealthDrifted, "/data/a")
		return
	}
	t.Fatal("no change came within the second of the apply")
}
