package facts

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	flotilla "flotilla.io/flotilla/api/flotilla/v1alpha1"
)

func pod(cpu, memory string) *corev1.Pod {
	asks := corev1.ResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse(cpu), corev1.ResourceMemory: resource.MustParse(memory)}}
	return &corev1.Pod{Spec: corev1.PodSpec{
		Containers:     []corev1.Container{{Name: "a", Resources: asks}},
		InitContainers: []corev1.Container{{Name: "first", Resources: asks}}, // it is over before the other one begins
	}}
}

func TestRequestsAreSummedUpAndRoundedUp(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name       string
		pods       []*corev1.Pod
		on, wanted flotilla.Resources
	}{
		{"none", nil, flotilla.Resources{CPU: "10", Memory: "20Gi", Pods: 110}, flotilla.Resources{CPU: "0", Memory: "0"}},
		{"a little is a twentieth", []*corev1.Pod{pod("10m", "1Mi")}, flotilla.Resources{CPU: "10", Memory: "20Gi", Pods: 100}, flotilla.Resources{CPU: "500m", Memory: "1Gi", Pods: 5}},
		{"more is the next one", []*corev1.Pod{pod("501m", "1Gi"), pod("0", "1")}, flotilla.Resources{CPU: "10", Memory: "20Gi", Pods: 100}, flotilla.Resources{CPU: "1", Memory: "2Gi", Pods: 5}},
		{"nodes that are not known", []*corev1.Pod{pod("250m", "64Mi")}, flotilla.Resources{}, flotilla.Resources{CPU: "250m", Memory: "64Mi", Pods: 1}},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			var sum Load
			for _, p := range row.pods {
				sum.Add(p)
			}
			f := flotilla.Facts{Allocatable: row.on}
			if sum.tell(&f); f.Requested != row.wanted {
				t.Errorf("it tells %+v, want %+v", f.Requested, row.wanted)
			}
		})
	}
}
