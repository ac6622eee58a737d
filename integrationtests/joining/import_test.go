package joining

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	fleet "flotilla.io/flotilla/api/v1alpha1"
	"flotilla.io/flotilla/integrationtests/world"
)

// imported gives the hub a kubeconfig and a Cluster that describes its agent. The hub installs the agent, once; the agent
// joins as that Cluster by itself.
func imported(w *world.World, name string) {
	admin, err := os.ReadFile(kubeconfig(w, name))
	w.Check(err)
	w.Check(w.Hub.Client.Create(context.Background(), &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: world.Workspace, Name: name + "-kubeconfig"}, Data: map[string][]byte{"value": admin}}))
	c := &fleet.Cluster{ObjectMeta: metav1.ObjectMeta{Namespace: world.Workspace, Name: name, Labels: map[string]string{"env": "test"}}}
	c.Spec = fleet.ClusterSpec{
		KubeConfigSecret: name + "-kubeconfig", PrivateRepoURL: "registry.example", HostNetwork: ptr.To(true),
		AgentEnvVars:     []corev1.EnvVar{{Name: "GOMEMLIMIT", Value: "200MiB"}},
		AgentTolerations: []corev1.Toleration{{Key: "edge", Operator: corev1.TolerationOpExists}},
		AgentSchedulingCustomization: &fleet.AgentSchedulingCustomization{
			PriorityClass: &fleet.PriorityClassSpec{Value: 1000}, PodDisruptionBudget: &fleet.PodDisruptionBudgetSpec{MinAvailable: "1"}},
	}
	w.Check(w.Hub.Client.Create(context.Background(), c))
	w.Kubectl("hub", "-n", world.Workspace, "wait", "--timeout=2m", "--for=condition=Imported", "cluster.fleet.cattle.io/"+name)
	runs(w, name) // as the chart's account: a Pod on a simulated node runs nothing
	reads(w, name, "Healthy")
	shows := func(kind, object, path, want string) {
		w.T.Helper()
		if got := w.Kubectl(name, "-n", fleet.SystemNamespace, "get", kind, object, "-o", "jsonpath="+path); got != want {
			w.T.Errorf("%s %s has %s = %q, want %q", kind, object, path, got, want)
		}
	}
	const pod = "{.spec.template.spec"
	shows("deployment", "flotilla-agent", pod+".priorityClassName} "+pod+".hostNetwork} "+pod+".tolerations[*].key} "+pod+`.containers[0].env[?(@.name=="GOMEMLIMIT")].value}`,
		"fleet-agent-priority-class true edge 200MiB")
	if image := w.Kubectl(name, "-n", fleet.SystemNamespace, "get", "deployment", "flotilla-agent", "-o", "jsonpath="+pod+".containers[0].image}"); !strings.HasPrefix(image, "registry.example/") {
		w.T.Errorf("the image is %s", image)
	}
	shows("poddisruptionbudget", "fleet-agent-pod-disruption-budget", "{.spec.minAvailable}", "1")
	shows("priorityclass", "fleet-agent-priority-class", "{.value}", "1000")
	importedAgain(w, name, shows)
}

// importedAgain changes what describes the agent, and what does not.
func importedAgain(w *world.World, name string, shows func(kind, object, path, want string)) {
	before := dials(w, name)
	if before == 0 {
		w.T.Fatal("the import is not in the audit log")
	}
	w.Kubectl("hub", "-n", world.Workspace, "label", "cluster.fleet.cattle.io/"+name, "tier=gold")
	w.Kubectl("hub", "-n", world.Workspace, "patch", "cluster.fleet.cattle.io", name, "--type=merge", "-p",
		`{"spec":{"agentSchedulingCustomization":{"priorityClass":{"value":2000},"podDisruptionBudget":null},"redeployAgentGeneration":1}}`)
	w.Eventually("the other values being installed", func() error {
		c := &fleet.Cluster{}
		w.Check(w.Hub.Client.Get(context.Background(), client.ObjectKey{Namespace: world.Workspace, Name: name}, c))
		if g := c.Status.AgentDeployedGeneration; g == nil || *g != 1 {
			return fmt.Errorf("Imported is %+v", fleet.Condition(c.Status.Conditions, fleet.ConditionImported))
		}
		return nil
	})
	shows("priorityclass", "fleet-agent-priority-class", "{.value}", "2000")
	if out, err := w.TryKubectl(name, "-n", fleet.SystemNamespace, "get", "poddisruptionbudget", "fleet-agent-pod-disruption-budget"); err == nil {
		w.T.Errorf("the disruption budget is still there:\n%s", out)
	}
	if after := dials(w, name); after < 2*before-before/2 || after > 3*before {
		w.T.Errorf("the first import made %d requests, both together %d", before, after)
	}
	reads(w, name, "Healthy")
}

// dials counts the requests that the hub made to a cluster.
func dials(w *world.World, name string) (n int) {
	w.T.Helper()
	c, err := w.Fleet.Cluster(name)
	w.Check(err)
	text, err := os.ReadFile(c.AuditLogPath())
	w.Check(err)
	for line := range strings.Lines(string(text)) {
		var event struct{ UserAgent, Stage string }
		if json.Unmarshal([]byte(line), &event) == nil && event.UserAgent == "flotilla-import" && event.Stage == "ResponseComplete" {
			n++
		}
	}
	return n
}
