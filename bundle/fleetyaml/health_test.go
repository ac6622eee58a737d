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
		{"a probe of each kind", "health: {probes: [{name: a, http: {url: 'http://web/health'}}, {name: b, tcp: {address: 'db:5432'}}, {name: c, job: {namespace: x, name: j}}, {name: d, object: {apiVersion: v1, kind: Pod, name: p}, value: self.ok}]}\n", ""},
		{"a template is judged when it is filled in", "health: {probes: [{name: a, http: {url: '${ .ClusterLabels.url }'}}, {name: b, tcp: {address: '${ .ClusterName }'}}]}\n", ""},
		{"a probe has a name", "health: {probes: [{http: {url: 'http://web/health'}}]}\n", "1:19: health.probes[0]: name is missing"},
		{"a name is for one probe", "health:\n  probes:\n  - {name: a, tcp: {address: 'db:1'}}\n  - {name: a, tcp: {address: 'db:2'}}\n", "4:12: health.probes[1].name: there is a probe a above"},
		{"a probe asks one thing", "health: {probes: [{name: a, http: {url: 'http://web'}, tcp: {address: 'db:1'}}]}\n", "1:19: health.probes[0]: probe a has 2 of http, tcp, job and object; give it one"},
		{"a probe asks something", "health: {probes: [{name: a}]}\n", "1:19: health.probes[0]: probe a has 0 of"},
		{"an object needs a value", "health: {probes: [{name: a, object: {apiVersion: v1, kind: Pod, name: p}}]}\n", "1:19: health.probes[0]: object and value go together"},
		{"its value is read before it is pushed to anybody", "health: {probes: [{name: a, object: {apiVersion: v1, kind: Pod, name: p}, value: cluster.ok}]}\n", `1:82: health.probes[0].value: column 1: there is no "cluster"; it may use self`},
		{"a URL has a scheme", "health: {probes: [{name: a, http: {url: web/health}}]}\n", "1:41: health.probes[0].http.url: want a URL such as"},
		{"a URL has no credentials", "health: {probes: [{name: a, http: {url: 'http://ann:x@web/health'}}]}\n", "1:41: health.probes[0].http.url: a probe has no credentials"},
		{"an address has a port", "health: {probes: [{name: a, tcp: {address: db}}]}\n", "1:44: health.probes[0].tcp.address: want HOST:PORT"},
		{"a probe is not made all the time", "health: {probes: [{name: a, tcp: {address: 'db:1'}, interval: 1s}]}\n", "1:63: health.probes[0].interval: want 5s or more"},
		{"an answer is not waited for all the time", "health: {probes: [{name: a, tcp: {address: 'db:1'}, timeout: 1m}]}\n", "1:62: health.probes[0].timeout: want 30s or less"},
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
