package status

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	fleet "flotilla.io/flotilla/api/v1alpha1"
)

// on is a deployment of bundle web on a cluster, with a ConfigMap and a Deployment.
func on(cluster string, change func(*fleet.BundleDeployment)) *fleet.BundleDeployment {
	bd := deployment(func(bd *fleet.BundleDeployment) {
		bd.Name = "web"
		bd.Labels = map[string]string{fleet.ClusterNamespaceLabel: "ws", fleet.ClusterLabel: cluster}
		bd.Status.Resources = []fleet.BundleDeploymentResource{
			{APIVersion: "v1", Kind: "ConfigMap", Namespace: "web", Name: "a"}, {APIVersion: "apps/v1", Kind: "Deployment", Namespace: "web", Name: "web"},
		}
		bd.Status.ResourceCounts = fleet.ResourceCounts{DesiredReady: 2, Ready: 2}
	})
	if change != nil {
		change(bd)
	}
	return bd
}

func deploymentNotReady(bd *fleet.BundleDeployment) {
	bd.Status.Ready = false
	bd.Status.NonReadyStatus = []fleet.NonReadyStatus{{APIVersion: "apps/v1", Kind: "Deployment", Namespace: "web", Name: "web",
		Summary: fleet.Summary{State: "progressing", Transitioning: true, Message: []string{"1 of 3"}}}}
	bd.Status.ResourceCounts = fleet.ResourceCounts{DesiredReady: 2, Ready: 1, NotReady: 1}
}

func configMap(missing, orphaned bool) func(*fleet.BundleDeployment) {
	return func(bd *fleet.BundleDeployment) {
		bd.Status.NonModified = false
		bd.Status.ModifiedStatus = []fleet.ModifiedStatus{{APIVersion: "v1", Kind: "ConfigMap", Namespace: "web", Name: "a", Create: missing, Delete: orphaned}}
	}
}

func of(list ...*fleet.BundleDeployment) *deployed {
	all := &deployed{ready: map[string]bool{}, counts: map[string]*fleet.ResourceCounts{}, objects: objects{}}
	for _, bd := range list {
		all.add(bd, entryOf(bd.Name, bd))
	}
	return all
}

func TestResourcesSayOnWhichClustersAnObjectIsHow(t *testing.T) {
	for _, row := range []struct {
		rule   string
		list   []*fleet.BundleDeployment
		object string // its ID
		state  string
		want   fleet.PerClusterState
	}{
		{"an object is ready where its deployment is", []*fleet.BundleDeployment{on("b", nil), on("a", nil)}, "a", "Ready", fleet.PerClusterState{Ready: []string{"ws/a", "ws/b"}}},
		{"of a deployment that is not ready only what it names is not", []*fleet.BundleDeployment{on("a", deploymentNotReady)}, "a", "Ready", fleet.PerClusterState{Ready: []string{"ws/a"}}},
		{"an object that is not ready is, and its state is the worst of any cluster", []*fleet.BundleDeployment{on("a", nil), on("b", deploymentNotReady)}, "web", "NotReady", fleet.PerClusterState{Ready: []string{"ws/a"}, NotReady: []string{"ws/b"}}},
		{"drift is Modified", []*fleet.BundleDeployment{on("a", configMap(false, false))}, "a", "Modified", fleet.PerClusterState{Modified: []string{"ws/a"}}},
		{"a missing object is Missing", []*fleet.BundleDeployment{on("a", configMap(true, false))}, "a", "Missing", fleet.PerClusterState{Missing: []string{"ws/a"}}},
		{"one that should not be there is Orphaned", []*fleet.BundleDeployment{on("a", configMap(false, true))}, "a", "Orphaned", fleet.PerClusterState{Orphaned: []string{"ws/a"}}},
		{"before a revision is applied all wait", []*fleet.BundleDeployment{on("a", func(bd *fleet.BundleDeployment) { bd.Status.AppliedDeploymentID = "old" })}, "a", "WaitApplied", fleet.PerClusterState{WaitApplied: []string{"ws/a"}}},
		{"what could not be applied waits too", []*fleet.BundleDeployment{on("a", func(bd *fleet.BundleDeployment) {
			bd.Status.AppliedDeploymentID = "old"
			fleet.SetCondition(&bd.Status.Conditions, fleet.ConditionDeployed, "False", "Error", "no")
		})}, "a", "ErrApplied", fleet.PerClusterState{WaitApplied: []string{"ws/a"}}},
		{"on a lost cluster all are Unknown, whatever it said", []*fleet.BundleDeployment{on("a", func(bd *fleet.BundleDeployment) {
			deploymentNotReady(bd)
			bd.Status.Health = fleet.HealthUnknown
		})}, "web", "Unknown", fleet.PerClusterState{Unknown: []string{"ws/a"}}},
		{"what a report that was cut does not name is Unknown", []*fleet.BundleDeployment{on("a", func(bd *fleet.BundleDeployment) {
			bd.Status.Ready, bd.Status.IncompleteState = false, true
			for i := range 10 {
				bd.Status.NonReadyStatus = append(bd.Status.NonReadyStatus, fleet.NonReadyStatus{Kind: "Boat", Name: fmt.Sprint(i)})
			}
		})}, "a", "Unknown", fleet.PerClusterState{Unknown: []string{"ws/a"}}},
		{"a cluster that has an object twice is named once", []*fleet.BundleDeployment{on("a", nil), on("a", nil)}, "a", "Ready", fleet.PerClusterState{Ready: []string{"ws/a"}}},
	} {
		t.Run(row.rule, func(t *testing.T) {
			for _, r := range of(row.list...).objects.list() {
				if r.Name != row.object {
					continue
				}
				if d := cmp.Diff(row.want, r.PerClusterState); r.State != row.state || d != "" {
					t.Errorf("state %s, clusters %s", r.State, d)
				}
				return
			}
			t.Fatal("the object is not listed")
		})
	}
}

func TestResourcesAreCalledAsRancherCallsThem(t *testing.T) {
	list := of(on("b", deploymentNotReady), on("a", nil)).objects.list()
	want := []fleet.Resource{
		{APIVersion: "apps/v1", Kind: "Deployment", Type: "apps.deployment", ID: "web/web", Namespace: "web", Name: "web", State: "NotReady",
			Transitioning: true, Message: "1 of 3", PerClusterState: fleet.PerClusterState{Ready: []string{"ws/a"}, NotReady: []string{"ws/b"}}},
		{APIVersion: "v1", Kind: "ConfigMap", Type: "configmap", ID: "web/a", Namespace: "web", Name: "a", State: "Ready",
			PerClusterState: fleet.PerClusterState{Ready: []string{"ws/a", "ws/b"}}},
	}
	if d := cmp.Diff(want, list); d != "" {
		t.Error(d)
	}
}

func TestCounts(t *testing.T) {
	old := func(bd *fleet.BundleDeployment) { bd.Status.AppliedDeploymentID = "old" }
	lost := func(bd *fleet.BundleDeployment) { bd.Status.Health = fleet.HealthUnknown }
	for _, row := range []struct {
		rule  string
		list  []*fleet.BundleDeployment
		want  fleet.ResourceCounts
		ready int // clusters
	}{
		{"counts are summed over clusters", []*fleet.BundleDeployment{on("a", nil), on("b", deploymentNotReady)}, fleet.ResourceCounts{DesiredReady: 4, Ready: 3, NotReady: 1}, 1},
		{"a cluster is ready when all that it has is", []*fleet.BundleDeployment{on("a", nil), on("a", deploymentNotReady)}, fleet.ResourceCounts{DesiredReady: 4, Ready: 3, NotReady: 1}, 0},
		{"what is ready of an earlier revision waits", []*fleet.BundleDeployment{on("a", old)}, fleet.ResourceCounts{DesiredReady: 2, WaitApplied: 2}, 0},
		{"of a lost cluster nothing is known", []*fleet.BundleDeployment{on("a", lost)}, fleet.ResourceCounts{DesiredReady: 2, Unknown: 2}, 0},
	} {
		t.Run(row.rule, func(t *testing.T) {
			st := fleet.StatusBase{}
			of(row.list...).write(&st, nil)
			if d := cmp.Diff(row.want, st.ResourceCounts); d != "" || st.ReadyClusters != row.ready {
				t.Errorf("%d clusters ready, want %d; %s", st.ReadyClusters, row.ready, d)
			}
		})
	}
}

func TestDisplay(t *testing.T) {
	failed := func(bd *fleet.BundleDeployment) {
		bd.Status.AppliedDeploymentID = "old"
		fleet.SetCondition(&bd.Status.Conditions, fleet.ConditionDeployed, "False", "Error", "denied")
	}
	for _, row := range []struct {
		rule  string
		list  []*fleet.BundleDeployment
		wrong []string
		want  fleet.StatusDisplay
	}{
		{"all ready shows the count alone", []*fleet.BundleDeployment{on("a", nil)}, nil, fleet.StatusDisplay{ReadyBundleDeployments: "1/1"}},
		{"the count is of deployments, the state the worst", []*fleet.BundleDeployment{on("a", nil), on("a", deploymentNotReady), on("b", configMap(true, false))}, nil,
			fleet.StatusDisplay{ReadyBundleDeployments: "1/3", State: "Modified"}},
		{"what the worst says is an error", []*fleet.BundleDeployment{on("a", deploymentNotReady), on("b", failed)}, nil,
			fleet.StatusDisplay{ReadyBundleDeployments: "0/2", State: "ErrApplied", Message: "denied", Error: true}},
		{"what is wrong with the source stands before it", []*fleet.BundleDeployment{on("b", failed)}, []string{"AuthFailed: give a Secret"},
			fleet.StatusDisplay{ReadyBundleDeployments: "0/1", State: "ErrApplied", Message: "AuthFailed: give a Secret; denied", Error: true}},
	} {
		t.Run(row.rule, func(t *testing.T) {
			st := fleet.StatusBase{}
			of(row.list...).write(&st, row.wrong)
			if d := cmp.Diff(row.want, st.Display); d != "" {
				t.Error(d)
			}
		})
	}
}

// grumbling is a fleet in which everything is wrong, at length, as no fleet should be.
func grumbling(clusters, bundles int) (list []*fleet.BundleDeployment) {
	long := strings.Repeat("all of it is wrong – ", 500)
	for c := range clusters {
		for b := range bundles {
			bd := on(fmt.Sprintf("production-eu-central-%04d", c), func(bd *fleet.BundleDeployment) {
				bd.Name = fmt.Sprintf("company-apps-%03d", b)
				bd.Status.AppliedDeploymentID, bd.Status.Ready, bd.Status.NonModified, bd.Status.IncompleteState = []string{"s-1:a", "old"}[c%2], false, false, true
				fleet.SetCondition(&bd.Status.Conditions, fleet.ConditionDeployed, "False", "Error", fmt.Sprint(c, b, long))
				bd.Status.Resources = nil
				for i := range 25 {
					bd.Status.Resources = append(bd.Status.Resources, fleet.BundleDeploymentResource{APIVersion: "apps/v1", Kind: "Deployment", Namespace: fmt.Sprintf("ns-%d", b), Name: fmt.Sprintf("web-%02d", i)})
				}
				for i := range 10 {
					bd.Status.ModifiedStatus = append(bd.Status.ModifiedStatus, fleet.ModifiedStatus{APIVersion: "v1", Kind: "ConfigMap", Namespace: fmt.Sprintf("ns-%d", b), Name: fmt.Sprint("cm-", i), Patch: long})
					bd.Status.NonReadyStatus = append(bd.Status.NonReadyStatus, fleet.NonReadyStatus{APIVersion: "apps/v1", Kind: "Deployment", Namespace: fmt.Sprintf("ns-%d", b), Name: fmt.Sprint("web-", i),
						Summary: fleet.Summary{Error: true, Message: []string{long, long}}})
				}
				bd.Status.ResourceCounts = fleet.ResourceCounts{DesiredReady: 50, Missing: 12, Ready: 38}
			})
			list = append(list, bd)
		}
	}
	return list
}

// most is what a status may take: an API server takes 1.5 MB, a watch of thousands of objects wants far less.
const most = 100 << 10

func TestAStatusStaysSmallAndTheSame(t *testing.T) {
	list := grumbling(5000, 2)
	writeRepo := func() fleet.GitRepoStatus {
		all, st := of(list...), fleet.GitRepoStatus{}
		wrong := []string{strings.Repeat("the source is wrong too. ", 1000)}
		all.write(&st.StatusBase, wrong)
		setRepoReady(&st.Conditions, all.message(wrong), "")
		return st
	}
	writeBundleOf := func() fleet.BundleStatus {
		b, all := &fleet.Bundle{}, &bundled{}
		for _, bd := range list {
			if bd.Name == "company-apps-000" {
				all.add(bd, entryOf(clusterOf(bd), bd), Plan{})
			}
		}
		all.write(b)
		return b.Status
	}
	for _, row := range []struct {
		rule  string
		write func() any
	}{
		{"a GitRepo's", func() any { return writeRepo() }},
		{"a Bundle's", func() any { return writeBundleOf() }},
	} {
		t.Run(row.rule, func(t *testing.T) {
			first := row.write()
			size := encodedSize(first)
			t.Logf("%d bytes", size)
			if size > most {
				t.Errorf("the status takes %d bytes, want at most %d", size, most)
			}
			rand.New(rand.NewPCG(1, 2)).Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
			second := row.write()
			if d := cmp.Diff(withoutTimes(first), withoutTimes(second)); d != "" {
				t.Errorf("another order of reports gives another status: %s", d)
			}
		})
	}
	st := writeRepo()
	if st.ResourceCounts.Missing != 5000*2*12 || st.DesiredReadyClusters != 5000 || st.Summary.DesiredReady != 10000 {
		t.Errorf("counts are not exact: %+v", st.ResourceCounts)
	}
	for _, r := range st.Resources {
		if !r.IncompleteState {
			t.Errorf("%s does not say that clusters are left out", r.ID)
		}
	}
}

func withoutTimes(status any) any {
	switch s := status.(type) {
	case fleet.GitRepoStatus:
		s.Conditions = nil
		return s
	case fleet.BundleStatus:
		s.Conditions = nil
		return s
	}
	return status
}

func TestAFleetOfUsualSizeIsShownInWhole(t *testing.T) {
	var list []*fleet.BundleDeployment
	for c := range 72 {
		for b := range 6 {
			list = append(list, on(fmt.Sprintf("edge-%02d", c), func(bd *fleet.BundleDeployment) {
				bd.Status.Resources[0].Name = fmt.Sprint("a", b)
				bd.Status.Resources = bd.Status.Resources[:1]
			}))
		}
	}
	st := fleet.StatusBase{}
	of(list...).write(&st, nil)
	if len(st.Resources) != 6 || len(st.PerClusterResourceCounts) != 72 {
		t.Fatalf("%d objects and %d clusters are shown", len(st.Resources), len(st.PerClusterResourceCounts))
	}
	for _, r := range st.Resources {
		if len(r.PerClusterState.Ready) != 72 || r.IncompleteState {
			t.Errorf("%s: %d clusters, incomplete %v", r.ID, len(r.PerClusterState.Ready), r.IncompleteState)
		}
	}
}
