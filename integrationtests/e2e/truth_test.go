package e2e

import (
	"context"
	"fmt"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	fleet "flotilla.io/flotilla/api/v1alpha1"
	"flotilla.io/flotilla/integrationtests/world"
)

// problems is what a person reads first: kubectl get bundledeployments -A | grep -v Healthy, without the header.
func problems(w *world.World) []string {
	var out []string
	for i, line := range strings.Split(strings.TrimSpace(w.Kubectl("hub", "get", "bundledeployments", "-A")), "\n") {
		if i > 0 && !strings.Contains(line, "Healthy") {
			out = append(out, line)
		}
	}
	return out
}

// bundleRow is the line of a bundle in kubectl get bundles -A.
func bundleRow(w *world.World, name string) string {
	for _, line := range strings.Split(w.Kubectl("hub", "get", "bundles", "-A"), "\n") {
		if fields := strings.Fields(line); len(fields) > 1 && fields[1] == name {
			return strings.Join(fields, " ")
		}
	}
	return ""
}

// holds waits until a line has every one of the parts.
func holds(w *world.World, what string, line func() string, parts ...string) {
	w.T.Helper()
	w.Eventually(what, func() error {
		got := line()
		for _, p := range parts {
			if !strings.Contains(got, p) {
				return fmt.Errorf("%q lacks %q", got, p)
			}
		}
		return nil
	})
}

// TestKubectlTellsTheTruth follows one bundle through six moments.
func TestKubectlTellsTheTruth(t *testing.T) {
	t.Parallel()
	w := twoClusters(t)
	const bundle = "fleet-apps-web"
	seen := filled{}
	url := w.Repo("fleet", webChart)
	typo := []fleet.GitTarget{{Name: "p", ClusterSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"env": "prodution"}}}}

	// 1: no cluster matches.
	w.GitRepo("fleet", url, func(s *fleet.GitRepoSpec) { s.Targets, s.ForceSyncGeneration = typo, 1 })
	w.Check(w.Hub.Client.Create(context.Background(), everybody()))
	holds(w, "no cluster matching", func() string { return bundleRow(w, bundle) }, "0/0", "no cluster has env=prodution", "1 has env=production")

	// 2: rolling out. The agents are stopped, so that the moment lasts.
	for _, a := range w.Agents {
		a.Process.Stop()
	}
	retarget(w, "fleet", everyone())
	holds(w, "rolling out", func() string { return bundleRow(w, bundle) }, "0/2", "WaitApplied(2) [Cluster fleet-default/development]")
	if rows := problems(w); len(rows) != 2 {
		t.Errorf("rolling out shows %q", rows)
	}
	seen.look(w)

	// 3: settled.
	for _, a := range w.Agents {
		w.Check(a.Start())
	}
	w.Settled(bundle)
	holds(w, "settled", func() string { return bundleRow(w, bundle) + "." }, "2/2.")
	w.Eventually("the grep showing the header only", func() error {
		if rows := problems(w); len(rows) > 0 {
			return fmt.Errorf("it shows %q", rows)
		}
		return nil
	})

	// 4: a person scales on one cluster.
	w.Kubectl("production", "-n", "web", "patch", "deployment", "web", "-p", `{"spec":{"replicas":5}}`)
	holds(w, "drift", func() string { return strings.Join(problems(w), "\n") }, "production", "deployment.apps web/web", "/spec/replicas", "2 → 5", "kubectl")
	if rows := problems(w); len(rows) != 1 {
		t.Errorf("drift on one cluster shows %q", rows)
	}
	holds(w, "drift in the bundle", func() string { return bundleRow(w, bundle) }, "1/2", "Modified(1) [Cluster fleet-default/production]", "/spec/replicas")
	seen.look(w)
	w.Kubectl("production", "-n", "web", "scale", "deployment", "web", "--replicas=2")
	w.Settled(bundle)

	// 5: a broken push. What ran runs, and is named.
	good := commitOf(w, bundle)
	w.Push("fleet", map[string]string{"apps/web/templates/page.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: page}\ndata:\n  greeting: {{ .Values.missing.deep }}\n"})
	holds(w, "a broken push", func() string { return bundleRow(w, bundle) }, "2/2", "templates/page.yaml:5", good[:7]+" stays deployed")
	if rows := problems(w); len(rows) != 0 {
		t.Errorf("a broken push touches clusters: %q", rows)
	}
	same := webChart["apps/web/templates/page.yaml"] + `{{ if .Capabilities.APIVersions.Has "apps/v1" }}{{ end }}`
	w.Push("fleet", map[string]string{"apps/web/templates/page.yaml": same})
	holds(w, "the repair", func() string { return bundleRow(w, bundle) + "." }, "2/2.")

	// 6: an agent stopped past its lease.
	w.Agents["development"].Process.Stop()
	holds(w, "a lost cluster", func() string { return strings.Join(problems(w), "\n") }, "development", "Unknown")
	seen.look(w)
	holds(w, "a lost cluster in the bundle", func() string { return bundleRow(w, bundle) }, "1/2", "Unknown(1) [Cluster fleet-default/development")
	w.Check(w.Agents["development"].Start())
	w.Settled(bundle)

	t.Run("statuses count objects and clusters", func(t *testing.T) { statusesCount(in(t, w)) })
	seen.look(w)
	t.Run("Prometheus finds Fleet's names", func(t *testing.T) { prometheusFinds(in(t, w), seen) })
	t.Run("no field of a status stays empty unawares", func(t *testing.T) { everyField(in(t, w), seen) })
}

// in is the same world in a subtest.
func in(t *testing.T, w *world.World) *world.World {
	there := *w
	there.T = t
	return &there
}

// statusesCount looks at the statuses of a settled fleet of two clusters, as dashboards do.
func statusesCount(w *world.World) {
	for _, row := range []struct{ rule, kind, name, path, want string }{
		{"a GitRepo names its objects and on which clusters they are", "gitrepo", "fleet", `{range .status.resources[*]}{.type} {.id} {.state} {.perClusterState.ready};{end}`,
			`apps.deployment web/web Ready ["fleet-default/development","fleet-default/production"];configmap web/page Ready ["fleet-default/development","fleet-default/production"];`},
		{"a GitRepo counts objects on all clusters", "gitrepo", "fleet", `{.status.resourceCounts.ready}/{.status.resourceCounts.desiredReady}`, "4/4"},
		{"a GitRepo counts objects of each cluster", "gitrepo", "fleet", `{.status.perClusterResourceCounts.fleet-default/production.ready}`, "2"},
		{"a GitRepo counts clusters", "gitrepo", "fleet", `{.status.readyClusters}/{.status.desiredReadyClusters} {.status.display.readyBundleDeployments}`, "2/2 2/2"},
		{"a Cluster says where its agent runs", "clusters.fleet.cattle.io", "production", `{.status.agent.namespace}`, "cattle-fleet-system"},
		{"a Cluster counts GitRepos and objects", "clusters.fleet.cattle.io", "production", `{.status.readyGitRepos}/{.status.desiredReadyGitRepos} {.status.resourceCounts.ready} {.status.display.readyBundles}`, "1/1 2 1/1"},
	} {
		w.T.(*testing.T).Run(row.rule, func(t *testing.T) {
			w := in(t, w)
			w.Eventually(row.rule, func() error {
				if got := w.Kubectl("hub", "-n", world.Workspace, "get", row.kind, row.name, "-o", "jsonpath="+row.path); got != row.want {
					return fmt.Errorf("got %s\nwant %s", got, row.want)
				}
				return nil
			})
		})
	}
}

// everybody is the group of all clusters.
func everybody() *fleet.ClusterGroup {
	return &fleet.ClusterGroup{
		ObjectMeta: metav1.ObjectMeta{Namespace: world.Workspace, Name: "everybody"}, Spec: fleet.ClusterGroupSpec{Selector: &metav1.LabelSelector{}},
	}
}

func retarget(w *world.World, name string, targets []fleet.GitTarget) {
	w.T.Helper()
	repo := &fleet.GitRepo{}
	w.Check(w.Hub.Client.Get(context.Background(), client.ObjectKey{Namespace: world.Workspace, Name: name}, repo))
	before := repo.DeepCopy()
	repo.Spec.Targets = targets
	w.Check(w.Hub.Client.Patch(context.Background(), repo, client.MergeFrom(before)))
}

func commitOf(w *world.World, bundle string) string {
	w.T.Helper()
	b := &fleet.Bundle{}
	w.Check(w.Hub.Client.Get(context.Background(), client.ObjectKey{Namespace: world.Workspace, Name: bundle}, b))
	return b.Labels[fleet.CommitLabel]
}
