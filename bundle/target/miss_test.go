package target

import (
	"testing"

	"flotilla.io/flotilla/api/v1alpha1"
)

func TestNearestMiss(t *testing.T) {
	clusters := []v1alpha1.Cluster{
		cluster("edge-1", "env=production", "region=eu"), cluster("edge-2", "env=production", "region=us"), cluster("hub-a", "env=staging", "region=asia"),
	}
	groups := []v1alpha1.ClusterGroup{clusterGroup("production", "env=production", "ring=1"), clusterGroup("void", "env=none", "ring=2")}
	for _, c := range []struct {
		rule     string
		targets  []entry
		clusters []v1alpha1.Cluster
		want     string
	}{
		{"a mistyped value shows the likely one and how many have it", []entry{{clusters: "env=prodution"}}, clusters, "no cluster has env=prodution; 2 have env=production"},
		{"a value like none shows the most frequent one", []entry{{clusters: "env=qa"}}, clusters, "no cluster has env=qa; 2 have env=production"},
		{"one that has it is 1 has", []entry{{clusters: "env=stagin"}}, clusters, "no cluster has env=stagin; 1 has env=staging"},
		{"a mistyped key shows the likely one", []entry{{clusters: "regoin=eu"}}, clusters, "no cluster has regoin=eu; 3 have a label region"},
		{"a key like none shows none", []entry{{clusters: "department=sales"}}, clusters, "no cluster has department=sales"},
		{"labels that never meet are named", []entry{{clusters: "env=staging,region=eu"}}, clusters, "no cluster has all of env=staging, region=eu"},
		{"the label that fails is the one that is named", []entry{{clusters: "env=production,region=eux"}}, clusters, "no cluster has region=eux; 1 has region=eu"},
		{"a mistyped name shows the likely one", []entry{{clusterName: "edge1"}}, clusters, `no cluster is named "edge1"; did you mean "edge-1"?`},
		{"a mistyped group shows the likely one", []entry{{clusterGroup: "prod-uction"}}, clusters, `there is no ClusterGroup "prod-uction"; did you mean "production"?`},
		{"an empty group is named", []entry{{clusterGroup: "void"}}, clusters, `no cluster is in ClusterGroup "void"`},
		{"the default group says whose default it is", []entry{{name: "default", clusterGroup: "default"}}, clusters,
			`there is no ClusterGroup "default", where a GitRepo without targets deploys to; make it, or set spec.targets`},
		{"labels of groups are shown, too", []entry{{groups: "ring=3"}}, clusters, "no ClusterGroup has ring=3; 1 has ring=1"},
		{"criteria that never meet are told", []entry{{clusterName: "edge-1", clusters: "env=staging"}}, clusters, "no cluster meets all of its criteria at once"},
		{"no criteria", []entry{{name: "x"}}, clusters, "it names no clusters; an empty clusterSelector would pick all"},
		{"doNotDeploy", []entry{{clusters: "env=production", skip: true}}, clusters, "it picks 2 clusters, and it has doNotDeploy"},
		{"each of several targets is told", []entry{{name: "a", clusters: "env=prodution"}, {name: "b", clusterName: "hub-b"}}, clusters,
			`target a: no cluster has env=prodution; 2 have env=production. target b: no cluster is named "hub-b"; did you mean "hub-a"?`},
		{"many targets are cut", []entry{{name: "a", clusterName: "zzzzz"}, {name: "b"}, {name: "c"}, {name: "d"}, {name: "e"}}, clusters,
			`target a: no cluster is named "zzzzz". target b: it names no clusters; an empty clusterSelector would pick all. ` +
				`target c: it names no clusters; an empty clusterSelector would pick all. and 2 more targets`},
		{"no clusters at all", []entry{{clusters: "*"}}, nil, "there is no cluster in this workspace"},
		{"a match is no miss", []entry{{clusters: "env=prodution"}, {clusters: "env=production"}}, clusters, ""},
	} {
		t.Run(c.rule, func(t *testing.T) {
			m, err := New(bundle("", nil, c.targets, c.targets), groups)
			if err != nil {
				t.Fatal(err)
			}
			if got := m.NearestMiss(c.clusters); got != c.want {
				t.Errorf("\ngot  %s\nwant %s", got, c.want)
			}
		})
	}
}

func TestNearestMissOfRestrictions(t *testing.T) {
	m, err := New(bundle("", nil, []entry{{clusters: "*"}}, []entry{{clusterName: "elsewhere"}}), nil)
	if err != nil {
		t.Fatal(err)
	}
	want := "it picks 1 cluster, but an earlier target, targetRestrictions or a doNotDeploy keeps the bundle off"
	if got := m.NearestMiss([]v1alpha1.Cluster{cluster("a")}); got != want {
		t.Errorf("got %s", got)
	}
}
