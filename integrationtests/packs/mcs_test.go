//go:build packs

package packs

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// sharedServices: a service of cluster-azure is one of cluster-edge too, without Submariner.
func sharedServices(w *World) {
	for cluster, role := range map[string]string{"cluster-azure": "export", "cluster-edge": "import"} {
		w.Label(cluster, "packs.flotilla.io/mcs", role)
		w.Label(cluster, "packs.flotilla.io/mcs-crds", "true")
	}
	w.Push("mcs", nil)
	w.Settled("mcs-crds", "mcs-export")
	w.Check(w.StandIn("cluster-azure").Create(context.Background(), &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "data-layer", Name: "postgres-0", Labels: map[string]string{"app": "postgres", "role": "primary"}},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "postgres", Image: "postgres"}}},
	}))
	w.Eventually("waiting for the service on cluster-edge", func() error {
		pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "data-layer", Name: "postgres-0"}}
		slice := object("discovery.k8s.io/v1", "EndpointSlice", "data-layer", "postgres-primary-cluster-azure")
		service := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "data-layer", Name: "postgres-primary-clusterset"}}
		imported := object("multicluster.x-k8s.io/v1alpha1", "ServiceImport", "data-layer", "postgres-primary")
		if err := w.Reads("cluster-azure", pod); err != nil {
			return err
		}
		for _, o := range []client.Object{slice, service, imported} {
			if err := w.Reads("cluster-edge", o); err != nil {
				return err
			}
		}
		endpoints, _, _ := unstructured.NestedSlice(slice.Object, "endpoints")
		if len(endpoints) != 1 || pod.Status.PodIP == "" || fmt.Sprint(endpoints[0].(map[string]any)["addresses"]) != "["+pod.Status.PodIP+"]" {
			return fmt.Errorf("endpoints %v, want that of the Pod, %q", endpoints, pod.Status.PodIP)
		}
		if ips, _, _ := unstructured.NestedStringSlice(imported.Object, "spec", "ips"); len(ips) != 1 || ips[0] != service.Spec.ClusterIP {
			return fmt.Errorf("the ServiceImport has addresses %v, the Service %s", ips, service.Spec.ClusterIP)
		}
		return nil
	})
	w.Prove("service exported", "mcs", "cluster-edge has a ServiceImport with the address of a Service that leads to the Pod of cluster-azure", Proved)

	w.Push("mcs", map[string]string{"export/fleet.yaml": "", "export/service.yaml": ""})
	w.Eventually("waiting for the ServiceImport to go", func() error {
		err := w.Reads("cluster-edge", object("multicluster.x-k8s.io/v1alpha1", "ServiceImport", "data-layer", "postgres-primary"))
		if err == nil {
			return fmt.Errorf("it is there")
		}
		return client.IgnoreNotFound(err)
	})
	w.Prove("service taken back", "mcs without its export", "the ServiceImport of cluster-edge is gone", Proved)
}
