package cluster_test

import (
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	fleet "flotilla.io/flotilla/api/v1alpha1"
)

// versionsOf lists the resourceVersions of a list, by name.
func versionsOf(t *testing.T, list client.ObjectList) map[string]string {
	t.Helper()
	out := map[string]string{}
	must(t, meta.EachListItem(list, func(obj runtime.Object) error {
		o := obj.(client.Object)
		out[o.GetName()] = o.GetResourceVersion()
		return nil
	}))
	return out
}

func TestGroupsFollowTheirClusters(t *testing.T) {
	ws := workspace(t)
	group := func(name string, selector *metav1.LabelSelector) {
		must(t, theHub.client.Create(t.Context(), &fleet.ClusterGroup{ObjectMeta: metav1.ObjectMeta{Namespace: ws, Name: name}, Spec: fleet.ClusterGroupSpec{Selector: selector}}))
	}
	shows := func(name, clusters, message string) {
		t.Helper()
		eventually(t, func() error {
			st := get(t, ws, name, &fleet.ClusterGroup{}).Status
			ready := fleet.Condition(st.Conditions, fleet.ConditionReady)
			if st.Display.ReadyClusters != clusters || ready == nil || !strings.HasPrefix(ready.Message, message) {
				return fmt.Errorf("group %s shows %q, Ready %+v; want %q, %q", name, st.Display.ReadyClusters, ready, clusters, message)
			}
			return nil
		})
	}
	group("all", &metav1.LabelSelector{})
	group("none", nil)
	group("production", &metav1.LabelSelector{MatchLabels: map[string]string{"env": "production"}})
	group("broken", &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "env", Operator: "Near"}}})
	shows("all", "0/0", "")
	shows("none", "0/0", "")
	eventually(t, func() error {
		c := fleet.Condition(get(t, ws, "broken", &fleet.ClusterGroup{}).Status.Conditions, fleet.ConditionProcessed)
		if c == nil || c.Status != corev1.ConditionFalse || !strings.Contains(c.Message, "Near") {
			return fmt.Errorf("Processed = %+v", c)
		}
		return nil
	})

	v := newToken(t, ws, "join", fleet.ClusterRegistrationTokenSpec{})
	a := newJoiner(t, v, "a").named("a").labelled(map[string]string{"env": "production"}).join()
	newJoiner(t, v, "b").named("b").join()
	end := alive(t, as(t, a.Token), a.ClusterNamespace)
	shows("production", "1/1", "")
	shows("all", "1/2 (b)", "WaitCheckIn(1) [Cluster "+ws+"/b: ")
	end()

	b := get(t, ws, "b", &fleet.Cluster{})
	before := b.DeepCopy()
	b.Labels["env"] = "production"
	must(t, theHub.client.Patch(t.Context(), b, client.MergeFrom(before)))
	eventually(t, func() error { // a renews no more: by now it may be lost
		if got := get(t, ws, "production", &fleet.ClusterGroup{}).Status; got.ClusterCount != 2 {
			return fmt.Errorf("a cluster that was relabelled is not counted: %+v", got)
		}
		return nil
	})
	before = b.DeepCopy()
	delete(b.Labels, "env")
	must(t, theHub.client.Patch(t.Context(), b, client.MergeFrom(before)))
	eventually(t, func() error {
		if got := get(t, ws, "production", &fleet.ClusterGroup{}).Status; got.ClusterCount != 1 {
			return fmt.Errorf("a cluster that left is still counted: %+v", got)
		}
		return nil
	})
	must(t, theHub.client.Delete(t.Context(), b))
	shows("none", "0/0", "")
	eventually(t, func() error {
		if got := get(t, ws, "all", &fleet.ClusterGroup{}).Status; got.ClusterCount != 1 {
			return fmt.Errorf("a deleted cluster is still counted: %+v", got)
		}
		return nil
	})
}
