package fleetyaml

import (
	"strings"
	"testing"
)

func TestMistakesInRulesOfHealth(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		rule, file string
		want       string // "line:column: text it begins with"; "" for none
	}{
		{"a rule needs a kind and healthy alone", "health: {rules: [{kind: Thing, healthy: self.ok}]}\n", ""},
		{"a rule without a kind is for nothing", "health: {rules: [{group: example.com, healthy: 'true'}]}\n", "1:18: health.rules[0]: kind is missing"},
		{"a rule says what is healthy", "health: {rules: [{kind: Thing, ready: 'true'}]}\n", "1:18: health.rules[0]: healthy is missing"},
		{"a rule is for all versions of a kind", "health: {rules: [{group: example.com/v1, kind: Thing, healthy: 'true'}]}\n", `1:26: health.rules[0].group: want a group without its version, such as "example.com"`},
		{"a kind has one rule", "health:\n  rules:\n  - {kind: Thing, healthy: 'true'}\n  - {kind: Thing, healthy: 'false'}\n", "4:12: health.rules[1].kind: there is a rule for Thing above; keep one"},
		{"an expression is read before it is pushed to anybody", "health:\n  rules:\n  - kind: Thing\n    healthy: self.status.\n", "4:14: health.rules[0].healthy: column 13: "},
		{"it sees the object alone", "health: {rules: [{kind: Thing, healthy: cluster.ok}]}\n", `1:41: health.rules[0].healthy: column 1: there is no "cluster"; it may use self`},
		{"it gives yes or no", "health: {rules: [{kind: Thing, healthy: 'true', failed: size(self.x)}]}\n", "1:57: health.rules[0].failed: it gives int, and has to give true or false"},
		{"ready is read, too", "health: {rules: [{kind: Thing, healthy: 'true', ready: '1'}]}\n", "1:56: health.rules[0].ready: it gives int"},
		{"a message is text", "health: {rules: [{kind: Thing, healthy: 'true', message: '1'}]}\n", "1:58: health.rules[0].message: it gives int, and has to give text"},
		{"what a Secret holds is shown nowhere", "health: {rules: [{kind: Secret, healthy: 'true', message: self.data.a}]}\n", "1:59: health.rules[0].message: what a Secret holds is shown nowhere"},
		{"a target's rules are read, too", "targetCustomizations: [{clusterName: a, health: {rules: [{kind: Thing, healthy: x}]}}]\n", "1:81: targetCustomizations[0].health.rules[0].healthy: column 1: "},
	} {
		t.Run(c.rule, func(t *testing.T) {
			_, err := Parse("fleet.yaml", []byte(c.file))
			if c.want == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if err == nil || !strings.HasPrefix(err.Error(), "fleet.yaml:"+c.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("\ngot  %v\nwant %s", err, c.want)
			}
		})
	}
}
