package badinput

import (
	"context"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	fleet "flotilla.io/flotilla/api/v1alpha1"
	"flotilla.io/flotilla/integrationtests/world"
)

// production is the one real cluster of these tests; each GitRepo names it, so that clusters on paper stay out of the way.
const production = "production"

func newWorld(t *testing.T) *world.World {
	return world.New(t, world.Options{Clusters: map[string]map[string]string{production: {"env": production}}})
}

// of is the same world for a subtest, which is the one to fail.
func of(t *testing.T, w *world.World) *world.World {
	same := *w
	same.T = t
	return &same
}

func inProduction() []fleet.GitTarget {
	return []fleet.GitTarget{{Name: "all", ClusterSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"env": production}}}}
}

// gitRepo applies a GitRepo for the real cluster alone.
func gitRepo(w *world.World, name, url string, change func(*fleet.GitRepoSpec)) {
	w.T.Helper()
	w.GitRepo(name, url, func(s *fleet.GitRepoSpec) {
		s.Targets = inProduction()
		if change != nil {
			change(s)
		}
	})
}

// edit changes the spec of a GitRepo.
func edit(w *world.World, name string, change func(*fleet.GitRepoSpec)) {
	w.T.Helper()
	repo := &fleet.GitRepo{}
	w.Check(w.Hub.Client.Get(context.Background(), client.ObjectKey{Namespace: world.Workspace, Name: name}, repo))
	before := repo.DeepCopy()
	change(&repo.Spec)
	w.Check(w.Hub.Client.Patch(context.Background(), repo, client.MergeFrom(before)))
}

// screen is what kubectl printed last; many look at it.
type screen struct {
	at   time.Time
	text string
}

// screens are by kind. They are looked at by one test at a time.
var screens = map[string]screen{}

// table is what `kubectl get kind -A` prints, not older than a moment.
func table(w *world.World, kind string) []string {
	w.T.Helper()
	s := screens[w.Dir+kind]
	if time.Since(s.at) > 300*time.Millisecond {
		s.text = w.Kubectl("hub", "get", kind, "-A", "--no-headers")
		s.at = time.Now()
		screens[w.Dir+kind] = s
	}
	return strings.Split(s.text, "\n")
}

// row is the line of an object of the workspace, from its name on, blanks drawn together.
func row(w *world.World, kind, name string) string {
	w.T.Helper()
	for _, line := range table(w, kind) {
		if words := strings.Fields(line); len(words) > 1 && words[0] == world.Workspace && words[1] == name {
			return strings.Join(words[1:], " ")
		}
	}
	return ""
}

// deploymentRow is the line of a bundle's BundleDeployment on the real cluster.
func deploymentRow(w *world.World, bundle string) string {
	w.T.Helper()
	for _, line := range table(w, "bundledeployments") {
		if words := strings.Fields(line); len(words) > 2 && words[1] == bundle && words[2] == production {
			return strings.Join(words[1:], " ")
		}
	}
	return ""
}

// tells waits until a line has every one of the parts, and returns it.
func tells(w *world.World, what string, line func() string, parts ...string) string {
	w.T.Helper()
	got := ""
	w.Eventually(what, func() error {
		got = line()
		for _, part := range parts {
			if !strings.Contains(got, part) {
				return fmt.Errorf("it says %q, which lacks %q", got, part)
			}
		}
		return nil
	})
	return got
}

// condition is "Status Reason: message" of an object's condition, "" when it has none.
func condition(w *world.World, kind, namespace, name, condition string) string {
	w.T.Helper()
	path := fmt.Sprintf(`{range .status.conditions[?(@.type==%q)]}{.status} {.reason}: {.message}{end}`, condition)
	out, err := w.TryKubectl("hub", "-n", namespace, "get", kind, name, "-o", "jsonpath="+path)
	if err != nil {
		return err.Error() + ": " + out
	}
	return out
}

// settled waits until a bundle is Ready, and there is nothing to say about it.
func settled(w *world.World, bundle string) {
	w.T.Helper()
	w.Eventually("bundle "+bundle, func() error {
		b := &fleet.Bundle{}
		if err := w.Hub.Client.Get(context.Background(), client.ObjectKey{Namespace: world.Workspace, Name: bundle}, b); err != nil {
			return err
		}
		c := fleet.Condition(b.Status.Conditions, fleet.ConditionReady)
		if c == nil || c.Status != "True" || c.Message != "" || b.Status.Summary.Ready == 0 {
			return fmt.Errorf("its conditions are %+v", b.Status.Conditions)
		}
		return nil
	})
}

func configMap(name, text string) string {
	return fmt.Sprintf("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: %s}\ndata: {text: %q}\n", name, text)
}

// text reads what a ConfigMap says on the cluster; "" when it is not there.
func text(w *world.World, namespace, name string) (string, types.UID) {
	w.T.Helper()
	cm := &corev1.ConfigMap{}
	err := w.Clients[production].Get(context.Background(), client.ObjectKey{Namespace: namespace, Name: name}, cm)
	if apierrors.IsNotFound(err) {
		return "", ""
	}
	w.Check(err)
	return cm.Data["text"], cm.UID
}

// says waits until a ConfigMap says want; "" waits until it is gone.
func says(w *world.World, namespace, name, want string) {
	w.T.Helper()
	w.Eventually(fmt.Sprintf("ConfigMap %s/%s", namespace, name), func() error {
		if got, _ := text(w, namespace, name); got != want {
			return fmt.Errorf("it says %q, want %q", got, want)
		}
		return nil
	})
}

// still fails unless a ConfigMap says want now.
func still(w *world.World, namespace, name, want string) {
	w.T.Helper()
	if got, _ := text(w, namespace, name); got != want {
		w.T.Errorf("ConfigMap %s/%s says %q, want %q as before", namespace, name, got, want)
	}
}

// commitOf is the commit that a Bundle carries.
func commitOf(w *world.World, bundle string) string {
	w.T.Helper()
	b := &fleet.Bundle{}
	w.Check(w.Hub.Client.Get(context.Background(), client.ObjectKey{Namespace: world.Workspace, Name: bundle}, b))
	return b.Labels[fleet.CommitLabel]
}

// clusterNamespace is where a cluster's BundleDeployments are.
func clusterNamespace(w *world.World, cluster string) string {
	w.T.Helper()
	c := &fleet.Cluster{}
	w.Check(w.Hub.Client.Get(context.Background(), client.ObjectKey{Namespace: world.Workspace, Name: cluster}, c))
	return c.Status.Namespace
}

// merged puts maps together; the later one wins.
func merged(all ...map[string]string) map[string]string {
	out := map[string]string{}
	for _, m := range all {
		maps.Copy(out, m)
	}
	return out
}

// in puts files below a directory.
func in(dir string, files map[string]string) map[string]string {
	out := map[string]string{}
	for path, content := range files {
		out[dir+"/"+path] = content
	}
	return out
}
