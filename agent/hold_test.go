package agent_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	flotilla "flotilla.io/flotilla/api/flotilla/v1alpha1"
	fleet "flotilla.io/flotilla/api/v1alpha1"
	"flotilla.io/flotilla/localfleet"
)

func (w *world) agent() *flotilla.Agent {
	w.Helper()
	a := &flotilla.Agent{}
	w.must(w.hub.Get(w.ctx, client.ObjectKey{Namespace: w.ns, Name: fleet.AgentName}, a))
	return a
}

func (w *world) logged(text string) {
	w.Helper()
	w.eventually("the log says "+text, func() string {
		if !strings.Contains(w.logs.String(), text) {
			return "not yet"
		}
		return ""
	})
}

// stillHeals proves that drift is put back and nothing was deleted.
func (w *world) stillHeals() {
	w.Helper()
	w.kubectl("", "delete", "configmap", "settings")
	w.eventually("what was deleted is back", func() string {
		if w.live("v1", "ConfigMap", "settings") == nil {
			return "it is not"
		}
		return ""
	})
	if w.live("apps/v1", "Deployment", "web") == nil {
		w.Error("the Deployment is gone")
	}
	w.noDeletes()
}

func TestAbsenceIsNeverDeletion(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		rule   string
		happen func(w *world)
		says   func(w *world)
	}{
		{"a BundleDeployment deleted by hand is missing, and that is all", func(w *world) {
			w.must(w.hub.Delete(w.ctx, w.bd("web")))
		}, func(w *world) {
			w.eventually("the Agent object says what is missing", func() string {
				h := w.agent().Status.Hold
				if h == nil || h.Reason != "BundleDeploymentMissing" || !strings.Contains(h.Message, "web") {
					return fmt.Sprint(h)
				}
				return ""
			})
		}},
		{"an empty list is no order", func(w *world) {
			w.must(w.hub.DeleteAllOf(w.ctx, &fleet.BundleDeployment{}, client.InNamespace(w.ns)))
			w.stopAgent()
			w.startAgent()
		}, func(w *world) { w.logged("the hub does not have bundles that are deployed here; they stay") }},
		{"a cluster namespace that is deleted is no order", func(w *world) {
			w.must(w.hub.Delete(w.ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: w.ns}}))
			w.stopAgent()
			w.startAgent()
		}, func(w *world) { w.logged("they stay, until the hub has them again") }},
		{"an account that was revoked is no order", func(w *world) {
			w.must(w.hub.Delete(w.ctx, &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: fleet.RegistrationNamespace, Name: w.ns}}))
			w.stopAgent()
			time.Sleep(11 * time.Second) // an API server remembers a token that was good for 10 s
			w.startAgent()
		}, func(w *world) { w.logged("401: the hub does not know this agent's credential") }},
		{"another hub is not obeyed", func(w *world) {
			w.stopAgent()
			w.must(w.hub.Patch(w.ctx, w.agent(), client.RawPatch(types.MergePatchType, []byte(`{"spec":{"hubUID":"hub-2"}}`))))
			w.deploy("web", configMap("other", `a: "1"`), correctDrift)
			w.startAgent()
		}, func(w *world) {
			w.reads("web", fleet.HealthHeld, "another hub answers (UID hub-2; the cluster joined hub-1)")
			if w.live("v1", "ConfigMap", "other") != nil {
				w.Error("the other hub was obeyed")
			}
		}},
		{"an older hub is not obeyed until it goes forward", func(w *world) {
			w.deploy("web", configMap("older", `a: "1"`), correctDrift, func(bd *fleet.BundleDeployment) { bd.Spec.Sequence = -3 })
		}, func(w *world) {
			bd := w.reads("web", fleet.HealthHeld, "the hub orders sequence -3, but 1 was seen")
			if bd.Status.ObservedSequence != 1 || w.live("v1", "ConfigMap", "older") != nil {
				w.Errorf("status = %+v", bd.Status)
			}
		}},
	} {
		t.Run(row.rule, func(t *testing.T) {
			w := newWorld(t)
			w.startAgent()
			w.deploy("web", web, correctDrift)
			w.healthy("web")
			row.happen(w)
			row.says(w)
			w.stillHeals()
		})
	}
}

func TestAHoldEndsWhenItsReasonDoes(t *testing.T) {
	w := newWorld(t)
	w.startAgent()
	w.deploy("web", configMap("one", `a: "1"`)+configMap("two", `a: "1"`))
	w.healthy("web")
	w.deploy("web", configMap("one", `a: "1"`), func(bd *fleet.BundleDeployment) { bd.Spec.Sequence = -3 })
	w.reads("web", fleet.HealthHeld, "sequence")
	w.noDeletes()
	w.write("web", func(bd *fleet.BundleDeployment) { bd.Spec.Sequence = 8 })
	w.healthy("web")
	w.eventually("two is pruned", func() string {
		if w.live("v1", "ConfigMap", "two") != nil {
			return "it is still there"
		}
		return ""
	})
	spec := w.bd("web").Spec
	w.must(w.hub.Delete(w.ctx, w.bd("web")))
	w.eventually("the Agent object holds", func() string { return want(w.agent().Status.Hold != nil) })
	w.write("web", func(bd *fleet.BundleDeployment) { bd.Spec = spec; bd.Spec.Sequence = 9 })
	w.healthy("web")
	w.eventually("the hold is over", func() string { return want(w.agent().Status.Hold == nil) })
}

func want(ok bool) string {
	if ok {
		return ""
	}
	return "not yet"
}

// The hub is stopped; the agent starts anew with nothing but what it stored in its cluster.
func TestWithoutAHubARestartedAgentGoesOnHealing(t *testing.T) {
	w := newWorldAlone(t)
	w.startAgent()
	w.deploy("web", web, correctDrift)
	w.chart("rendered", map[string]string{"a.yaml": holds("{{ randAlphaNum 24 }}")}, correctDrift)
	w.healthy("web")
	w.healthy("rendered")
	password := w.value()
	w.must(theHub.Pause(localfleet.KubeAPIServer))
	resume := func() { w.must(theHub.Resume(localfleet.KubeAPIServer)) }
	t.Cleanup(func() {
		if resume != nil {
			resume()
		}
	})
	w.stopAgent()
	w.startAgent()
	w.stillHeals()
	w.kubectl("", "scale", "deployment", "web", "--replicas=7")
	w.eventually("replicas are back", func() string {
		return want(w.live("apps/v1", "Deployment", "web").Object["spec"].(map[string]any)["replicas"] == int64(3))
	})
	w.kubectl("", "patch", "configmap", "app", "-p", `{"data":{"v":"changed"}}`) // what was rendered here is healed, too
	w.becomes(password)
	w.kubectl("", "delete", "configmap", "app")
	w.becomes(password)
	resume()
	resume = nil
	w.deploy("web", configMap("one", `a: "1"`), correctDrift)
	w.healthy("web")
	if w.live("v1", "ConfigMap", "settings") != nil {
		t.Error("it did not converge when the hub came back")
	}
}

// A settled agent writes nothing, here or on the hub, but its lease; nor does one that was started anew.
func TestASettledAgentWritesNothingButItsLease(t *testing.T) {
	w := newWorld(t)
	// An account that may not read Pods: those of other tests come and go, which is news of the cluster.
	all := []string{"get", "list", "watch", "create", "update", "patch", "delete"}
	w.tenant(fleet.DefaultServiceAccount, rule("", "namespaces", all...), rule("", "configmaps", all...), rule("", "secrets", all...),
		rule("", "endpoints", all...), rule("apps", "deployments", all...), rule("", "nodes", "list"), rule("", "services", "list"))
	w.startAgent()
	w.deploy("web", web)
	w.deploy("more", configMap("more", `a: "1"`))
	w.healthy("web")
	w.healthy("more")
	w.kubectl("", "patch", "configmap", "more", "-p", `{"data":{"a":"2"}}`) // one of them settled with drift
	w.reads("more", fleet.HealthDrifted, "/data/a")
	w.rests(12*time.Second, writes) // what could wait was written
	since := time.Now()
	time.Sleep(15 * time.Second)
	w.stopAgent()
	w.startAgent()
	time.Sleep(15 * time.Second)
	for _, r := range writes(w.requests(theHub, since)) {
		if r.ObjectRef.Resource != "leases" {
			t.Errorf("the agent wrote on the hub: %s", r)
		}
	}
	for _, r := range writes(w.requests(theEdge, since)) {
		t.Errorf("the agent wrote on the cluster: %s", r)
	}
	var watches []request
	for _, r := range w.requests(theHub, since) {
		if r.Verb == "watch" && r.Stage == "ResponseStarted" {
			watches = append(watches, r)
		}
	}
	if len(watches) > 1 {
		t.Errorf("%d new watches on the hub, want that of the second life alone: %+v", len(watches), watches)
	}
}

// One changed object costs a read and an apply; what did not change costs nothing.
func TestAnUnchangedObjectGetsNoRequest(t *testing.T) {
	w := newWorld(t)
	w.startAgent()
	many := ""
	for i := range 40 {
		many += configMap(fmt.Sprintf("m-%d", i), `a: "1"`)
	}
	w.deploy("web", many)
	w.healthy("web")
	w.rests(3*time.Second, ofTenants)
	since := time.Now()
	w.deploy("web", many, func(bd *fleet.BundleDeployment) {
		bd.Spec.DeploymentID += "2"
	})
	w.healthy("web")
	if got := ofTenants(w.requests(theEdge, since)); len(got) != 0 {
		t.Errorf("a revision that changes no object made requests: %v", got)
	}
	since = time.Now()
	w.deploy("web", strings.Replace(many, "{name: m-7}\ndata: {a: \"1\"}", "{name: m-7}\ndata: {a: \"2\"}", 1))
	w.healthy("web")
	got := ofTenants(w.requests(theEdge, since))
	verbs := []string{}
	for _, r := range got {
		verbs = append(verbs, r.Verb+" "+r.ObjectRef.Resource)
	}
	slices.Sort(verbs)
	verbs = slices.Compact(verbs)
	if !slices.Equal(verbs, []string{"get configmaps", "get namespaces", "patch configmaps"}) {
		t.Errorf("one changed object made these requests: %v", got)
	}
}

// rests waits until the agent has told what it knows of its cluster, and there were no such requests for a while.
func (w *world) rests(quiet time.Duration, such func([]request) []request) {
	w.Helper()
	w.eventually("the facts of the cluster", func() string { return want(w.agent().Status.Facts != nil) })
	since := time.Now()
	w.eventually(fmt.Sprintf("an agent that rests for %s", quiet), func() string {
		time.Sleep(time.Until(since.Add(quiet)))
		for _, c := range []*localfleet.Cluster{theHub, theEdge} {
			for _, r := range such(w.requests(c, since)) {
				if r.ObjectRef.Resource != "leases" {
					since = time.Now()
					return "it asked for " + r.String()
				}
			}
		}
		return ""
	})
}

// ofTenants are the requests that were made as a tenant.
func ofTenants(list []request) []request {
	var got []request
	for _, r := range list {
		if r.ImpersonatedUser != nil {
			got = append(got, r)
		}
	}
	return got
}
