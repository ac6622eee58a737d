package agent

import (
	"context"
	"fmt"
	"sync"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"

	"flotilla.io/flotilla/api/v1alpha1"
)

// fleetAgent looks whether Rancher Fleet's agent runs on this cluster. It reads the same BundleDeployments and would put
// back what this one changes, so this one holds while that one runs.
type fleetAgent struct {
	namespace string
	workloads map[string]dynamic.ResourceInterface

	mu   sync.Mutex
	last map[string]bool // whether a workload ran when it was last read
}

func newFleetAgent(local *rest.Config, namespace string) (*fleetAgent, error) {
	objects, err := dynamic.NewForConfig(local)
	if err != nil {
		return nil, fmt.Errorf("preparing the connection to the cluster: %w", err)
	}
	f := &fleetAgent{namespace: namespace, workloads: map[string]dynamic.ResourceInterface{}, last: map[string]bool{}}
	for _, resource := range []string{"deployments", "statefulsets"} { // some versions of it were a StatefulSet
		gvr := schema.GroupVersionResource{Group: "apps", Version: "v1", Resource: resource}
		f.workloads[resource] = objects.Resource(gvr).Namespace(namespace)
	}
	return f, nil
}

// hold is why to hold; nil if Fleet's agent does not run.
func (f *fleetAgent) hold(ctx context.Context) *v1alpha1.Hold {
	f.mu.Lock()
	defer f.mu.Unlock()
	for resource, objects := range f.workloads {
		u, err := objects.Get(ctx, v1alpha1.FleetAgentName, metav1.GetOptions{})
		switch {
		case err == nil:
			f.last[resource] = runs(u)
		case apierrors.IsNotFound(err):
			f.last[resource] = false
		} // else nobody knows: it is as it was
		if f.last[resource] {
			return &v1alpha1.Hold{Reason: v1alpha1.ReasonFleetRuns, Message: fmt.Sprintf(
				"Rancher Fleet's agent runs on this cluster, and two agents would undo each other's work: all is kept as it is until it is off "+
					"(kubectl -n %s scale %s %s --replicas=0)", f.namespace, resource, v1alpha1.FleetAgentName)}
		}
	}
	return nil
}

func runs(u *unstructured.Unstructured) bool {
	wanted, found, _ := unstructured.NestedInt64(u.Object, "spec", "replicas")
	there, _, _ := unstructured.NestedInt64(u.Object, "status", "replicas")
	return !found || wanted > 0 || there > 0
}

// lookBeside holds when Fleet's agent was started, and ends that hold when it is off. Other holds are not its business.
func (m *membership) lookBeside(ctx context.Context) {
	hold := m.beside.hold(ctx)
	if ctx.Err() != nil {
		return
	}
	_, now := m.engine.membership()
	if hold != nil && now == nil || hold == nil && now != nil && now.Reason == v1alpha1.ReasonFleetRuns {
		m.engine.setHold(hold)
	}
}
