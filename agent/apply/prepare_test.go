package apply

import (
	"maps"
	"testing"

	"flotilla.io/flotilla/agent/plan"
	"flotilla.io/flotilla/api/v1alpha1"
	"flotilla.io/flotilla/bundle/layer"
)

func TestPlacement(t *testing.T) {
	type options = v1alpha1.BundleDeploymentOptions
	for _, c := range []struct {
		rule    string
		options options
		want    Placement
	}{
		{"without a word it is default", options{}, Placement{Default: "default"}},
		{"defaultNamespace takes what names none", options{DefaultNamespace: "shop"}, Placement{Default: "shop"}},
		{"namespace takes all", options{TargetNamespace: "forced"}, Placement{Default: "forced", Forced: "forced"}},
		{"namespace goes before defaultNamespace", options{TargetNamespace: "forced", DefaultNamespace: "shop"}, Placement{Default: "forced", Forced: "forced"}},
	} {
		if got := PlacementOf(c.options); got != c.want {
			t.Errorf("%s: %+v", c.rule, got)
		}
	}
}

func TestAnObjectSaysWhoseItIsInFleetsForm(t *testing.T) {
	entry := layer.Entry{Object: []byte(`{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a","labels":{"own":"kept"}}}`)}
	for _, c := range []struct{ deployment, id, hash string }{ // the hash is hex(sha1(id))
		{"web", "default-web", "46cf28831c23769e4c77405ed05154c0de1e3877"},
		{"fleet-agent-edge", "fleet-agent-bootstrap", "f399d0b310fbfb28e9667312fdc7a33954e2b8c8"},
	} {
		u, err := Prepare(entry, plan.Wanted{}, Owner{"cluster-ns", c.deployment})
		if err != nil {
			t.Fatal(err)
		}
		labels := map[string]string{"own": "kept", "flotilla.io/managed": "true", "objectset.rio.cattle.io/hash": c.hash}
		if !maps.Equal(u.GetLabels(), labels) {
			t.Errorf("%s: the labels are %v, want %v", c.deployment, u.GetLabels(), labels)
		}
		annotations := map[string]string{"objectset.rio.cattle.io/id": c.id, "flotilla.io/owner": "cluster-ns/" + c.deployment}
		if !maps.Equal(u.GetAnnotations(), annotations) {
			t.Errorf("%s: the annotations are %v, want %v", c.deployment, u.GetAnnotations(), annotations)
		}
	}
}
