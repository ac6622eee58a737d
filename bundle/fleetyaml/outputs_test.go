package fleetyaml

import (
	"strings"
	"testing"
)

func TestMistakesInOutputsAndInputs(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		rule, file string
		want       []string // "line:column: text it begins with"
	}{
		{"a name can stand behind a dot in a template", "outputs: [{name: api-server, value: cluster.name}]\n",
			[]string{"1:18: outputs[0].name: an output's name has letters, digits and _"}},
		{"two outputs have two names", "outputs:\n- {name: a, value: cluster.name}\n- {name: a, value: cluster.name}\n",
			[]string{`3:10: outputs[1].name: "a" is the name of an output above; give each its own`}},
		{"an expression is read before it is pushed to anybody", "outputs: [{name: a, value: cluster.}]\n", []string{"1:28: outputs[0].value: column 9: "}},
		{"without an object there is no self", "outputs: [{name: a, value: self.data.x}]\n",
			[]string{`1:28: outputs[0].value: column 1: there is no "self"; it may use cluster`}},
		{"without forEach there is no each", "outputs: [{name: a, value: each.name}]\n",
			[]string{`1:28: outputs[0].value: column 1: there is no "each"; it may use cluster`}},
		{"an output has a value", "outputs: [{name: a}]\n", []string{"1:11: outputs[0].value: a CEL expression is missing"}},
		{"an object is named in full", "outputs: [{name: a, value: self.x, object: {kind: Secret, name: x}}]\n",
			[]string{"1:44: outputs[0].object: apiVersion, kind and name say which object it is"}},
		{"an output looks at one object or at many", "outputs: [{name: a, value: self.x, object: {apiVersion: v1, kind: Secret, name: x, labelSelector: {}}}]\n",
			[]string{"1:99: outputs[0].object.labelSelector: it is either one object by its name, or those with labels"}},
		{"labels that nothing can have are refused", "outputs: [{name: a, value: self.x, object: {apiVersion: v1, kind: Secret, labelSelector: {matchLabels: {a b: c}}}}]\n",
			[]string{"1:90: outputs[0].object.labelSelector: "}},
		{"what is generated looks at nothing", "outputs: [{name: a, value: cluster.name, generate: {bytes: 32}}]\n",
			[]string{"1:52: outputs[0].generate: a value that is generated has no object"}},
		{"what is generated has a size", "outputs: [{name: a, generate: {bytes: 4}}]\n", []string{"1:39: outputs[0].generate.bytes: want 16 to 1024"}},
		{"forEach says for which", "outputs: [{name: a, value: each.name, forEach: {}}]\n", []string{"1:48: outputs[0].forEach: clusterSelector is missing"}},
		{"an input comes from somewhere", "inputs: [{name: a, from: {bundle: b}}]\n", []string{"1:26: inputs[0].from: bundle and output are missing, or fact"}},
		{"from one place only", "inputs: [{name: a, from: {bundle: b, output: c, fact: cluster.name}}]\n", []string{"1:26: inputs[0].from: it is either a fact, or an output"}},
		{"a fact is read at once, too", "inputs: [{name: a, from: {fact: self.x}}]\n", []string{`1:33: inputs[0].from.fact: column 1: there is no "self"`}},
		{"clusters is one of three words", "inputs: [{name: a, from: {fact: cluster.name}, clusters: some}]\n",
			[]string{"1:58: inputs[0].clusters: want one, same, all; clusters are picked by clusterSelector"}},
		{"only what may be missing has a default", "inputs: [{name: a, from: {fact: cluster.name}, default: x}]\n",
			[]string{"1:57: inputs[0].default: only an input that is optional has a default"}},
		{"what is made has a kind and a name", "inputs: [{name: a, from: {fact: cluster.name}, into: {kind: Pod, name: x}}]\n",
			[]string{"1:54: inputs[0].into: kind Secret or ConfigMap, and a name"}},
	} {
		t.Run(c.rule, func(t *testing.T) {
			_, err := Parse("fleet.yaml", []byte(c.file))
			if err == nil {
				t.Fatal("it was taken")
			}
			lines := strings.Split(err.Error(), "\n")
			if len(lines) != len(c.want) {
				t.Fatalf("got %d errors: %v", len(lines), err)
			}
			for i, want := range c.want {
				if !strings.HasPrefix(lines[i], "fleet.yaml:"+want) {
					t.Errorf("\ngot  %s\nwant %s", lines[i], want)
				}
			}
		})
	}
}
