package group

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	fleet "flotilla.io/flotilla/api/v1alpha1"
)

// cluster is one in a state ("" is ready), with so many bundles.
func cluster(name string, state fleet.BundleState, ready, desired int) fleet.Cluster {
	c := fleet.Cluster{ObjectMeta: metav1.ObjectMeta{Namespace: "ws", Name: name}}
	c.Status.Display.State = string(state)
	c.Status.Summary = fleet.BundleSummary{Ready: ready, DesiredReady: desired}
	c.Status.ResourceCounts = fleet.ResourceCounts{Ready: 10 * ready, DesiredReady: 10 * desired}
	if state == "" {
		fleet.SetCondition(&c.Status.Conditions, fleet.ConditionReady, corev1.ConditionTrue, "", "")
		return c
	}
	c.Status.Summary.NonReadyResources = []fleet.NonReadyResource{{Name: "web", State: state}}
	fleet.SetCondition(&c.Status.Conditions, fleet.ConditionReady, corev1.ConditionFalse, "", "why "+name)
	return c
}

func TestCount(t *testing.T) {
	for _, row := range []struct {
		rule            string
		clusters        []fleet.Cluster
		display         fleet.ClusterGroupDisplay
		message         string
		nonReady, names int
	}{
		{"a group of no cluster is ready", nil, fleet.ClusterGroupDisplay{ReadyClusters: "0/0", ReadyBundles: "0/0"}, "", 0, 0},
		{"bundles are added up", []fleet.Cluster{cluster("a", "", 2, 2), cluster("b", "", 1, 1)},
			fleet.ClusterGroupDisplay{ReadyClusters: "2/2", ReadyBundles: "3/3"}, "", 0, 0},
		{"clusters that are not ready are named, the worst state is shown",
			[]fleet.Cluster{cluster("c", fleet.Modified, 0, 1), cluster("a", "", 1, 1), cluster("b", fleet.ErrApplied, 0, 1), cluster("d", fleet.Modified, 0, 1)},
			fleet.ClusterGroupDisplay{ReadyClusters: "1/4 (b,c,d)", ReadyBundles: "1/4", State: "ErrApplied"},
			"ErrApplied(1) [Cluster ws/b: why b]; Modified(2) [Cluster ws/c: why c]", 3, 3},
		{"a cluster that said nothing yet waits for its first report", []fleet.Cluster{{ObjectMeta: metav1.ObjectMeta{Namespace: "ws", Name: "new"}}},
			fleet.ClusterGroupDisplay{ReadyClusters: "0/1 (new)", ReadyBundles: "0/0", State: "WaitCheckIn"}, "WaitCheckIn(1) [Cluster ws/new]", 1, 1},
		{"ten names are enough, counts are exact", many(12),
			fleet.ClusterGroupDisplay{ReadyClusters: "0/12 (c00,c01,c02,c03,c04,c05,c06,c07,c08,c09)", ReadyBundles: "0/12", State: "NotReady"},
			"NotReady(12) [Cluster ws/c00: why c00]", 12, 10},
	} {
		t.Run(row.rule, func(t *testing.T) {
			g := &fleet.ClusterGroup{}
			count(g, row.clusters)
			if g.Status.Display != row.display {
				t.Errorf("display = %+v, want %+v", g.Status.Display, row.display)
			}
			ready := fleet.Condition(g.Status.Conditions, fleet.ConditionReady)
			if ready.Message != row.message || (ready.Status == corev1.ConditionTrue) != (row.message == "") {
				t.Errorf("Ready = %s %q, want %q", ready.Status, ready.Message, row.message)
			}
			if g.Status.ClusterCount != len(row.clusters) || g.Status.NonReadyClusterCount != row.nonReady || len(g.Status.NonReadyClusters) != row.names {
				t.Errorf("%d of %d not ready, %d named", g.Status.NonReadyClusterCount, g.Status.ClusterCount, len(g.Status.NonReadyClusters))
			}
			if len(g.Status.Summary.NonReadyResources) > sampleSize {
				t.Errorf("the summary lists %d", len(g.Status.Summary.NonReadyResources))
			}
			reversed := &fleet.ClusterGroup{}
			backwards := slices.Clone(row.clusters)
			slices.Reverse(backwards)
			count(reversed, backwards)
			reversed.Status.Conditions = g.Status.Conditions // times
			if !equality.Semantic.DeepEqual(g.Status, reversed.Status) {
				t.Errorf("in another order the status is another:\n%+v\n%+v", g.Status, reversed.Status)
			}
		})
	}
}

func TestAGroupTellsOfWhatIsNotVerified(t *testing.T) {
	waits := cluster("b", "", 1, 1)
	waits.Status.Summary.Unverified = 1
	fleet.SetCondition(&waits.Status.Conditions, fleet.ConditionReady, corev1.ConditionTrue, fleet.ReasonNotVerified, "NotVerified(1) [Bundle mesh: alone]")
	g := &fleet.ClusterGroup{}
	count(g, []fleet.Cluster{cluster("a", "", 1, 1), waits})
	ready := fleet.Condition(g.Status.Conditions, fleet.ConditionReady)
	if g.Status.NonReadyClusterCount != 0 || g.Status.Summary.Unverified != 1 || ready.Status != corev1.ConditionTrue ||
		ready.Reason != fleet.ReasonNotVerified || ready.Message != "NotVerified(1) [Cluster ws/b: NotVerified(1) [Bundle mesh: alone]]" {
		t.Errorf("%+v, Ready %s %q", g.Status, ready.Status, ready.Message)
	}
	count(g, []fleet.Cluster{waits, cluster("c", fleet.NotReady, 0, 1)})
	if ready := fleet.Condition(g.Status.Conditions, fleet.ConditionReady); ready.Message != "NotReady(1) [Cluster ws/c: why c]" || ready.Reason != "" {
		t.Errorf("with one that is not ready: %q", ready.Message)
	}
}

func many(n int) []fleet.Cluster {
	out := make([]fleet.Cluster, 0, n)
	for i := range n {
		out = append(out, cluster(fmt.Sprintf("c%02d", i), fleet.NotReady, 0, 1))
	}
	return out
}

func TestAGroupsStatusStaysSmall(t *testing.T) {
	g, clusters, long := &fleet.ClusterGroup{}, many(5000), strings.Repeat("all of it is wrong. ", 1000)
	states := []fleet.BundleState{fleet.ErrApplied, fleet.WaitApplied, fleet.Modified, fleet.OutOfSync, fleet.Pending, fleet.NotReady, fleet.Unknown}
	for i := range clusters {
		c := &clusters[i]
		c.Status.Display.State = string(states[i%len(states)])
		fleet.SetCondition(&c.Status.Conditions, fleet.ConditionReady, corev1.ConditionFalse, "", long)
		c.Status.Summary.NonReadyResources[0].Message = long
	}
	count(g, clusters)
	data, err := json.Marshal(g.Status)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d bytes", len(data))
	if len(data) > 100<<10 {
		t.Errorf("the status takes %d bytes", len(data))
	}
	if g.Status.NonReadyClusterCount != 5000 || g.Status.Summary.DesiredReady != 5000 {
		t.Errorf("counts are not exact: %+v", g.Status)
	}
}
