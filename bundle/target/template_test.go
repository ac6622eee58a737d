package target

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/Masterminds/sprig/v3"
	"sigs.k8s.io/yaml"

	"flotilla.io/flotilla/api/v1alpha1"
)

// templated is a bundle for all clusters with the given helm block.
func templated(t *testing.T, helmBlock string) *Matcher {
	t.Helper()
	b := bundle("", nil, []entry{{name: "all", clusters: "*"}}, nil)
	b.Spec.Targets[0].YAML = nil
	b.Spec.Helm = &v1alpha1.HelmOptions{}
	if err := yaml.Unmarshal([]byte(helmBlock), b.Spec.Helm); err != nil {
		t.Fatal(err)
	}
	m, err := New(b, nil)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// edge is a cluster with labels, annotations and values of all kinds.
func edge() *v1alpha1.Cluster {
	c := cluster("edge-1", "region=eu", "replicas=3", "fleet.cattle.io/cluster=edge-1", "management.cattle.io/name=m", "provider.cattle.io=k3s",
		"objectset.cattle.io/x=y", "kubectl.kubernetes.io/x=y")
	c.Annotations = map[string]string{"note": "a: b", "fleet.cattle.io/x": "y"}
	c.Spec.TemplateValues = &v1alpha1.GenericMap{Data: map[string]any{"domain": "example.com", "nested": map[string]any{"port": int64(8080)}, "empty": nil}}
	return &c
}

func TestTemplates(t *testing.T) {
	for _, c := range []struct{ rule, helm, want string }{ // want: the values as YAML
		{"values without templates stay as they are", `values: {a: "{{ .Release.Name }}", b: [1, 2.5, true, null], big: 9007199254740993}`,
			`{a: "{{ .Release.Name }}", b: [1, 2.5, true, null], big: 9007199254740993}`},
		{"a label is filled in", `values: {r: "${ .ClusterLabels.region }"}`, `{r: eu}`},
		{"name and namespace are filled in", `values: {a: "${ .ClusterName }", b: "${ .ClusterNamespace }"}`, `{a: edge-1, b: fleet-default}`},
		{"what is filled in is YAML: a number is a number", `values: {count: "${ .ClusterLabels.replicas }"}`, `{count: 3}`},
		{"with quote it is text", `values: {count: "${ .ClusterLabels.replicas | quote }"}`, `{count: "3"}`},
		{"the values are one text, so keys are templates, too", `values: {"${ .ClusterName }": 1}`, `{edge-1: 1}`},
		{"the cluster's own values are at hand", `values: {d: "web.${ .ClusterValues.domain }", p: "${ .ClusterValues.nested.port }"}`, `{d: web.example.com, p: 8080}`},
		{"annotations are at hand", `values: {a: "${ .ClusterAnnotations.note | quote }"}`, `{a: "a: b"}`},
		{"sprig is at hand", `values: {a: "${ .ClusterLabels.region | upper }", b: "${ get .ClusterLabels \"none\" | default \"us\" }"}`, `{a: EU, b: us}`},
		{"Fleet's and Rancher's management labels are seen", `values: {a: "${ index .ClusterLabels \"fleet.cattle.io/cluster\" }${ index .ClusterLabels \"management.cattle.io/name\" }"}`, `{a: edge-1m}`},
		{"other labels of cattle.io and kubectl are not", `values: {a: "${ len .ClusterLabels }", b: "${ len .ClusterAnnotations }"}`, `{a: 5, b: 1}`},
		{"loops and conditions work", `values: {a: "${ range $i := until 3 }${ $i }${ end }x"}`, `{a: 012x}`},
		{"templateValues are parsed as YAML", `templateValues: {m: "{a: ${ .ClusterLabels.replicas }}"}`, `{m: {a: 3}}`},
		{"templateValues replace the whole top-level key", `{values: {m: {old: 1}, n: 2}, templateValues: {m: "{new: 1}"}}`, `{m: {new: 1}, n: 2}`},
		{"disablePreProcess leaves ${ } alone", `{disablePreProcess: true, values: {a: "${ .ClusterName }"}}`, `{a: "${ .ClusterName }"}`},
		{"disablePreProcess drops templateValues, as in Fleet", `{disablePreProcess: true, values: {a: 1}, templateValues: {b: "2"}}`, `{a: 1}`},
		{"the old way to ask for labels works", `values: {a: global.fleet.clusterLabels.region, b: {c: global.fleet.clusterLabels.none}}`, `{a: eu, b: {c: ""}}`},
		{"the old way works with disablePreProcess, too", `{disablePreProcess: true, values: {a: global.fleet.clusterLabels.region}}`, `{a: eu}`},
		{"the old way reaches maps in lists, not texts in lists", `values: {l: [global.fleet.clusterLabels.region, {a: global.fleet.clusterLabels.region}]}`,
			`{l: [global.fleet.clusterLabels.region, {a: eu}]}`},
		{"old and new way go together", `values: {a: global.fleet.clusterLabels.region, b: "${ .ClusterName }"}`, `{a: eu, b: edge-1}`},
		{"<no value> that was written as such is no error", `values: {a: "<no value> ${ .ClusterName }"}`, `{a: "<no value> edge-1"}`},
	} {
		t.Run(c.rule, func(t *testing.T) {
			match, err := templated(t, c.helm).Match(edge())
			if err != nil {
				t.Fatal(err)
			}
			var want v1alpha1.GenericMap
			if err := yaml.Unmarshal([]byte(c.want), &want); err != nil {
				t.Fatal(err)
			}
			if got := match.Options.Helm.Values.Data; !reflect.DeepEqual(got, want.Data) {
				t.Errorf("got %#v, want %#v", got, want.Data)
			}
			if match.Options.Helm.TemplateValues != nil {
				t.Error("templateValues are values now, and must not be seen again")
			}
		})
	}
}

func TestTemplateMistakes(t *testing.T) {
	for _, c := range []struct{ rule, helm, want string }{
		{"a missing label is named, with the value", `values: {app: {zones: [a, "${ .ClusterLabels.zone }"]}}`,
			`cluster fleet-default/edge-1: helm.values.app.zones[1]: the cluster has no label "zone"`},
		{"a missing annotation is named", `values: {a: "${ .ClusterAnnotations.x }"}`, `cluster fleet-default/edge-1: helm.values.a: the cluster has no annotation "x"`},
		{"a missing value of the cluster is named", `values: {a: 1, b: "${ .ClusterValues.nested.host }"}`,
			`cluster fleet-default/edge-1: helm.values.b: the cluster's spec.templateValues has no "host"`},
		{"what does not exist is named", `values: {a: "${ .Cluster.Name }"}`,
			`cluster fleet-default/edge-1: helm.values.a: there is no .Cluster; there are .ClusterName, .ClusterNamespace, .ClusterLabels, .ClusterAnnotations, .ClusterValues and .Inputs`},
		{"a label of templateValues, too", `templateValues: {a: "${ .ClusterLabels.zone }"}`,
			`cluster fleet-default/edge-1: helm.templateValues.a: the cluster has no label "zone"`},
		{"index of a missing key is an error, too", `values: {a: "${ index .ClusterLabels \"x/zone\" }"}`,
			`cluster fleet-default/edge-1: helm.values: it gives "<no value>": a key that it asks for with index is missing; give it a default`},
		{"an unknown function is named", `values: {a: "${ toYaml .ClusterLabels }"}`, `cluster fleet-default/edge-1: helm.values.a: ${ } has no function "toYaml"`},
		{"a shell variable is told how to be written", `values: {args: ["${ }x"]}`,
			`cluster fleet-default/edge-1: helm.values.args[0]: ${ } is no template that can be read; text that is not meant as one is written ${ "${" }, or disablePreProcess is set`},
		{"the environment is out of reach", `values: {a: "${ env \"HOME\" }"}`, `cluster fleet-default/edge-1: helm.values.a: ${ } has no function "env"`},
		{"the network is out of reach", `values: {a: "${ getHostByName \"localhost\" }"}`, `cluster fleet-default/edge-1: helm.values.a: ${ } has no function "getHostByName"`},
		{"what never gives the same twice is refused", `values: {a: "${ randAlphaNum 5 }"}`,
			`cluster fleet-default/edge-1: helm.values.a: randAlphaNum: its answer differs from time to time, so each pass would deploy anew; values depend on the cluster only`},
		{"the clock is refused", `values: {a: "${ now | date \"2006\" }"}`,
			`cluster fleet-default/edge-1: helm.values.a: now: its answer differs from time to time, so each pass would deploy anew; values depend on the cluster only`},
		{"a failing function shows no values", `values: {a: "${ fail \"c4n4ry\" }"}`,
			`cluster fleet-default/edge-1: helm.values.a: ${ }: function fail failed (its message is not shown, it may hold values)`},
		{"what is no YAML any more says what to do", `values: {a: "${ .ClusterAnnotations.note }"}`,
			`cluster fleet-default/edge-1: helm.values: filled in for this cluster they are no YAML; let quote be the last in a ${ } that may give a colon, a bracket or several lines`},
		{"templateValues that are no YAML, too", `templateValues: {a: "[${ .ClusterName }"}`,
			`cluster fleet-default/edge-1: helm.templateValues.a: filled in for this cluster it is no YAML`},
		{"much out of little is refused", `values: {a: "${ repeat 2000000000 \"c4n4ry\" }"}`, `cluster fleet-default/edge-1: helm.values.a: repeat: it gives more than 1 MiB of text`},
		{"a long list is refused", `values: {a: "${ until 2000000000 | len }"}`, `cluster fleet-default/edge-1: helm.values.a: until: it takes more than 100000 steps`},
		{"a loop without end is ended", `values: {a: "${ range 2000000000 }${ end }"}`, `cluster fleet-default/edge-1: helm.values: ${ }: it takes more than 100000 steps`},
		{"nested loops are ended", `values: {a: "${ range until 9999 }${ range until 9999 }${ end }${ end }"}`, `cluster fleet-default/edge-1: helm.values: ${ }: it takes more than 100000 steps`},
		{"a loop in a condition is ended", `values: {a: "${ if true }${ with 1 }${ range 2000000000 }${ continue }${ end }${ end }${ end }"}`,
			`cluster fleet-default/edge-1: helm.values: ${ }: it takes more than 100000 steps`},
		{"long text is ended", `values: {a: "${ range until 9999 }0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789${ end }"}`,
			`cluster fleet-default/edge-1: helm.values: ${ }: it gives more than 1 MiB of text`},
	} {
		t.Run(c.rule, func(t *testing.T) {
			began := time.Now()
			_, err := templated(t, c.helm).Match(edge())
			if err == nil || err.Error() != c.want {
				t.Errorf("\ngot  %v\nwant %s", err, c.want)
			}
			if took := time.Since(began); took > 10*time.Second {
				t.Errorf("it took %s", took)
			}
		})
	}
}

func TestRecursionIsEnded(t *testing.T) {
	m := templated(t, `values: {a: "${ define \"x\" }${ template \"x\" }${ end }${ template \"x\" }"}`)
	if _, err := m.Match(edge()); err == nil {
		t.Error("a template that calls itself must be an error")
	}
}

func TestOneClusterFailsAlone(t *testing.T) {
	m := templated(t, `values: {z: "${ .ClusterLabels.zone }"}`)
	for _, c := range []struct {
		rule    string
		cluster v1alpha1.Cluster
		fails   bool
	}{
		{"a cluster that has the label deploys", cluster("a", "zone=1"), false},
		{"one without fails", cluster("b", "region=eu"), true},
		{"one without any label fails, too: it is templated like all", cluster("c"), true},
		{"a cluster after a failed one deploys", cluster("d", "zone=2"), false},
	} {
		t.Run(c.rule, func(t *testing.T) {
			match, err := m.Match(&c.cluster)
			if (err != nil) != c.fails || (match == nil) != c.fails {
				t.Errorf("match %v, error %v", match, err)
			}
		})
	}
	bare, _ := templated(t, `values: {name: "${ .ClusterName }"}`).Match(&v1alpha1.Cluster{})
	if bare == nil || bare.Options.Helm.Values.Data["name"] != nil {
		t.Errorf("a cluster without labels is templated: %v", bare)
	}
}

// TestFilledInIsPerCluster guards what clusters share: the same texts, and nothing else.
func TestFilledInIsPerCluster(t *testing.T) {
	for _, block := range []string{
		`values: {r: "${ .ClusterLabels.region }"}`, `templateValues: {r: "${ .ClusterLabels.region }"}`, `values: {r: global.fleet.clusterLabels.region}`,
		`{values: {r: global.fleet.clusterLabels.region, s: "${ .ClusterNamespace }"}}`, `{values: {r: global.fleet.clusterLabels.region}, templateValues: {s: "1"}}`,
	} {
		m := templated(t, block)
		for i := range 600 { // more than are kept
			c := cluster(fmt.Sprint("edge-", i), fmt.Sprintf("region=r%d", i%300))
			match, err := m.Match(&c)
			if err != nil || match.Options.Helm.Values.Data["r"] != c.Labels["region"] {
				t.Fatalf("%s on %v: %v, %v", block, c.Labels, match.Options.Helm.Values, err)
			}
		}
	}
	m := templated(t, `values: {r: "${ .ClusterLabels.region }"}`)
	one, two := cluster("a", "region=eu"), cluster("b", "region=eu")
	first, _ := m.Match(&one)
	if second, _ := m.Match(&two); first != second {
		t.Error("clusters with the same texts share one match")
	}
}

func TestDeepValues(t *testing.T) {
	values := map[string]any{"a": "global.fleet.clusterLabels.region"}
	for range maxDepth + 1 {
		values = map[string]any{"a": values}
	}
	if _, err := withLabels(values, nil, 0); err == nil || strings.Contains(err.Error(), "region") {
		t.Errorf("got %v", err)
	}
}

// TestEveryFunctionIsDecided: sprig's functions are there as in Fleet, but for those that read their surroundings, and those whose
// answer differs from time to time say so. A new one of the library is added on purpose.
func TestEveryFunctionIsDecided(t *testing.T) {
	gone := []string{"env", "expandenv", "getHostByName"}
	refused := strings.Fields(`ago bcrypt encryptAES genCA genCAWithKey genPrivateKey genSelfSignedCert genSelfSignedCertWithKey genSignedCert
		genSignedCertWithKey htpasswd now randAlpha randAlphaNum randAscii randBytes randInt randNumeric shuffle uuidv4`)
	for name := range sprig.TxtFuncMap() {
		if _, there := functions[name]; there == slices.Contains(gone, name) {
			t.Errorf("function %s: there %t", name, there)
		}
	}
	if n := len(sprig.TxtFuncMap()); n != 211 {
		t.Errorf("sprig has %d functions, not 211: decide on the new ones", n)
	}
	for _, name := range append(refused, "include", "tpl", "toYaml", "lookup") {
		_, err := templated(t, fmt.Sprintf("values: {a: '${ %s }'}", name)).Match(edge())
		if err == nil {
			t.Errorf("function %s gave an answer", name)
		}
	}
	for name, function := range functions {
		answer, ok := function.(func(...any) (string, error))
		if !ok {
			continue
		}
		if _, err := answer(); err != nil && !slices.Contains(refused, name) {
			t.Errorf("function %s is refused, and not on the list", name)
		}
	}
}
