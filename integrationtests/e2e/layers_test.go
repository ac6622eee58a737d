package e2e

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	agentapi "flotilla.io/flotilla/api/flotilla/v1alpha1"
	fleet "flotilla.io/flotilla/api/v1alpha1"
	"flotilla.io/flotilla/integrationtests/world"
)

// paperClusters makes n clusters that have no agent; the test says for each what its agent would report.
func paperClusters(w *world.World, n int) {
	w.T.Helper()
	ctx := context.Background()
	for i := range n {
		c := &fleet.Cluster{ObjectMeta: metav1.ObjectMeta{Namespace: world.Workspace, Name: fmt.Sprintf("paper-%02d", i), Labels: map[string]string{"paper": "true"}}}
		w.Check(w.Hub.Client.Create(ctx, c))
	}
	for i := range n {
		name := fmt.Sprintf("paper-%02d", i)
		w.Eventually("the Agent object of "+name, func() error {
			c := &fleet.Cluster{}
			if err := w.Hub.Client.Get(ctx, client.ObjectKey{Namespace: world.Workspace, Name: name}, c); err != nil {
				return err
			}
			a := &agentapi.Agent{}
			if err := w.Hub.Client.Get(ctx, client.ObjectKey{Namespace: c.Status.Namespace, Name: fleet.AgentName}, a); err != nil {
				return err
			}
			before := a.DeepCopy()
			a.Status.KubernetesVersion = "v1.37.2"
			// Every cluster has a CRD of its own.
			a.Status.APIs = []string{"apps/v1", "apps/v1/Deployment", fmt.Sprintf("own%d.example.com/v1", i), fmt.Sprintf("own%d.example.com/v1/Thing", i), "v1"}
			return w.Hub.Client.Status().Patch(ctx, a, client.MergeFrom(before))
		})
	}
}

// hundred is a bundle of 100 objects of which one differs from cluster to cluster.
func hundred(change string) map[string]string {
	files := map[string]string{
		"app/fleet.yaml":              "defaultNamespace: app\nhelm:\n  values:\n    cluster: ${ .ClusterName }\n",
		"app/Chart.yaml":              "apiVersion: v2\nname: app\nversion: 1.0.0\n",
		"app/templates/own.yaml":      "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: own}\ndata: {cluster: {{ .Values.cluster }}}\n",
		"app/templates/asks.yaml":     "{{ if .Capabilities.APIVersions.Has \"apps/v1/Deployment\" }}\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: asks}\n{{ end }}\n",
		"elsewhere/not-a-bundle.text": "nothing\n",
	}
	for i := range 98 {
		value := "as ever"
		if i == 7 {
			value = change
		}
		files[fmt.Sprintf("app/templates/cm%02d.yaml", i)] = fmt.Sprintf("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: cm%02d}\ndata: {text: %q}\n", i, value)
	}
	return files
}

// layersOf reads the layers of all BundleDeployments of a bundle: how many clusters have each.
func layersOf(w *world.World, bundle string, want int) (map[string]int, map[string]int32) {
	w.T.Helper()
	used, objects := map[string]int{}, map[string]int32{}
	w.Eventually(fmt.Sprintf("%d deployments of %s", want, bundle), func() error {
		list := &fleet.BundleDeploymentList{}
		if err := w.Hub.Client.List(context.Background(), list, client.MatchingLabels{fleet.BundleLabel: bundle}); err != nil {
			return err
		}
		if len(list.Items) != want {
			return fmt.Errorf("there are %d", len(list.Items))
		}
		clear(used)
		for _, bd := range list.Items {
			for _, l := range bd.Spec.Layers {
				used[l.ID]++
				objects[l.ID] = l.Objects
			}
		}
		return nil
	})
	return used, objects
}

func TestFiftyClustersShareWhatTheyHaveInCommon(t *testing.T) {
	t.Parallel()
	const n = 50
	w := world.New(t, world.Options{})
	paperClusters(w, n)
	w.GitRepo("fleet", w.Repo("fleet", hundred("first")), func(s *fleet.GitRepoSpec) { s.Paths = []string{"app"} })
	const bundle = "fleet-app"

	first, objects := layersOf(w, bundle, n)
	shared, own := 0, 0
	for id, clusters := range first {
		switch {
		case clusters == n && objects[id] == 99:
			shared++
		case clusters == 1 && objects[id] == 1:
			own++
		default:
			t.Errorf("layer %s has %d objects and is on %d clusters", id, objects[id], clusters)
		}
	}
	if shared != 1 || own != n {
		t.Errorf("%d shared layers and %d own ones, want 1 and %d", shared, own, n)
	}

	commit := w.Push("fleet", hundred("second"))
	w.Eventually("the push in every deployment", func() error { return atCommit(w, bundle, commit, n) })
	second, objects := layersOf(w, bundle, n)
	var added []string
	for id := range second {
		if first[id] == 0 {
			added = append(added, id)
		}
	}
	if len(added) != 1 || objects[added[0]] != 1 || second[added[0]] != n {
		for _, id := range added {
			t.Logf("layer %s: %d objects on %d clusters", id, objects[id], second[id])
		}
		t.Errorf("one shared object changed: %d layers added, want one of one object on all", len(added))
	}
	nothingForNothing(t, w, bundle, n)
}

// atCommit: every deployment carries a commit, and so do repository and bundle.
func atCommit(w *world.World, bundle, commit string, n int) error {
	list := &fleet.BundleDeploymentList{}
	if err := w.Hub.Client.List(context.Background(), list, client.MatchingLabels{fleet.BundleLabel: bundle}); err != nil {
		return err
	}
	head := strings.TrimSpace(w.Kubectl("hub", "-n", world.Workspace, "get", "gitrepo", "fleet", "-o", "jsonpath={.status.commit}"))
	if have := commitOf(w, bundle); have != commit || head != commit {
		return fmt.Errorf("the bundle is at %s, the repository at %s", have, head)
	}
	at := 0
	for _, bd := range list.Items {
		if bd.Labels[fleet.CommitLabel] == commit {
			at++
		}
	}
	if at != n {
		return fmt.Errorf("%d of %d are at %s", at, n, commit)
	}
	return nil
}

// nothingForNothing: a push outside of the path writes nothing but the GitRepo's commit.
func nothingForNothing(t *testing.T, w *world.World, bundle string, n int) {
	rests(w, 2*time.Second, "hub") // roll-ups of the last push end
	mark := len(writes(w, "hub"))
	commit := w.Push("fleet", map[string]string{"elsewhere/not-a-bundle.text": "something else\n"})
	w.Eventually("the GitRepo's commit", func() error {
		got := w.Kubectl("hub", "-n", world.Workspace, "get", "gitrepo", "fleet", "-o", "jsonpath={.status.commit}")
		if strings.TrimSpace(got) != commit {
			return fmt.Errorf("it is %s", got)
		}
		return nil
	})
	time.Sleep(2 * time.Second)
	for _, e := range writes(w, "hub")[mark:] {
		if e.ObjectRef.Resource != "gitrepos" {
			t.Errorf("a push that changes nothing made %s %s/%s %s/%s", e.Verb, e.ObjectRef.Resource, e.ObjectRef.Subresource, e.ObjectRef.Namespace, e.ObjectRef.Name)
		}
	}
	if _, objects := layersOf(w, bundle, n); len(objects) == 0 {
		t.Error("no layers are left")
	}
}

// event is what is used of a line of an audit log.
type event struct {
	Verb  string `json:"verb"`
	Stage string `json:"stage"`
	User  struct {
		Username string `json:"username"`
	} `json:"user"`
	UserAgent string `json:"userAgent"`
	ObjectRef struct {
		Resource    string `json:"resource"`
		Subresource string `json:"subresource"`
		Namespace   string `json:"namespace"`
		Name        string `json:"name"`
	} `json:"objectRef"`
	ImpersonatedUser *struct {
		Username string `json:"username"`
	} `json:"impersonatedUser"`
	RequestURI     string `json:"requestURI"`
	ResponseStatus struct {
		Code int `json:"code"`
	} `json:"responseStatus"`
}

// audit reads a cluster's audit log.
func audit(w *world.World, cluster string) []event {
	w.T.Helper()
	c, err := w.Fleet.Cluster(cluster)
	w.Check(err)
	f, err := os.Open(c.AuditLogPath())
	w.Check(err)
	defer f.Close()
	var out []event
	scanner := bufio.NewScanner(f)
	scanner.Buffer(make([]byte, 1<<20), 1<<24)
	for scanner.Scan() {
		var e event
		if json.Unmarshal(scanner.Bytes(), &e) == nil && e.Verb != "" {
			out = append(out, e)
		}
	}
	w.Check(scanner.Err())
	return out
}

// ours tells Flotilla's requests from those of Kubernetes itself and of the test.
func ours(e event) bool {
	return strings.HasPrefix(e.User.Username, "system:serviceaccount:"+fleet.SystemNamespace+":") ||
		strings.HasPrefix(e.User.Username, "system:serviceaccount:"+fleet.RegistrationNamespace+":")
}

// writes are Flotilla's requests that change something, events and leases not counted.
func writes(w *world.World, cluster string) []event {
	w.T.Helper()
	var out []event
	for _, e := range audit(w, cluster) {
		switch e.Verb {
		case "create", "update", "patch", "delete", "deletecollection", "apply":
			if ours(e) && e.ObjectRef.Resource != "leases" && e.ObjectRef.Resource != "events" && e.ObjectRef.Subresource != "token" {
				out = append(out, e)
			}
		}
	}
	return out
}

// rests waits until nothing was written on some clusters for a while: reports and roll-ups take longer on a busy machine.
func rests(w *world.World, quiet time.Duration, clusters ...string) {
	w.T.Helper()
	count := func() (n int) {
		for _, c := range clusters {
			n += len(writes(w, c))
		}
		return n
	}
	before := count()
	w.Eventually(fmt.Sprintf("no write for %s", quiet), func() error {
		time.Sleep(quiet)
		was := before
		if before = count(); before != was {
			return fmt.Errorf("there were %d", before-was)
		}
		return nil
	})
}

// renderings reads the controller's trace: how many renderings it made since it started.
func renderings(w *world.World) int {
	w.T.Helper()
	log, err := os.ReadFile(w.Hub.LogPath())
	w.Check(err)
	return strings.Count(string(log), "rendered bundle")
}

func TestFiftyClustersWithCRDsOfTheirOwnNeedOneRendering(t *testing.T) {
	t.Parallel()
	const n = 50
	w := world.New(t, world.Options{})
	paperClusters(w, n)
	files := hundred("first")
	files["app/fleet.yaml"] = "defaultNamespace: app\nhelm:\n  values:\n    cluster: all\n"
	w.GitRepo("fleet", w.Repo("fleet", files), func(s *fleet.GitRepoSpec) { s.Paths = []string{"app"} })
	layers, _ := layersOf(w, "fleet-app", n)
	if len(layers) != 1 {
		t.Errorf("equal renderings lie in %d layers", len(layers))
	}
	if got := renderings(w); got != 1 {
		t.Errorf("%d renderings for clusters that get the same", got)
	}
	creates := 0
	for _, e := range writes(w, "hub") {
		if e.Verb == "create" && e.ObjectRef.Resource == "bundledeployments" {
			creates++
		}
	}
	if creates != n {
		t.Errorf("%d creates of BundleDeployments for %d clusters", creates, n)
	}
}
