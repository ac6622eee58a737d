package agent_test

import (
	"fmt"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	flotilla "flotilla.io/flotilla/api/flotilla/v1alpha1"
	fleet "flotilla.io/flotilla/api/v1alpha1"
)

// fleetAgent furnishes the agent's namespace as Fleet's agent leaves it: registered, and running.
func (w *world) fleetAgent(clientID string) *appsv1.Deployment {
	w.Helper()
	w.forgetIdentity()
	meta := metav1.ObjectMeta{Name: "fleet-agent", Namespace: w.own}
	labels := map[string]string{"app": "fleet-agent"}
	d := &appsv1.Deployment{ObjectMeta: meta, Spec: appsv1.DeploymentSpec{
		Selector: &metav1.LabelSelector{MatchLabels: labels},
		Template: corev1.PodTemplateSpec{
			ObjectMeta: metav1.ObjectMeta{Labels: labels},
			Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "fleet-agent", Image: "fleet-agent:1"}}},
		},
	}}
	w.must(makeAll(w.ctx, w.edge, d,
		&corev1.Secret{ObjectMeta: meta, Data: map[string][]byte{
			"kubeconfig": []byte("fleet's"), "deploymentNamespace": []byte(w.ns), "clusterNamespace": []byte("fleet-default"), "clusterName": []byte("edge"),
		}},
		&corev1.ConfigMap{ObjectMeta: meta, Data: map[string]string{"config": `{"clientID":"` + clientID + `","agentTLSMode":"strict"}`}},
	))
	return d
}

// scale changes the replicas and nothing else: a controller writes to the same object.
func (w *world) scale(d *appsv1.Deployment, replicas int) {
	w.Helper()
	w.must(w.edge.Patch(w.ctx, d, client.RawPatch(types.MergePatchType, fmt.Appendf(nil, `{"spec":{"replicas":%d}}`, replicas))))
}

func TestTheAgentTakesThePlaceOfFleetsAndWaitsUntilThatIsOff(t *testing.T) {
	w := newWorld(t)
	theirs := w.fleetAgent("the-one-that-fleet-gave")
	a := &flotilla.Agent{}
	w.must(w.hub.Get(w.ctx, client.ObjectKey{Namespace: w.ns, Name: fleet.AgentName}, a))
	a.Spec.LeaseSeconds = 1
	w.must(w.hub.Update(w.ctx, a))
	w.workspace("")
	w.startAgent()
	r := w.request()
	if r.Spec.ClientID != "the-one-that-fleet-gave" {
		t.Errorf("clientID is %q: the hub would take this for another cluster", r.Spec.ClientID)
	}
	w.let(r)
	w.deploy("web", configMap("one", `a: "1"`), func(bd *fleet.BundleDeployment) { bd.Spec.CorrectDrift = &fleet.CorrectDrift{Enabled: true} })
	w.reads("web", fleet.HealthHeld, "scale deployments fleet-agent --replicas=0")
	if w.live("v1", "ConfigMap", "one") != nil {
		t.Error("it deployed beside Fleet's agent")
	}
	w.eventually("the Agent's hold", func() string {
		hold := w.agent().Status.Hold
		return want(hold != nil && hold.Reason == fleet.ReasonFleetRuns)
	})
	w.scale(theirs, 0)
	w.healthy("web")

	identity := &corev1.Secret{}
	w.must(w.edge.Get(w.ctx, client.ObjectKeyFromObject(theirs), identity))
	if string(identity.Data["kubeconfig"]) != "fleet's" || string(identity.Data["clusterNamespace"]) != "fleet-default" || len(identity.Data["token"]) == 0 {
		t.Errorf("Fleet's agent finds its hub no more: %v", identity.Data)
	}
	w.scale(theirs, 1)
	w.reads("web", fleet.HealthHeld, "Rancher Fleet's agent runs on this cluster")
	w.kubectl("", "delete", "configmap", "one") // as Fleet's agent may, on the way back
	deleted := time.Now()
	w.eventually("the agent renews its lease three times", func() string {
		renewals := 0
		for _, r := range w.requests(theHub, deleted) {
			if r.Verb == "patch" && r.ObjectRef.Resource == "leases" {
				renewals++
			}
		}
		return want(renewals >= 3)
	})
	if w.live("v1", "ConfigMap", "one") != nil {
		t.Error("it put back what it may not touch beside Fleet's agent")
	}
	w.scale(theirs, 0)
	w.eventually("it puts it back after that", func() string { return want(w.live("v1", "ConfigMap", "one") != nil) })
}
