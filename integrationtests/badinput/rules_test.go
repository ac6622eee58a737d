package badinput

import (
	"context"
	"fmt"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	fleet "flotilla.io/flotilla/api/v1alpha1"
	"flotilla.io/flotilla/demo/gitserver"
	"flotilla.io/flotilla/integrationtests/world"
)

// rules: what an administrator does not allow is refused before anything is fetched or deployed, and what runs stays.
func rules(t *testing.T, w *world.World) {
	for _, part := range []struct {
		name string
		do   func(*world.World)
	}{
		{"a GitRepo that is not allowed fetches nothing, and a default goes into no spec", restrictedGitRepo},
		{"a Bundle that is not allowed keeps what it has", restrictedBundle},
		{"a Bundle that a person wrote is judged too", restrictedByHand},
	} {
		t.Run(part.name, func(t *testing.T) { part.do(of(t, w)) })
	}
}

// rule applies a GitRepoRestriction or Policy and returns what takes it away.
func rule(w *world.World, namespace, kind, name, body string) func() {
	w.T.Helper()
	apply(w, "hub", fmt.Sprintf("apiVersion: fleet.cattle.io/v1alpha1\nkind: %s\nmetadata: {name: %s, namespace: %s}\n%s", kind, name, namespace, body))
	return func() { w.Kubectl("hub", "-n", namespace, "delete", kind+".fleet.cattle.io", name) }
}

func restrictedGitRepo(w *world.World) {
	const tenants = "tenants"
	w.Kubectl("hub", "create", "namespace", tenants)
	defer w.Kubectl("hub", "delete", "namespace", tenants, "--wait=false")
	rule(w, tenants, "GitRepoRestriction", "rules", "allowedRepoPatterns: [\"^https://git.example.com/\"]\ndefaultServiceAccount: tenant\n")
	rule(w, tenants, "Policy", "base", "requireServiceAccount: true\nallowedServiceAccounts: [tenant]\n")
	url := w.Repo("tenants", in("web", plain("tenants", "good")))
	apply(w, "hub", "apiVersion: fleet.cattle.io/v1alpha1\nkind: GitRepo\nmetadata: {name: theirs, namespace: tenants}\nspec: {repo: \""+url+"\", branch: main}\n")
	says := func(kind, want string) {
		w.T.Log(tells(w, "condition "+kind, func() string { return condition(w, "gitrepo", tenants, "theirs", kind) }, want))
	}
	for _, kind := range []string{"Accepted", "Ready"} {
		says(kind, "GitRepo tenants/theirs is not allowed: spec.repo "+url+" matches none of ^https://git.example.com/ (GitRepoRestriction rules)")
	}
	says("Accepted", "False Forbidden: ")
	if got := w.Git.Counts("tenants"); got != (gitserver.Counts{}) {
		w.T.Errorf("the repository was asked for: %+v", got)
	}
	rule(w, tenants, "Policy", "more", "gitRepo: {allowedRepoPatterns: [\""+url+"\"]}\n")
	says("Accepted", "True Defaulted: serviceAccount tenant is the default of GitRepoRestriction rules")
	b := &fleet.Bundle{}
	w.Eventually("the bundle", func() error {
		return w.Hub.Client.Get(context.Background(), client.ObjectKey{Namespace: tenants, Name: "theirs-web"}, b)
	})
	repo := &fleet.GitRepo{}
	w.Check(w.Hub.Client.Get(context.Background(), client.ObjectKey{Namespace: tenants, Name: "theirs"}, repo))
	if b.Spec.ServiceAccount != "tenant" || repo.Spec.ServiceAccount != "" {
		w.T.Errorf("the bundle deploys as %q, and the GitRepo's spec says %q", b.Spec.ServiceAccount, repo.Spec.ServiceAccount)
	}
}

func restrictedBundle(w *world.World) {
	files := func(text, account string) map[string]string {
		return map[string]string{
			"app/fleet.yaml": "defaultNamespace: ruled\ntargetCustomizations:\n- {name: all, clusterSelector: {}, serviceAccount: \"" + account + "\"}\n",
			"app/state.yaml": configMap("state", text),
		}
	}
	gitRepo(w, "ruled", w.Repo("ruled", files("good", "")), nil)
	settled(w, "ruled-app")
	remove := rule(w, world.Workspace, "Policy", "accounts", "allowedServiceAccounts: [tenant-a]\n")
	w.Push("ruled", files("next", fleet.AdminServiceAccount))
	bundleTells(w, "ruled-app", "Forbidden: Bundle fleet-default/ruled-app is not allowed: spec.targets[0] (all).serviceAccount flotilla-admin is none of tenant-a (Policy accounts)")
	repoTells(w, "ruled", "[Bundle ruled-app: Forbidden: ")
	still(w, "ruled", "state", "good")
	remove()
	says(w, "ruled", "state", "next")
	settled(w, "ruled-app")
}

func restrictedByHand(w *world.World) {
	remove := rule(w, world.Workspace, "GitRepoRestriction", "spaces", "allowedTargetNamespaces: [by-hand]\n")
	b := &fleet.Bundle{ObjectMeta: metav1.ObjectMeta{Namespace: world.Workspace, Name: "by-hand"}}
	b.Spec.Resources = []fleet.BundleResource{{Name: "state.yaml", Content: configMap("state", "good")}}
	b.Spec.Targets = []fleet.BundleTarget{{Name: "all", ClusterName: production}}
	w.Check(w.Hub.Client.Create(context.Background(), b))
	bundleTells(w, "by-hand", "spec.namespace is empty: name one of by-hand (GitRepoRestriction spaces)")
	w.Kubectl("hub", "-n", world.Workspace, "patch", "bundle", "by-hand", "--type=merge", "-p", `{"spec":{"namespace":"by-hand"}}`)
	says(w, "by-hand", "state", "good")
	remove()
	w.Check(w.Hub.Client.Delete(context.Background(), b))
	says(w, "by-hand", "state", "")
}
