// Package world is a whole fleet for tests: a real hub, real clusters, a real Git server and the real programs, under the
// service accounts and rules of the charts.
package world

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	fleet "flotilla.io/flotilla/api/v1alpha1"
	"flotilla.io/flotilla/demo/gitserver"
	"flotilla.io/flotilla/embedded"
	"flotilla.io/flotilla/localfleet"
)

// Workspace is where the world's clusters and GitRepos are.
const Workspace = fleet.DefaultWorkspace

// Patience bounds how long Eventually waits.
const Patience = 90 * time.Second

const hookSecret = "a secret that Git server and hub share"

// Options say what a world has.
type Options struct {
	// Clusters by name, with their labels. Each is a real one with an agent.
	Clusters map[string]map[string]string
	// OwnEtcd gives the hub an etcd of its own, for snapshots.
	OwnEtcd bool
	// LeaseSeconds between two renewals, three of which may be missed; 0 is 5.
	LeaseSeconds int
}

// World is a running fleet.
type World struct {
	T     testing.TB
	Dir   string
	Fleet *localfleet.Fleet
	Hub   *embedded.Hub
	Git   *gitserver.Server
	// Agents, Configs and Clients of the clusters, by name.
	Agents  map[string]*embedded.Agent
	Configs map[string]*rest.Config
	Clients map[string]client.Client

	opts    Options
	hook    string
	metrics string
}

// Bin is the folder of our programs.
func Bin(t testing.TB) string {
	_, file, _, _ := runtime.Caller(0)
	bin := filepath.Join(filepath.Dir(file), "..", "..", "bin")
	for _, name := range []string{"flotilla", "flotilla-controller", "flotilla-agent", "localfleet", "kubectl"} {
		if _, err := os.Stat(filepath.Join(bin, name)); err != nil {
			t.Fatalf("bin/%s is missing: run `make localfleet build` first", name)
		}
	}
	abs, err := filepath.Abs(bin)
	if err != nil {
		t.Fatal(err)
	}
	return abs
}

// New starts a world that ends with the test.
func New(t testing.TB, o Options) *World {
	t.Helper()
	log.SetLogger(logr.Discard())
	if o.LeaseSeconds == 0 {
		o.LeaseSeconds = 5
	}
	dir, err := os.MkdirTemp("", "flw") // short: a socket's path has a limit
	if err != nil {
		t.Fatal(err)
	}
	w := &World{T: t, Dir: dir, opts: o, Agents: map[string]*embedded.Agent{}, Configs: map[string]*rest.Config{}, Clients: map[string]client.Client{}}
	w.Fleet, err = localfleet.New(localfleet.Options{Dir: filepath.Join(dir, "fleet"), Binary: filepath.Join(Bin(t), "localfleet")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.close)
	w.startHub()
	w.startGit()
	for name, labels := range o.Clusters {
		w.StartCluster(name)
		w.Join(name, labels)
	}
	for name := range o.Clusters {
		w.joined(name)
	}
	return w
}

func (w *World) close() {
	for _, a := range w.Agents {
		a.Process.Stop()
	}
	if w.Hub != nil && w.Hub.Process != nil {
		w.Hub.Process.Stop()
	}
	if w.Git != nil {
		w.Check(w.Git.Close())
	}
	w.Check(w.Fleet.Close())
	if w.T.Failed() {
		w.T.Logf("logs are kept in %s", w.Dir)
		return
	}
	w.Check(os.RemoveAll(w.Dir))
}

// Check fails the test on an error.
func (w *World) Check(err error) {
	w.T.Helper()
	if err != nil {
		w.T.Fatal(err)
	}
}

func (w *World) startHub() {
	cluster, err := w.Fleet.Start(context.Background(), "hub", localfleet.ClusterOptions{OwnEtcd: w.opts.OwnEtcd, AuditLog: true})
	w.Check(err)
	w.hook, w.metrics = FreeAddress(w.T), FreeAddress(w.T)
	w.StartHub(cluster)
}

// FreeAddress is one that nobody listens on. Its port is none of those that systems hand out to outgoing connections, nor of
// those that localfleet takes, so that it is still free when it is used, also by a program that is started again.
func FreeAddress(t testing.TB) string {
	t.Helper()
	for range 100 {
		address := fmt.Sprintf("127.0.0.1:%d", 30000+rand.IntN(2700))
		if l, err := net.Listen("tcp", address); err == nil {
			_ = l.Close()
			return address
		}
	}
	t.Fatal("100 ports between 30000 and 32700 are all taken")
	return ""
}

// StartHub installs the hub on a cluster and starts its controller: at first, or anew after the cluster was wiped.
func (w *World) StartHub(cluster *localfleet.Cluster) {
	var err error
	w.Hub, err = embedded.StartHub(context.Background(), cluster, embedded.HubOptions{
		Bin: Bin(w.T), Dir: filepath.Join(w.Dir, "hub"), WebhookAddr: w.hook, WebhookSecret: hookSecret, MetricsAddr: w.metrics, LeaseSeconds: w.opts.LeaseSeconds,
	})
	w.Check(err)
}

func (w *World) startGit() {
	var err error
	w.Git, err = gitserver.New(gitserver.Options{Dir: filepath.Join(w.Dir, "git"), OnPush: w.tellHub})
	w.Check(err)
	w.Check(w.Git.Start(context.Background()))
}

// tellHub sends what a Git server sends after a push.
func (w *World) tellHub(repo, ref, commit string) {
	body, err := json.Marshal(map[string]any{"ref": ref, "after": commit, "repository": map[string]any{"clone_url": w.Git.URL(repo)}})
	if err != nil {
		return
	}
	mac := hmac.New(sha256.New, []byte(hookSecret))
	mac.Write(body)
	req, err := http.NewRequest(http.MethodPost, "http://"+w.hook+"/", bytes.NewReader(body))
	if err != nil {
		return
	}
	req.Header.Set("X-Hub-Signature-256", "sha256="+hex.EncodeToString(mac.Sum(nil)))
	if resp, err := (&http.Client{Timeout: 5 * time.Second}).Do(req); err == nil {
		_ = resp.Body.Close()
	}
}

// StartCluster starts a cluster of simulated nodes that has not joined.
func (w *World) StartCluster(name string) {
	w.T.Helper()
	cluster, err := w.Fleet.Start(context.Background(), name, localfleet.ClusterOptions{Nodes: 1, AuditLog: true})
	w.Check(err)
	w.Configs[name], w.Clients[name], err = embedded.Connect(cluster.Kubeconfig(), "")
	w.Check(err)
}

// Join has a cluster join with a token of its own and starts its agent.
func (w *World) Join(name string, labels map[string]string) {
	w.T.Helper()
	values, err := w.Hub.Token(context.Background(), Workspace, name, fleet.ClusterRegistrationTokenSpec{TTL: &metav1.Duration{Duration: time.Hour}, Uses: 1})
	w.Check(err)
	set := map[string]any{}
	for k, v := range labels {
		set[k] = v
	}
	values["clusterName"], values["labels"] = name, set
	w.Agents[name], err = embedded.StartAgent(context.Background(), w.Configs[name], Bin(w.T), filepath.Join(w.Dir, "agents", name), values)
	w.Check(err)
}

// joined waits until the hub has the cluster: what is deployed from now on is for it, too.
func (w *World) joined(name string) {
	w.T.Helper()
	w.Eventually("cluster "+name+" joining", func() error {
		c := &fleet.Cluster{}
		err := w.Hub.Client.Get(context.Background(), client.ObjectKey{Namespace: Workspace, Name: name}, c)
		if err == nil && c.Status.Namespace == "" {
			err = fmt.Errorf("its namespace is not made yet: %+v", c.Status.Conditions)
		}
		return err
	})
}

// Kubectl runs kubectl on the hub ("hub") or a cluster and returns what it prints; it fails the test when kubectl fails.
func (w *World) Kubectl(cluster string, args ...string) string {
	w.T.Helper()
	out, err := w.TryKubectl(cluster, args...)
	if err != nil {
		w.T.Fatalf("kubectl %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

// TryKubectl is Kubectl for commands that may fail.
func (w *World) TryKubectl(cluster string, args ...string) (string, error) {
	w.T.Helper()
	c, err := w.Fleet.Cluster(cluster)
	w.Check(err)
	cmd := exec.Command(filepath.Join(Bin(w.T), "kubectl"), append([]string{"--kubeconfig", c.Kubeconfig()}, args...)...)
	cmd.Env = append(os.Environ(), "HOME="+w.Dir)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// Repo makes a repository with these files (path to content) and returns its URL.
func (w *World) Repo(name string, files map[string]string) string {
	w.T.Helper()
	dir := filepath.Join(w.Dir, "seed", name)
	write(w, dir, files)
	_, err := w.Git.Seed(name, dir)
	w.Check(err)
	return w.Git.URL(name)
}

// Push changes files of a repository in one commit (content "" removes one), also where nothing changes, and returns it.
func (w *World) Push(name string, files map[string]string) string {
	w.T.Helper()
	dir := filepath.Join(w.Dir, "work", name)
	if _, err := os.Stat(dir); err != nil {
		w.git(".", "clone", "-q", w.Git.URL(name), dir)
	}
	w.git(dir, "pull", "-q")
	write(w, dir, files)
	w.git(dir, "add", "-A")
	w.git(dir, "commit", "-q", "--allow-empty", "-m", "change "+strings.Join(sortedKeys(files), ", "))
	w.git(dir, "push", "-q", "origin", "HEAD")
	return strings.TrimSpace(w.git(dir, "rev-parse", "HEAD"))
}

func (w *World) git(dir string, args ...string) string {
	w.T.Helper()
	cmd := exec.Command("git", append([]string{"-c", "user.name=Test User", "-c", "user.email=test@example.com"}, args...)...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "HOME="+w.Dir, "GIT_TERMINAL_PROMPT=0")
	out, err := cmd.CombinedOutput()
	if err != nil {
		w.T.Fatalf("git %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

func write(w *World, dir string, files map[string]string) {
	w.T.Helper()
	for path, content := range files {
		full := filepath.Join(dir, path)
		if content == "" {
			w.Check(os.RemoveAll(full))
			continue
		}
		w.Check(os.MkdirAll(filepath.Dir(full), 0o755))
		w.Check(os.WriteFile(full, []byte(content), 0o644))
	}
}

func sortedKeys(m map[string]string) []string {
	var keys []string
	for k := range maps.Keys(m) {
		keys = append(keys, k)
	}
	return keys
}

// GitRepo applies a GitRepo of a repository to the hub.
func (w *World) GitRepo(name, url string, change func(*fleet.GitRepoSpec)) {
	w.T.Helper()
	repo := &fleet.GitRepo{ObjectMeta: metav1.ObjectMeta{Namespace: Workspace, Name: name}, Spec: fleet.GitRepoSpec{
		Repo: url, Branch: "main", Targets: []fleet.GitTarget{{Name: "all", ClusterSelector: &metav1.LabelSelector{}}},
	}}
	if change != nil {
		change(&repo.Spec)
	}
	w.Check(w.Hub.Client.Create(context.Background(), repo))
}

// Eventually waits until check returns nil, and fails the test with its last error.
func (w *World) Eventually(what string, check func() error) {
	w.T.Helper()
	deadline := time.Now().Add(Patience)
	for {
		err := check()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			w.T.Fatalf("%s: %v\n%s", what, err, w.Overview())
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// Settled waits until every bundle is Healthy wherever it should be, at the commit that its label names. That may be the one
// before a push that the hub has not heard of yet: who pushed waits for what the push brings first.
func (w *World) Settled(bundles ...string) {
	w.T.Helper()
	w.Eventually("waiting for "+strings.Join(bundles, ", "), func() error {
		for _, name := range bundles {
			b := &fleet.Bundle{}
			if err := w.Hub.Client.Get(context.Background(), client.ObjectKey{Namespace: Workspace, Name: name}, b); err != nil {
				return err
			}
			s := b.Status.Summary
			if b.Status.ObservedGeneration != b.Generation || s.DesiredReady == 0 || s.Ready != s.DesiredReady {
				return fmt.Errorf("bundle %s: %d of %d ready", name, s.Ready, s.DesiredReady)
			}
		}
		return nil
	})
}

// Overview is what a person would look at first.
func (w *World) Overview() string {
	var b strings.Builder
	for _, kind := range []string{"gitrepos", "bundles", "bundledeployments", "clusters.fleet.cattle.io", "clusterregistrations"} {
		out, _ := w.TryKubectl("hub", "get", kind, "-A")
		fmt.Fprintf(&b, "$ kubectl get %s -A\n%s\n", kind, out)
	}
	return b.String()
}

// Flotilla runs the CLI and returns what it prints; it fails the test when it fails.
func (w *World) Flotilla(args ...string) string {
	w.T.Helper()
	cmd := exec.Command(filepath.Join(Bin(w.T), "flotilla"), args...)
	cmd.Env = append(os.Environ(), "HOME="+w.Dir)
	out, err := cmd.CombinedOutput()
	if err != nil {
		w.T.Fatalf("flotilla %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// Hook is the address of the hub's webhook, and HookSecret what its pushes are signed with.
func (w *World) Hook() string { return "http://" + w.hook + "/" }

// Metrics is where the hub's controller is scraped.
func (w *World) Metrics() string { return "http://" + w.metrics + "/metrics" }

// HookSecret is what the hub and the world's Git server share.
func HookSecret() []byte { return []byte(hookSecret) }
