package badinput

import (
	"strings"
	"testing"

	"flotilla.io/flotilla/integrationtests/world"
)

// copiesOfTheWorkspace: what downstreamResources name may be missing, come, change and go.
func copiesOfTheWorkspace(t *testing.T, w *world.World) {
	files := in("web", plain("copies", "good"))
	files["web/fleet.yaml"] += "downstreamResources:\n- {kind: Secret, name: shop-db}\n- {kind: ConfigMap, name: shop-settings}\n"
	apply(w, "hub", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: shop-settings, namespace: "+world.Workspace+"}\ndata: {mode: fast}\n")
	gitRepo(w, "copies", w.Repo("copies", files), nil)
	repoTells(w, "copies", "downstreamResources: Secret shop-db does not exist in workspace "+world.Workspace+"; create it, or drop it from the bundle")

	secret := func(text string) {
		apply(w, "hub", "apiVersion: v1\nkind: Secret\nmetadata: {name: shop-db, namespace: "+world.Workspace+"}\nstringData: {password: "+text+"}\n")
	}
	read := func(kind, name, path string) string {
		out, _ := w.TryKubectl(production, "get", kind, name, "-n", "copies", "-o", "jsonpath={"+path+"}", "--ignore-not-found")
		return out
	}
	secret("first")
	settled(w, "copies-web")
	if got := read("secret", "shop-db", ".data.password"); got != "Zmlyc3Q=" {
		t.Errorf("the copy of the Secret has %q", got)
	}
	if got := read("configmap", "shop-settings", ".data.mode"); got != "fast" {
		t.Errorf("the copy of the ConfigMap has %q", got)
	}
	generations := func() string {
		return w.Kubectl("hub", "get", "bundledeployment", "copies-web", "-n", w.Kubectl("hub", "get", "clusters.fleet.cattle.io", production, "-n", world.Workspace, "-o", "jsonpath={.status.namespace}"),
			"-o", "jsonpath={.spec.downstreamResourcesGeneration} {.status.downstreamResourcesGeneration}.")
	}
	tells(w, "the count of copies", generations, "1 1.")
	w.Push("copies", map[string]string{"web/more.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: more}\n"})
	tells(w, "another object", func() string { return read("configmap", "more", ".metadata.name") }, "more")
	tells(w, "the count of copies that did not change", generations, "1 1.")
	secret("second")
	tells(w, "the copy", func() string { return read("secret", "shop-db", ".data.password") }, "c2Vjb25k")
	tells(w, "the count of copies", generations, "2 2.")
	apply(w, "hub", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: shop-settings, namespace: "+world.Workspace+"}\ndata: {mode: slow}\n")
	tells(w, "the copy", func() string { return read("configmap", "shop-settings", ".data.mode") }, "slow")
	for _, kind := range []string{"bundledeployments", "bundles", "contents.fleet.cattle.io"} {
		if out := w.Kubectl("hub", "get", kind, "-A", "-o", "json"); strings.Contains(out, "c2Vjb25k") {
			t.Errorf("%s show what was copied", kind)
		}
	}

	w.Kubectl("hub", "delete", "secret", "shop-db", "-n", world.Workspace)
	repoTells(w, "copies", "Secret shop-db does not exist")
	if got := read("secret", "shop-db", ".data.password"); got != "c2Vjb25k" {
		t.Errorf("a source that was lost took its copy away: %q", got)
	}
	apply(w, "hub", "apiVersion: v1\nkind: Secret\nmetadata: {name: shop-db, namespace: "+world.Workspace+"}\ntype: fleet.cattle.io/agent-credential\nstringData: {token: a}\n")
	repoTells(w, "copies", "Secret shop-db is of type fleet.cattle.io/agent-credential, which is never copied")
	w.Push("copies", in("web", plain("copies", "next")))
	says(w, "copies", "state", "next")
	tells(w, "the copies", func() string {
		return "left: " + read("secret", "shop-db", ".metadata.name") + read("configmap", "shop-settings", ".metadata.name") + "."
	}, "left: .")
	nothingToSay(w, "copies")
}
