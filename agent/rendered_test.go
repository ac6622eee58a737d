package agent_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"flotilla.io/flotilla/agent/store"
	fleet "flotilla.io/flotilla/api/v1alpha1"
	"flotilla.io/flotilla/bundle/render"
)

// chart deploys a chart as the hub does when only the cluster can render it.
func (w *world) chart(name string, templates map[string]string, change ...func(*fleet.BundleDeployment)) {
	w.Helper()
	draft := &fleet.BundleDeployment{}
	draft.Spec.Options.DefaultNamespace = w.app
	for _, c := range change {
		c(draft)
	}
	in := render.Input{Bundle: name, Options: draft.Spec.Options, Files: map[string][]byte{"Chart.yaml": []byte("{apiVersion: v2, name: web, version: 1.0.0}")}}
	for file, text := range templates {
		in.Files["templates/"+file] = []byte(text)
	}
	out, err := render.Render(w.ctx, in, nil)
	w.must(err)
	if out.OnCluster == "" {
		w.Fatal("the hub would render it")
	}
	var docs []string
	for _, u := range out.Objects {
		data, err := yaml.Marshal(u)
		w.must(err)
		docs = append(docs, string(data))
	}
	if draft.Spec.Options.Helm != nil {
		draft.Spec.Options.Helm.Values = nil // as in a BundleDeployment
	}
	w.deploy(name, strings.Join(docs, "\n---\n"), func(bd *fleet.BundleDeployment) {
		bd.Spec.Options, bd.Spec.CorrectDrift = draft.Spec.Options, draft.Spec.CorrectDrift
	})
}

// holds is a ConfigMap with one value.
func holds(value string) string {
	return fmt.Sprintf("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: app}\ndata: {v: '%s'}\n", value)
}

func (w *world) value() string {
	w.Helper()
	if live := w.live("v1", "ConfigMap", "app"); live != nil {
		data, _ := live.Object["data"].(map[string]any)
		v, _ := data["v"].(string)
		return v
	}
	return ""
}

func (w *world) becomes(value string) {
	w.Helper()
	w.eventually("the value is "+value, func() string {
		if v := w.value(); v != value {
			return "it is " + v
		}
		return ""
	})
}

func TestARandomPasswordStays(t *testing.T) {
	w := newWorld(t)
	heal := func(bd *fleet.BundleDeployment) { bd.Spec.CorrectDrift = &fleet.CorrectDrift{Enabled: true} }
	w.startAgent()
	w.chart("web", map[string]string{"a.yaml": holds("{{ randAlphaNum 24 }}")}, heal)
	bd := w.healthy("web")
	password := w.value()
	if len(password) != 24 || len(bd.Status.Resources) != 1 {
		t.Fatalf("password %q, %d resources", password, len(bd.Status.Resources))
	}
	w.chart("web", map[string]string{"0.yaml": strings.Replace(holds("{{ randAlphaNum 24 }}"), "app", "other", 1), "a.yaml": "# news\n" + holds("{{ randAlphaNum 24 }}")}, heal)
	if w.healthy("web"); w.value() != password {
		t.Error("the next revision changed it")
	}
	w.stopAgent()
	w.must(w.edge.Delete(w.ctx, w.live("v1", "ConfigMap", "app")))
	w.startAgent()
	w.becomes(password)
	for _, secret := range w.storedSecrets() {
		for key, data := range secret.Data {
			if strings.Contains(string(data), password) {
				t.Errorf("Secret %s shows it under %s", secret.Name, key)
			}
		}
	}
	t.Run("also when the rendering was made again", func(t *testing.T) {
		w.chart("web", map[string]string{"a.yaml": holds("{{ randAlphaNum 24 }}") + "# a fix\n"}, heal)
		if w.healthy("web"); w.value() != password {
			t.Error("a revision after a restart changed it")
		}
	})
	if strings.Contains(w.logs.String(), password) {
		t.Error("the log shows it")
	}
}

// says waits until a deployment reads so, of an order that was taken in or not.
func (w *world) says(name string, health fleet.Health, message string) {
	w.Helper()
	w.eventually(name+" is "+string(health), func() string {
		bd := w.bd(name)
		if c := fleet.Condition(bd.Status.Conditions, fleet.ConditionReady); bd.Status.Health != health || !strings.Contains(c.Message, message) {
			return fmt.Sprintf("health %q, Ready says %q", bd.Status.Health, c)
		}
		return ""
	})
}

func (w *world) storedSecrets() []corev1.Secret {
	w.Helper()
	list := &corev1.SecretList{}
	w.must(w.edge.List(w.ctx, list, client.InNamespace(w.own)))
	return list.Items
}

func TestLookupReadsAsTheTenant(t *testing.T) {
	w := newWorld(t)
	w.kubectl("", "create", "namespace", w.app)
	w.kubectl("", "create", "secret", "generic", "given", "--from-literal=v=from-the-cluster")
	w.tenant("small", rule("", "configmaps", "*"), rule("", "namespaces", "get", "create", "patch"))
	w.startAgent()
	text := holds(`{{ (lookup "v1" "Secret" .Release.Namespace "given").data.v | b64dec }} {{ .Capabilities.KubeVersion.Major }}`)
	w.chart("web", map[string]string{"a.yaml": text}, func(bd *fleet.BundleDeployment) { bd.Spec.Options.ServiceAccount = "small" })
	w.says("web", fleet.HealthFailed, `rendering on this cluster: templates/a.yaml:4: `)
	if said := fleet.Condition(w.bd("web").Status.Conditions, fleet.ConditionReady).Message; !strings.Contains(said, "small") || !strings.Contains(said, "forbidden") {
		t.Errorf("it says %q", said)
	}
	w.chart("web", map[string]string{"a.yaml": text})
	w.healthy("web")
	if w.value() != "from-the-cluster 1" {
		t.Errorf("value %q", w.value())
	}
	t.Run("once per revision", func(t *testing.T) {
		w.kubectl("", "delete", "secret", "given")
		w.stopAgent()
		w.startAgent()
		w.write("web")
		w.healthy("web")
		if w.value() != "from-the-cluster 1" {
			t.Errorf("value %q", w.value())
		}
	})
}

func (w *world) put(object client.Object, name, key, values string) {
	w.Helper()
	meta := metav1.ObjectMeta{Name: name, Namespace: w.app}
	switch o := object.(type) {
	case *corev1.ConfigMap:
		o.ObjectMeta, o.Data = meta, map[string]string{key: values}
	case *corev1.Secret:
		o.ObjectMeta, o.Data = meta, map[string][]byte{key: []byte(values)}
	}
	if err := w.edge.Create(w.ctx, object); err != nil {
		w.must(w.edge.Update(w.ctx, object))
	}
}

func TestValuesFromTheCluster(t *testing.T) {
	w := newWorld(t)
	w.kubectl("", "create", "namespace", w.app)
	w.put(&corev1.ConfigMap{}, "base", "values.yaml", "a: map\nb: map\nc: map\n")
	w.startAgent()
	optional := true
	from := func(bd *fleet.BundleDeployment) {
		bd.Spec.Options.Helm = &fleet.HelmOptions{
			Values: &fleet.GenericMap{Data: map[string]any{"a": "own", "d": "own"}},
			ValuesFrom: []fleet.ValuesFrom{
				{
					ConfigMapKeyRef: &fleet.ConfigMapKeySelector{LocalObjectReference: fleet.LocalObjectReference{Name: "base"}, Namespace: w.app},
					SecretKeyRef:    &fleet.SecretKeySelector{LocalObjectReference: fleet.LocalObjectReference{Name: "secret"}, Key: "x"},
				},
				{ConfigMapKeyRef: &fleet.ConfigMapKeySelector{LocalObjectReference: fleet.LocalObjectReference{Name: "none"}, Optional: &optional}},
			},
		}
	}
	templates := map[string]string{"a.yaml": holds("{{ .Values.a }} {{ .Values.b }} {{ .Values.c }} {{ .Values.d }}")}
	w.chart("web", templates, from)
	w.says("web", fleet.HealthWaiting, "waits for helm.valuesFrom[0].secretKeyRef: Secret "+w.app+"/secret does not exist")
	w.put(&corev1.Secret{}, "secret", "x", "b: secret")
	w.becomes("map secret map own")
	w.healthy("web")

	w.put(&corev1.ConfigMap{}, "none", "values.yaml", "c: later")
	w.becomes("map secret later own")
	w.put(&corev1.Secret{}, "secret", "x", "b: changed")
	w.becomes("map changed later own")
	t.Run("the last good stays while one is missing", func(t *testing.T) {
		w.kubectl("", "delete", "secret", "secret")
		w.says("web", fleet.HealthWaiting, "Secret "+w.app+"/secret does not exist; what was rendered with the values before stays")
		w.stopAgent()
		w.startAgent()
		w.says("web", fleet.HealthWaiting, "does not exist")
		if w.value() != "map changed later own" {
			t.Errorf("the value is %q", w.value())
		}
	})
	if log := w.logs.String(); strings.Contains(log, "changed later") || strings.Contains(log, "b: changed") {
		t.Error("the log shows values")
	}
}

// What the agent has stored of what it rendered is lost: it renders again, with the same random values, and runs no hook again.
func TestARenderingThatIsLostIsMadeAgain(t *testing.T) {
	t.Parallel()
	const objects, values = 0, 1 // layers of a rendering
	for _, row := range []struct {
		rule string
		runs bool // the agent does, meanwhile
		lose func(*world, store.Record)
	}{
		{"the layer of its objects is deleted", false, func(w *world, r store.Record) { w.lose("layer-"+r.Deployed[objects].ID, "") }},
		{"the layer of its objects is damaged", false, func(w *world, r store.Record) { w.lose("layer-"+r.Deployed[objects].ID, "sealed") }},
		{"the layer of its objects is deleted while the agent runs", true, func(w *world, r store.Record) { w.lose("layer-"+r.Deployed[objects].ID, "") }},
		{"the layer of its random values is deleted", false, func(w *world, r store.Record) { w.lose("layer-"+r.Deployed[values].ID, "") }},
		{"its record is deleted", false, func(w *world, r store.Record) { w.lose("record-web.", "") }},
		{"its record and its inventory are damaged", false, func(w *world, r store.Record) { w.lose("record-web.", "record"); w.lose("inventory-web.", "items") }},
	} {
		t.Run(row.rule, func(t *testing.T) {
			w := newWorld(t)
			w.startAgent()
			seed := hookMap("seed", "pre-install,post-install,pre-upgrade", ", helm.sh/hook-delete-policy: hook-succeeded")
			w.chart("web", map[string]string{"a.yaml": holds("{{ randAlphaNum 24 }}"), "seed.yaml": strings.ReplaceAll(seed, "$NS", w.app)}, correctDrift)
			w.healthy("web")
			password, since := w.value(), time.Now()
			if len(password) != 24 {
				t.Fatalf("password %q", password)
			}
			if !row.runs {
				w.stopAgent()
			}
			row.lose(w, w.record("web"))
			w.must(w.edge.Delete(w.ctx, w.live("v1", "ConfigMap", "app")))
			if !row.runs {
				w.startAgent()
			}
			w.becomes(password)
			w.write("web")
			w.healthy("web")
			if w.value() != password {
				t.Errorf("the password is %s, it was %s", w.value(), password)
			}
			for _, step := range w.steps(since) {
				if strings.HasSuffix(step, " seed") {
					t.Errorf("a hook ran again: %s", step)
				}
			}
		})
	}
}

// record is what the agent remembers of a deployment.
func (w *world) record(name string) (r store.Record) {
	w.Helper()
	for _, s := range w.storedSecrets() {
		if strings.HasPrefix(s.Name, "record-"+name+".") {
			w.must(json.Unmarshal(s.Data["record"], &r))
		}
	}
	return r
}

// lose damages a key of the agent's Secrets of a prefix, or deletes them.
func (w *world) lose(prefix, key string) {
	w.Helper()
	found := false
	for _, s := range w.storedSecrets() {
		if !strings.HasPrefix(s.Name, prefix) {
			continue
		}
		found = true
		if key == "" {
			w.must(w.edge.Delete(w.ctx, &s))
			continue
		}
		s.Data[key][0] ^= 1
		w.must(w.edge.Update(w.ctx, &s))
	}
	if !found {
		w.Fatalf("the agent has no Secret %s…", prefix)
	}
}
