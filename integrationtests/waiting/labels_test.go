package waiting

import (
	"context"
	"fmt"
	"maps"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	fleet "flotilla.io/flotilla/api/v1alpha1"
	"flotilla.io/flotilla/integrationtests/world"
)

// labelled: what scripts of Fleet's users select by goes from the GitRepo to its Bundles and on to each BundleDeployment, and nothing
// of Fleet's machinery beside it is made.
func labelled(w *world.World) {
	ctx := context.Background()
	w.Check(w.Hub.Client.Create(ctx, &fleet.Cluster{ObjectMeta: metav1.ObjectMeta{Namespace: world.Workspace, Name: "labelled-east", Labels: map[string]string{
		"set": "labelled", fleet.NonManagedAgentLabel: "true", fleet.ShardRefLabel: "one"}}}))
	w.Check(w.Hub.Client.Create(ctx, &fleet.GitRepo{
		ObjectMeta: metav1.ObjectMeta{Namespace: world.Workspace, Name: "labelled", Labels: map[string]string{
			"team": "shop", "field.cattle.io/projectId": "p", fleet.CreatedByUserIDLabel: "u-1", fleet.ShardRefLabel: "one"}},
		Spec: fleet.GitRepoSpec{Repo: w.Repo("labelled", map[string]string{
			"app/Chart.yaml": "apiVersion: v2\nname: app\nversion: 1.0.0\n", "app/templates/state.yaml": configMap("state", "{{ .Values.text }}"),
			"app/fleet.yaml": "helm: {values: {text: good}}\n",
		}), Branch: "main", Paths: []string{"app"},
			Targets: []fleet.GitTarget{{Name: "all", ClusterSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"set": "labelled"}}}}},
	}))
	ordered(w, "labelled-app", "labelled-east", "")
	b := &fleet.Bundle{}
	w.Check(w.Hub.Client.Get(ctx, client.ObjectKey{Namespace: world.Workspace, Name: "labelled-app"}, b))
	commit := b.Labels[fleet.CommitLabel]
	want := map[string]string{"team": "shop", "field.cattle.io/projectId": "p", fleet.CreatedByUserIDLabel: "u-1", fleet.ShardRefLabel: "one",
		fleet.RepoLabel: "labelled", fleet.CommitLabel: commit}
	if len(commit) != 40 || !maps.Equal(b.Labels, want) {
		w.T.Errorf("the Bundle has the labels %v, want %v", b.Labels, want)
	}
	delete(want, "field.cattle.io/projectId") // Rancher's own marks of the GitRepo are not the deployment's
	maps.Copy(want, map[string]string{fleet.BundleLabel: "labelled-app", fleet.BundleNamespaceLabel: world.Workspace, fleet.ManagedLabel: "true",
		fleet.ClusterLabel: "labelled-east", fleet.ClusterNamespaceLabel: world.Workspace})
	bd := order(w, "labelled-app", "labelled-east")
	if bd.Name != "labelled-app" || !maps.Equal(bd.Labels, want) {
		w.T.Errorf("BundleDeployment %s has the labels %v, want %v", bd.Name, bd.Labels, want)
	}
	for kind, name := range map[string]string{"gitrepos": "labelled", "bundles": "labelled-app", "clusters": "labelled-east"} {
		own := fmt.Sprintf(`["%s%s-finalizer"]`, fleet.LabelPrefix, strings.TrimSuffix(kind, "s"))
		if got := get(w, kind+".fleet.cattle.io", name, "{.metadata.finalizers}"); got != own {
			w.T.Errorf("%s %s has the finalizers %s, want %s", kind, name, got, own)
		}
	}
	if len(bd.Finalizers) > 0 {
		w.T.Errorf("the BundleDeployment has the finalizers %v", bd.Finalizers)
	}
	apply(w, "apiVersion: fleet.cattle.io/v1alpha1\nkind: Schedule\nmetadata: {name: labelled, namespace: "+world.Workspace+", finalizers: ["+fleet.ScheduleFinalizer+
		"]}\nspec: {schedule: \"0 0 3 * * ?\", duration: 1h, targets: {clusters: []}}\n")
	w.Kubectl("hub", "-n", world.Workspace, "delete", "schedules.fleet.cattle.io", "labelled", "--timeout=2m")
	if got := get(w, "gitrepos.fleet.cattle.io", "labelled", "{.spec.pollingInterval}"); got != "" {
		w.T.Errorf("pollingInterval was written into the spec: %s", got)
	}
	if got := w.Kubectl("hub", "-n", world.Workspace, "get", "secret", "labelled-app", "-o", "jsonpath={.type} {.data}"); got != fleet.SecretTypeBundleValues+` {"values.yaml":"eyJ0ZXh0IjoiZ29vZCJ9"}` {
		w.T.Errorf("the Bundle's values are %s", got)
	}
	if b.Spec.ValuesHash == "" || b.Spec.Helm.Values != nil || bd.Spec.Options.Helm.Values != nil || bd.Spec.ValuesHash != "" || bd.Spec.WaitingForValues || bd.Spec.OCIContents {
		w.T.Errorf("Bundle %+v, BundleDeployment %+v", b.Spec, bd.Spec)
	}
	if got := w.Kubectl("hub", "get", "secrets", "-A", "-o", "custom-columns=:.metadata.name", "--field-selector", "type="+fleet.SecretTypeBundleDeploymentOptions); strings.TrimSpace(got) != "" {
		w.T.Errorf("values lie in the Secrets %s", got)
	}
	if got := w.Kubectl("hub", "get", "jobs,cronjobs", "-A", "-o", "name"); got != "" {
		w.T.Errorf("the hub has the Jobs %s", got)
	}
	if got := w.Kubectl("hub", "get", "bundles.fleet.cattle.io", "-A", "-o", "name"); strings.Contains(got, fleet.FleetAgentName) {
		w.T.Errorf("the hub delivers an agent: %s", got)
	}
}

// pausedCluster: a paused Cluster is told what is new and deploys none of it.
func pausedCluster(w *world.World) {
	paper(w, "rests-east", "rests")
	bundle(w, "rests-app", "rests", "good")
	app := ordered(w, "rests-app", "rests-east", "")
	pause := func(on bool) {
		w.Kubectl("hub", "-n", world.Workspace, "patch", clusterKind, "rests-east", "--type=merge", "-p", fmt.Sprintf(`{"spec":{"paused":%v}}`, on))
	}
	pause(true)
	isPaused(w, "rests-app", "rests-east")
	bundle(w, "rests-app", "rests", "next")
	w.Eventually("the staged revision", func() error {
		spec := order(w, "rests-app", "rests-east").Spec
		if !spec.Paused || spec.StagedDeploymentID == app || spec.DeploymentID != app {
			return fmt.Errorf("paused %v, staged %s, to have %s", spec.Paused, spec.StagedDeploymentID, spec.DeploymentID)
		}
		return nil
	})
	pause(false)
	ordered(w, "rests-app", "rests-east", app)
	if spec := order(w, "rests-app", "rests-east").Spec; spec.Paused || spec.StagedDeploymentID != spec.DeploymentID {
		w.T.Errorf("paused %v, staged %s, to have %s", spec.Paused, spec.StagedDeploymentID, spec.DeploymentID)
	}
}
