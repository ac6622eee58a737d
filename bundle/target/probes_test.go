package target

import (
	"testing"

	"flotilla.io/flotilla/api/v1alpha1"
)

func TestProbesAreTemplated(t *testing.T) {
	const name = "${ .ClusterName }"
	b := bundle("", nil, []entry{{name: "all", clusters: "*"}}, nil)
	b.Spec.Targets[0].YAML = nil
	b.Spec.Health = &v1alpha1.HealthOptions{Probes: []v1alpha1.HealthProbe{
		{Name: "http", HTTP: &v1alpha1.HTTPProbe{URL: "http://" + name + "/health"}},
		{Name: "tcp", TCP: &v1alpha1.TCPProbe{Address: name + ":1"}},
		{Name: "job", Job: &v1alpha1.JobProbe{Namespace: name, Name: name}},
		{Name: "object", Object: &v1alpha1.ProbeObject{Kind: "Pod", Namespace: name, Name: name}, Value: "self.x == '" + name + "'"},
	}}
	m, err := New(b, nil)
	if err != nil {
		t.Fatal(err)
	}
	match, err := m.Match(edge())
	if err != nil {
		t.Fatal(err)
	}
	p := match.Options.Health.Probes
	for got, want := range map[string]string{
		p[0].HTTP.URL: "http://edge-1/health", p[1].TCP.Address: "edge-1:1", p[2].Job.Namespace + "/" + p[2].Job.Name: "edge-1/edge-1",
		p[3].Object.Namespace + "/" + p[3].Object.Name + " " + p[3].Value: "edge-1/edge-1 self.x == 'edge-1'",
	} {
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	if b.Spec.Health.Probes[0].HTTP.URL != "http://"+name+"/health" {
		t.Error("the bundle itself was written")
	}
	b.Spec.Health.Probes[0].HTTP.URL = "${ .ClusterLabels.zone }"
	if m, err = New(b, nil); err == nil {
		_, err = m.Match(edge())
	}
	if want := `cluster fleet-default/edge-1: health.probes[0].http.url: the cluster has no label "zone"`; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}
