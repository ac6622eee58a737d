package migration

import (
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	fleet "flotilla.io/flotilla/api/v1alpha1"
	crd "flotilla.io/flotilla/charts/flotilla-crd"
)

// installFleet makes hub and cluster what Fleet makes them.
func (p *place) installFleet() {
	p.Helper()
	p.chart("fleet-crd", p.fleetCRDs())
	p.chart("fleet", fleetControllers)
	p.sh(`helm --kube-context hub install fleet-crd ./fleet-crd -n cattle-fleet-system --create-namespace
helm --kube-context hub install fleet ./fleet -n cattle-fleet-system
kubectl --context hub wait crd --all --for=condition=Established --timeout=1m`)

	url, err := p.git.Seed("apps", "testdata/repo")
	must(p.T, err)
	_ = url
	text := p.read("testdata/hub.yaml")
	p.apply("hub", text)
	p.apply("hub", ofFleetsKinds(text), "--subresource=status")

	p.sh("kubectl --context edge-1 create namespace cattle-fleet-system")
	web := p.read("testdata/repo/web/app.yaml")
	p.deploy("apps-web", "web", web)
	p.apply("edge-1", p.read("testdata/cluster.yaml"))
	must(p.T, os.CopyFS(filepath.Join(p.dir, "shop"), os.DirFS("testdata/repo/shop")))
	p.deploy("shop", "shop", p.sh(`helm template shop ./shop -n shop --set replicas=3,cluster=edge-1`))
	p.deploy("legacy-tool", "legacy", p.read("testdata/repo/legacy/legacy.yaml"))
	p.deploy("fleet-agent-edge-1", "cattle-fleet-system", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: the-agent-of-fleet}\n")
}

// read is a file with what is particular to this run.
func (p *place) read(file string) string {
	p.Helper()
	data, err := os.ReadFile(file)
	must(p.T, err)
	tolerations := sha256.Sum224([]byte(`[{"key":"edge","operator":"Exists"}]`))
	return strings.NewReplacer("$TOLERATIONS", strconv.Quote(hex.EncodeToString(tolerations[:])), "$NAMESPACE", namespace(), "$GIT", p.git.URL("apps")).Replace(string(data))
}

// ofFleetsKinds are the documents that have a status of their own.
func ofFleetsKinds(text string) string {
	var out []string
	for _, doc := range strings.Split(text, "\n---\n") {
		if strings.Contains(doc, "apiVersion: fleet.cattle.io/") && strings.Contains(doc, "\nstatus:") {
			out = append(out, doc)
		}
	}
	return strings.Join(out, "\n---\n")
}

var fleetControllers = `
apiVersion: v1
kind: ConfigMap
metadata: {name: fleet-controller}
data: {config: '{"apiServerURL": "https://hub.example.com:6443"}'}
` + fleetController("fleet-controller") + fleetController("gitjob") + fleetController("helmops")

// fleetCRDs are ours without what is ours: additions say so at the end of their description.
func (p *place) fleetCRDs() string {
	p.Helper()
	all, err := crd.All()
	must(p.T, err)
	var out []string
	for _, c := range all {
		if c.Spec.Group != fleet.GroupVersion.Group {
			continue
		}
		delete(c.Annotations, "helm.sh/resource-policy")
		c.APIVersion, c.Kind = "apiextensions.k8s.io/v1", "CustomResourceDefinition"
		data, err := yaml.Marshal(c)
		must(p.T, err)
		var object map[string]any
		must(p.T, yaml.Unmarshal(data, &object))
		delete(object, "status")
		withoutAdditions(object)
		data, err = yaml.Marshal(object)
		must(p.T, err)
		out = append(out, string(data))
	}
	return strings.Join(out, "\n---\n")
}

func withoutAdditions(v any) {
	switch v := v.(type) {
	case map[string]any:
		properties, _ := v["properties"].(map[string]any)
		for name, property := range properties {
			about, _ := property.(map[string]any)["description"].(string)
			if strings.HasSuffix(strings.TrimSpace(about), "Flotilla.") {
				delete(properties, name)
			}
		}
		for _, child := range v {
			withoutAdditions(child)
		}
	case []any:
		for _, child := range v {
			withoutAdditions(child)
		}
	}
}

// chart writes a chart of finished manifests.
func (p *place) chart(name, manifests string) {
	p.Helper()
	templates := filepath.Join(p.dir, name, "templates")
	must(p.T, os.MkdirAll(templates, 0o755))
	must(p.T, os.WriteFile(filepath.Join(p.dir, name, "Chart.yaml"), []byte("apiVersion: v2\nname: "+name+"\nversion: 0.15.0\n"), 0o644))
	text := strings.ReplaceAll(manifests, "{{", "{{ `{{` }}")
	must(p.T, os.WriteFile(filepath.Join(templates, "all.yaml"), []byte(text), 0o644))
}

// deploy is what Fleet's agent does with a bundle: one Helm release of all objects, each with Fleet's marks, in the agent's name.
func (p *place) deploy(release, namespace, manifests string) {
	p.Helper()
	p.chart("release-"+release, p.marked(release, manifests))
	p.sh(fmt.Sprintf("fleetagent --kube-context edge-1 install %s ./release-%s -n %s --create-namespace", release, release, namespace))
}

// marked puts Fleet's label and annotation on each object.
func (p *place) marked(release, manifests string) string {
	p.Helper()
	bundle := strings.Replace(release, "shop", "apps-shop", 1)
	set := "default-" + bundle
	sum := sha1.Sum([]byte(set))
	var out []string
	for _, doc := range strings.Split(manifests, "\n---\n") {
		u := &unstructured.Unstructured{}
		must(p.T, yaml.Unmarshal([]byte(doc), &u.Object))
		if len(u.Object) == 0 {
			continue
		}
		u.SetLabels(with(u.GetLabels(), fleet.ObjectSetHashLabel, hex.EncodeToString(sum[:])))
		u.SetAnnotations(with(u.GetAnnotations(), fleet.ObjectSetIDAnnotation, set))
		data, err := yaml.Marshal(u.Object)
		must(p.T, err)
		out = append(out, string(data))
	}
	return strings.Join(out, "\n---\n")
}

func with(have map[string]string, key, value string) map[string]string {
	out := maps.Clone(have)
	if out == nil {
		out = map[string]string{}
	}
	out[key] = value
	return out
}

func fleetController(name string) string { return strings.ReplaceAll(controllerManifest, "NAME", name) }

const controllerManifest = `
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: NAME}
spec:
  selector: {matchLabels: {app: NAME}}
  template:
    metadata: {labels: {app: NAME}}
    spec: {containers: [{name: NAME, image: "example/fleet:1"}]}
`
