package agent_test

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"testing"

	"flotilla.io/flotilla/agent/record"
	fleet "flotilla.io/flotilla/api/v1alpha1"
)

// What the agent writes down is what the API server's audit log says that it did for bundles, no more and no less.
func TestEveryChangeIsWrittenDown(t *testing.T) {
	w := newWorld(t)
	w.startAgent()
	hook := "\n---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: first, annotations: {helm.sh/hook: pre-install}}\n"
	w.deploy("web", web+hook, func(bd *fleet.BundleDeployment) {
		bd.Labels = map[string]string{fleet.CommitLabel: "0123456789abcdef"}
		bd.Spec.CorrectDrift = &fleet.CorrectDrift{Enabled: true}
	})
	w.healthy("web")
	w.kubectl("", "patch", "configmap", "settings", "-p", `{"data":{"a":"edited"}}`)
	w.eventually("waiting for the object to be put back", func() string { return w.missing("drift apply configmaps settings 200") })
	w.healthy("web")
	before := len(w.changes())
	w.deploy("web", strings.Replace(web, "kind: ConfigMap\nmetadata: {name: settings}", "kind: ConfigMap\nmetadata: {name: others}", 1)+hook, func(bd *fleet.BundleDeployment) {
		bd.Labels = map[string]string{fleet.CommitLabel: "0123456789abcdef"}
		bd.Spec.CorrectDrift = &fleet.CorrectDrift{Enabled: true}
	})
	w.eventually("waiting for what left to be deleted", func() string { return w.missing("remove delete configmaps settings 200") })
	w.healthy("web")
	for _, want := range []string{"hook create configmaps first 201", "deploy apply secrets sealed 201", "deploy apply deployments web 201", "deploy apply configmaps others 201"} {
		if why := w.missing(want); why != "" {
			t.Error(why)
		}
	}
	if after := w.changes()[before:]; len(after) != 2 {
		t.Errorf("one object for another is %v", after)
	}
	if text := w.records.String(); strings.Contains(text, "canary") || strings.Contains(text, "Y2FuYXJ5") {
		t.Errorf("the records show values:\n%s", text)
	}
	w.stopAgent()
	var written, audited []string
	for _, c := range w.changes() {
		written = append(written, c.AuditID)
	}
	for _, r := range writes(w.requests(theEdge, w.began)) {
		if r.ObjectRef.Namespace != w.own { // where it keeps what it knows
			audited = append(audited, r.AuditID)
		}
	}
	slices.Sort(written)
	slices.Sort(audited)
	if len(audited) == 0 || !slices.Equal(written, audited) {
		t.Errorf("it wrote down %d changes, the API server %d:\n%s", len(written), len(audited), w.records.String())
	}
}

// changes are the records so far.
func (w *world) changes() (all []record.Change) {
	w.Helper()
	for line := range strings.Lines(w.records.String()) {
		var c record.Change
		w.must(json.Unmarshal([]byte(line), &c))
		all = append(all, c)
	}
	return all
}

// missing says that there is no such record: reason, verb, resource, name and code.
func (w *world) missing(want string) string {
	for _, c := range w.changes() {
		got := strings.Join([]string{c.Reason, c.Verb, c.Resource, c.Name, strconv.Itoa(c.Code)}, " ")
		if got == want && c.Bundle == "web" && c.Revision == "0123456789ab" && c.ClusterNamespace == w.ns && strings.HasPrefix(c.User, "system:serviceaccount:"+w.own+":") {
			return ""
		}
	}
	return "there is no " + want + " in:\n" + w.records.String()
}
