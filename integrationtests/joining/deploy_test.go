package joining

import (
	"fmt"
	"strings"
	"testing"

	"flotilla.io/flotilla/integrationtests/terminal"
	"flotilla.io/flotilla/integrationtests/world"
)

// deploy is the pipeline to cluster a, for the bundle in one directory.
func (j job) deploy(w *world.World, name string) string {
	return "fleet apply -o - -n fleet-default shop " + name + " | fleet target -b - | fleet deploy -i - --cluster a --kubeconfig " + kubeconfig(w, "a")
}

// fails runs a command that ends with 1, and returns what it says.
func (j job) fails(t *testing.T, command string) string {
	t.Helper()
	out, err := j.p.In(t).Runs(j.dir, j.command(command))
	if terminal.ExitCode(err) != 1 {
		t.Fatalf("%s ends with %v and says\n%s", command, err, out)
	}
	return out
}

func (j job) looks(t *testing.T, w *world.World) {
	j.write(t, map[string]string{
		"there/fleet.yaml": "namespace: shop\nhelm: {values: {text: own, size: small}, valuesFrom: [{configMapKeyRef: {name: sizes, key: v}}]}\n" +
			"overrideTargets: [{name: all, clusterSelector: {}}]\n",
		"there/Chart.yaml": "apiVersion: v2\nname: there\nversion: 1.0.0\n",
		"there/templates/cm.yaml": "{{ $there := lookup \"v1\" \"Namespace\" \"\" \"shop\" }}\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: there}\n" +
			"data: {text: \"{{ .Values.text }}, {{ .Values.size }}, {{ $there.metadata.name }}\"}\n",
		"there/templates/secret.yaml": "apiVersion: v1\nkind: Secret\nmetadata: {name: there}\nstringData: {password: {{ randAlphaNum 20 }}}\n",
	})
	if out := j.fails(t, j.deploy(w, "there")); !has(out, "bundle shop-there: helm.valuesFrom[0].configMapKeyRef: ConfigMap shop/sizes does not exist; it has to be on the cluster before the bundle") {
		t.Errorf("without the values it says\n%s", out)
	}
	password := func() string {
		return w.Kubectl("a", "-n", "shop", "get", "secret", "there", "-o", "jsonpath={.data.password}")
	}
	w.Kubectl("a", "-n", "shop", "create", "configmap", "sizes", "--from-literal=v=size: large")
	out := j.runs(t, j.deploy(w, "there"))
	inShop(w, "there", "own, large, shop")
	drawn := password()
	if len(drawn) < 20 || !has(out, "password: (hidden)") {
		t.Errorf("the password has %d letters; it prints\n%s", len(drawn), out)
	}
	w.Kubectl("a", "-n", "shop", "patch", "configmap", "sizes", "-p", `{"data":{"v":"size: huge"}}`)
	j.runs(t, j.deploy(w, "there"))
	inShop(w, "there", "own, huge, shop")
	if password() != drawn {
		t.Error("the next deploy changed the password")
	}
}

// aHook is a Job that ends by itself, or with more, not at all.
func aHook(name, events, weight, more string) string {
	return fmt.Sprintf("apiVersion: batch/v1\nkind: Job\nmetadata: {name: %s, annotations: {helm.sh/hook: %q, helm.sh/hook-weight: %q}}\n"+
		"spec: {backoffLimit: 0, template: {spec: {%srestartPolicy: Never, containers: [{name: a, image: a}]}}}\n", name, events, weight, more)
}

func (j job) hooks(t *testing.T, w *world.World) {
	j.write(t, map[string]string{
		"hooked/fleet.yaml": "namespace: shop\nhelm: {timeoutSeconds: 60}\noverrideTargets: [{name: all, clusterSelector: {}}]\n",
		"hooked/x.yaml":     fmt.Sprintf(configMap, "hooked", "one"),
		"hooked/first.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: zero, annotations: {helm.sh/hook: pre-install, helm.sh/hook-weight: \"-1\"}}\n",
		"hooked/then.yaml":  aHook("then", "pre-install,pre-upgrade", "1", ""),
		"hooked/last.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: last, annotations: {helm.sh/hook: \"post-install,post-upgrade\", " +
			"helm.sh/hook-delete-policy: \"before-hook-creation,hook-succeeded\"}}\n",
		"hooked/leaving.yaml": aHook("leaving", "pre-delete", "0", ""),
	})
	started := func(out string) (names []string) {
		for line := range strings.Lines(out) {
			if _, hook, is := strings.Cut(line, `msg="a hook succeeded" bundle=`); is {
				_, hook, _ = strings.Cut(hook, "hook=")
				names = append(names, strings.Trim(hook, "\"\n"))
			}
		}
		return names
	}
	out := j.runs(t, j.deploy(w, "hooked"))
	if got, want := fmt.Sprint(started(out)), "[pre-install ConfigMap zero pre-install Job.batch then post-install ConfigMap last]"; got != want {
		t.Errorf("an install runs %s, want %s:\n%s", got, want, out)
	}
	uid := func() string {
		return w.Kubectl("a", "-n", "shop", "get", "job", "then", "-o", "jsonpath={.metadata.uid}")
	}
	before := uid()
	out = j.runs(t, j.deploy(w, "hooked"))
	if got, want := fmt.Sprint(started(out)), "[pre-upgrade Job.batch then post-upgrade ConfigMap last]"; got != want || uid() == before {
		t.Errorf("an upgrade runs %s, want %s, each anew:\n%s", got, want, out)
	}
	if left := w.Kubectl("a", "-n", "shop", "get", "jobs,configmaps", "-o", "name"); !has(left, "configmap/zero", "configmap/hooked") || strings.Contains(left, "last") || strings.Contains(left, "leaving") {
		t.Errorf("there are\n%s", left)
	}
	j.write(t, map[string]string{
		"hooked/fleet.yaml": "namespace: shop\nhelm: {timeoutSeconds: 2}\noverrideTargets: [{name: all, clusterSelector: {}}]\n",
		"hooked/then.yaml":  aHook("then", "pre-upgrade", "1", "nodeSelector: {none: such}, "),
		"hooked/x.yaml":     fmt.Sprintf(configMap, "hooked", "two"),
	})
	if out := j.fails(t, j.deploy(w, "hooked")); !has(out, "bundle shop-hooked: hook pre-upgrade Job.batch then failed: it did not end within 2s") {
		t.Errorf("it says\n%s", out)
	}
	inShop(w, "hooked", "one")
	j.write(t, map[string]string{
		"hooked/fleet.yaml": "namespace: shop\noverrideTargets: [{name: all, clusterSelector: {}}]\n",
		"hooked/then.yaml":  aHook("then", "pre-upgrade", "1", ""),
	})
	j.runs(t, j.deploy(w, "hooked"))
	inShop(w, "hooked", "two")
}
