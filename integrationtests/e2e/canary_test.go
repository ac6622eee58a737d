package e2e

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	fleet "flotilla.io/flotilla/api/v1alpha1"
	"flotilla.io/flotilla/integrationtests/world"
)

// canaries stand wherever a user can put something confidential.
const canary = "canary-b52c19"

// TestNoPlaintextOutOfPlace reads all that the hub holds but Secrets, and every log, and finds no canary.
func TestNoPlaintextOutOfPlace(t *testing.T) {
	t.Parallel()
	w := world.New(t, world.Options{Clusters: map[string]map[string]string{"production": {"env": "production"}}})
	w.GitRepo("fleet", w.Repo("fleet", map[string]string{
		"app/fleet.yaml":  "defaultNamespace: app\nhelm:\n  values:\n    password: " + canary + "\n  templateValues:\n    more: " + canary + "\n",
		"app/Chart.yaml":  "apiVersion: v2\nname: app\nversion: 1.0.0\n",
		"app/values.yaml": "note: " + canary + "\n",
		"app/templates/all.yaml": `apiVersion: v1
kind: Secret
metadata: {name: s}
stringData: {password: {{ .Values.password }}, note: {{ .Values.note }}}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: c}
data: {password: {{ .Values.password }}}
`,
		// Only the cluster can render this one.
		"own/fleet.yaml": "defaultNamespace: app\nhelm:\n  values:\n    password: " + canary + "\n",
		"own/Chart.yaml": "apiVersion: v2\nname: own\nversion: 1.0.0\n",
		"own/templates/all.yaml": `apiVersion: v1
kind: Secret
metadata: {name: own}
stringData: {password: {{ .Values.password }}, drawn: {{ randAlphaNum 16 }}}
---
apiVersion: v1
kind: Secret
metadata: {name: before, annotations: {helm.sh/hook: pre-install}}
stringData: {password: {{ .Values.password }}}
`,
		"raw/fleet.yaml": "defaultNamespace: app\nkustomize: {patches: [{target: {name: raw}, patch: '[{op: add, path: /data/patched, value: " + canary + "}]'}]}\n",
		"raw/c.yaml":     configMap("raw", canary),
	}), func(s *fleet.GitRepoSpec) {
		s.Targets = everyone()
		s.Targets[0].Helm = &fleet.HelmOptions{Values: &fleet.GenericMap{Data: map[string]any{"target": canary}}}
	})
	w.Settled("fleet-app", "fleet-raw", "fleet-own")
	w.Kubectl("production", "-n", "app", "get", "secret", "own", "before")

	// Drift of a confidential field, and a broken push, are told without its value.
	w.Kubectl("production", "-n", "app", "patch", "configmap", "raw", "--type=merge", "-p", `{"data":{"text":"`+canary+`-changed"}}`)
	w.Kubectl("production", "-n", "app", "patch", "secret", "s", "--type=merge", "-p", `{"stringData":{"password":"`+canary+`-changed"}}`)
	holds(w, "drift", func() string { return strings.Join(problems(w), "\n") }, "/data/text", "/data/password")
	w.Push("fleet", map[string]string{"app/templates/all.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\ndata: {password: {{ .Values.password.deeper }}}\n"})
	holds(w, "a broken push", func() string { return bundleRow(w, "fleet-app") }, "stays deployed")

	for _, place := range objectsWith(w, w.Hub.Config, canary) {
		// The GitRepo is the user's own, and says what the user wrote into it.
		if !strings.HasPrefix(place, "gitrepos ") {
			t.Errorf("the hub shows it in %s", place)
		}
	}
	w.Check(filepath.WalkDir(w.Dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".log") {
			return nil //nolint:nilerr // what cannot be read cannot be read by others either
		}
		if data, err := os.ReadFile(path); err == nil && strings.Contains(string(data), canary) {
			t.Errorf("the log %s shows it", path)
		}
		return nil
	}))
}

// objectsWith lists every object of a cluster, but Secrets, that contains a text.
func objectsWith(w *world.World, cfg *rest.Config, text string) []string {
	w.T.Helper()
	disco, err := discovery.NewDiscoveryClientForConfig(cfg)
	w.Check(err)
	dyn, err := dynamic.NewForConfig(cfg)
	w.Check(err)
	lists, err := disco.ServerPreferredResources()
	w.Check(err)
	var out []string
	for _, list := range lists {
		gv, err := schema.ParseGroupVersion(list.GroupVersion)
		w.Check(err)
		for _, r := range list.APIResources {
			if r.Name == "secrets" || !strings.Contains(strings.Join(r.Verbs, " "), "list") {
				continue
			}
			objects, err := dyn.Resource(gv.WithResource(r.Name)).List(context.Background(), metav1.ListOptions{})
			if err != nil {
				continue
			}
			for i := range objects.Items {
				if contains(&objects.Items[i], text) {
					out = append(out, r.Name+" "+objects.Items[i].GetNamespace()+"/"+objects.Items[i].GetName())
				}
			}
		}
	}
	return out
}

// contains looks for a text as it stands and in base64, wherever in the encoded bytes it begins.
func contains(o *unstructured.Unstructured, text string) bool {
	data, err := json.Marshal(o)
	if err != nil {
		return true
	}
	forms := []string{text}
	for skip := range 3 {
		inner := text[skip:]
		encoded := base64.StdEncoding.EncodeToString([]byte(inner))
		forms = append(forms, encoded[:len(inner)/3*4])
	}
	return slices.ContainsFunc(forms, func(f string) bool { return strings.Contains(string(data), f) })
}

func TestTheSearchFindsACanaryInBase64(t *testing.T) {
	for _, before := range []string{"", "x", "xy"} {
		o := &unstructured.Unstructured{Object: map[string]any{"content": base64.StdEncoding.EncodeToString([]byte(before + canary + "z"))}}
		if !contains(o, canary) {
			t.Errorf("not found behind %q", before)
		}
	}
}
