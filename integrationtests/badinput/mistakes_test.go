package badinput

import (
	"context"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"flotilla.io/flotilla/integrationtests/world"
)

// mistakes are all that one repository is broken by at once: each must stay with its own bundle.
func mistakes() []mistake {
	var all []mistake
	for _, some := range [][]mistake{inFleetYAML(), inManifests(), inCharts(), fromElsewhere(), refusedByTheCluster()} {
		all = append(all, some...)
	}
	return all
}

func inFleetYAML() []mistake {
	return []mistake{
		{rule: "a tab is named where it stands", dir: "tab",
			bad:  map[string]string{fleetYAML: "defaultNamespace: tab\nhelm:\n\tchart: chart\n"},
			told: []string{"SourceInvalid", "tab/fleet.yaml:3:1", "a tab in the indentation: YAML is indented with spaces"}},
		{rule: "an unknown key is named with the likely one", dir: "key",
			bad:  map[string]string{fleetYAML: "defaultNamespace: key\ntargetCustomisations: []\n"},
			told: []string{"key/fleet.yaml:2:1", `unknown key "targetCustomisations"`, `did you mean "targetCustomizations"?`}},
		{rule: "all mistakes of a file stand in one line", dir: "keys",
			bad:  map[string]string{fleetYAML: "defaultNamespace: keys\nhelm:\n  valeus: {}\n  force: maybe\n"},
			told: []string{`keys/fleet.yaml:3:3: unknown key "valeus" in helm; did you mean "values"?`, "keys/fleet.yaml:4:10: helm.force: want true or false"}},
		{rule: "a duplicate key is named with the line of the first", dir: "duplicate",
			bad:  map[string]string{fleetYAML: "defaultNamespace: duplicate\ndefaultNamespace: other\n"},
			told: []string{"duplicate/fleet.yaml:2:1", `duplicate key "defaultNamespace": it stands at line 1 already; keep one`}},
		{rule: "aliases that blow up are too complex", dir: "aliases",
			bad:  map[string]string{fleetYAML: "defaultNamespace: aliases\nhelm:\n  values:\n" + aliasBomb("    ")},
			told: []string{"aliases/fleet.yaml", "too complex: its aliases expand to more than 10 MB"}},
		{rule: "a missing chart is named with the one beside", dir: "chart",
			good: map[string]string{"web/Chart.yaml": chartYAML, "web/templates/web.yaml": configMap("web", "good"), fleetYAML: "defaultNamespace: chart\nhelm: {chart: web}\n", stateYAML: "", "web/templates/state.yaml": configMap("state", "good")},
			bad:  map[string]string{fleetYAML: "defaultNamespace: chart\nhelm: {chart: wbe}\n", "web/templates/state.yaml": configMap("state", "next")},
			mend: map[string]string{"web/templates/state.yaml": configMap("state", "mended")},
			told: []string{"chart/fleet.yaml:2:15", "helm.chart: there is no chart/wbe/Chart.yaml", `did you mean "web"?`}},
		{rule: "a missing values file is named with the one beside", dir: "values", chart: true,
			good: map[string]string{"values-prod.yaml": "a: b\n"},
			bad:  map[string]string{fleetYAML: "defaultNamespace: values\nhelm:\n  valuesFiles: [values-prd.yaml]\n"},
			mend: map[string]string{"values-prod.yaml": ""},
			told: []string{"values/fleet.yaml:3:17", `there is no file "values/values-prd.yaml"`, `did you mean "values-prod.yaml"?`}},
		{rule: "a missing kustomization is named", dir: "kustomize",
			bad:  map[string]string{fleetYAML: "defaultNamespace: kustomize\nkustomize: {dir: overlay}\n"},
			told: []string{"kustomize/fleet.yaml:2:18", `there is no kustomization in "kustomize/overlay"`}},
		{rule: "a selector that is none is named", dir: "selector",
			bad:  map[string]string{fleetYAML: "defaultNamespace: selector\ntargetCustomizations:\n- name: a\n  clusterSelector: {matchExpressions: [{key: env, operator: Is, values: [a]}]}\n"},
			told: []string{"selector/fleet.yaml:4", "operator", "Is"}},
		{rule: "a name that cannot be one is named", dir: "name",
			bad:  map[string]string{fleetYAML: "name: Web_App\ndefaultNamespace: name\n"},
			told: []string{"name/fleet.yaml:1:7", "small letters"}},
		{rule: "two bundles of one name are both named", dir: "twice",
			bad:  map[string]string{"copy/fleet.yaml": "name: shop-twice\n", "copy/cm.yaml": configMap("copy", "next")},
			told: []string{`twice and twice/copy make one bundle, "shop-twice"; give each its own name in fleet.yaml`}},
		{rule: "a link out of the repository is refused", dir: "link", link: "/etc/passwd",
			told: []string{"link/link.yaml", "/etc/passwd", "leaves the repository"}},
		{rule: "a link in a circle is refused", dir: "circle", link: "link.yaml",
			told: []string{"circle/link.yaml", "turns in a circle"}},
	}
}

// aliasBomb are lines that expand to a billion words.
func aliasBomb(indent string) string {
	var b strings.Builder
	b.WriteString(indent + "a0: &a0 [lol, lol, lol, lol, lol, lol, lol, lol, lol, lol]\n")
	for i := range 8 {
		n := string(rune('0' + i))
		b.WriteString(indent + "a" + string(rune('1'+i)) + ": &a" + string(rune('1'+i)) + " [" + strings.TrimSuffix(strings.Repeat("*a"+n+", ", 10), ", ") + "]\n")
	}
	return b.String()
}

func inManifests() []mistake {
	return []mistake{
		{rule: "YAML that cannot be read is named with file and line", dir: "yaml",
			bad:  map[string]string{"more.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: more\ndata: {}\n"},
			told: []string{"InvalidYAML", "in yaml: more.yaml:"}},
		{rule: "a duplicate key in a manifest is named", dir: "doubled",
			bad:  map[string]string{"more.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: more}\ndata: {}\ndata: {}\n"},
			told: []string{"InvalidYAML", "in doubled: more.yaml:5", `"data"`}},
		{rule: "aliases that blow up in a manifest are refused", dir: "bomb",
			bad:  map[string]string{"more.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: more}\ndata:\n" + aliasBomb("  ")},
			told: []string{"in bomb: more.yaml"}},
		{rule: "an object without a name is named by file and line", dir: "nameless",
			bad:  map[string]string{"more.yaml": configMap("a", "a") + "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {generateName: b-}\n"},
			told: []string{"InvalidObject", "in nameless: more.yaml:5", "name"}},
		{rule: "an object that stands twice is named with both places", dir: "same",
			bad:  map[string]string{"more.yaml": configMap("state", "twice")},
			told: []string{"DuplicateObject", "in same: state.yaml:1", "more.yaml:1", "an object may stand in one place only"}},
		{rule: "an object that is too large is named with its size", dir: "large",
			bad:  map[string]string{"more.yaml": configMap("more", strings.Repeat("x", 3<<19))},
			told: []string{"ObjectTooLarge", "in large: more.yaml:1: ConfigMap", "the limit of a cluster is"}},
		{rule: "a base that is missing is named with file and line", dir: "base",
			bad:  map[string]string{"kustomization.yaml": "resources:\n- state.yaml\n- ../bsae\n"},
			told: []string{"base/kustomization.yaml:3:3", `there is no file or directory "bsae"`}},
		{rule: "a remote base is refused", dir: "remote",
			bad:  map[string]string{"kustomization.yaml": "resources:\n- state.yaml\n- https://github.com/example/base\n"},
			told: []string{"RemoteBaseForbidden", "in remote: kustomization.yaml", "github.com/example/base"}},
	}
}

func inCharts() []mistake {
	return []mistake{
		{rule: "a template that cannot be parsed is named with file and line", dir: "parse", chart: true,
			bad:  map[string]string{"templates/more.yaml": "apiVersion: v1\n{{ if }}\n"},
			told: []string{"RenderFailed", "in parse: templates/more.yaml:2"}},
		{rule: "a value that is not there is named with file and line", dir: "nil", chart: true,
			bad:  map[string]string{"templates/more.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: {{ .Values.image.tag }}}\n"},
			told: []string{"in nil: templates/more.yaml:3", ".Values.image.tag"}},
		{rule: "a value that is required says so", dir: "required", chart: true,
			bad:  map[string]string{"templates/more.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: {{ required \"set app.name\" .Values.name }}}\n"},
			told: []string{"in required: templates/more.yaml:3", "set app.name"}},
		{rule: "a template that never ends is ended", dir: "endless", chart: true,
			bad:  map[string]string{"templates/more.yaml": "{{ range until 100000 }}{{ range until 100000 }}{{ end }}{{ end }}\n"},
			told: []string{"RenderTimeout", "longer than", "a template loops"}},
		{rule: "a template that calls itself is ended", dir: "recursion", chart: true,
			bad:  map[string]string{"templates/more.yaml": "{{ define \"a\" }}{{ include \"a\" . }}{{ end }}{{ include \"a\" . }}\n"},
			told: []string{"in recursion: templates/more.yaml"}},
		{rule: "a template that eats all memory is ended", dir: "memory", chart: true,
			bad:  map[string]string{"templates/more.yaml": "{{ repeat 2000000000 \"x\" }}\n"},
			told: []string{"RenderMemoryLimit", "needs more than"}},
		{rule: "output that is no YAML is named by its template", dir: "output", chart: true,
			bad:  map[string]string{"templates/more.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: more}\ndata:\n  a: {{ \"b: c: d\" }}\n"},
			told: []string{"InvalidYAML", "in output: templates/more.yaml"}},
		{rule: "a value that the schema refuses is named", dir: "schema", chart: true,
			bad:  map[string]string{"values.schema.json": `{"type": "object", "properties": {"replicas": {"type": "integer"}}}`, "values.yaml": "replicas: three\n"},
			told: []string{"ValuesMismatch", "replicas", "integer"}},
		{rule: "a schema that leads elsewhere is refused", dir: "elsewhere", chart: true,
			bad:  map[string]string{"values.schema.json": `{"$ref": "file:///dev/zero"}`},
			told: []string{"SchemaRefForbidden"}},
		{rule: "a label that a cluster does not have is named", dir: "label", chart: true,
			bad:  map[string]string{fleetYAML: "defaultNamespace: label\nhelm:\n  values:\n    region: ${ .ClusterLabels.region }\n"},
			told: []string{"region", "the cluster has no label"}},
	}
}

func fromElsewhere() []mistake {
	return []mistake{
		{rule: "a chart from a repository that does not answer is named with file and line", dir: "fetched", chart: true,
			bad:  map[string]string{fleetYAML: "defaultNamespace: fetched\nhelm: {repo: \"http://127.0.0.1:1/charts\", chart: web}\n"},
			told: []string{"fetched/fleet.yaml:2:", "helm.repo: chart http://127.0.0.1:1/charts/web", "check that the server runs and can be reached from here"}},
		{rule: "a chart from a cloud's metadata service is refused", dir: "metadata", chart: true,
			bad:  map[string]string{fleetYAML: "defaultNamespace: metadata\nhelm: {repo: \"http://169.254.169.254/latest\", chart: web}\n"},
			told: []string{"metadata/fleet.yaml:2:", "169.254.169.254 is an address of this machine's own link, such as a cloud's metadata service: nothing is fetched from there"}},
		{rule: "a dependency that cannot be fetched is named with file and line", dir: "dependency", chart: true,
			bad:  map[string]string{"Chart.yaml": chartYAML + "dependencies:\n- {name: redis, version: 1.x, repository: \"http://127.0.0.1:1/charts\"}\n"},
			told: []string{"dependency/Chart.yaml:5:10: dependency redis: chart http://127.0.0.1:1/charts/redis 1.x"}},
	}
}

func refusedByTheCluster() []mistake {
	return []mistake{
		{rule: "an object that the service account may not write is named", dir: "denied", cluster: true,
			good: map[string]string{fleetYAML: "defaultNamespace: denied\nserviceAccount: tenant\n"},
			bad:  map[string]string{"more.yaml": "apiVersion: v1\nkind: Secret\nmetadata: {name: db}\n"},
			told: []string{"Secret denied/db", "forbidden", "tenant", "give the bundle's service account the right, or drop the object"}},
		{rule: "a service account that is not there is named", dir: "account", cluster: true, lives: "good",
			bad:  map[string]string{fleetYAML: "defaultNamespace: account\nserviceAccount: nobody\n"},
			told: []string{"service account cattle-fleet-system/nobody", "create it, or change the option serviceAccount", "stays"}},
		{rule: "a field that cannot change is named with its object", dir: "immutable", cluster: true,
			good: map[string]string{"web.yaml": deployment("one")},
			bad:  map[string]string{"web.yaml": deployment("two")},
			mend: map[string]string{"web.yaml": deployment("one")},
			told: []string{"Deployment.apps immutable/web", "spec.selector", "cannot be changed in place", "set helm.force to have the object re-created, or give it a new name"},
			kept: theDeploymentSelects("one")},
		{rule: "an object that the API refuses is named with its field", dir: "invalid", cluster: true,
			bad:  map[string]string{"more.yaml": "apiVersion: v1\nkind: Service\nmetadata: {name: web}\nspec: {ports: [{port: 700000}]}\n"},
			told: []string{"Service invalid/web is invalid: spec.ports[0].port"}},
		{rule: "an object without namespace scope is named where a namespace is forced", dir: "forced", cluster: true,
			good: map[string]string{fleetYAML: "namespace: forced\n"},
			bad:  map[string]string{"more.yaml": "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata: {name: more}\n"},
			told: []string{"ClusterRole.rbac.authorization.k8s.io more", `puts every object into "forced"`, "drop the object or use defaultNamespace"}},
		{rule: "a kind that is not there yet is waited for", dir: "kind", cluster: true,
			bad:  map[string]string{"more.yaml": "apiVersion: example.com/v1\nkind: Sloop\nmetadata: {name: more}\n"},
			told: []string{"Sloop.example.com", "kind Sloop of example.com/v1 is not served by this cluster", "CustomResourceDefinition"},
			kept: func(w *world.World) { bundleTells(w, "shop-kind", "WaitApplied(1)") }},
		{rule: "a namespace that is not there is named", dir: "nowhere", cluster: true,
			bad:  map[string]string{"more.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: more, namespace: no-such}\n"},
			told: []string{"ConfigMap no-such/more", "add the Namespace to a bundle"}},
		{rule: "of two bundles that want one object the first keeps it, and both name the other", dir: "second", cluster: true,
			bad:  map[string]string{"more.yaml": strings.Replace(configMap("state", "theirs"), "{name: state}", "{name: state, namespace: sound}", 1)},
			told: []string{"ConfigMap sound/state belongs to bundle shop-sound already; remove it from one of the two"},
			kept: bothNameTheOther},
	}
}

func deployment(app string) string {
	return "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\nspec:\n  selector: {matchLabels: {app: " + app + "}}\n" +
		"  template:\n    metadata: {labels: {app: " + app + "}}\n    spec: {containers: [{name: web, image: nginx}]}\n"
}

func theDeploymentSelects(app string) func(*world.World) {
	return func(w *world.World) {
		d := &appsv1.Deployment{}
		w.Check(w.Clients[production].Get(context.Background(), client.ObjectKey{Namespace: "immutable", Name: "web"}, d))
		if got := d.Spec.Selector.MatchLabels["app"]; got != app {
			w.T.Errorf("Deployment web selects app=%s, want %s as before", got, app)
		}
	}
}

func bothNameTheOther(w *world.World) {
	home := clusterNamespace(w, production)
	for bundle, want := range map[string]string{
		"shop-second": "True ObjectWantedTwice: ConfigMap sound/state belongs to bundle shop-sound already; remove it from one of the two",
		"shop-sound":  "True ObjectWantedTwice: ConfigMap sound/state is also wanted by bundle shop-second, which does not get it; remove it from one of the two",
	} {
		tells(w, "the condition of "+bundle, func() string { return condition(w, "bundledeployment", home, bundle, "Conflict") }, want)
	}
	if got, _ := text(w, "sound", "state"); got == "theirs" {
		w.T.Error("the second took the object from the first")
	}
}

// prepareTenants makes a service account on the cluster that may write the ConfigMaps of one namespace, and no more.
func prepareTenants(w *world.World) {
	w.Kubectl(production, "create", "namespace", "denied")
	w.Kubectl(production, "-n", "cattle-fleet-system", "create", "serviceaccount", "tenant")
	w.Kubectl(production, "-n", "denied", "create", "role", "tenant", "--verb=*", "--resource=configmaps")
	w.Kubectl(production, "-n", "denied", "create", "rolebinding", "tenant", "--role=tenant", "--serviceaccount=cattle-fleet-system:tenant")
}
