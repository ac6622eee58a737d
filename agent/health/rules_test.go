package health

import (
	"strings"
	"testing"

	"flotilla.io/flotilla/api/v1alpha1"
)

func TestARuleOfTheBundle(t *testing.T) {
	thing := v1alpha1.HealthRule{
		Group: "example.com", Kind: "Thing", Healthy: "self.status.phase == 'Up'", Ready: "self.status.phase == 'Joined'",
		Failed: "self.status.phase == 'Dead'", Message: "'it is ' + self.status.phase",
	}
	with := func(change func(*v1alpha1.HealthRule)) v1alpha1.HealthRule {
		r := thing
		change(&r)
		return r
	}
	for _, row := range []struct {
		rule   string
		by     v1alpha1.HealthRule
		object string
		want   Verdict
	}{
		{"healthy is ready", thing, "status: {phase: Up}", Verdict{State: Ready}},
		{"ready alone is joined, and says why", thing, "status: {phase: Joined}", Verdict{Joined, "it is Joined"}},
		{"neither is on its way", thing, "status: {phase: Else}", Verdict{Progressing, "it is Else"}},
		{"failed is failed", thing, "status: {phase: Dead}", Verdict{Failed, "it is Dead"}},
		{"failed wins", with(func(r *v1alpha1.HealthRule) { r.Failed = "true" }), "status: {phase: Up}", Verdict{Failed, "it is Up"}},
		{"it wins over what kstatus says", thing, "status: {phase: Up, conditions: [{type: Ready, status: 'False', message: m}]}", Verdict{State: Ready}},
		{"what cannot be evaluated is on its way and names the expression", thing, "{}", Verdict{Progressing, `health.rules: failed: there is no "status" yet`}},
		{"a mistake in it, too", with(func(r *v1alpha1.HealthRule) { r.Healthy = "slef.a" }), "status: {phase: Up}",
			Verdict{Progressing, `health.rules: healthy: column 1: there is no "slef"; did you mean "self"?; it may use self`}},
		{"what runs away is ended", with(func(r *v1alpha1.HealthRule) {
			r.Failed = ""
			r.Healthy = strings.Repeat("[1,2,3,4,5,6,7,8,9].all(x, ", 8) + "true" + strings.Repeat(")", 8)
		}), "status: {phase: Up}", Verdict{Progressing, "health.rules: healthy: cost limit exceeded"}},
		{"one without healthy is a mistake", with(func(r *v1alpha1.HealthRule) { r.Healthy = "" }), "status: {phase: Up}",
			Verdict{Progressing, "health.rules: healthy: a CEL expression is missing"}},
		{"a status of an earlier spec does not count", thing, "{metadata: {generation: 2}, status: {observedGeneration: 1, phase: Up}}",
			Verdict{Progressing, "Thing generation is 2, but latest observed generation is 1"}},
		{"nor does one of an object that is going", thing, "{metadata: {deletionTimestamp: '2026-01-01T00:00:00Z'}, status: {phase: Up}}", Verdict{Removing, "is being deleted"}},
		{"a message that cannot be made is told", with(func(r *v1alpha1.HealthRule) { r.Message = "self.status.why" }), "status: {phase: Else}",
			Verdict{Progressing, `is not healthy yet (health.rules: message: there is no "why" yet)`}},
		{"a message is one line", with(func(r *v1alpha1.HealthRule) { r.Message = `'a\nb'` }), "status: {phase: Else}", Verdict{Progressing, "a b"}},
		{"the word of the column stands in no message", with(func(r *v1alpha1.HealthRule) { r.Message = "'not Healthy'" }), "status: {phase: Else}", Verdict{Progressing, "not healthy"}},
		{"what a Secret holds stands in no message", v1alpha1.HealthRule{Kind: "Secret", Healthy: "false", Message: "self.data.a"}, "data: {a: c2VjcmV0}", Verdict{Progressing, "is not healthy yet"}},
	} {
		t.Run(row.rule, func(t *testing.T) {
			u := object(t, row.object)
			u.SetKind(row.by.Kind)
			u.SetAPIVersion(strings.TrimPrefix(row.by.Group+"/v1", "/"))
			rules := New(v1alpha1.BundleDeploymentOptions{Health: &v1alpha1.HealthOptions{Rules: []v1alpha1.HealthRule{row.by}}})
			if got := rules.Assess(t.Context(), u); got != row.want {
				t.Errorf("%+v", got)
			}
		})
	}
}
