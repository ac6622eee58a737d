// Package joining tests what a person does with a running hub besides GitOps: clusters join in each way there is, are
// refused with a reason, and what the fleet does is held, resumed and approved.
package joining

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	fleet "flotilla.io/flotilla/api/v1alpha1"
	"flotilla.io/flotilla/embedded"
	"flotilla.io/flotilla/install"
	"flotilla.io/flotilla/integrationtests/terminal"
	"flotilla.io/flotilla/integrationtests/world"
)

const configMap = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: %s}\ndata: {text: %q}\n"

// fleetOf is a world with a GitRepo of one bundle, fleet-app, for every cluster.
func fleetOf(t *testing.T, clusters ...string) *world.World {
	t.Helper()
	o := world.Options{Clusters: map[string]map[string]string{}}
	for _, name := range clusters {
		o.Clusters[name] = map[string]string{"env": "test"}
	}
	w := world.New(t, o)
	url := w.Repo("fleet", map[string]string{"app/fleet.yaml": "defaultNamespace: app\n", "app/a.yaml": fmt.Sprintf(configMap, "a", "one")})
	w.GitRepo("fleet", url, nil)
	return w
}

// in is the same world in a subtest.
func in(t *testing.T, w *world.World) *world.World {
	there := *w
	there.T = t
	return &there
}

// hub and of are what commands need to reach the hub and a cluster.
func hub(w *world.World) string { return kubeconfig(w, "hub") }

func kubeconfig(w *world.World, name string) string {
	w.T.Helper()
	c, err := w.Fleet.Cluster(name)
	w.Check(err)
	return c.Kubeconfig()
}

// flotilla is the command line of our tool.
func flotilla(w *world.World, args string) string {
	return "exec " + filepath.Join(world.Bin(w.T), "flotilla") + " " + args
}

// token makes a registration token and returns its values, once they are there.
func token(w *world.World, name string, spec fleet.ClusterRegistrationTokenSpec) map[string]any {
	w.T.Helper()
	values, err := w.Hub.Token(context.Background(), world.Workspace, name, spec)
	w.Check(err)
	return values
}

// installs puts the agent's chart on a cluster as Helm does, the Deployment included. Its Pod runs nothing on a simulated
// node, so the program runs here, under the account of the Pod.
func installs(w *world.World, cluster string, values map[string]any) {
	w.T.Helper()
	target, err := install.NewTarget(w.Configs[cluster])
	w.Check(err)
	w.Check(target.Agent(context.Background(), values, true))
	runs(w, cluster)
}

// runs runs the agent of a cluster under the account of the chart that is installed there, until the test ends.
func runs(w *world.World, cluster string) *embedded.Process {
	w.T.Helper()
	dir := filepath.Join(w.Dir, "agents", cluster)
	w.Check(os.MkdirAll(dir, 0o700))
	account := filepath.Join(dir, "agent.kubeconfig")
	w.Check(install.WriteAccount(context.Background(), w.Configs[cluster], fleet.SystemNamespace, "flotilla-agent", account))
	process, err := embedded.Start(filepath.Join(world.Bin(w.T), "flotilla-agent"), agentLog(w, cluster), "--kubeconfig", account, "--namespace", fleet.SystemNamespace)
	w.Check(err)
	w.T.Cleanup(process.Stop)
	return process
}

func agentLog(w *world.World, cluster string) string {
	return filepath.Join(w.Dir, "agents", cluster, "agent.log")
}

// logs waits until the agent of a cluster has logged a line with all of the parts, and returns it.
func logs(w *world.World, cluster string, parts ...string) (line string) {
	w.T.Helper()
	w.Eventually("the agent's log saying "+strings.Join(parts, ", "), func() error {
		text, err := os.ReadFile(agentLog(w, cluster))
		if err != nil {
			return err
		}
		for line = range strings.Lines(string(text)) {
			if has(line, parts...) {
				return nil
			}
		}
		return fmt.Errorf("it says\n%s", text)
	})
	return line
}

func has(text string, parts ...string) bool {
	for _, p := range parts {
		if !strings.Contains(text, p) {
			return false
		}
	}
	return true
}

// reads waits until kubectl reads Healthy for the bundle on a cluster.
func reads(w *world.World, cluster, want string) {
	w.T.Helper()
	w.Eventually(cluster+" reading "+want, func() error {
		out := w.Kubectl("hub", "get", "bundledeployments", "-A", "-l", fleet.ClusterLabel+"="+cluster, "--no-headers")
		if !strings.Contains(out, "fleet-app") || !strings.Contains(out, want) {
			return fmt.Errorf("kubectl says\n%s", out)
		}
		return nil
	})
}

// registrations with a token, the newest last.
func registrations(w *world.World, token string) []fleet.ClusterRegistration {
	w.T.Helper()
	list := &fleet.ClusterRegistrationList{}
	w.Check(w.Hub.Client.List(context.Background(), list, client.InNamespace(world.Workspace), client.MatchingLabels{fleet.RegistrationTokenLabel: token}))
	return list.Items
}

// granted waits until the hub says why it lets a cluster in, or does not, and returns the condition.
func granted(w *world.World, token, reason string) fleet.GenericCondition {
	w.T.Helper()
	var found fleet.GenericCondition
	w.Eventually("the hub saying "+reason, func() error {
		for _, r := range registrations(w, token) {
			if c := fleet.Condition(r.Status.Conditions, fleet.ConditionGranted); c != nil && c.Reason == reason {
				found = *c
				return nil
			}
		}
		return fmt.Errorf("it has %+v", registrations(w, token))
	})
	return found
}

var hour = &metav1.Duration{Duration: 3600e9}

// atHand is a person who has kubectl's kubeconfigs of all clusters.
func atHand(t *testing.T) terminal.Person { return terminal.New(t, "sh") }
