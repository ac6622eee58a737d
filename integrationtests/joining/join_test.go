package joining

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	fleet "flotilla.io/flotilla/api/v1alpha1"
	"flotilla.io/flotilla/integrationtests/terminal"
	"flotilla.io/flotilla/integrationtests/world"
)

// Empty clusters that the hub does not know join a running fleet, and read Healthy with no edit on the hub.
func TestClustersJoin(t *testing.T) {
	w := fleetOf(t)
	for _, name := range []string{"third", "fourth", "fifth", "sixth", "behind"} {
		w.StartCluster(name)
	}
	t.Run("with one command, the agent beside it", func(t *testing.T) { withOneCommand(t, in(t, w)) })
	t.Run("behind a proxy and a private authority", func(t *testing.T) { behindAProxy(t, in(t, w)) })
	t.Run("with the chart and the values of the token's Secret", func(t *testing.T) { withTheChart(t, in(t, w)) })
	t.Run("with one command, the agent on the cluster", func(t *testing.T) { installedByCommand(t, in(t, w)) })
	t.Run("imported by the hub, with a kubeconfig", func(t *testing.T) { imported(in(t, w), "sixth") })
}

func withOneCommand(t *testing.T, w *world.World) {
	token(w, "third", fleet.ClusterRegistrationTokenSpec{TTL: hour, Uses: 1})
	p := atHand(t)
	join := p.Opens("/", flotilla(w, fmt.Sprintf("join --hub-kubeconfig %s --kubeconfig %s --token third --name third --label env=staging --label region=eu --local", hub(w), kubeconfig(w, "third"))))
	join.Says("joined as cluster fleet-default/third", terminal.Patience)
	reads(w, "third", "Healthy")
	if labels := w.Kubectl("hub", "-n", world.Workspace, "get", "clusters.fleet.cattle.io", "third", "--show-labels"); !has(labels, "env=staging", "region=eu") {
		w.T.Errorf("the cluster has other labels than it was given: %s", labels)
	}
	join.CtrlC()
	if err := join.Ends(terminal.Patience); err != nil {
		w.T.Errorf("Ctrl-C: %v\n%s", err, join.Output())
	}
	t.Run("a token that is used up is refused", func(t *testing.T) {
		out, err := atHand(t).Runs("/", flotilla(w, fmt.Sprintf("join --hub-kubeconfig %s --kubeconfig %s --token third --name other --local", hub(w), kubeconfig(w, "fifth"))))
		if err == nil || !has(out, "the hub refused the cluster: TokenUsed", "used 1 times") {
			t.Errorf("it ends with %v and says\n%s", err, out)
		}
		in(t, w).Check(forget(w, "fifth"))
	})
}

// forget takes from a cluster all that an agent keeps there.
func forget(w *world.World, cluster string) error {
	return w.Clients[cluster].DeleteAllOf(context.Background(), &corev1.Secret{}, client.InNamespace(fleet.SystemNamespace))
}

// withTheChart does what the README does, with kubectl and the files that it writes; helm's part is our own renderer's.
func withTheChart(t *testing.T, w *world.World) {
	file := filepath.Join(w.Dir, "token.yaml")
	kubectl := filepath.Join(world.Bin(w.T), "kubectl") + " --kubeconfig " + hub(w)
	p := atHand(t)
	p.MustRun("cp " + filepath.Join(world.Bin(w.T), "../examples/token.yaml") + " " + file)
	p.MustRun(kubectl + " apply -f " + file)
	p.MustRun(kubectl + " -n fleet-default wait --timeout=2m --for=condition=Ready clusterregistrationtoken/edge")
	text := p.MustRun(kubectl + " -n fleet-default get secret edge -o 'jsonpath={.data.values}' | base64 -d")
	values := map[string]any{}
	w.Check(yaml.Unmarshal([]byte(text), &values))
	values["clusterName"], values["labels"] = "fourth", map[string]any{"env": "production"}
	installs(w, "fourth", values)
	logs(w, "fourth", "the cluster has joined", "fourth")
	reads(w, "fourth", "Healthy")
	t.Run("again with another token, and no person is asked", func(t *testing.T) { again(in(t, w)) })
}

// again gives a member the values of another token: it holds the key that the hub knows it by.
func again(w *world.World) {
	before := &fleet.Cluster{}
	key := client.ObjectKey{Namespace: world.Workspace, Name: "fourth"}
	w.Check(w.Hub.Client.Get(context.Background(), key, before))
	values := token(w, "second", fleet.ClusterRegistrationTokenSpec{TTL: hour, Uses: 1})
	target := bootstrap(values)
	w.Eventually("giving the agent the other token", func() error {
		err := w.Clients["fourth"].Create(context.Background(), target.DeepCopy())
		if apierrors.IsAlreadyExists(err) {
			return fmt.Errorf("the first token is still there")
		}
		return err
	})
	granted(w, "second", fleet.ReasonGranted)
	after := &fleet.Cluster{}
	w.Check(w.Hub.Client.Get(context.Background(), key, after))
	if before.UID != after.UID || before.Spec.ClientID != after.Spec.ClientID {
		w.T.Error("joining again made another Cluster")
	}
	w.Eventually("the second token's values being dropped", func() error {
		err := w.Clients["fourth"].Get(context.Background(), client.ObjectKeyFromObject(target), &corev1.Secret{})
		if apierrors.IsNotFound(err) {
			return nil
		}
		return fmt.Errorf("they are still there (%v)", err)
	})
	w.Push("fleet", map[string]string{"app/b.yaml": fmt.Sprintf(configMap, "b", "after joining again")})
	w.Eventually("a push reaching the cluster", func() error {
		_, err := w.TryKubectl("fourth", "-n", "app", "get", "configmap", "b")
		return err
	})
	reads(w, "fourth", "Healthy")
}

// bootstrap is the Secret that the agent's chart makes of a token's values.
func bootstrap(values map[string]any) *corev1.Secret {
	text, err := yaml.Marshal(values)
	if err != nil {
		panic(err) // of strings
	}
	return &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: fleet.SystemNamespace, Name: "fleet-agent-bootstrap"},
		Data:       map[string][]byte{"values": text},
	}
}

func installedByCommand(t *testing.T, w *world.World) {
	token(w, "fifth", fleet.ClusterRegistrationTokenSpec{TTL: hour, Uses: 1})
	values := filepath.Join(w.Dir, "fifth.yaml")
	w.Check(os.WriteFile(values, []byte("global: {cattle: {systemDefaultRegistry: mirror.example}}\nproxy: http://proxy.example\n"), 0o600))
	join := atHand(t).Opens("/", flotilla(w, fmt.Sprintf("join --hub-kubeconfig %s --kubeconfig %s --token fifth --name fifth --values %s", hub(w), kubeconfig(w, "fifth"), values)))
	join.Says("the agent is installed", terminal.Patience)
	runs(w, "fifth")
	join.Says("joined as cluster fleet-default/fifth", terminal.Patience)
	if err := join.Ends(terminal.Patience); err != nil {
		w.T.Errorf("join: %v\n%s", err, join.Output())
	}
	container := w.Kubectl("fifth", "-n", fleet.SystemNamespace, "get", "deployment", "flotilla-agent", "-o", "jsonpath={.spec.template.spec.containers[0]}")
	if !has(container, `"image":"mirror.example/flotilla/flotilla-agent:0.1.0"`, `{"name":"HTTPS_PROXY","value":"http://proxy.example"}`) {
		t.Errorf("the agent's container is not as --values say: %s", container)
	}
	reads(w, "fifth", "Healthy")
}
