package others

import (
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"flotilla.io/flotilla/agent/inventory"
	"flotilla.io/flotilla/api/v1alpha1"
)

func object(t *testing.T, text string) *unstructured.Unstructured {
	t.Helper()
	data, err := yaml.YAMLToJSON([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	u := &unstructured.Unstructured{}
	if err := u.UnmarshalJSON(data); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return u
}

func TestWhichObjectsAPatchConcerns(t *testing.T) {
	web := object(t, "{apiVersion: apps/v1, kind: Deployment, metadata: {name: web-1, namespace: shop}}")
	settings := object(t, "{apiVersion: v1, kind: ConfigMap, metadata: {name: a.b, namespace: shop}}")
	for _, row := range []struct {
		rule  string
		patch v1alpha1.ComparePatch
		of    *unstructured.Unstructured
		want  bool
	}{
		{"all four as they are", v1alpha1.ComparePatch{APIVersion: "apps/v1", Kind: "Deployment", Namespace: "shop", Name: "web-1"}, web, true},
		{"an empty name and namespace are any", v1alpha1.ComparePatch{APIVersion: "apps/v1", Kind: "Deployment"}, web, true},
		{"the version does not count", v1alpha1.ComparePatch{APIVersion: "apps/v1beta1", Kind: "Deployment"}, web, true},
		{"another group", v1alpha1.ComparePatch{APIVersion: "extensions/v1", Kind: "Deployment"}, web, false},
		{"another kind", v1alpha1.ComparePatch{APIVersion: "apps/v1", Kind: "StatefulSet"}, web, false},
		{"another namespace", v1alpha1.ComparePatch{APIVersion: "apps/v1", Kind: "Deployment", Namespace: "other"}, web, false},
		{"another name", v1alpha1.ComparePatch{APIVersion: "apps/v1", Kind: "Deployment", Name: "web"}, web, false},
		{"a glob for the group", v1alpha1.ComparePatch{APIVersion: "a*/v1", Kind: "Deployment"}, web, true},
		{"a glob for the kind", v1alpha1.ComparePatch{APIVersion: "apps/v1", Kind: "*"}, web, true},
		{"a glob for the namespace", v1alpha1.ComparePatch{APIVersion: "apps/v1", Kind: "Deployment", Namespace: "s?op"}, web, true},
		{"a glob for the name", v1alpha1.ComparePatch{APIVersion: "apps/v1", Kind: "Deployment", Name: "web-*"}, web, true},
		{"a regular expression for the name", v1alpha1.ComparePatch{APIVersion: "apps/v1", Kind: "Deployment", Name: "(web|api)-[0-9]+"}, web, true},
		{"a regular expression matches whole names", v1alpha1.ComparePatch{APIVersion: "apps/v1", Kind: "Deployment", Name: "we."}, web, false},
		{"v1 is the group without a name", v1alpha1.ComparePatch{APIVersion: "v1", Kind: "*"}, web, false},
		{"v1 is its objects", v1alpha1.ComparePatch{APIVersion: "v1", Kind: "ConfigMap"}, settings, true},
		{"nothing said is every object", v1alpha1.ComparePatch{}, settings, true},
		{"a star is every group", v1alpha1.ComparePatch{APIVersion: "*", Kind: "Deployment"}, web, true},
		{"a name with a dot as it is", v1alpha1.ComparePatch{APIVersion: "v1", Kind: "ConfigMap", Name: "a.b"}, settings, true},
		{"a pattern that is no expression stands for itself", v1alpha1.ComparePatch{APIVersion: "v1", Kind: "ConfigMap", Name: "a(b"}, settings, false},
	} {
		if got := concerns(row.patch, keyOf(row.of)); got != row.want {
			t.Errorf("%s: %v", row.rule, got)
		}
	}
}

const compared = `{apiVersion: apps/v1, kind: Deployment, metadata: {name: web, labels: {a: x}},
  spec: {replicas: 5, paused: true, template: {spec: {containers: [{name: c, image: a}, {name: d, image: b}]}}}}`

func TestWhatIsComparedOfAnObject(t *testing.T) {
	ops := func(list ...v1alpha1.Operation) v1alpha1.ComparePatch { return v1alpha1.ComparePatch{Operations: list} }
	for _, row := range []struct {
		rule  string
		patch v1alpha1.ComparePatch
		path  []string
		want  any // nil: not there
	}{
		{"a pointer takes a field away", v1alpha1.ComparePatch{JsonPointers: []string{"/spec/replicas"}}, []string{"spec", "replicas"}, nil},
		{"a pointer to nothing changes nothing", v1alpha1.ComparePatch{JsonPointers: []string{"/spec/none", "/spec/paused"}}, []string{"spec", "paused"}, nil},
		{"remove takes a field away", ops(v1alpha1.Operation{Op: "remove", Path: "/spec/replicas"}), []string{"spec", "replicas"}, nil},
		{"replace makes both sides alike", ops(v1alpha1.Operation{Op: "replace", Path: "/metadata/labels/a", Value: "same"}), []string{"metadata", "labels", "a"}, "same"},
		{"an operation that does not fit holds up no other", ops(v1alpha1.Operation{Op: "remove", Path: "/spec/none"}, v1alpha1.Operation{Op: "remove", Path: "/spec/paused"}), []string{"spec", "paused"}, nil},
		{"after a test that passes the rest goes on", ops(v1alpha1.Operation{Op: "test", Path: "/metadata/labels/a", Value: "x"}, v1alpha1.Operation{Op: "remove", Path: "/spec/paused"}), []string{"spec", "paused"}, nil},
		{"a test may be of a number", ops(v1alpha1.Operation{Op: "test", Path: "/spec/replicas", Value: "5"}, v1alpha1.Operation{Op: "remove", Path: "/spec/paused"}), []string{"spec", "paused"}, nil},
		{"after a test that fails the rest does not count", ops(v1alpha1.Operation{Op: "test", Path: "/metadata/labels/a", Value: "y"}, v1alpha1.Operation{Op: "remove", Path: "/spec/paused"}), []string{"spec", "paused"}, true},
		{"ignore is about the whole object and changes no field", ops(v1alpha1.Operation{Op: "ignore"}), []string{"spec", "replicas"}, int64(5)},
	} {
		u := object(t, compared)
		rules := New(v1alpha1.BundleDeploymentOptions{Diff: &v1alpha1.DiffOptions{ComparePatches: []v1alpha1.ComparePatch{row.patch}}}, nil)
		got, found, _ := unstructured.NestedFieldNoCopy(rules.Of(u, u).Compared(u).Object, row.path...)
		if found != (row.want != nil) || got != row.want {
			t.Errorf("%s: %v, %v", row.rule, got, found)
		}
		if !equality.Semantic.DeepEqual(u, object(t, compared)) {
			t.Errorf("%s: the object was modified", row.rule)
		}
	}
}

// live is as the API server shows it: kubectl has replicas and the image of d, we have the rest, somebody together with us
// the label b, and nobody what was removed.
const live = `
apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
  labels: {a: x, b: x}
  managedFields:
  - {manager: flotilla-agent, operation: Apply, apiVersion: apps/v1, fieldsType: FieldsV1, fieldsV1: {"f:metadata": {"f:labels": {"f:a": {}, "f:b": {}}},
      "f:spec": {"f:template": {"f:spec": {"f:containers": {'k:{"name":"c"}': {".": {}, "f:name": {}, "f:image": {}, "f:args": {}}, 'k:{"name":"d"}': {".": {}, "f:name": {}}}}}}}}
  - {manager: kubectl, operation: Update, apiVersion: apps/v1, fieldsType: FieldsV1, fieldsV1: {"f:metadata": {"f:labels": {"f:b": {}}},
      "f:spec": {"f:replicas": {}, "f:template": {"f:spec": {"f:containers": {'k:{"name":"d"}': {"f:image": {}, "f:command": {}}, 'k:{"name":"e"}': {".": {}, "f:name": {}, "f:image": {}}}}}}}}
spec:
  replicas: 5
  template:
    spec:
      containers: [{name: e, image: theirs}, {name: c, image: a, args: [a]}, {name: d, image: theirs, command: [theirs]}]
`

const wanted = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, labels: {a: x, b: x, gone: x}}
spec:
  replicas: 3
  template: {spec: {containers: [{name: c, image: a, args: [a]}, {name: d, image: ours, command: [ours]}, {name: e, image: ours}]}}
`

func TestAFieldIsGivenUpOnceAnotherManagerOwnsIt(t *testing.T) {
	for _, row := range []struct {
		rule     string
		pointers []string
		heal     bool
		want     string // what is sent: as wanted, with this changed
	}{
		{"a field that another manager took", []string{"/spec/replicas"}, false, "spec.replicas"},
		{"a field that we alone have stays", []string{"/metadata/labels/a"}, true, ""},
		{"a field that another manager has too", []string{"/metadata/labels/b"}, false, "metadata.labels.b"},
		{"of a map each key by itself", []string{"/metadata/labels"}, false, "metadata.labels.b"},
		{"a field that nobody has is sent with a revision", []string{"/metadata/labels/gone"}, false, ""},
		{"and stays away when drift is put back", []string{"/metadata/labels/gone"}, true, "metadata.labels.gone"},
		{"a field that is not wanted changes nothing", []string{"/spec/paused", "/none/at/all", "no pointer"}, true, ""},
		{"a field of a list's item is known by its name, wherever it stands", []string{"/spec/template/spec/containers/1/image"}, false, "containers.d.image"},
		{"an item of a list that is managed as one is the whole list", []string{"/spec/template/spec/containers/1/command/0"}, false, "containers.d.command"},
		{"and stays where that is ours", []string{"/spec/template/spec/containers/0/args/0"}, true, ""},
		{"an item keeps its name for as long as it is ours", []string{"/spec/template/spec/containers/1"}, false, "containers.d.image containers.d.command"},
		{"an item that is not ours goes as a whole", []string{"/spec/template/spec/containers/2"}, false, "containers.e"},
		{"pointers into one list do not move each other", []string{"/spec/template/spec/containers/2", "/spec/template/spec/containers/1/image"}, false, "containers.e containers.d.image"},
	} {
		rules := New(v1alpha1.BundleDeploymentOptions{Diff: &v1alpha1.DiffOptions{ComparePatches: []v1alpha1.ComparePatch{{JsonPointers: row.pointers}}}}, nil)
		u, l := object(t, wanted), object(t, live)
		if got, want := rules.Of(u, l).Send(u, l, inventory.Ours, row.heal), without(t, row.want); !equality.Semantic.DeepEqual(got, want) {
			t.Errorf("%s: sent\n%v\nwant\n%v", row.rule, got, want)
		}
		if !equality.Semantic.DeepEqual(u, object(t, wanted)) {
			t.Errorf("%s: the wanted object was modified", row.rule)
		}
	}
}

func TestAFieldOfAManagerWhosePlaceWeTakeIsSent(t *testing.T) {
	rules := New(v1alpha1.BundleDeploymentOptions{Diff: &v1alpha1.DiffOptions{ComparePatches: []v1alpha1.ComparePatch{{JsonPointers: []string{"/spec/replicas"}}}}}, nil)
	u, l := object(t, wanted), object(t, live)
	taken := func(e metav1.ManagedFieldsEntry) bool { return true }
	if got := rules.Of(u, l).Send(u, l, taken, false); !equality.Semantic.DeepEqual(got, u) {
		t.Errorf("sent %v", got)
	}
}

// without is wanted without the fields named.
func without(t *testing.T, names string) *unstructured.Unstructured {
	u := object(t, wanted)
	containers, _, _ := unstructured.NestedSlice(u.Object, "spec", "template", "spec", "containers")
	for _, name := range strings.Fields(names) {
		switch name {
		case "spec.replicas":
			unstructured.RemoveNestedField(u.Object, "spec", "replicas")
		case "metadata.labels.b":
			unstructured.RemoveNestedField(u.Object, "metadata", "labels", "b")
		case "metadata.labels.gone":
			unstructured.RemoveNestedField(u.Object, "metadata", "labels", "gone")
		case "containers.d.image":
			delete(containers[1].(map[string]any), "image")
		case "containers.d.command":
			delete(containers[1].(map[string]any), "command")
		case "containers.e":
			containers = containers[:2]
		default:
			t.Fatalf("unknown field %s", name)
		}
	}
	if err := unstructured.SetNestedSlice(u.Object, containers, "spec", "template", "spec", "containers"); err != nil {
		t.Fatal(err)
	}
	return u
}

func TestWhatIsKnownToBeWrittenByOthers(t *testing.T) {
	scaled := "{apiVersion: apps/v1, kind: Deployment, metadata: {name: web, namespace: shop}, spec: {replicas: %}}"
	replicas := func(n string) string { return strings.ReplaceAll(scaled, "%", n) }
	hpa := "{apiVersion: autoscaling/v2, kind: HorizontalPodAutoscaler, metadata: {name: web, namespace: shop}, spec: {minReplicas: 2, maxReplicas: 9, scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: web}}}"
	webhook := "{apiVersion: admissionregistration.k8s.io/v1, kind: ValidatingWebhookConfiguration, metadata: {name: a}, webhooks: [{name: a, clientConfig: {caBundle: %}}]}"
	role := "{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRole, metadata: {name: a}, rules: [], aggregationRule: {}}"
	for _, row := range []struct {
		rule         string
		wanted, live string
		also         string // another object of the bundle
		want         string // the pointer
	}{
		{"replicas that an autoscaler of the bundle scales", replicas("3"), replicas("7"), hpa, "/spec/replicas"},
		{"not outside of its bounds", replicas("3"), replicas("10"), hpa, ""},
		{"not below them", replicas("3"), replicas("1"), hpa, ""},
		{"one replica is the least where nothing is said", replicas("3"), replicas("1"), strings.Replace(hpa, "minReplicas: 2, ", "", 1), "/spec/replicas"},
		{"not of another object", replicas("3"), replicas("7"), strings.Replace(hpa, "name: web}}", "name: api}}", 1), ""},
		{"not in another namespace", replicas("3"), replicas("7"), strings.Replace(hpa, "namespace: shop", "namespace: other", 1), ""},
		{"not without an autoscaler", replicas("3"), replicas("7"), replicas("1"), ""},
		{"a CA bundle that is left empty", strings.Replace(webhook, "%", `""`, 1), webhook, "", "/webhooks/0/clientConfig/caBundle"},
		{"a CA bundle that is a line break", strings.Replace(webhook, "%", "Cg==", 1), webhook, "", "/webhooks/0/clientConfig/caBundle"},
		{"not one that says something", strings.Replace(webhook, "%", "Y2E=", 1), webhook, "", ""},
		{"the CA bundle of an API", "{apiVersion: apiregistration.k8s.io/v1, kind: APIService, metadata: {name: a}, spec: {caBundle: Cg==}}", role, "", "/spec/caBundle"},
		{"the CA bundle of a conversion", "{apiVersion: apiextensions.k8s.io/v1, kind: CustomResourceDefinition, metadata: {name: a}, spec: {conversion: {webhook: {clientConfig: {caBundle: Cg==}}}}}", role, "", "/spec/conversion/webhook/clientConfig/caBundle"},
		{"rules that are gathered", role, role, "", "/rules"},
		{"not rules that are written", strings.Replace(role, ", aggregationRule: {}", "", 1), role, "", ""},
	} {
		var objects []*unstructured.Unstructured
		if row.also != "" {
			objects = append(objects, object(t, row.also))
		}
		got := New(v1alpha1.BundleDeploymentOptions{}, objects).Of(object(t, row.wanted), object(t, strings.Replace(row.live, "%", "x", 1))).pointers
		if strings.Join(got, " ") != row.want {
			t.Errorf("%s: %v", row.rule, got)
		}
	}
}

func TestWhichAbsenceIsNoDrift(t *testing.T) {
	job := "{apiVersion: batch/v1, kind: Job, metadata: {name: once, namespace: shop}, spec: {ttlSecondsAfterFinished: 5}}"
	ignore := v1alpha1.ComparePatch{APIVersion: "batch/v1", Kind: "Job", Namespace: "shop", Operations: []v1alpha1.Operation{{Op: "ignore"}}}
	named := ignore
	named.Name = "o.*"
	other := ignore
	other.Namespace = "other"
	for _, row := range []struct {
		rule, wanted string
		patch        v1alpha1.ComparePatch
		want         bool
	}{
		{"that of an object which operation ignore names", strings.Replace(job, "ttlSeconds", "x", 1), named, true},
		{"that of all objects of a namespace, without a name", strings.Replace(job, "ttlSeconds", "x", 1), ignore, true},
		{"not in another namespace", strings.Replace(job, "ttlSeconds", "x", 1), other, false},
		{"not for a field that is left to others", strings.Replace(job, "ttlSeconds", "x", 1), v1alpha1.ComparePatch{JsonPointers: []string{"/spec"}}, false},
		{"that of a Job that goes by itself", job, v1alpha1.ComparePatch{Kind: "None"}, true},
	} {
		rules := New(v1alpha1.BundleDeploymentOptions{Diff: &v1alpha1.DiffOptions{ComparePatches: []v1alpha1.ComparePatch{row.patch}}}, nil)
		if got := rules.Absent(object(t, row.wanted)); got != row.want {
			t.Errorf("%s: %v", row.rule, got)
		}
	}
}
