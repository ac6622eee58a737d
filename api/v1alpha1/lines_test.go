package v1alpha1

import "testing"

// Dashboards and scripts search for these lines in the Ready conditions of every kind.
func TestLinesAreFleets(t *testing.T) {
	nonReady := func(s Summary) string {
		return NonReadyStatus{APIVersion: "apps/v1", Kind: "Deployment", Namespace: "ns", Name: "web", Summary: s}.String()
	}
	modified := func(change func(*ModifiedStatus)) string {
		m := ModifiedStatus{APIVersion: "v1", Kind: "ConfigMap", Namespace: "ns", Name: "a"}
		change(&m)
		return m.String()
	}
	for _, row := range []struct{ rule, got, want string }{
		{"what is on its way is in brackets", nonReady(Summary{Transitioning: true, Message: []string{"a", "b"}}), "deployment.apps ns/web [progressing] a, b"},
		{"what failed has no opening bracket", nonReady(Summary{Error: true, Message: []string{"a"}}), "deployment.apps ns/web error] a"},
		{"both stand in one bracket", nonReady(Summary{Transitioning: true, Error: true}), "deployment.apps ns/web [progressing,error]"},
		{"neither is the state", nonReady(Summary{State: "odd", Message: []string{"a"}}), "deployment.apps ns/web odd"},
		{"a core object is called by its version", modified(func(m *ModifiedStatus) { m.Patch = "{}" }), "configmap.v1 ns/a modified {}"},
		{"an object without namespace has none", modified(func(m *ModifiedStatus) { m.Kind, m.Namespace, m.Create = "Namespace", "", true }), "namespace.v1 a missing"},
		{"an object without version is its kind", modified(func(m *ModifiedStatus) { m.APIVersion, m.Create = "", true }), "configmap ns/a missing"},
		{"a missing object is missing", modified(func(m *ModifiedStatus) { m.Create = true }), "configmap.v1 ns/a missing"},
		{"a missing object says why it is not put back", modified(func(m *ModifiedStatus) { m.Create, m.Patch = true, "cannot be put back" }), "configmap.v1 ns/a missing; cannot be put back"},
		{"one that another owns is not ours", modified(func(m *ModifiedStatus) { m.Create, m.Exist = true, true }), "configmap.v1 ns/a is not owned by us"},
		{"one that should not be there is extra", modified(func(m *ModifiedStatus) { m.Delete = true }), "configmap.v1 ns/a extra"},
	} {
		t.Run(row.rule, func(t *testing.T) {
			if row.got != row.want {
				t.Errorf("got %q, want %q", row.got, row.want)
			}
		})
	}
}
