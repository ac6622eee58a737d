package agent_test

import (
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	fleet "flotilla.io/flotilla/api/v1alpha1"
)

// TestANodeIsNeverMadeNorDeleted: a bundle adds a label to a Node that is there, and takes nothing but that away again.
func TestANodeIsNeverMadeNorDeleted(t *testing.T) {
	w := newWorld(t)
	w.startAgent()
	name := w.app + "-gateway"
	label := func(value string) string {
		return "apiVersion: v1\nkind: Node\nmetadata: {name: " + name + ", annotations: {flotilla.io/delete: \"true\"}, labels: {gateway: \"" + value + "\"}}\n"
	}
	settings := "\n---\n" + configMap("settings", "a: b")
	w.deploy("labels", label("true")+settings, correctDrift)
	w.reads("labels", fleet.HealthWaiting, "Node "+name+" does not exist; a bundle adds fields to a Node and never makes one")
	if w.node(name) != nil {
		t.Fatal("a Node was made")
	}

	// No Pod of another test may come to it: it would go with it.
	made := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"theirs": "stays"}}, Spec: corev1.NodeSpec{Unschedulable: true}}
	w.must(w.edge.Create(w.ctx, made))
	t.Cleanup(func() { w.must(client.IgnoreNotFound(w.edge.Delete(w.ctx, made))) })
	w.healthy("labels")
	if got := w.node(name).Labels; got["gateway"] != "true" || got["theirs"] != "stays" {
		t.Errorf("labels %v", got)
	}
	w.kubectl("", "label", "node", name, "gateway-")
	w.eventually("the label that was taken off is put back", func() string { return want(w.node(name).Labels["gateway"] == "true") })

	// Of a changed bundle, and of one that goes, only what the bundle had goes.
	w.deploy("labels", label("no")+settings, correctDrift)
	w.eventually("the changed label", func() string { return want(w.node(name).Labels["gateway"] == "no") })
	w.deploy("labels", settings, correctDrift)
	w.given(name)
	w.healthy("labels")

	w.deploy("labels", label("true")+settings, correctDrift)
	w.eventually("the label again", func() string { return want(w.node(name).Labels["gateway"] == "true") })
	w.healthy("labels")
	w.write("labels", func(bd *fleet.BundleDeployment) {
		bd.Spec.Deletion = &fleet.Deletion{Reason: "test", Policy: fleet.DeletionPolicyDelete}
	})
	w.eventually("the bundle is taken away", func() string { return want(w.bd("labels").Status.Deletion == fleet.DeletionDone) })
	w.given(name)
	if kept := w.bd("labels").Status.Kept; len(kept) > 0 {
		t.Errorf("it kept %v", kept)
	}
	if deleted := slices.ContainsFunc(w.requests(theEdge, w.began), func(r request) bool {
		return r.Verb == "delete" && r.ObjectRef.Resource == "nodes"
	}); deleted {
		t.Error("the agent deleted a Node")
	}
}

func (w *world) node(name string) *corev1.Node {
	w.Helper()
	n := &corev1.Node{}
	err := w.edge.Get(w.ctx, client.ObjectKey{Name: name}, n)
	if client.IgnoreNotFound(err) == nil && err != nil {
		return nil
	}
	w.must(err)
	return n
}

// given waits until a Node has nothing of a bundle, and still has what is its own.
func (w *world) given(name string) {
	w.Helper()
	w.eventually("the Node has nothing of the bundle any more", func() string {
		n := w.node(name)
		if n == nil {
			w.Fatal("the Node is gone")
		}
		if _, has := n.Labels["gateway"]; has || n.Labels["theirs"] != "stays" {
			return "labels " + strings.Join(labelsOf(n), ", ")
		}
		return want(n.Annotations[fleet.OwnerAnnotation] == "" && n.Labels[fleet.OwnedLabel] == "")
	})
}

func labelsOf(n *corev1.Node) []string {
	var list []string
	for k, v := range n.Labels {
		list = append(list, k+"="+v)
	}
	slices.Sort(list)
	return list
}
