package render

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
	"sigs.k8s.io/yaml"

	"flotilla.io/flotilla/api/v1alpha1"
	"flotilla.io/flotilla/integrationtests/golden"
)

// onCluster is the cluster.yaml of a case.
type onCluster struct {
	KubernetesVersion string           `json:"kubernetesVersion"`
	Objects           []map[string]any `json:"objects"`
}

func (c onCluster) lookup(l Lookup) (map[string]any, error) {
	items := []any{}
	for _, object := range c.Objects {
		metadata := object["metadata"].(map[string]any)
		namespace, _ := metadata["namespace"].(string)
		if object["kind"] != l.Kind || object["apiVersion"] != l.APIVersion || l.Namespace != "" && l.Namespace != namespace {
			continue
		}
		if l.Name == metadata["name"] {
			return object, nil
		}
		items = append(items, object)
	}
	if l.Name != "" {
		return nil, nil
	}
	return map[string]any{"apiVersion": l.APIVersion, "kind": l.Kind + "List", "items": items}, nil
}

// TestOnCluster renders testdata/cluster/*.txtar: a comment that is the rule, options.yaml, the bundle's files and cluster.yaml.
// The hub must put it off, and say why; want is what comes of it on the cluster, after the way through objects.
func TestOnCluster(t *testing.T) {
	for _, file := range glob(t, "testdata/cluster/*.txtar") {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			archive := txtar.Parse(read(t, file))
			s, files := unpackCase(t, archive)
			cluster := onCluster{KubernetesVersion: "v1.37.2"}
			must(t, yaml.UnmarshalStrict(files["cluster.yaml"], &cluster))
			numbers(cluster.Objects)
			delete(files, "cluster.yaml")
			delete(files, "why")
			put, err := Render(t.Context(), s.input(files), &Capabilities{KubernetesVersion: cluster.KubernetesVersion})
			must(t, err)
			compareSection(t, archive, "why", put.OnCluster+"\n")
			out, err := RenderOn(t.Context(), unpacked(t, put), Cluster{
				Capabilities: Capabilities{KubernetesVersion: cluster.KubernetesVersion}, Lookup: cluster.lookup,
			})
			must(t, err)
			compareSection(t, archive, "want", string(hidden.ReplaceAll(print(t, out), []byte("(hidden)"))))
			if golden.Updating() {
				must(t, os.WriteFile(file, txtar.Format(archive), 0o644))
			}
		})
	}
}

// hidden is what is another each time.
var hidden = regexp.MustCompile(`(LS0tLS1CRUdJTi\w+=*|\b[A-Za-z0-9]{16,}={0,2}|\d{4}-\d\d-\d\d \S+ \S+ UTC.*|\b20\d\d\b)`)

func compareSection(t *testing.T, archive *txtar.Archive, name, got string) {
	t.Helper()
	want := section(archive, name)
	if golden.Updating() {
		want.Data = []byte(got)
	} else if got != string(want.Data) {
		t.Errorf("%s is stale; rerun this package with -update and read the diff\ngot:\n%s\nwant:\n%s", name, got, want.Data)
	}
}

// numbers makes whole numbers int64, as a cluster gives them.
func numbers(objects []map[string]any) {
	for _, o := range objects {
		if metadata, ok := o["metadata"].(map[string]any); ok {
			if n, ok := metadata["generation"].(float64); ok {
				metadata["generation"] = int64(n)
			}
		}
	}
}

// unpacked takes the way of a put off rendering to the cluster.
func unpacked(t *testing.T, put *Output) Input {
	t.Helper()
	if put.OnCluster == "" {
		t.Fatal("it is not put off")
	}
	var objects [][]byte
	for _, u := range put.Objects {
		if u.GroupVersionKind().Group != PackedGroup {
			t.Fatalf("%s among what is packed", u.GetKind())
		}
		data, err := json.Marshal(u)
		must(t, err)
		objects = append(objects, data)
	}
	in, ok, err := Unpack(objects)
	must(t, err)
	if !ok {
		t.Fatal("it holds no input")
	}
	if in.Options.Helm != nil {
		in.Options.Helm.ValuesFrom = nil // merged by the caller
	}
	return in
}

func chartOf(templates map[string]string) Input {
	in := Input{Bundle: "shop", Files: map[string][]byte{"Chart.yaml": []byte("{apiVersion: v2, name: web, version: 1.0.0}")}}
	for name, text := range templates {
		in.Files["templates/"+name] = []byte(text)
	}
	return in
}

// holding is a template of an object that holds a value.
func holding(name, value string) string {
	return fmt.Sprintf("{apiVersion: v1, kind: ConfigMap, metadata: {name: %s}, data: {v: '%s'}}", name, value)
}

// dataOf are the values, by object.
func dataOf(out *Output) map[string]string {
	values := map[string]string{}
	for _, o := range out.Objects {
		data, _ := o.Object["data"].(map[string]any)
		values[o.GetName()], _ = data["v"].(string)
	}
	return values
}

func onThe(t *testing.T, in Input, kept Kept) *Output {
	t.Helper()
	out, err := RenderOn(t.Context(), in, Cluster{Kept: kept, Lookup: onCluster{}.lookup})
	must(t, err)
	return out
}

func TestRandomValuesAreKept(t *testing.T) {
	const pass, longer = "{{ randAlphaNum 16 }}", "{{ randAlphaNum 20 }}"
	base := map[string]string{"a.yaml": holding("a", pass), "b.yaml": holding("b", pass)}
	for _, row := range []struct {
		rule  string
		then  map[string]string // the templates of the next revision
		stay  []string
		other []string
	}{
		{"the same chart gives the same values", base, []string{"a", "b"}, nil},
		{"a comment before the call moves nothing", map[string]string{"a.yaml": "# news\n\n" + holding("a", pass), "b.yaml": base["b.yaml"]}, []string{"a", "b"}, nil},
		{"a call more in another file moves nothing", map[string]string{"0.yaml": holding("zero", pass), "a.yaml": base["a.yaml"], "b.yaml": base["b.yaml"]}, []string{"a", "b"}, nil},
		{"a call with other arguments moves no other", map[string]string{"a.yaml": "# " + longer + "\n" + base["a.yaml"], "b.yaml": base["b.yaml"]}, []string{"a", "b"}, nil},
		{"other arguments give another value", map[string]string{"a.yaml": holding("a", longer), "b.yaml": base["b.yaml"]}, []string{"b"}, []string{"a"}},
	} {
		t.Run(row.rule, func(t *testing.T) {
			first := onThe(t, chartOf(base), nil)
			was := maps.Clone(first.Kept)
			then := onThe(t, chartOf(row.then), first.Kept)
			before, after := dataOf(first), dataOf(then)
			for _, name := range row.stay {
				if before[name] == "" || before[name] != after[name] {
					t.Errorf("%s was %q and is %q", name, before[name], after[name])
				}
			}
			for _, name := range row.other {
				if before[name] == after[name] {
					t.Errorf("%s stays %q", name, after[name])
				}
			}
			if !maps.EqualFunc(was, first.Kept, func(a, b json.RawMessage) bool { return string(a) == string(b) }) {
				t.Error("what was handed over was modified")
			}
		})
	}
	if got := dataOf(onThe(t, chartOf(base), nil)); got["a"] == got["b"] {
		t.Error("two places have one value")
	}
}

func TestAValueOutOfUseComesBack(t *testing.T) {
	with := chartOf(map[string]string{"a.yaml": holding("a", "{{ randAlphaNum 16 }}")})
	first := onThe(t, with, nil)
	without := onThe(t, chartOf(map[string]string{"b.yaml": holding("b", "{{ randAlphaNum 16 }}")}), first.Kept)
	if again := onThe(t, with, without.Kept); dataOf(again)["a"] != dataOf(first)["a"] {
		t.Error("switching a part of a chart off and on changed its password")
	}
}

// Every function that draws gives the same in both renderings, and at the next revision.
func TestEveryDrawingFunctionIsKept(t *testing.T) {
	calls := map[string]string{
		"now": `{{ now | unixEpoch }}`, "ago": `{{ ago now }}`, "randAlphaNum": `{{ 16 | randAlphaNum }}`, "randAlpha": `{{ randAlpha 16 }}`,
		"randAscii": `{{ randAscii 16 | b64enc }}`, "randNumeric": `{{ randNumeric 16 }}`, "randBytes": `{{ randBytes 16 }}`,
		"randInt": `{{ add 1 (randInt 1 1000000000) }}`, "shuffle": `{{ shuffle "abcdefghijklmnopqrstuvwxyz" }}`, "uuidv4": `{{ printf "%s" uuidv4 }}`,
		"bcrypt": `{{ bcrypt "x" }}`, "htpasswd": `{{ htpasswd "u" "x" }}`, "encryptAES": `{{ encryptAES "secretkey" "x" }}`,
		"genPrivateKey": `{{ genPrivateKey "ecdsa" | b64enc }}`, "genCA": `{{ (genCA "ca" 365).Cert | b64enc }}`,
		"genCAWithKey":              `{{ (genCAWithKey "ca" 365 (genPrivateKey "ecdsa")).Cert | b64enc }}`,
		"genSelfSignedCert":         `{{ (genSelfSignedCert "a" nil (list "a.b") 365).Key | b64enc }}`,
		"genSelfSignedCertWithKey":  `{{ (genSelfSignedCertWithKey "a" nil nil 365 (genPrivateKey "ecdsa")).Cert | b64enc }}`,
		"genSignedCert":             `{{ $ca := genCA "ca" 365 }}{{ (genSignedCert "a" (list "10.0.0.1") nil 365 $ca).Cert | b64enc }}`,
		"genSignedCertWithKey":      `{{ $ca := genCA "ca" 365 }}{{ (genSignedCertWithKey "a" nil nil 365 $ca (genPrivateKey "ecdsa")).Cert | b64enc }}`,
		"a text that is a template": `{{ tpl .Values.text . }}`,
	}
	if len(calls) != len(drawing)+1 {
		t.Errorf("%d functions, %d are tested", len(drawing), len(calls)-1)
	}
	for name, call := range calls {
		t.Run(name, func(t *testing.T) {
			in := chartOf(map[string]string{"a.yaml": holding("a", call)})
			in.Options.Helm = values(map[string]any{"text": "{{ randAlphaNum 16 }}"})
			put, err := Render(t.Context(), in, nil)
			must(t, err)
			if put.OnCluster == "" {
				t.Error("it is rendered on the hub")
			}
			first := onThe(t, in, nil)
			if got := dataOf(onThe(t, in, first.Kept)); got["a"] != dataOf(first)["a"] || got["a"] == "" {
				t.Errorf("%q, then %q", dataOf(first)["a"], got["a"])
			}
			if fresh := dataOf(onThe(t, in, nil)); fresh["a"] == dataOf(first)["a"] && name != "now" && name != "ago" {
				t.Error("without what was kept it is the same")
			}
		})
	}
}

// Many charts hash a file of theirs to restart what uses it.
func TestAFileThatIsIncludedIsTheOneThatIsDeployed(t *testing.T) {
	out := onThe(t, chartOf(map[string]string{
		"secret.yaml": holding("secret", "{{ randAlphaNum 16 }}"),
		"a.yaml": "{{ $other := randAlphaNum 16 }}" + strings.Replace(holding("a", "SUM"), "SUM",
			`{{ include (print $.Template.BasePath "/secret.yaml") . | fromYaml | toJson | sha256sum }} {{ eq $other (randAlphaNum 16) }}`, 1),
		"b.yaml": "{{ $s := include (print $.Template.BasePath \"/secret.yaml\") . | fromYaml }}" + holding("b", "{{ $s.data.v }}"),
	}), nil)
	got := dataOf(out)
	if got["b"] != got["secret"] || got["b"] == "" {
		t.Errorf("included %q, deployed %q", got["b"], got["secret"])
	}
	if !strings.HasSuffix(got["a"], " false") {
		t.Error("after an included file the calls of the outer one are mixed up")
	}
}

func TestWhatIsRandomAndUnusedStaysOnTheHub(t *testing.T) {
	for rule, text := range map[string]string{
		"a password that is only a default":  `{{ default (randAlphaNum 16) "given" }}`,
		"an order that is another each time": `{{ keys (dict "a" 1 "b" 2 "c" 3 "d" 4 "e" 5) | join "" }}{{ values (dict "a" 1 "b" 2 "c" 3 "d" 4) | join "" }}`,
	} {
		for range 5 {
			out, err := Render(t.Context(), chartOf(map[string]string{"a.yaml": holding("a", text)}), nil)
			must(t, err)
			if out.OnCluster != "" {
				t.Fatalf("%s: put off for %s", rule, out.OnCluster)
			}
		}
	}
}

func TestWhatGoesWrongOnTheCluster(t *testing.T) {
	for _, row := range []struct {
		rule, template, want string
	}{
		{"a lookup that is refused names template and object", `{{ lookup "v1" "Secret" "a" "b" }}`, "templates/a.yaml:4: <lookup \"v1\" \"Secret\" \"a\" \"b\">: error calling lookup: lookup of v1 Secret a/b: not yours"},
		{"what cannot be kept is told", `{{ date "2006-01-02T15:04:05.999999999" "no time" }}: 1`, "templates/a.yaml: it comes out another way at each rendering"},
	} {
		t.Run(row.rule, func(t *testing.T) {
			_, err := RenderOn(t.Context(), chartOf(map[string]string{"a.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n" + row.template}),
				Cluster{Lookup: func(Lookup) (map[string]any, error) { return nil, errors.New("not yours") }})
			var e *Error
			if !errors.As(err, &e) || !strings.HasPrefix(err.Error(), row.want) {
				t.Errorf("%v", err)
			}
		})
	}
}

func TestValuesFromNamesAnObject(t *testing.T) {
	in := charted()
	in.Options.Helm = &v1alpha1.HelmOptions{ValuesFrom: []v1alpha1.ValuesFrom{{}}}
	if _, err := Render(t.Context(), in, nil); fmt.Sprint(err) != "helm.valuesFrom[0]: name a ConfigMap in configMapKeyRef or a Secret in secretKeyRef" {
		t.Error(err)
	}
}

func TestHooksStayAmongTheObjects(t *testing.T) {
	for _, row := range []struct {
		rule, events string
		kept         bool
	}{
		{"a hook of an install", "pre-install", true},
		{"several events, in any case", " Post-Upgrade ,pre-delete", true},
		{"a rollback never runs", "pre-rollback,post-rollback", false},
		{"with another event it stays", "post-rollback,post-install", true},
		{"tests are dropped", "test", false},
		{"and their old name", "test-success", false},
		{"an event that Helm does not know drops the object", "crd-install", false},
		{"also beside one that it knows", "pre-install,crd-install", false},
	} {
		t.Run(row.rule, func(t *testing.T) {
			for style, files := range map[string]map[string][]byte{
				"chart": {"Chart.yaml": []byte("{apiVersion: v2, name: web, version: 1.0.0}"), "templates/a.yaml": hook(row.events)},
				"raw":   {"a.yaml": hook(row.events)}, "kustomize": {"a.yaml": hook(row.events), "kustomization.yaml": []byte("resources: [a.yaml]")},
			} {
				out, err := Render(t.Context(), Input{Bundle: "a", Files: files}, nil)
				must(t, err)
				if (len(out.Objects) == 1) != row.kept {
					t.Errorf("%s: %d objects", style, len(out.Objects))
				}
			}
		})
	}
}

func hook(events string) []byte {
	return fmt.Appendf(nil, "{apiVersion: batch/v1, kind: Job, metadata: {name: a, annotations: {helm.sh/hook: %q}}}", events)
}

func TestAnObjectThatIsThereOnlyNowAndThenIsPutOff(t *testing.T) {
	out, err := Render(t.Context(), chartOf(map[string]string{"a.yaml": "{{ range until (randInt 1 1000000 | int | mod 997 | int) }}\n---\n" + holding("{{ uuidv4 }}", "") + "{{ end }}"}), nil)
	if err != nil || out.OnCluster != "output that is another at each rendering (randInt) in templates/a.yaml" {
		t.Errorf("%v, %v", out, err)
	}
}
