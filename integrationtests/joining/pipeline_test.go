package joining

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"flotilla.io/flotilla/integrationtests/terminal"
	"flotilla.io/flotilla/integrationtests/world"
)

// pipeline is a CI job that was written for Fleet, with `fleet` being our tool: it prints bundles, targets them, deploys them
// without an agent, and writes them to the hub. It leaves the fleet as it found it.
func pipeline(t *testing.T, w *world.World) {
	dir := t.TempDir()
	job := job{terminal.New(t, "sh").With("KUBECONFIG="+hub(w), "COMMIT=4c0ffee"), dir, filepath.Join(world.Bin(t), "flotilla")}
	job.write(t, map[string]string{
		"web/fleet.yaml":        "namespace: shop\nhelm: {values: {text: \"for ${ .ClusterName }\", password: hunter2}}\noverrideTargets: [{name: tests, clusterSelector: {matchLabels: {env: test}}}]\n",
		"web/Chart.yaml":        "apiVersion: v2\nname: web\nversion: 1.0.0\n",
		"web/templates/cm.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: web}\ndata: {text: {{ .Values.text }}}\n",
		"web/templates/second.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: second}\n---\napiVersion: v1\nkind: PersistentVolumeClaim\n" +
			"metadata: {name: data}\nspec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}\n",
	})
	deploy := "fleet apply -o - -n fleet-default shop web | fleet target -b - | fleet deploy -i - --cluster a --kubeconfig " + kubeconfig(w, "a")
	t.Run("what is piped through apply, target and deploy is on the cluster", func(t *testing.T) {
		out := job.runs(t, deploy)
		if !has(out, "- apiVersion: v1\n", "text: for a", "objectset.rio.cattle.io/hash: ", "namespace: shop") {
			t.Errorf("it prints\n%s", out)
		}
		inShop(in(t, w), "web", "for a")
	})
	t.Run("a deploy takes back what somebody changed, and deletes what left but for claims", func(t *testing.T) {
		there := in(t, w)
		there.Kubectl("a", "-n", "shop", "patch", "configmap", "web", "--field-manager", "somebody", "-p", `{"data":{"text":"mine"}}`)
		there.Kubectl("a", "-n", "shop", "create", "configmap", "foreign")
		must(t, os.Remove(filepath.Join(dir, "web/templates/second.yaml")))
		job.runs(t, deploy)
		inShop(there, "web", "for a")
		left := there.Kubectl("a", "-n", "shop", "get", "configmaps,persistentvolumeclaims", "-o", "name")
		if strings.Contains(left, "configmap/second") || !has(left, "configmap/foreign", "persistentvolumeclaim/data") {
			t.Errorf("there are\n%s", left)
		}
	})
	t.Run("an object that somebody else made is not taken", func(t *testing.T) {
		there := in(t, w)
		job.write(t, map[string]string{"web/templates/foreign.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: foreign}\ndata: {text: ours}\n"})
		there.Kubectl("a", "-n", "shop", "patch", "configmap", "foreign", "--field-manager", "somebody", "-p", `{"data":{"text":"theirs"}}`)
		out, err := job.p.In(t).Runs(dir, job.command(deploy))
		if err == nil || !has(out, "ConfigMap shop/foreign: .data.text is managed by", "drop the field from the bundle") {
			t.Errorf("it ends with %v and says\n%s", err, out)
		}
		must(t, os.Remove(filepath.Join(dir, "web/templates/foreign.yaml")))
		there.Kubectl("a", "-n", "shop", "delete", "configmap", "foreign")
		job.runs(t, deploy)
	})
	t.Run("a deploy waits until its objects are ready, as long as it is asked to", func(t *testing.T) {
		job.write(t, map[string]string{
			"slow/fleet.yaml": "namespace: shop\nhelm: {timeoutSeconds: 1, atomic: true}\noverrideTargets: [{name: all, clusterSelector: {}}]\n",
			"slow/claim.yaml": "apiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {name: slow}\nspec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}\n",
		})
		slow := strings.Replace(deploy, "shop web", "shop slow", 1)
		out, err := job.p.In(t).Runs(dir, job.command(slow))
		if terminal.ExitCode(err) != 1 || !has(out, "bundle shop-slow: not ready within 1 s (helm.timeoutSeconds): PersistentVolumeClaim shop/slow: ",
			"note: bundle shop-slow: helm.atomic: without an agent nothing is rolled back") {
			t.Errorf("it ends with %v and says\n%s", err, out)
		}
		job.write(t, map[string]string{"slow/claim.yaml": fmt.Sprintf(configMap, "quick", "x")})
		job.runs(t, slow)
	})
	t.Run("a deploy looks things up, takes values from the cluster, and keeps random ones", func(t *testing.T) { job.looks(t, in(t, w)) })
	t.Run("a deploy runs hooks by weight, those of an install once", func(t *testing.T) { job.hooks(t, in(t, w)) })
	t.Run("target tells what decided, and leaves out a cluster that lacks a value", func(t *testing.T) { job.targets(t, in(t, w)) })
	t.Run("apply writes a bundle to the hub, its values to a Secret, and nothing when nothing changed", func(t *testing.T) { job.applies(t, in(t, w)) })
	t.Run("bundles of a GitRepo are left to it", func(t *testing.T) {
		job.write(t, map[string]string{"app/x.yaml": fmt.Sprintf(configMap, "x", "y")})
		out, err := job.p.In(t).Runs(dir, job.command("fleet apply -n fleet-default fleet app"))
		if terminal.ExitCode(err) != 1 || !has(out, "bundle fleet-default/fleet-app: GitRepo fleet makes it; give this one another name, or change it in Git") {
			t.Errorf("it ends with %v and says\n%s", err, out)
		}
	})
	t.Run("what is gone from the paths is deleted only when nothing is in doubt", func(t *testing.T) { job.prunes(t, in(t, w)) })
}

// job is a CI job in a directory.
type job struct {
	p         terminal.Person
	dir, tool string
}

func (j job) write(t *testing.T, files map[string]string) {
	t.Helper()
	for name, content := range files {
		file := filepath.Join(j.dir, name)
		must(t, os.MkdirAll(filepath.Dir(file), 0o755))
		must(t, os.WriteFile(file, []byte(content), 0o644))
	}
}

// command has `fleet` be our tool.
func (j job) command(command string) string {
	return "fleet() { " + j.tool + " \"$@\"; }; " + command
}

func (j job) runs(t *testing.T, command string) string {
	t.Helper()
	out, err := j.p.In(t).Runs(j.dir, j.command(command))
	if err != nil {
		t.Fatalf("%s: %v\n%s", command, err, out)
	}
	return out
}

func (j job) targets(t *testing.T, w *world.World) {
	j.write(t, map[string]string{
		"zoned/fleet.yaml": "helm: {values: {zone: \"${ .ClusterLabels.zone }\"}}\noverrideTargets: [{name: all, clusterSelector: {}}]\n",
		"zoned/Chart.yaml": "apiVersion: v2\nname: zoned\nversion: 1.0.0\n",
		"plain/fleet.yaml": "overrideTargets: [{name: all, clusterSelector: {}}]\n",
		"plain/x.yaml":     fmt.Sprintf(configMap, "x", "y"),
	})
	w.Kubectl("hub", "-n", world.Workspace, "label", "clusters.fleet.cattle.io", "a", "zone=north")
	j.runs(t, "fleet apply -o both.yaml -n fleet-default shop zoned plain")
	out, err := j.p.In(t).Runs(j.dir, j.command("fleet target -b both.yaml -l 2>dumped"))
	if n := strings.Count(out, "kind: Content"); terminal.ExitCode(err) != 2 || n != 2 || strings.Count(out, "kind: BundleDeployment") != 3 ||
		!has(out, "zone: north", "deploymentID: s-", "fleet.cattle.io/bundle-name: shop-zoned", "fleet.cattle.io/cluster: a") {
		t.Errorf("it ends with %v and prints\n%s", err, out)
	}
	told, err := os.ReadFile(filepath.Join(j.dir, "dumped"))
	must(t, err)
	if !has(string(told), "- Cluster:", "ClusterGroups:", "DeploymentID: s-", "cluster fleet-default/b: helm.values.zone: the cluster has no label \"zone\"", "flotilla: 1 cluster left out") {
		t.Errorf("it tells\n%s", told)
	}
	w.Kubectl("hub", "-n", world.Workspace, "label", "clusters.fleet.cattle.io", "a", "zone-")
}

func (j job) applies(t *testing.T, w *world.World) {
	const command = "fleet apply -n fleet-default shop web"
	if out := j.runs(t, command); !has(out, "created (bundle): fleet-default/shop-web") {
		t.Errorf("it says\n%s", out)
	}
	w.Settled("shop-web")
	inShopOf(w, "b", "web", "for b")
	if text := w.Kubectl("hub", "-n", world.Workspace, "get", "bundle", "shop-web", "-o", "yaml"); strings.Contains(text, "hunter2") {
		t.Errorf("the bundle shows its values:\n%s", text)
	}
	for _, again := range []string{command, "fleet apply -o - -n fleet-default shop web | fleet apply -n fleet-default -f - shop-web"} {
		if out := j.runs(t, again); !has(out, "unchanged (bundle): fleet-default/shop-web") {
			t.Errorf("again it says\n%s", out)
		}
	}
	w.Kubectl("hub", "-n", world.Workspace, "annotate", "bundle", "shop-web", "flotilla.io/hold=looking")
	j.write(t, map[string]string{"web/templates/cm.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: web}\ndata: {text: changed}\n"})
	if out := j.runs(t, command); !has(out, "updated (bundle): fleet-default/shop-web") {
		t.Errorf("after a change it says\n%s", out)
	}
	if text := w.Kubectl("hub", "-n", world.Workspace, "get", "bundle", "shop-web", "-o", "yaml"); !has(text, "flotilla.io/hold: looking") {
		t.Errorf("a person's hold is gone:\n%s", text)
	}
	w.Kubectl("hub", "-n", world.Workspace, "annotate", "bundle", "shop-web", "flotilla.io/hold-")
	w.Settled("shop-web")
	inShopOf(w, "b", "web", "changed")
}

func (j job) prunes(t *testing.T, w *world.World) {
	const label = " -l fleet.cattle.io/repo-name=shop"
	j.write(t, map[string]string{"other/x.yaml": fmt.Sprintf(configMap, "x", "y")})
	j.runs(t, "fleet apply -n fleet-default shop web other"+label)
	out, err := j.p.In(t).Runs(j.dir, j.command("fleet apply -n fleet-default shop other gone"+label))
	if terminal.ExitCode(err) != 2 || !has(out, `there is no directory "gone"`) {
		t.Errorf("with a path that is not there it ends with %v and says\n%s", err, out)
	}
	if _, err := w.TryKubectl("hub", "-n", world.Workspace, "get", "bundle", "shop-web"); err != nil {
		t.Errorf("in doubt a bundle was deleted: %v", err)
	}
	if out := j.runs(t, "fleet apply -n fleet-default shop other"+label); !has(out, "deleted (bundle): fleet-default/shop-web") {
		t.Errorf("it says\n%s", out)
	}
	w.Kubectl("hub", "-n", world.Workspace, "delete", "bundle", "shop-other")
}

func inShop(w *world.World, name, want string) { inShopOf(w, "a", name, want) }

func inShopOf(w *world.World, cluster, name, want string) {
	w.T.Helper()
	w.Eventually(cluster+" saying "+want, func() error {
		got, err := w.TryKubectl(cluster, "-n", "shop", "get", "configmap", name, "-o", "jsonpath={.data.text}")
		if err != nil || got != want {
			return fmt.Errorf("it says %q, %v", got, err)
		}
		return nil
	})
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
