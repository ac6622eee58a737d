package badinput

import (
	"context"
	"fmt"
	"testing"

	"sigs.k8s.io/controller-runtime/pkg/client"

	fleet "flotilla.io/flotilla/api/v1alpha1"
	"flotilla.io/flotilla/integrationtests/world"
)

// flotilla runs the CLI against the hub.
func flotilla(w *world.World, args ...string) string {
	w.T.Helper()
	hub, err := w.Fleet.Cluster("hub")
	w.Check(err)
	return w.Flotilla(append(args, "--kubeconfig", hub.Kubeconfig())...)
}

// deployments are the BundleDeployments of a bundle, by cluster.
func deployments(w *world.World, bundle string) map[string]*fleet.BundleDeployment {
	w.T.Helper()
	list := &fleet.BundleDeploymentList{}
	w.Check(w.Hub.Client.List(context.Background(), list, client.MatchingLabels{fleet.BundleLabel: bundle}))
	out := map[string]*fleet.BundleDeployment{}
	for i := range list.Items {
		out[list.Items[i].Labels[fleet.ClusterLabel]] = &list.Items[i]
	}
	return out
}

// orders are the sequences of a bundle's BundleDeployments: a write of an order counts one up.
func orders(w *world.World, bundle string) string {
	w.T.Helper()
	out := map[string]string{}
	for cluster, bd := range deployments(w, bundle) {
		out[cluster] = fmt.Sprintf("%s generation %d sequence %d deletion %v", bd.UID, bd.Generation, bd.Spec.Sequence, bd.Spec.Deletion != nil)
	}
	return fmt.Sprint(out)
}

// holds: whatever is held, nothing is written to what it holds, drift is healed, and the end of it lets the newest through.
func holds(t *testing.T, w *world.World) {
	files := func(text string) map[string]string {
		return map[string]string{"app/fleet.yaml": "defaultNamespace: holds\ncorrectDrift: {enabled: true}\n", "app/state.yaml": configMap("state", text)}
	}
	gitRepo(w, "holds", w.Repo("holds", files("start")), nil)
	settled(w, "holds-app")
	for _, scope := range []string{"fleet", "workspace/" + world.Workspace, "bundle/holds-app", "cluster/" + production} {
		t.Run(scope, func(t *testing.T) { hold(of(t, w), scope, files) })
	}
	t.Run("a hold keeps what is taken from its targets", func(t *testing.T) { holdUntargeted(of(t, w)) })
}

func hold(w *world.World, scope string, files func(string) map[string]string) {
	last, _ := text(w, "holds", "state")
	w.T.Log(flotilla(w, "hold", scope, "--reason", "looking into #812"))
	bundleTells(w, "holds-app", "Held: ", "is held (looking into #812)", "`flotilla resume "+scope)
	before := orders(w, "holds-app")
	w.Push("holds", files("missed by "+scope))
	commit := w.Push("holds", files("held by "+scope))
	walked(w, "holds-app", commit)
	w.Kubectl(production, "-n", "holds", "patch", "configmap", "state", "--type=merge", "-p", `{"data":{"text":"damaged"}}`)
	says(w, "holds", "state", last)
	if after := orders(w, "holds-app"); after != before {
		w.T.Errorf("while %s is held the order was written:\nbefore %s\nafter  %s", scope, before, after)
	}
	still(w, "holds", "state", last)
	w.T.Log(flotilla(w, "resume", scope))
	says(w, "holds", "state", "held by "+scope)
	settled(w, "holds-app")
}

// walked waits until the hub has said its word about a bundle at a commit: the orders that it writes come before that.
func walked(w *world.World, bundle, commit string) {
	w.T.Helper()
	w.Eventually("the hub having judged "+bundle, func() error {
		b := &fleet.Bundle{}
		w.Check(w.Hub.Client.Get(context.Background(), client.ObjectKey{Namespace: world.Workspace, Name: bundle}, b))
		if b.Labels[fleet.CommitLabel] != commit || b.Status.ObservedGeneration != b.Generation {
			return fmt.Errorf("it is at %s, generation %d of %d", b.Labels[fleet.CommitLabel], b.Status.ObservedGeneration, b.Generation)
		}
		return nil
	})
}

func holdUntargeted(w *world.World) {
	last, _ := text(w, "holds", "state")
	flotilla(w, "hold", "cluster/"+production)
	bundleTells(w, "holds-app", "cluster production is held (no reason given)")
	edit(w, "holds", func(s *fleet.GitRepoSpec) { s.Targets = []fleet.GitTarget{{ClusterName: "nobody"}} })
	bundleTells(w, "holds-app", `no cluster is named "nobody"`)
	walked(w, "holds-app", commitOf(w, "holds-app"))
	still(w, "holds", "state", last)
	if bd := deployments(w, "holds-app")[production]; bd == nil || bd.Spec.Deletion != nil {
		w.T.Error("a held cluster got the order to delete")
	}
	flotilla(w, "resume", "cluster/"+production)
	says(w, "holds", "state", "")
}
