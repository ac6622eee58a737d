package facts

import (
	"cmp"
	"context"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	podresources "k8s.io/component-helpers/resource"

	"flotilla.io/flotilla/agent/tenant"
	flotilla "flotilla.io/flotilla/api/flotilla/v1alpha1"
)

const pageOfPods = 100 // they are larger than nodes

// pods sums up what Pods ask for.
func pods(ctx context.Context, t *tenant.Tenant, f *flotilla.Facts) error {
	client, err := objects(t, "v1", "Pod", "")
	if err != nil {
		return err
	}
	const there = "spec.nodeName!=,status.phase!=Succeeded,status.phase!=Failed"
	var sum Load
	for next := ""; ; {
		list, err := client.List(ctx, metav1.ListOptions{Limit: pageOfPods, Continue: next, FieldSelector: there})
		if err != nil {
			return err
		}
		for i := range list.Items {
			var p corev1.Pod
			if err := runtime.DefaultUnstructuredConverter.FromUnstructured(list.Items[i].Object, &p); err == nil {
				sum.Add(&p)
			}
		}
		if next = list.GetContinue(); next == "" {
			sum.tell(f)
			return nil
		}
	}
}

// Load is what Pods ask for.
type Load struct{ milliCPU, memory, pods int64 }

// Add adds a Pod, as the scheduler counts it.
func (l *Load) Add(p *corev1.Pod) {
	asks := podresources.PodRequests(p, podresources.PodResourcesOptions{})
	l.milliCPU += asks.Cpu().MilliValue()
	l.memory += asks.Memory().Value()
	l.pods++
}

// tell rounds, so that Pods that come and go are no news until they matter.
func (l *Load) tell(f *flotilla.Facts) {
	cpu, memory := resource.MustParse(cmp.Or(f.Allocatable.CPU, "0")), resource.MustParse(cmp.Or(f.Allocatable.Memory, "0"))
	f.Requested = flotilla.Resources{
		CPU:    resource.NewMilliQuantity(coarse(l.milliCPU, cpu.MilliValue(), 1), resource.DecimalSI).String(),
		Memory: resource.NewQuantity(coarse(l.memory, memory.Value(), 1<<20), resource.BinarySI).String(),
		Pods:   coarse(l.pods, f.Allocatable.Pods, 1),
	}
}

// coarse rounds up to twentieths of a whole, in units.
func coarse(n, whole, unit int64) int64 {
	step := max(whole/20/unit, 1) * unit
	return (n + step - 1) / step * step
}
