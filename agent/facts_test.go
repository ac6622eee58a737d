package agent_test

import (
	"fmt"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// What Pods on nodes ask for is among the facts; what waits for a node is not.
func TestTheHubIsToldWhatPodsRequest(t *testing.T) {
	w := newWorld(t)
	nodes := &corev1.NodeList{}
	w.must(w.edge.List(w.ctx, nodes))
	for name, node := range map[string]string{"placed": nodes.Items[0].Name, "waits": ""} {
		w.must(w.edge.Create(w.ctx, &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Namespace: w.own, Name: name},
			Spec: corev1.PodSpec{NodeName: node, SchedulerName: "nobody", Containers: []corev1.Container{{
				Name: "a", Image: "a", Resources: corev1.ResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("1Mi")}},
			}}},
		}))
	}
	w.startAgent()
	w.eventually("what Pods request", func() string {
		f := w.agent().Status.Facts
		if f == nil || f.Requested.Pods == 0 || f.Requested.Pods > f.Allocatable.Pods || f.Requested.Memory == "0" {
			return fmt.Sprintf("facts are %+v", f)
		}
		return ""
	})
}
