package localfleet

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

const deployment = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 3
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: web, image: example.org/web:1}]}
`

// Two clusters behave as clusters do: what only a controller, a scheduler or a node can do, happens.
func TestClustersAreReal(t *testing.T) {
	fleet := open(t, t.TempDir())
	var hub, edge *Cluster
	var both sync.WaitGroup
	both.Go(func() { hub = start(t, fleet, "hub", ClusterOptions{}) })
	both.Go(func() { edge = start(t, fleet, "edge", ClusterOptions{Nodes: 2, AuditLog: true}) })
	both.Wait()

	t.Run("they share one etcd and see nothing of each other", func(t *testing.T) {
		_, one := hub.State(Etcd)
		if _, other := edge.State(Etcd); one == 0 || one != other {
			t.Errorf("etcd's processes are %d and %d, want one", one, other)
		}
		ok(t, hub, "create", "configmap", "on-the-hub")
		if got := configMaps(t, edge); got != "" {
			t.Errorf("edge has configmaps %q, want none", got)
		}
		if ok(t, hub, "get", "namespace", "kube-system", "-o", "jsonpath={.metadata.uid}") ==
			ok(t, edge, "get", "namespace", "kube-system", "-o", "jsonpath={.metadata.uid}") {
			t.Error("both kube-system namespaces have the same UID")
		}
	})
	t.Run("a namespace goes with what is in it", func(t *testing.T) {
		ok(t, hub, "create", "namespace", "short")
		ok(t, hub, "create", "configmap", "inside", "-n", "short")
		ok(t, hub, "delete", "namespace", "short", "--wait", "--timeout=50s")
	})
	t.Run("what an object owns goes with it", func(t *testing.T) {
		ok(t, hub, "create", "configmap", "owner")
		uid := ok(t, hub, "get", "configmap", "owner", "-o", "jsonpath={.metadata.uid}")
		apply(t, hub, fmt.Sprintf("apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: owned\n  ownerReferences:\n"+
			"  - {apiVersion: v1, kind: ConfigMap, name: owner, uid: %s}\n", uid))
		ok(t, hub, "delete", "configmap", "owner")
		ok(t, hub, "wait", "--for=delete", "configmap/owned", "--timeout=50s")
	})
	t.Run("a deployment becomes ready on simulated nodes", func(t *testing.T) {
		apply(t, edge, deployment)
		ok(t, edge, "rollout", "status", "deployment/web", "--timeout=50s")
		if got := ok(t, edge, "get", "deployment", "web", "-o", "jsonpath={.status.readyReplicas}"); got != "3" {
			t.Errorf("%s replicas are ready, want 3", got)
		}
		if got := ok(t, edge, "get", "nodes", "-o", "name"); got != "node/edge-node-0\nnode/edge-node-1" {
			t.Errorf("nodes are %q", got)
		}
	})
	t.Run("rights are checked", func(t *testing.T) {
		out, err := kubectl(t, edge, "get", "secrets", "--as=system:serviceaccount:default:default")
		if err == nil || !strings.Contains(out, "Forbidden") {
			t.Errorf("a service account without any right reads Secrets: %s", out)
		}
	})
	t.Run("the audit log tells who did what", func(t *testing.T) {
		ok(t, edge, "delete", "deployment", "web", "--as=jane", "--as-group=system:masters")
		if !audited(t, edge, "delete", "jane", "deployments", "web") {
			t.Error("the audit log holds no line of jane deleting deployment web")
		}
		if audited(t, edge, "delete", "john", "deployments", "web") {
			t.Error("the audit log holds a line of john, who was never there")
		}
	})
	t.Run("one kubeconfig leads to both", func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "kubeconfig")
		must(t, fleet.WriteKubeconfig(file, "edge", "hub"))
		if got := ok(t, hub, "--kubeconfig", file, "config", "current-context"); got != "edge" {
			t.Errorf("current context is %q, want the first one named", got)
		}
		if got := ok(t, hub, "--kubeconfig", file, "--context=hub", "get", "configmap", "on-the-hub", "-o", "name"); got != "configmap/on-the-hub" {
			t.Errorf("the hub's context led to %q", got)
		}
	})
	must(t, fleet.Close())
	if _, err := fleet.Start(t.Context(), "late", ClusterOptions{}); !errors.Is(err, ErrClosed) {
		t.Errorf("starting a cluster of a closed fleet: %v, want ErrClosed", err)
	}
}

// audited tells whether the cluster's audit log has a finished request of this kind, by the acting user.
func audited(t *testing.T, c *Cluster, verb, user, resource, name string) bool {
	t.Helper()
	data, err := os.ReadFile(c.AuditLogPath())
	must(t, err)
	for line := range strings.Lines(string(data)) {
		var event struct {
			Stage, Verb      string
			ImpersonatedUser struct{ Username string }
			ObjectRef        struct{ Resource, Name string }
		}
		must(t, json.Unmarshal([]byte(line), &event))
		if event.Stage == "ResponseComplete" && event.Verb == verb && event.ImpersonatedUser.Username == user &&
			event.ObjectRef.Resource == resource && event.ObjectRef.Name == name {
			return true
		}
	}
	return false
}

func TestFleetOutlivesItsProcess(t *testing.T) {
	dir := t.TempDir()
	fleet := open(t, dir)
	c := start(t, fleet, "y", ClusterOptions{Parts: []Part{KubeAPIServer}}) // y alone is true in YAML 1.1
	ok(t, c, "create", "configmap", "kept")
	config, err := os.ReadFile(c.Kubeconfig())
	must(t, err)
	processes := pids(t, fleet)

	_, err = New(Options{Dir: dir, Binary: binary})
	if err == nil || !strings.Contains(err.Error(), fmt.Sprintf("process %d", os.Getpid())) {
		t.Errorf("opening the folder twice: %v, want an error that names this process", err)
	}
	must(t, fleet.Close())
	if !gone(processes) {
		t.Error("Close left a process behind")
	}

	c = start(t, open(t, dir), "y", ClusterOptions{Parts: []Part{KubeAPIServer}})
	if got := configMaps(t, c); got != "kept" {
		t.Errorf("configmaps after opening the fleet again: %q, want kept", got)
	}
	if again, err := os.ReadFile(c.Kubeconfig()); err != nil || string(again) != string(config) {
		t.Errorf("the kubeconfig changed (%v): clients would have to be told", err)
	}
}

func TestStartRefuses(t *testing.T) {
	fleet := open(t, t.TempDir())
	c := start(t, fleet, "here", ClusterOptions{Parts: []Part{KubeAPIServer}})
	for _, tt := range []struct {
		rule string
		name string
		opts ClusterOptions
		want string
	}{
		{"a name that is no label", "Not_A_Name", ClusterOptions{}, "is no name for a cluster"},
		{"a name that leaves the folder", "../x", ClusterOptions{}, "is no name for a cluster"},
		{"an unknown part", "x", ClusterOptions{Parts: []Part{"kubelet"}}, `no part is named "kubelet"`},
		{"nodes that nobody simulates", "x", ClusterOptions{Nodes: 1, Parts: []Part{KubeAPIServer}}, "need kwok"},
		{"a cluster that runs", "here", ClusterOptions{}, "runs already"},
		{"an argument that the API server does not know, with its log", "x", ClusterOptions{
			ExtraAPIServerArgs: []string{"--no-such-flag"}}, "unknown flag: --no-such-flag"},
	} {
		t.Run(tt.rule, func(t *testing.T) {
			_, err := fleet.Start(t.Context(), tt.name, tt.opts)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want an error with %q", err, tt.want)
			}
		})
	}
	if _, err := fleet.Cluster("there"); err == nil || !strings.Contains(err.Error(), "here") {
		t.Errorf("asking for an unknown cluster: %v, want the names of those there are", err)
	}
	if err := c.Pause(Kwok); err == nil || !strings.Contains(err.Error(), "has no part") {
		t.Errorf("pausing a part that the cluster has not: %v", err)
	}
}
