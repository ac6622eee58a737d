package charts

import (
	"bytes"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/engine"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"

	"flotilla.io/flotilla/integrationtests/golden"
)

const namespace = "cattle-fleet-system"

// render renders a chart as `helm install <name> -n cattle-fleet-system` does, in a stable order.
func render(t *testing.T, name string, values map[string]any) []*unstructured.Unstructured {
	t.Helper()
	var files []*loader.BufferedFile
	must(t, fs.WalkDir(Files, name, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := fs.ReadFile(Files, path)
		files = append(files, &loader.BufferedFile{Name: strings.TrimPrefix(path, name+"/"), Data: data})
		return err
	}))
	chart, err := loader.LoadFiles(files)
	must(t, err)
	all, err := chartutil.ToRenderValues(chart, values, chartutil.ReleaseOptions{Name: name, Namespace: namespace, Revision: 1, IsInstall: true}, chartutil.DefaultCapabilities)
	must(t, err)
	out, err := engine.Render(chart, all)
	must(t, err)
	var objects []*unstructured.Unstructured
	for _, path := range sortedKeys(out) {
		objects = append(objects, parse(t, path, out[path])...)
	}
	return objects
}

func parse(t *testing.T, path, text string) (objects []*unstructured.Unstructured) {
	t.Helper()
	if !strings.HasSuffix(path, ".yaml") {
		return nil
	}
	decoder := utilyaml.NewYAMLOrJSONDecoder(strings.NewReader(text), 4096)
	for {
		u := &unstructured.Unstructured{}
		if err := decoder.Decode(u); err != nil {
			if err.Error() == "EOF" {
				return objects
			}
			t.Fatalf("%s: %v\n%s", path, err, text)
		}
		if len(u.Object) > 0 {
			objects = append(objects, u)
		}
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for key := range m {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}

// into reads the objects of a kind.
func into[T any](t *testing.T, objects []*unstructured.Unstructured, kinds ...string) (out []T) {
	t.Helper()
	for _, o := range objects {
		if slices.Contains(kinds, o.GetKind()) {
			var v T
			must(t, runtime.DefaultUnstructuredConverter.FromUnstructured(o.Object, &v))
			out = append(out, v)
		}
	}
	return out
}

// tokenValues are those of a registration token's Secret.
func tokenValues() map[string]any {
	return map[string]any{
		"apiServerURL": "https://hub.example:6443", "apiServerCA": "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n",
		"clusterNamespace": "fleet-default", "systemRegistrationNamespace": "cattle-fleet-clusters-system",
		"token": "eyJ.eyJ.sig", "tokenName": "join", "tokenKey": "a2V5", "hubUID": "0000-1111",
		"labels": map[string]any{"env": "production", "looks-like-a-number": "1"}, "clusterName": "edge",
	}
}

func TestChartsAsTheyAreInstalled(t *testing.T) {
	for _, row := range []struct {
		golden, chart string
		values        map[string]any
	}{
		{"flotilla", "flotilla", nil},
		{"flotilla-public", "flotilla", map[string]any{
			"apiServerURL": "https://hub.example:6443", "apiServerCA": "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n",
			"namespaces": []any{}, "proxy": "http://proxy.example:3128", "noProxy": ".example", "webhook": map[string]any{"secret": "hook"}, "metrics": map[string]any{"enabled": false}, "importClusters": map[string]any{"enabled": false}, "imagePullSecrets": []any{map[string]any{"name": "registry"}}, "ignoreClusterRegistrationLabels": true, "networkPolicy": map[string]any{"enabled": false},
			"global": map[string]any{"cattle": map[string]any{"systemDefaultRegistry": "registry.example/"}}, "image": map[string]any{"tag": "v1"},
		}},
		{"flotilla-agent", "flotilla-agent", tokenValues()},
		{"flotilla-agent-refused-admin", "flotilla-agent", map[string]any{
			"admin": map[string]any{"enabled": false}, "proxy": "http://proxy.example:3128", "networkPolicy": map[string]any{"enabled": false},
			"priorityClass": map[string]any{"value": 1000, "preemptionPolicy": "Never"}, "podDisruptionBudget": map[string]any{"maxUnavailable": 1},
			"resources": map[string]any{"limits": map[string]any{"memory": "1Gi"}},
			"fleetAgent": map[string]any{"hostNetwork": true, "env": []any{map[string]any{"name": "HTTP_PROXY", "value": "http://other.example"}, map[string]any{"name": "A", "value": "b"}},
				"affinity": map[string]any{"nodeAffinity": map[string]any{}}, "nodeSelector": map[string]any{"fleet": "yes"}, "tolerations": []any{map[string]any{"operator": "Exists"}}},
		}},
	} {
		t.Run(row.golden, func(t *testing.T) {
			var got bytes.Buffer
			for _, o := range render(t, row.chart, row.values) {
				data, err := yaml.Marshal(o.Object)
				must(t, err)
				fmt.Fprintf(&got, "---\n%s", data)
			}
			golden.Compare(t, filepath.Join("testdata", row.golden+".golden.yaml"), got.Bytes())
		})
	}
}

// rule is one rule of a role of ours.
type rule struct {
	where string
	rbacv1.PolicyRule
}

func rulesOf(t *testing.T, objects []*unstructured.Unstructured) (out []rule) {
	t.Helper()
	for _, r := range into[rbacv1.ClusterRole](t, objects, "Role", "ClusterRole") { // of one shape
		for _, p := range r.Rules {
			out = append(out, rule{strings.TrimPrefix(r.Namespace+"/"+r.Name, "/"), p})
		}
	}
	return out
}

func TestNoRoleIsBroad(t *testing.T) {
	for _, chart := range []string{"flotilla", "flotilla-agent"} {
		rules := rulesOf(t, render(t, chart, nil))
		if len(rules) == 0 {
			t.Fatalf("chart %s has no rules: this test holds nothing", chart)
		}
		for _, r := range rules {
			if slices.Contains(slices.Concat(r.Verbs, r.Resources, r.APIGroups, r.NonResourceURLs), "*") {
				t.Errorf("%s: %s grants *", chart, r.where)
			}
			namespaced := strings.Contains(r.where, "/")
			for _, verb := range []string{"escalate", "bind", "impersonate"} {
				if slices.Contains(r.Verbs, verb) && len(r.ResourceNames) == 0 && !(verb == "impersonate" && namespaced) {
					t.Errorf("%s: %s grants %s on any %v", chart, r.where, verb, r.Resources)
				}
			}
			if !namespaced && slices.Contains(r.Resources, "secrets") && (slices.Contains(r.Verbs, "list") || slices.Contains(r.Verbs, "watch")) {
				t.Errorf("%s: %s lists Secrets of all namespaces", chart, r.where)
			}
			if !namespaced && slices.Contains(r.Resources, "serviceaccounts/token") {
				t.Errorf("%s: %s makes tokens for accounts of all namespaces", chart, r.where)
			}
			if slices.Contains(r.Resources, "namespaces") && slices.Contains(r.Verbs, "delete") {
				t.Errorf("%s: %s deletes namespaces", chart, r.where)
			}
		}
	}
}

func TestTheAdminCanBeRefused(t *testing.T) {
	for _, enabled := range []bool{true, false} {
		objects := render(t, "flotilla-agent", map[string]any{"admin": map[string]any{"enabled": enabled}})
		admins := 0
		for _, b := range into[rbacv1.ClusterRoleBinding](t, objects, "RoleBinding", "ClusterRoleBinding") {
			if b.RoleRef.Name == "cluster-admin" {
				admins++
				if len(b.Subjects) != 1 || b.Subjects[0].Name != "flotilla-admin" || b.Subjects[0].Namespace != namespace {
					t.Errorf("%s binds cluster-admin to %v", b.Name, b.Subjects)
				}
			}
		}
		if (admins == 1) != enabled {
			t.Errorf("with admin.enabled=%v there are %d bindings of cluster-admin", enabled, admins)
		}
	}
}

func TestPodsAreConfined(t *testing.T) {
	type workload struct {
		Spec struct {
			Template corev1.PodTemplateSpec `json:"template"`
		} `json:"spec"`
	}
	for _, chart := range []string{"flotilla", "flotilla-agent"} {
		pods := into[workload](t, render(t, chart, nil), "Deployment")
		if len(pods) != 1 {
			t.Fatalf("chart %s has %d Deployments", chart, len(pods))
		}
		spec := pods[0].Spec.Template.Spec
		if pod := spec.SecurityContext; pod == nil || pod.RunAsNonRoot == nil || !*pod.RunAsNonRoot || pod.SeccompProfile == nil || pod.SeccompProfile.Type != corev1.SeccompProfileTypeRuntimeDefault {
			t.Errorf("%s: the pod's securityContext is %+v", chart, pod)
		}
		for _, c := range spec.Containers {
			s := c.SecurityContext
			if s == nil || !*s.ReadOnlyRootFilesystem || *s.AllowPrivilegeEscalation || len(s.Capabilities.Drop) != 1 || s.Capabilities.Drop[0] != "ALL" {
				t.Errorf("%s: container %s has securityContext %+v", chart, c.Name, s)
			}
		}
	}
}

func TestImagesComeFromWhereTheyAreToldTo(t *testing.T) {
	type values = map[string]any
	mirror := values{"cattle": values{"systemDefaultRegistry": "mirror.example:5000/"}}
	for _, row := range []struct {
		name   string
		values values
		want   string // %s is the program
	}{
		{"by default where releases are published", nil, "registry.flotilla.io/flotilla/%s:0.1.0"},
		{"from a mirror under the same repository", values{"global": mirror}, "mirror.example:5000/flotilla/%s:0.1.0"},
		{"from another registry", values{"image": values{"registry": "mine.example"}}, "mine.example/flotilla/%s:0.1.0"},
		{"by another name and tag", values{"image": values{"registry": "", "repository": "mine.example/x", "tag": "v1"}}, "mine.example/x:v1"},
	} {
		t.Run(row.name, func(t *testing.T) {
			for chart, program := range map[string]string{"flotilla": "flotilla-controller", "flotilla-agent": "flotilla-agent"} {
				want := strings.ReplaceAll(row.want, "%s", program)
				for _, d := range into[appsv1.Deployment](t, render(t, chart, row.values), "Deployment") {
					if got := d.Spec.Template.Spec.Containers[0].Image; got != want {
						t.Errorf("chart %s runs %s, want %s", chart, got, want)
					}
				}
			}
		})
	}
}

func TestTheAgentGetsTheTokensValuesAsTheyAre(t *testing.T) {
	var got map[string]any
	for _, o := range render(t, "flotilla-agent", tokenValues()) {
		if o.GetKind() == "Secret" && o.GetName() == "fleet-agent-bootstrap" {
			text, _, _ := unstructured.NestedString(o.Object, "stringData", "values")
			must(t, yaml.UnmarshalStrict([]byte(text), &got))
		}
	}
	if want := tokenValues(); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("the bootstrap Secret holds\n%v\nwant\n%v", got, want)
	}
	for _, o := range render(t, "flotilla-agent", nil) {
		if o.GetKind() == "Secret" {
			t.Errorf("without a token there is a Secret %s: an upgrade would take the values away", o.GetName())
		}
	}
}
