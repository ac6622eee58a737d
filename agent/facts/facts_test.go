package facts

import (
	"reflect"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	flotilla "flotilla.io/flotilla/api/flotilla/v1alpha1"
)

func node(name, zone, arch string, ready corev1.ConditionStatus, cidrs ...string) corev1.Node {
	return corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{corev1.LabelTopologyRegion: "eu-west-1", corev1.LabelTopologyZone: zone}},
		Spec:       corev1.NodeSpec{ProviderID: "aws:///" + zone + "/i-" + name, PodCIDRs: cidrs},
		Status: corev1.NodeStatus{
			Conditions: []corev1.NodeCondition{{Type: corev1.NodeReady, Status: ready}},
			NodeInfo:   corev1.NodeSystemInfo{Architecture: arch},
			Allocatable: corev1.ResourceList{
				corev1.ResourceCPU: resource.MustParse("3500m"), corev1.ResourceMemory: resource.MustParse("8Gi"), corev1.ResourcePods: resource.MustParse("110"),
			},
		},
	}
}

func TestNodesAreSummedUp(t *testing.T) {
	t.Parallel()
	nodes := []corev1.Node{
		node("b", "eu-west-1b", "arm64", corev1.ConditionTrue, "10.1.0.0/24"), node("a", "eu-west-1a", "amd64", corev1.ConditionTrue, "10.0.0.0/24"),
		node("c", "eu-west-1a", "amd64", corev1.ConditionUnknown, "10.2.0.0/24"),
	}
	want := flotilla.Facts{
		Nodes: 3, ReadyNodes: 2, Allocatable: flotilla.Resources{CPU: "10500m", Memory: "24Gi", Pods: 330},
		Architectures: []string{"amd64", "arm64"}, Providers: []string{"aws"}, Regions: []string{"eu-west-1"},
		Zones: []string{"eu-west-1a", "eu-west-1b"}, PodCIDRs: []string{"10.0.0.0/24", "10.1.0.0/24", "10.2.0.0/24"},
	}
	var got, turned flotilla.Facts
	Sum(&got, nodes)
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	Sum(&turned, []corev1.Node{nodes[2], nodes[0], nodes[1]})
	if !reflect.DeepEqual(turned, got) {
		t.Error("the order of the nodes shows")
	}
	many := make([]corev1.Node, 100)
	for i := range many {
		many[i] = node("n", "z", "amd64", corev1.ConditionTrue, "10."+string(rune('0'+i%10))+string(rune('0'+i/10))+".0.0/24")
	}
	var large flotilla.Facts
	if Sum(&large, many); len(large.PodCIDRs) != most {
		t.Errorf("%d pod CIDRs of a hundred nodes are told, want %d", len(large.PodCIDRs), most)
	}
}
