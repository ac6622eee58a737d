package waiting

import (
	"context"
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	fleet "flotilla.io/flotilla/api/v1alpha1"
	"flotilla.io/flotilla/integrationtests/world"
)

// repo makes a GitRepo of one bundle, <name>-app, for the clusters of the set of its name.
func repo(w *world.World, name string, change func(*fleet.GitRepoSpec)) {
	w.T.Helper()
	url := w.Repo(name, map[string]string{"app/state.yaml": configMap("state", "good")})
	w.GitRepo(name, url, func(s *fleet.GitRepoSpec) {
		s.Paths = []string{"app"}
		s.Targets = []fleet.GitTarget{{Name: name, ClusterSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"set": name}}}}
		if change != nil {
			change(s)
		}
	})
}

func edit(w *world.World, name, spec string) {
	w.T.Helper()
	w.Kubectl("hub", "-n", world.Workspace, "patch", "gitrepo", name, "--type=merge", "-p", `{"spec":{`+spec+`}}`)
}

// isPaused waits until an order says that it is paused: what comes now is staged.
func isPaused(w *world.World, bundle, cluster string) {
	w.T.Helper()
	w.Eventually("the pause of "+bundle, func() error {
		if !order(w, bundle, cluster).Spec.Paused {
			return fmt.Errorf("the order does not say so")
		}
		return nil
	})
}

func pausedRepo(w *world.World) {
	paper(w, "paused-east", "paused")
	repo(w, "paused", nil)
	app := ordered(w, "paused-app", "paused-east", "")
	edit(w, "paused", `"paused":true`)
	isPaused(w, "paused-app", "paused-east")
	w.Push("paused", map[string]string{"app/state.yaml": configMap("state", "next")})
	w.Eventually("the staged revision", func() error {
		spec := order(w, "paused-app", "paused-east").Spec
		if !spec.Paused || spec.StagedDeploymentID == app || spec.DeploymentID != app {
			return fmt.Errorf("paused %v, staged %s, to have %s", spec.Paused, spec.StagedDeploymentID, spec.DeploymentID)
		}
		return nil
	})
	edit(w, "paused", `"paused":false`)
	ordered(w, "paused-app", "paused-east", app)
}

func forcedSync(w *world.World) {
	paper(w, "forced-east", "forced")
	repo(w, "forced", nil)
	app := ordered(w, "forced-app", "forced-east", "")
	edit(w, "forced", `"forceSyncGeneration":3`)
	ordered(w, "forced-app", "forced-east", app)
	if got := order(w, "forced-app", "forced-east").Spec.Options.ForceSyncGeneration; got != 3 {
		w.T.Errorf("the order says generation %d", got)
	}
	shows(w, "gitrepos.fleet.cattle.io", "forced", "{.status.updateGeneration}", "3")
}

func noPolling(w *world.World) {
	paper(w, "polls-east", "polls")
	repo(w, "polls", func(s *fleet.GitRepoSpec) {
		s.DisablePolling, s.PollingInterval = true, &metav1.Duration{Duration: 100 * time.Millisecond}
	})
	app := ordered(w, "polls-app", "polls-east", "")
	shows(w, "gitrepos.fleet.cattle.io", "polls", "{.status.gitJobStatus}", "Current")
	before := w.Git.Counts("polls").Lists
	time.Sleep(2 * time.Second) // twenty polls
	if after := w.Git.Counts("polls").Lists; after > before+1 {
		w.T.Errorf("the repository was asked %d times in 2 s", after-before)
	}
	w.Push("polls", map[string]string{"app/state.yaml": configMap("state", "next")})
	ordered(w, "polls-app", "polls-east", app)
}

// goesWithItsClusters: nothing of a GitRepo ends before the agents have carried the end out, and a cluster that is gone for good
// holds nothing up.
func goesWithItsClusters(w *world.World) {
	paper(w, "goes-east", "goes")
	paper(w, "goes-west", "goes")
	repo(w, "goes", nil)
	for _, cluster := range []string{"goes-east", "goes-west"} {
		ordered(w, "goes-app", cluster, "")
		reports(w, "goes-app", cluster, fleet.Ready)
	}
	w.Check(w.Hub.Client.Delete(context.Background(), &fleet.GitRepo{ObjectMeta: metav1.ObjectMeta{Namespace: world.Workspace, Name: "goes"}}))
	for _, cluster := range []string{"goes-east", "goes-west"} {
		w.Eventually("the order to delete", func() error {
			if bd := order(w, "goes-app", cluster); bd == nil || bd.Spec.Deletion == nil {
				return fmt.Errorf("cluster %s has none", cluster)
			}
			return nil
		})
	}
	bd := order(w, "goes-app", "goes-east")
	before := bd.DeepCopy()
	bd.Status.Deletion, bd.Status.ObservedSequence = fleet.DeletionDone, bd.Spec.Sequence
	w.Check(w.Hub.Client.Status().Patch(context.Background(), bd, client.MergeFrom(before)))
	w.Eventually("the end of the first", func() error {
		if order(w, "goes-app", "goes-east") != nil {
			return fmt.Errorf("it is still there")
		}
		return nil
	})
	key := client.ObjectKey{Namespace: world.Workspace, Name: "goes"}
	w.Check(w.Hub.Client.Get(context.Background(), key, &fleet.GitRepo{})) // goes-west has not reported
	w.Check(w.Hub.Client.Get(context.Background(), client.ObjectKey{Namespace: world.Workspace, Name: "goes-app"}, &fleet.Bundle{}))
	w.Check(w.Hub.Client.Delete(context.Background(), &fleet.Cluster{ObjectMeta: metav1.ObjectMeta{Namespace: world.Workspace, Name: "goes-west"}}))
	w.Eventually("the end of the GitRepo", func() error {
		err := w.Hub.Client.Get(context.Background(), key, &fleet.GitRepo{})
		if apierrors.IsNotFound(err) {
			return nil
		}
		return fmt.Errorf("it is still there: %v", err)
	})
}

// otherManager: who labels a Cluster as somebody else's gets nothing of ours.
func otherManager(w *world.World) {
	c := &fleet.Cluster{ObjectMeta: metav1.ObjectMeta{Namespace: world.Workspace, Name: "other-east", Labels: map[string]string{
		"set": "other", fleet.ClusterManagementLabel: "somebody"}}}
	w.Check(w.Hub.Client.Create(context.Background(), c))
	bundle(w, "other-app", "other", "good")
	w.Eventually("the bundle", func() error {
		got := get(w, "bundles.fleet.cattle.io", "other-app", `{.status.display.readyClusters} {.status.conditions[?(@.type=="Targeted")].reason}`)
		if got != "0/0 NoTargets" {
			return fmt.Errorf("it says %q", got)
		}
		return nil
	})
	if got := get(w, clusterKind, "other-east", "{.status.namespace}{.metadata.finalizers}"); got != "" {
		w.T.Errorf("the cluster got %q", got)
	}
	w.Kubectl("hub", "-n", world.Workspace, "label", clusterKind, "other-east", fleet.ClusterManagementLabel+"-")
	ordered(w, "other-app", "other-east", "")
}

// mappings: a BundleNamespaceMapping opens the clusters of other workspaces to bundles.
func mappings(w *world.World) {
	const edge = "edge-workspace"
	w.Check(w.Hub.Client.Create(context.Background(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: edge}}))
	w.Check(w.Hub.Client.Create(context.Background(), &fleet.Cluster{ObjectMeta: metav1.ObjectMeta{Namespace: edge, Name: "mapped-east", Labels: map[string]string{"set": "mapped"}}}))
	bundle(w, "mapped-app", "mapped", "good")
	mapping := func(name, selectors string) {
		apply(w, fmt.Sprintf("apiVersion: fleet.cattle.io/v1alpha1\nkind: BundleNamespaceMapping\nmetadata: {name: %s, namespace: %s}\n%s", name, world.Workspace, selectors))
	}
	nothing := func(what string) {
		w.T.Helper()
		bundle(w, "mapped-app", "mapped", what) // a walk from now on
		w.Eventually("the bundle", func() error {
			if got := get(w, "bundles.fleet.cattle.io", "mapped-app", "{.metadata.generation} {.status.observedGeneration}"); len(strings.Fields(got)) != 2 || strings.Fields(got)[0] != strings.Fields(got)[1] {
				return fmt.Errorf("generations %q", got)
			}
			return nil
		})
		if bd := order(w, "mapped-app", "mapped-east"); bd != nil {
			w.T.Errorf("%s opened the other workspace", what)
		}
	}
	nothing("no mapping")
	mapping("one", "bundleSelector: {}\n")
	nothing("a mapping without a namespaceSelector")
	mapping("one", "namespaceSelector: {}\nbundleSelector: null\n")
	nothing("a mapping without a bundleSelector")
	mapping("one", "bundleSelector: {matchLabels: {set: mapped}}\nnamespaceSelector: {matchExpressions: [{key: a, operator: Near}]}\n")
	nothing("a mapping that is not valid")
	mapping("one", "bundleSelector: {matchLabels: {set: mapped}}\nnamespaceSelector: {matchLabels: {open: \"yes\"}}\n")
	nothing("a mapping of other namespaces")
	w.Kubectl("hub", "label", "namespace", edge, "open=yes")
	ordered(w, "mapped-app", "mapped-east", "")
	const any = "any-workspace"
	w.Check(w.Hub.Client.Create(context.Background(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: any}}))
	w.Check(w.Hub.Client.Create(context.Background(), &fleet.Cluster{ObjectMeta: metav1.ObjectMeta{Namespace: any, Name: "mapped-west", Labels: map[string]string{"set": "mapped"}}}))
	mapping("two", "bundleSelector: {}\nnamespaceSelector: {}\n")
	ordered(w, "mapped-app", "mapped-west", "")

	taken := &fleet.Bundle{ObjectMeta: metav1.ObjectMeta{Namespace: edge, Name: "mapped-app"}}
	taken.Spec.Resources = []fleet.BundleResource{{Name: "state.yaml", Content: configMap("state", "theirs")}}
	taken.Spec.Targets = []fleet.BundleTarget{{Name: "all", ClusterSelector: &metav1.LabelSelector{}}}
	w.Check(w.Hub.Client.Create(context.Background(), taken))
	w.Eventually("the second bundle of the name", func() error {
		got := w.Kubectl("hub", "-n", edge, "get", "bundle", "mapped-app", "-o", `jsonpath={.status.conditions[?(@.type=="Ready")].message}`)
		if !strings.Contains(got, "has a bundle mapped-app from workspace fleet-default already; give one of them another name") {
			return fmt.Errorf("it says %q", got)
		}
		return nil
	})
}

// boundByRules: what a workspace's rules say about every deployment reaches it, and takes effect without a new Bundle.
func boundByRules(w *world.World) {
	const team = "team-workspace"
	w.Check(w.Hub.Client.Create(context.Background(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: team}}))
	w.Check(w.Hub.Client.Create(context.Background(), &fleet.Cluster{ObjectMeta: metav1.ObjectMeta{Namespace: team, Name: "bound-east"}}))
	b := &fleet.Bundle{ObjectMeta: metav1.ObjectMeta{Namespace: team, Name: "bound-app"}}
	b.Spec.ServiceAccount, b.Spec.TargetNamespace = "tenant", "shop"
	b.Spec.Resources = []fleet.BundleResource{{Name: "state.yaml", Content: configMap("state", "good")}}
	b.Spec.Targets = []fleet.BundleTarget{{Name: "all", ClusterSelector: &metav1.LabelSelector{}}}
	w.Check(w.Hub.Client.Create(context.Background(), b))
	id := ordered(w, "bound-app", "bound-east", "")
	bound := func(want string) {
		w.T.Helper()
		id = ordered(w, "bound-app", "bound-east", id)
		o := order(w, "bound-app", "bound-east").Spec.Options
		got := fmt.Sprint(o.CreateNamespace == nil || *o.CreateNamespace, " ", metav1.FormatLabelSelector(o.AllowedTargetNamespaceSelector))
		if got != want {
			w.T.Errorf("namespaces are created, and must have labels: %s, want %s", got, want)
		}
	}
	apply(w, "apiVersion: fleet.cattle.io/v1alpha1\nkind: Policy\nmetadata: {name: base, namespace: "+team+"}\nrequireServiceAccount: true\n")
	bound("false <none>")
	apply(w, "apiVersion: fleet.cattle.io/v1alpha1\nkind: GitRepoRestriction\nmetadata: {name: spaces, namespace: "+team+"}\n"+
		"allowedTargetNamespaceSelector: {matchLabels: {team: shop}}\n")
	bound("false team=shop")
	w.Kubectl("hub", "-n", team, "delete", "policies.fleet.cattle.io", "base")
	bound("true team=shop")
}
