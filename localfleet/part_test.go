package localfleet

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// reachable tells whether the API server answers within two seconds.
func reachable(t *testing.T, c *Cluster) bool {
	t.Helper()
	_, err := kubectl(t, c, "get", "--raw=/api/v1/namespaces/default", "--request-timeout=2s")
	return err == nil
}

func expectState(t *testing.T, c *Cluster, part Part, want State) {
	t.Helper()
	if got, _ := c.State(part); got != want {
		t.Errorf("%s is %s, want %s", part, got, want)
	}
}

func TestEachPartObeys(t *testing.T) {
	fleet := open(t, t.TempDir())
	c := start(t, fleet, "hub", ClusterOptions{})
	other := start(t, fleet, "other", ClusterOptions{Parts: []Part{KubeAPIServer}})
	ok(t, c, "create", "configmap", "kept")

	t.Run("a paused API server answers nothing, and goes on when resumed", func(t *testing.T) {
		_, before := c.State(KubeAPIServer)
		must(t, c.Pause(KubeAPIServer))
		expectState(t, c, KubeAPIServer, Paused)
		if reachable(t, c) {
			t.Error("it answers though paused")
		}
		must(t, c.Resume(KubeAPIServer))
		expectState(t, c, KubeAPIServer, Running)
		if _, after := c.State(KubeAPIServer); configMaps(t, c) != "kept" || after != before {
			t.Errorf("process %d became %d, configmaps are %q", before, after, configMaps(t, c))
		}
	})
	t.Run("a killed API server comes back with its data", func(t *testing.T) {
		must(t, c.Kill(KubeAPIServer))
		expectState(t, c, KubeAPIServer, Stopped)
		if reachable(t, c) || !reachable(t, other) {
			t.Errorf("reachable: %v, the other: %v; want only the other", reachable(t, c), reachable(t, other))
		}
		must(t, c.Start(t.Context(), KubeAPIServer))
		if got := configMaps(t, c); got != "kept" {
			t.Errorf("configmaps are %q, want kept", got)
		}
	})
	t.Run("a paused part can be stopped", func(t *testing.T) {
		must(t, c.Pause(KubeControllerManager))
		must(t, c.Stop(KubeControllerManager))
		must(t, c.Start(t.Context(), KubeControllerManager))
		ok(t, c, "create", "namespace", "short")
		ok(t, c, "delete", "namespace", "short", "--timeout=50s")
	})
	t.Run("etcd killed and started keeps all clusters' data", func(t *testing.T) {
		must(t, c.Kill(Etcd))
		if reachable(t, c) {
			t.Error("the API server answers without an etcd")
		}
		must(t, c.Start(t.Context()))
		eventually(t, "both answer again", func() bool { return reachable(t, c) && reachable(t, other) })
		if got := configMaps(t, c); got != "kept" {
			t.Errorf("configmaps are %q, want kept", got)
		}
	})
	t.Run("a part that ends by itself is told from one that was stopped", func(t *testing.T) {
		c.runners[KubeControllerManager].mu.Lock()
		must(t, c.runners[KubeControllerManager].proc.cmd.Process.Kill())
		c.runners[KubeControllerManager].mu.Unlock()
		eventually(t, "the part is seen to have ended", func() bool {
			state, pid := c.State(KubeControllerManager)
			return state == Failed && pid == 0
		})
	})
	t.Run("stopping a whole cluster leaves the etcd that it shares", func(t *testing.T) {
		must(t, c.Stop())
		expectState(t, c, KubeAPIServer, Stopped)
		expectState(t, c, Etcd, Running)
		if !reachable(t, other) {
			t.Error("the other cluster went down too")
		}
	})
}

func TestWipe(t *testing.T) {
	fleet := open(t, t.TempDir())
	api := ClusterOptions{Parts: []Part{KubeAPIServer}}
	edge, own := start(t, fleet, "edge", api), start(t, fleet, "own", ClusterOptions{Parts: api.Parts, OwnEtcd: true})
	neighbour := start(t, fleet, "edge-2", api) // its name begins with the other's
	ok(t, neighbour, "create", "configmap", "kept")
	for _, c := range []*Cluster{edge, own} {
		t.Run(c.Name(), func(t *testing.T) {
			ok(t, c, "create", "configmap", "old")
			config, err := os.ReadFile(c.Kubeconfig())
			must(t, err)
			uid := ok(t, c, "get", "namespace", "kube-system", "-o", "jsonpath={.metadata.uid}")
			must(t, c.Wipe(t.Context()))
			expectState(t, c, KubeAPIServer, Stopped)
			must(t, c.Start(t.Context()))
			if got := configMaps(t, c); got != "" {
				t.Errorf("configmaps after a wipe: %q", got)
			}
			if ok(t, c, "get", "namespace", "kube-system", "-o", "jsonpath={.metadata.uid}") == uid {
				t.Error("kube-system is the same as before")
			}
			if again, err := os.ReadFile(c.Kubeconfig()); err != nil || string(again) != string(config) {
				t.Errorf("the kubeconfig changed: %v", err)
			}
		})
	}
	if got := configMaps(t, neighbour); got != "kept" {
		t.Errorf("the neighbour's configmaps are %q, want kept", got)
	}
	must(t, fleet.Remove(t.Context(), "edge"))
	if _, err := os.Stat(edge.dir); !os.IsNotExist(err) {
		t.Errorf("the folder of a removed cluster: %v, want it gone", err)
	}
	again := start(t, fleet, "edge", api)
	if got := configMaps(t, again); got != "" {
		t.Errorf("configmaps of a new cluster under a removed one's name: %q", got)
	}
}

func TestSnapshotAndRestore(t *testing.T) {
	fleet := open(t, t.TempDir())
	c := start(t, fleet, "hub", ClusterOptions{OwnEtcd: true, Parts: []Part{KubeAPIServer}})
	ok(t, c, "create", "configmap", "early")
	dir := filepath.Join(t.TempDir(), "snapshot")
	must(t, c.Snapshot(t.Context(), dir))
	eventually(t, "the API server finds its etcd again", func() bool { return reachable(t, c) })
	apply(t, c, many(t, 50)) // more writes than a starting API server makes
	before := revision(t, c)
	if err := c.Snapshot(t.Context(), dir); err == nil {
		t.Error("a second snapshot overwrote the first")
	}
	must(t, c.Restore(t.Context(), dir))
	if got := configMaps(t, c); got != "early" {
		t.Errorf("configmaps after the restore: %q, want those of the snapshot", got)
	}
	if after := revision(t, c); after >= before {
		t.Errorf("the resource version went from %d to %d, want it to go back", before, after)
	}
	if err := c.Restore(t.Context(), t.TempDir()); err == nil || !strings.Contains(err.Error(), "is no snapshot") {
		t.Errorf("restoring an empty folder: %v", err)
	}

	shared := start(t, fleet, "shared", ClusterOptions{Parts: []Part{KubeAPIServer}})
	if err := shared.Snapshot(t.Context(), t.TempDir()); err == nil || !strings.Contains(err.Error(), "OwnEtcd") {
		t.Errorf("snapshot of a shared etcd: %v, want to be told of OwnEtcd", err)
	}
}

// many is a manifest of n configmaps.
func many(t *testing.T, n int) string {
	t.Helper()
	var text strings.Builder
	for i := range n {
		fmt.Fprintf(&text, "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: late-%d}\n", i)
	}
	return text.String()
}

// revision is the resource version that a list has now.
func revision(t *testing.T, c *Cluster) int {
	t.Helper()
	var list struct {
		Metadata struct {
			ResourceVersion int `json:",string"`
		}
	}
	must(t, json.Unmarshal([]byte(ok(t, c, "get", "--raw", "/api/v1/namespaces/default/configmaps")), &list))
	return list.Metadata.ResourceVersion
}

func TestKubectlByName(t *testing.T) {
	link := filepath.Join(t.TempDir(), "kubectl")
	must(t, os.Symlink(binary, link))
	for _, command := range [][]string{{link}, {binary, "kubectl"}} {
		cmd := exec.Command(command[0], append(command[1:], "version", "--client")...)
		cmd.Env = []string{"HOME=" + t.TempDir()}
		out, err := cmd.CombinedOutput()
		if err != nil || !strings.HasPrefix(string(out), "Client Version: v1.") {
			t.Errorf("%v version --client: %v\n%s", command, err, out)
		}
	}
}
