package fleetyaml

import (
	"errors"
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"
)

func TestMistakes(t *testing.T) {
	for _, c := range []struct {
		rule, file string
		want       []string // the errors, "line:column: text it begins with"
	}{
		{"an unknown key names the likely one", "targetCustomisations: []\n",
			[]string{`1:1: unknown key "targetCustomisations" at the top level; did you mean "targetCustomizations"?`}},
		{"an unknown key far down names its place", "helm:\n  values: {}\n  relaseName: x\n",
			[]string{`3:3: unknown key "relaseName" in helm; did you mean "releaseName"?`}},
		{"an unknown key in a list names the entry", "targets:\n- name: a\n- name: b\n  clusterSelecter: {}\n",
			[]string{`4:3: unknown key "clusterSelecter" in targets[1]; did you mean "clusterSelector"?`}},
		{"a key of helm at the top level is shown its place", "chart: ./chart\n",
			[]string{`1:1: unknown key "chart" at the top level; did you mean "helm.chart"?`}},
		{"a key like none lists those there are", "kustomize: {wherever: x}\n",
			[]string{`1:13: unknown key "wherever" in kustomize; the keys here are dir`}},
		{"all mistakes are told at once, in order", "paused: maybe\nnam: x\nhelm: []\n", []string{
			"1:9: paused: want true or false, found text",
			`2:1: unknown key "nam" at the top level; did you mean "name"?`,
			"3:7: helm: want a mapping of keys to values, found a list"}},
		{"a number is no list", "helm: {valuesFiles: 5}\n", []string{"1:21: helm.valuesFiles: want a list, found a number"}},
		{"a mapping is no text", "namespace: {a: b}\n", []string{"1:12: namespace: want text, found a mapping"}},
		{"text is no whole number", "helm: {timeoutSeconds: soon}\n", []string{"1:24: helm.timeoutSeconds: want a whole number, found text"}},
		{"a number that changes as text is refused", "helm: {version: 1.10}\n", []string{"1:17: helm.version: want text, found a number; put it in quotes"}},
		{"yes is refused as text", "labels: {a: yes}\n", []string{"1:13: labels.a: want text, found true or false; put it in quotes"}},
		{"a number with an anchor is refused as text", "namespace: &n 12\nhelm: {values: {a: *n}}\n",
			[]string{"1:12: namespace: want text, found a number; put it in quotes"}},
		{"values are a mapping", "helm: {values: secret}\n", []string{"1:16: helm.values: want a mapping of keys to values, found text"}},
		{"a quoted true is text", "paused: \"true\"\n", []string{"1:9: paused: want true or false, found text"}},
		{"a budget is a number or a percentage", "rolloutStrategy: {maxUnavailable: [1]}\n",
			[]string{`1:35: rolloutStrategy.maxUnavailable: want a whole number or a percentage such as "25%", found a list`}},
		{"an interval is a duration", "imageScans: [{interval: 5 days}]\n",
			[]string{"1:25: imageScans[0].interval: want a duration such as 30s or 5m, found text"}},
		{"a duplicate key names the first", "namespace: a\nhelm: {}\nnamespace: b\n",
			[]string{`3:1: duplicate key "namespace": it stands at line 1 already; keep one`}},
		{"a duplicate key among values counts, too", "helm:\n  values:\n    image: a\n    image: b\n",
			[]string{`4:5: duplicate key "image": it stands at line 3 already; keep one`}},
		{"the same key in two cases is a duplicate", "namespace: a\nNamespace: b\n",
			[]string{`2:1: duplicate key "Namespace": "namespace" stands at line 1 already; keep one`}},
		{"a key brought in by << is checked, too", "helm:\n  values: &v {chrt: x}\n  <<: *v\n",
			[]string{`2:15: unknown key "chrt" in helm; did you mean "chart"?`}},
		{"a second document is refused", "namespace: a\n---\nnamespace: b\n", []string{"3:1: a second YAML document"}},
		{"a tab is named where it stands", "helm:\n  values:\n  \ta: b\n", []string{"3:3: a tab in the indentation"}},
		{"an open bracket names its line", "namespace: a\nhelm: {values: {}\npaused: true\n",
			[]string{"2:0: did not find expected ',' or '}'"}},
		{"a bad indentation names its line", "helm:\n  values:\n    a: b\n   c: d\n", []string{"2:0: did not find expected key"}},
		{"an unknown anchor names its place", "helm:\n  values: *nowhere\n", []string{"2:11: there is no anchor &nowhere above"}},
		{"aliases that blow up are refused", bomb(), []string{"1:1: too complex: its aliases expand to more than 10 MB"}},
		{"an alias of what it stands in is refused", "helm:\n  values: &v\n    a: *v\n", []string{"1:1: too complex"}},
		{"a huge file is refused", strings.Repeat("# padding\n", 200_000), []string{"0:0: the file has 2000000 bytes, the limit is 1048576"}},
		{"a list is no fleet.yaml", "- a\n", []string{"1:1: : want a mapping of keys to values, found a list"}},
		{"a dependency needs a name or a selector", "dependsOn:\n- acceptedStates: [Ready]\n", []string{"2:3: dependsOn[0]: name or selector is missing"}},
		{"an accepted state is one of seven", "dependsOn:\n- name: a\n  acceptedStates: [Ready, Modifed]\n",
			[]string{`3:27: dependsOn[0].acceptedStates[1]: no state "Modifed"; did you mean "Modified"?; the states are Ready, NotReady, Pending, OutOfSync, Modified, WaitApplied, ErrApplied`}},
		{"a lost cluster is no state to accept", "dependsOn: [{name: a, acceptedStates: [Unknown]}]\n", []string{`1:40: dependsOn[0].acceptedStates[0]: no state "Unknown"`}},
		{"a selector's operator exists", "targets:\n- clusterSelector:\n    matchExpressions: [{key: a, operator: Is, values: [b]}]\n",
			[]string{`3:5: targets[0].clusterSelector: "Is" is not a valid label selector operator`}},
		{"a label fits a label", "labels: {team: \"two words\"}\n", []string{"1:16: labels.team: a valid label must be"}},
		{"an annotation's key is a name", "annotations: {two words: x}\n", []string{"1:26: annotations.two words: name part must consist of"}},
		{"a file approves nothing", "annotations: {flotilla.io/approve: x}\n", []string{"1:36: annotations.flotilla.io/approve: a plan is approved on the Bundle"}},
		{"a bundle's name fits a label, too", "name: " + strings.Repeat("a", 64) + "\n", []string{"1:7: name: a bundle's name has at most 63"}},
		{"a release name has at most 53 characters", "helm: {releaseName: " + strings.Repeat("a", 54) + "}\n",
			[]string{"1:21: helm.releaseName: a release name has at most 53"}},
		{"a release name of a customization counts, too", "targetCustomizations: [{helm: {releaseName: Web}}]\n",
			[]string{"1:45: targetCustomizations[0].helm.releaseName: a release name has at most 53"}},
		{"a patch is there", "kustomize:\n  patches:\n  - target: {name: a}\n", []string{"3:5: kustomize.patches[0]: patch or path is missing"}},
		{"a patch stands in one place", "kustomize: {patches: [{path: a, patch: b}]}\n", []string{"1:30: kustomize.patches[0].path: patch stands there, too; keep one"}},
		{"operations have a target", "targetCustomizations:\n- kustomize:\n    patches:\n    - patch: |-\n        - {op: remove, path: /a}\n",
			[]string{"4:7: targetCustomizations[0].kustomize.patches[0]: target is missing: kind and name of the object that the operations are for"}},
		{"an image has a name", "kustomize: {images: [{newTag: v1}]}\n", []string{"1:22: kustomize.images[0]: name is missing"}},
		{"replicas have a name", "overrideTargets: [{kustomize: {replicas: [{count: 1}]}}]\n", []string{"1:43: overrideTargets[0].kustomize.replicas[0]: name is missing"}},
		{"a count is a whole number", "kustomize: {replicas: [{name: a, count: 50%}, {name: b, count: -1}]}\n",
			[]string{"1:41: kustomize.replicas[0].count: want a whole number, or a ${ } that gives one", "1:64: kustomize.replicas[1].count: want a whole number"}},
		{"a mode exists", "targetCustomizationMode: Firstmatch\n", []string{`1:26: targetCustomizationMode: no mode "Firstmatch"; it is FirstMatch or AllMatches`}},
		{"an image scan has a tag name", "imageScans:\n- image: example.com/web\n", []string{"2:3: imageScans[0]: tagName is missing"}},
	} {
		t.Run(c.rule, func(t *testing.T) {
			_, err := Parse("apps/web/fleet.yaml", []byte(c.file))
			var errs Errors
			errors.As(err, &errs)
			if len(errs) != len(c.want) {
				t.Fatalf("got %d errors, want %d:\n%v", len(errs), len(c.want), err)
			}
			for i, want := range c.want {
				if got := fmt.Sprintf("%d:%d: %s", errs[i].Line, errs[i].Column, errs[i].Message); !strings.HasPrefix(got, want) {
					t.Errorf("error %d:\ngot  %s\nwant %s", i, got, want)
				}
			}
		})
	}
}

// bomb is the billion laughs: nine levels of ten aliases each.
func bomb() string {
	lines := []string{"a0: &a0 [lol, lol, lol, lol, lol, lol, lol, lol, lol, lol]"}
	for i := 1; i < 10; i++ {
		ten := strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*a%d, ", i-1), 10), ", ")
		lines = append(lines, fmt.Sprintf("a%d: &a%d [%s]", i, i, ten))
	}
	return strings.Join(lines, "\n")
}

func TestAccepted(t *testing.T) {
	for _, c := range []struct {
		rule, file string
		holds      func(*FleetYAML) bool
	}{
		{"an empty file sets nothing", "", func(f *FleetYAML) bool { return f.Name == "" && f.Helm == nil }},
		{"a file of comments sets nothing", "# nothing\n---\n", func(f *FleetYAML) bool { return f.Helm == nil }},
		{"CRLF ends lines", "namespace: a\r\nhelm:\r\n  values:\r\n    x: z\r\n",
			func(f *FleetYAML) bool { return f.TargetNamespace == "a" && f.Helm.Values.Data["x"] == "z" }},
		{"a byte order mark is no key", "\xef\xbb\xbfnamespace: a\n", func(f *FleetYAML) bool { return f.TargetNamespace == "a" }},
		{"null is accepted anywhere", "helm:\ntargets:\nnamespace:\n", func(f *FleetYAML) bool { return f.Helm == nil && f.Targets == nil }},
		{"a key in another case is the same key, as in Fleet", "defaultnamespace: a\n", func(f *FleetYAML) bool { return f.DefaultNamespace == "a" }},
		{"a number where text is wanted is text", "helm: {version: 3}\nnamespace: 12\n",
			func(f *FleetYAML) bool { return f.Helm.Version == "3" && f.TargetNamespace == "12" }},
		{"true where text is wanted is text", "labels: {a: true}\n", func(f *FleetYAML) bool { return f.Labels["a"] == "true" }},
		{"what is made text for one place stays a number for others", "helm: {values: {a: &n 12, b: true, c: yes}}\nnamespace: *n\n",
			func(f *FleetYAML) bool {
				v := f.Helm.Values.Data
				return f.TargetNamespace == "12" && v["a"] == int64(12) && v["b"] == true && v["c"] == true
			}},
		{"yes is true, as in Fleet", "paused: yes\n", func(f *FleetYAML) bool { return f.Paused }},
		{"values are free", "helm: {values: {1: a, any: [thing, {goes: ~}]}}\n", func(f *FleetYAML) bool { return len(f.Helm.Values.Data) == 2 }},
		{"a large number keeps its digits", "helm: {values: {id: 9007199254740993}}\n",
			func(f *FleetYAML) bool { return f.Helm.Values.Data["id"] == int64(9007199254740993) }},
		{"aliases are followed", "helm:\n  values: &v {a: b}\ntargetCustomizations:\n- helm: {values: *v}\n",
			func(f *FleetYAML) bool { return f.TargetCustomizations[0].Helm.Values.Data["a"] == "b" }},
		{"<< is followed", "targets:\n- &t {clusterName: a, name: one}\n- {<<: *t, name: two}\n",
			func(f *FleetYAML) bool { return f.Targets[1].ClusterName == "a" && f.Targets[1].Name == "two" }},
		{"an empty overrideTargets is not none", "overrideTargets: []\n", func(f *FleetYAML) bool { return f.OverrideTargets != nil }},
		{"overrideTargets of nothing is none", "overrideTargets:\n", func(f *FleetYAML) bool { return f.OverrideTargets == nil }},
		{"namespace labels of a target are the target's", "targets: [{namespaceLabels: {a: b}}]\n",
			func(f *FleetYAML) bool { return f.Targets[0].NamespaceLabels["a"] == "b" }},
		{"metadata of an object is let through, as in Fleet", "annotations: {a: b}\ngenerateName: x\nuid: z\n",
			func(f *FleetYAML) bool { return f.Annotations["a"] == "b" }},
		{"a merge names its object itself", "kustomize: {patches: [{patch: \"{kind: A, metadata: {name: b}}\"}]}\n", func(f *FleetYAML) bool { return len(f.Kustomize.Patches) == 1 }},
		{"a count may be a template", "kustomize: {replicas: [{name: a, count: '${ .ClusterLabels.n }'}, {name: b, count: '3'}]}\n", func(f *FleetYAML) bool { return len(f.Kustomize.Replicas) == 2 }},
		{"an image scan without image is skipped, not checked", "imageScans: [{name: a}]\n", func(f *FleetYAML) bool { return len(f.ImageScans) == 1 }},
	} {
		t.Run(c.rule, func(t *testing.T) {
			parsed, err := Parse("fleet.yaml", []byte(c.file))
			if err != nil || !c.holds(parsed) {
				t.Errorf("err = %v, parsed %+v", err, parsed)
			}
		})
	}
}

// TestEveryKey fails when a key of the API is missing from the file of all keys, and when one of them is refused.
func TestEveryKey(t *testing.T) {
	data, err := os.ReadFile("testdata/every-key.yaml")
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := Parse("every-key.yaml", data)
	if err != nil {
		t.Fatal(err)
	}
	var node yaml.Node
	if err := yaml.Unmarshal(data, &node); err != nil {
		t.Fatal(err)
	}
	for key := range fields(topLevel) {
		if _, ours := fields(metadata)[key]; ours && key != "name" && key != "labels" && key != "annotations" && key != "namespace" {
			continue
		}
		if !hasKey(node.Content[0], key) {
			t.Errorf("testdata/every-key.yaml lacks %s", key)
		}
	}
	for name, options := range map[string]reflect.Type{"helm": reflect.TypeOf(*parsed.Helm), "kustomize": reflect.TypeOf(*parsed.Kustomize)} {
		for key := range fields(options) {
			if !hasKey(node.Content[0], name+"."+key) {
				t.Errorf("testdata/every-key.yaml lacks %s.%s", name, key)
			}
		}
	}
}

func hasKey(node *yaml.Node, path string) bool {
	key, rest, deeper := strings.Cut(path, ".")
	for i := 0; i+1 < len(node.Content); i += 2 {
		if node.Content[i].Value == key {
			return !deeper || hasKey(node.Content[i+1], rest)
		}
	}
	return false
}

func TestNameOfABrokenFile(t *testing.T) {
	for _, c := range []struct{ rule, file, want string }{
		{"a wrong key keeps the name", "name: web\nnope: 1\n", "web"},
		{"broken YAML keeps the name", "helm: {\nname: \"web\" # ours\r\n", "web"},
		{"a byte order mark keeps the name", "\xef\xbb\xbfname: web\nnope: 1\n", "web"},
		{"a name further in is not the bundle's", "helm: {\n  name: web\n", ""},
	} {
		t.Run(c.rule, func(t *testing.T) {
			parsed, err := Parse("fleet.yaml", []byte(c.file))
			if err == nil || parsed.Name != c.want {
				t.Errorf("name %q, error %v; want name %q and an error", parsed.Name, err, c.want)
			}
		})
	}
}

func TestErrorsSayNoValues(t *testing.T) {
	const canary = "c4n4ry"
	for _, file := range []string{
		"paused: c4n4ry\n", "helm: {values: c4n4ry}\n", "helm: {values: {a: b}, timeoutSeconds: c4n4ry}\n",
		"helm: {values: {a: c4n4ry, a: c4n4ry}}\n", "helm: {values: {a: c4n4ry: b}}\n", "helm: {values: {a: \"c4n4ry}}\n",
		"helm: {templateValues: {a: [c4n4ry]}}\n", "name: C4N4RY c4n4ry\n", "labels: {a: c4n4ry c4n4ry}\n",
	} {
		if _, err := Parse("fleet.yaml", []byte(file)); err == nil || strings.Contains(err.Error(), canary) {
			t.Errorf("%q: want an error that hides the value, got %v", file, err)
		}
	}
}

func TestValues(t *testing.T) {
	for _, c := range []struct{ rule, file, want string }{
		{"an empty file is an empty map", "", ""},
		{"a list is no map", "- a\n", "values.yaml:1:1: values: want a mapping of keys to values, found a list"},
		{"a duplicate key is refused", "a: 1\na: 2\n", `values.yaml:2:1: duplicate key "a": it stands at line 1 already; keep one`},
		{"an alias bomb is refused", bomb(), "values.yaml:1:1: too complex: its aliases expand to more than 10 MB; write out what they name"},
	} {
		t.Run(c.rule, func(t *testing.T) {
			values, err := Values("values.yaml", []byte(c.file))
			if got := fmt.Sprint(err); err != nil && got != c.want || err == nil && (c.want != "" || values == nil) {
				t.Errorf("got %v, %v; want error %q", values, err, c.want)
			}
		})
	}
}

func TestErrorfFallsBackToWhatIsAround(t *testing.T) {
	parsed, err := Parse("fleet.yaml", []byte("namespace: a\nhelm:\n  chart: x\n  valuesFiles:\n  - a.yaml\n"))
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		"helm.valuesFiles[0]": "fleet.yaml:5:5: helm.valuesFiles[0]: no",
		"helm.valuesFiles[7]": "fleet.yaml:5:3: helm.valuesFiles[7]: no",
		"helm.repo":           "fleet.yaml:3:3: helm.repo: no",
		"kustomize.dir":       "fleet.yaml: kustomize.dir: no",
	} {
		if got := parsed.Errorf(path, "no").Error(); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

func FuzzParse(f *testing.F) {
	data, _ := os.ReadFile("testdata/every-key.yaml")
	f.Add(data)
	f.Add([]byte("a: &a [*a]"))
	f.Add([]byte("<<: [*a, {b: c}]"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if parsed, _ := Parse("fleet.yaml", data); parsed == nil {
			t.Error("no result")
		}
	})
}
