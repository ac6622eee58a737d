package e2e

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	fleet "flotilla.io/flotilla/api/v1alpha1"
	"flotilla.io/flotilla/integrationtests/world"
)

// one is a world with one cluster and one settled bundle whose drift is healed.
func one(t *testing.T, o world.Options) *world.World {
	o.Clusters = map[string]map[string]string{"production": {"env": "production"}}
	w := world.New(t, o)
	w.GitRepo("fleet", w.Repo("fleet", map[string]string{
		"app/fleet.yaml": "defaultNamespace: app\ncorrectDrift: {enabled: true}\n", "app/a.yaml": configMap("a", "one"), "app/b.yaml": configMap("b", "one"),
	}), nil)
	w.Settled("fleet-app")
	return w
}

// deletes are the requests by the agent (or a tenant that it acts as) that delete what it deployed.
func deletes(w *world.World, cluster string) []string {
	w.T.Helper()
	var out []string
	for _, e := range audit(w, cluster) {
		if strings.HasPrefix(e.Verb, "delete") && ours(e) && e.ObjectRef.Namespace != fleet.SystemNamespace {
			out = append(out, fmt.Sprintf("%s %s %s/%s", e.Verb, e.ObjectRef.Resource, e.ObjectRef.Namespace, e.ObjectRef.Name))
		}
	}
	return out
}

// still fails if the agent deleted anything, or if what it deployed is not there.
func still(w *world.World, cluster string) {
	w.T.Helper()
	if d := deletes(w, cluster); len(d) > 0 {
		w.T.Errorf("the agent on %s deleted %v", cluster, d)
	}
	for _, name := range []string{"a", "b"} {
		got, _, err := text(w, cluster, "app", name)
		w.Check(err)
		if got != "one" {
			w.T.Errorf("ConfigMap %s on %s says %q", name, cluster, got)
		}
	}
}

// logHas waits until the agent's log has every one of the parts.
func logHas(w *world.World, cluster string, parts ...string) {
	w.T.Helper()
	w.Eventually("the agent's log saying "+strings.Join(parts, ", "), func() error {
		log, err := os.ReadFile(w.Agents[cluster].LogPath())
		if err != nil {
			return err
		}
		for _, p := range parts {
			if !strings.Contains(string(log), p) {
				return fmt.Errorf("it lacks %q:\n%s", p, tail(string(log), 2000))
			}
		}
		return nil
	})
}

func tail(s string, n int) string { return s[max(0, len(s)-n):] }

func damage(w *world.World) {
	w.T.Helper()
	w.Kubectl("production", "-n", "app", "patch", "configmap", "a", "--type=merge", "-p", `{"data":{"text":"damaged"}}`)
}

func healed(w *world.World) {
	w.T.Helper()
	w.Eventually("the drift being healed", func() error {
		got, _, err := text(w, "production", "app", "a")
		if err == nil && got != "one" {
			err = fmt.Errorf("it says %q", got)
		}
		return err
	})
}

func TestOnOneCluster(t *testing.T) {
	t.Parallel()
	w := one(t, world.Options{})
	t.Run("a BundleDeployment deleted by hand is made again and nothing goes", func(t *testing.T) { aBundleDeploymentIsDeletedByHand(in(t, w)) })
	t.Run("the agent goes on healing without the hub", func(t *testing.T) { theAgentGoesOnWithoutTheHub(in(t, w)) })
}

func theAgentGoesOnWithoutTheHub(w *world.World) {
	hub, err := w.Fleet.Cluster("hub")
	w.Check(err)
	w.Hub.Process.Stop()
	w.Check(hub.Stop())
	damage(w)
	healed(w)

	// Also after a restart; an agent has no disk.
	w.Agents["production"].Process.Kill()
	w.Check(w.Agents["production"].Start())
	damage(w)
	healed(w)
	still(w, "production")

	w.Check(hub.Start(context.Background()))
	w.Check(w.Hub.StartController(context.Background()))
	w.Push("fleet", map[string]string{"app/a.yaml": configMap("a", "two")})
	w.Eventually("the push that follows", func() error {
		got, _, err := text(w, "production", "app", "a")
		if err == nil && got != "two" {
			err = fmt.Errorf("a says %q", got)
		}
		return err
	})
	w.Settled("fleet-app")
}

func aBundleDeploymentIsDeletedByHand(w *world.World) {
	list := &fleet.BundleDeploymentList{}
	w.Check(w.Hub.Client.List(context.Background(), list))
	uid := list.Items[0].UID
	w.Check(w.Hub.Client.Delete(context.Background(), &list.Items[0]))
	w.Eventually("another one", func() error {
		w.Check(w.Hub.Client.List(context.Background(), list))
		if len(list.Items) != 1 || list.Items[0].UID == uid {
			return fmt.Errorf("there are %d", len(list.Items))
		}
		return nil
	})
	w.Settled("fleet-app")
	still(w, "production")
}

func TestAHubThatWasWipedTakesNothingAway(t *testing.T) {
	t.Parallel()
	w := one(t, world.Options{OwnEtcd: true})
	hub, err := w.Fleet.Cluster("hub")
	w.Check(err)
	w.Hub.Process.Stop()
	w.Check(hub.Wipe(context.Background()))
	w.Check(hub.Start(context.Background()))
	w.StartHub(hub)
	logHas(w, "production", "have the cluster join again with a new token")
	damage(w)
	healed(w)
	still(w, "production")

	// A person's word ends it: the cluster joins the new hub, which deploys the same again.
	w.Agents["production"].Process.Stop()
	w.Join("production", map[string]string{"env": "production"})
	w.GitRepo("fleet", w.Git.URL("fleet"), nil)
	w.Settled("fleet-app")
	still(w, "production")
}

func TestAHubRestoredFromAnOldSnapshotIsHeldUntilAPersonSaysSo(t *testing.T) {
	t.Parallel()
	w := one(t, world.Options{OwnEtcd: true})
	hub, err := w.Fleet.Cluster("hub")
	w.Check(err)
	snapshot := filepath.Join(w.Dir, "snapshot")
	w.Hub.Process.Stop()
	w.Check(hub.Snapshot(context.Background(), snapshot))
	w.Check(w.Hub.StartController(context.Background()))
	w.Push("fleet", map[string]string{"app/c.yaml": configMap("c", "new")})
	w.Eventually("the push after the snapshot", func() error {
		got, _, err := text(w, "production", "app", "c")
		if err == nil && got != "new" {
			err = fmt.Errorf("c says %q", got)
		}
		return err
	})
	w.Settled("fleet-app")
	// Two more revisions, so that the restored hub's next one is still older than what the agent saw.
	w.Push("fleet", map[string]string{"app/c.yaml": configMap("c", "newer")})
	w.Push("fleet", map[string]string{"app/d.yaml": configMap("d", "newest")})
	w.Eventually("the newest revision", func() error {
		got, _, err := text(w, "production", "app", "d")
		if err == nil && got != "newest" {
			err = fmt.Errorf("d says %q", got)
		}
		return err
	})

	w.Hub.Process.Stop()
	w.Check(hub.Restore(context.Background(), snapshot))
	w.Check(hub.Start(context.Background()))
	w.Check(w.Hub.StartController(context.Background()))
	w.Eventually("the deployment being held", func() error {
		list := &fleet.BundleDeploymentList{}
		if err := w.Hub.Client.List(context.Background(), list); err != nil {
			return err
		}
		for _, bd := range list.Items {
			if bd.Status.Hold != nil && strings.Contains(bd.Status.Hold.Message, "flotilla resume cluster/") {
				return nil
			}
		}
		return fmt.Errorf("no deployment says what ends the hold")
	})
	still(w, "production")

	cluster := &fleet.Cluster{}
	w.Check(w.Hub.Client.Get(context.Background(), client.ObjectKey{Namespace: world.Workspace, Name: "production"}, cluster))
	w.Flotilla("resume", "cluster/production", "--kubeconfig", hub.Kubeconfig())
	w.Settled("fleet-app")
	still(w, "production")
}

// quiet fails if anything was written within a minute but leases.
func quiet(w *world.World, clusters ...string) {
	w.T.Helper()
	before := map[string]int{}
	for _, c := range clusters {
		before[c] = len(writes(w, c))
	}
	time.Sleep(time.Minute)
	for _, c := range clusters {
		for _, e := range writes(w, c)[before[c]:] {
			w.T.Errorf("a settled fleet wrote on %s: %s %s/%s %s/%s by %s", c, e.Verb, e.ObjectRef.Resource, e.ObjectRef.Subresource, e.ObjectRef.Namespace, e.ObjectRef.Name, e.User.Username)
		}
	}
}

// outOfSync brings what stays out of sync: a drift that nobody puts back, a Deployment that no node takes, a chart that does not render.
func outOfSync(w *world.World) {
	w.GitRepo("out", w.Repo("out", map[string]string{
		"drift/fleet.yaml": "defaultNamespace: out\n", "drift/c.yaml": configMap("drift", "good"),
		"stuck/fleet.yaml": "defaultNamespace: out\n",
		"stuck/d.yaml": `apiVersion: apps/v1
kind: Deployment
metadata: {name: stuck}
spec:
  progressDeadlineSeconds: 3600
  selector: {matchLabels: {app: stuck}}
  template:
    metadata: {labels: {app: stuck}}
    spec: {nodeSelector: {no: such-node}, containers: [{name: c, image: stuck}]}
`,
		"broken/fleet.yaml": "defaultNamespace: out\n", "broken/Chart.yaml": "apiVersion: v2\nname: broken\nversion: 1.0.0\n",
		"broken/templates/c.yaml": "{{ .Values.none.deeper }}\n",
	}), func(s *fleet.GitRepoSpec) {
		s.Paths, s.Targets = []string{"drift", "stuck", "broken"}, everyone()
	})
	w.Settled("out-drift")
	w.Kubectl("production", "-n", "out", "patch", "configmap", "drift", "--type=merge", "-p", `{"data":{"text":"changed"}}`)
	holds(w, "what is out of sync", func() string { return w.Kubectl("hub", "get", "bundles", "-A") },
		"Modified(1) [Cluster fleet-default/production]", "NotReady(2) [Cluster fleet-default/development]", "RenderFailed: in broken")
}

// aSettledFleetIsSilent, and so is one whose bundles are out of sync: looking again is no reason to write again.
func aSettledFleetIsSilent(w *world.World) {
	outOfSync(w)
	w.Settled("company-apps-apps-web", "company-apps-apps-api-service-production", "pushed-app", "renamed-new", "kept-app")
	rests(w, 12*time.Second, "hub", "production", "development") // the last reports, which may wait for 10 s, and roll-ups
	before := renderings(w)
	go func() {
		time.Sleep(20 * time.Second)
		w.Hub.Process.Stop()
		if err := w.Hub.StartController(context.Background()); err != nil {
			w.T.Error(err)
		}
	}()
	quiet(w, "hub", "production", "development")
	if got := renderings(w); got != before {
		w.T.Errorf("%d renderings after a restart of the controller, %d before it", got, before)
	}
	w.Eventually("one watch of each agent", func() error { return oneWatch(w) })
}

// oneWatch: an agent holds one watch on the hub.
func oneWatch(w *world.World) error {
	open := map[string]int{}
	for _, e := range audit(w, "hub") {
		if e.Verb == "watch" && strings.HasPrefix(e.User.Username, "system:serviceaccount:"+fleet.RegistrationNamespace+":") {
			if e.Stage == "ResponseStarted" {
				open[e.User.Username]++
			}
			if e.Stage == "ResponseComplete" {
				open[e.User.Username]--
			}
		}
	}
	if len(open) != 2 {
		return fmt.Errorf("%d agents watch the hub, want 2", len(open))
	}
	for agent, n := range open {
		if n != 1 {
			return fmt.Errorf("%s has %d watches open", agent, n)
		}
	}
	return nil
}
