package localfleet

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// callerEnv makes the test program a caller that starts a fleet in the folder it names and waits to be killed.
const callerEnv = "LOCALFLEET_TEST_CALLER"

// binary is the localfleet program under test.
var binary string

func TestMain(m *testing.M) {
	var err error
	if binary, err = Find(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	if dir := os.Getenv(callerEnv); dir != "" {
		if err := beCaller(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	os.Exit(m.Run())
}

// open makes a fleet in dir that closes with the test.
func open(t *testing.T, dir string) *Fleet {
	t.Helper()
	fleet, err := New(Options{Dir: dir, Binary: binary})
	must(t, err)
	t.Cleanup(func() {
		if err := fleet.Close(); err != nil {
			t.Error(err)
		}
	})
	return fleet
}

// start starts a cluster, or fails the test.
func start(t *testing.T, fleet *Fleet, name string, opts ClusterOptions) *Cluster {
	t.Helper()
	c, err := fleet.Start(t.Context(), name, opts)
	must(t, err)
	return c
}

// kubectl runs kubectl as the cluster's administrator and returns its trimmed output, both streams.
func kubectl(t *testing.T, c *Cluster, args ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, binary, append([]string{"kubectl", "--kubeconfig", c.Kubeconfig()}, args...)...)
	cmd.Env = append(os.Environ(), "HOME="+t.TempDir(), "KUBECTL_KUBERC=false")
	out, err := cmd.CombinedOutput()
	return strings.TrimSpace(string(out)), err
}

// ok is kubectl's output, and the test's end when kubectl fails.
func ok(t *testing.T, c *Cluster, args ...string) string {
	t.Helper()
	out, err := kubectl(t, c, args...)
	if err != nil {
		t.Fatalf("kubectl %s on %s: %v\n%s", strings.Join(args, " "), c.Name(), err, out)
	}
	return out
}

// apply applies a manifest.
func apply(t *testing.T, c *Cluster, manifest string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "manifest.yaml")
	must(t, os.WriteFile(file, []byte(manifest), 0o600))
	ok(t, c, "apply", "-f", file)
}

// configMaps are the names of the configmaps in the default namespace that a test made.
func configMaps(t *testing.T, c *Cluster) string {
	t.Helper()
	return strings.Join(strings.Fields(ok(t, c, "get", "configmaps", "--field-selector=metadata.name!=kube-root-ca.crt",
		"-o", "jsonpath={.items[*].metadata.name}")), " ")
}

// eventually waits until done is true.
func eventually(t *testing.T, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !done(); time.Sleep(pollInterval) {
		if time.Now().After(deadline) {
			t.Fatalf("not within a minute: %s", what)
		}
	}
}

// pids are the processes of the fleet's clusters.
func pids(t *testing.T, fleet *Fleet) []int {
	t.Helper()
	var pids []int
	for _, c := range fleet.Clusters() {
		for _, part := range c.Parts() {
			if _, pid := c.State(part); pid != 0 {
				pids = append(pids, pid)
			}
		}
	}
	if len(pids) == 0 {
		t.Fatal("the fleet has no process")
	}
	return pids
}

// gone tells whether none of the processes is there any more; one that nobody has waited for yet is gone too.
func gone(pids []int) bool {
	for _, pid := range pids {
		if syscall.Kill(pid, 0) != nil {
			continue
		}
		if stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid)); err == nil && bytes.Contains(stat, []byte(") Z ")) {
			continue
		}
		return false
	}
	return true
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
