//go:build packs

package packs

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

const sharedName = "postgres-primary.data-layer.svc.clusterset.local"

// sharedServices: a service of cluster-gcp is one of cluster-aws too, by outputs, and has its name there.
func sharedServices(w *World) {
	for cluster, role := range map[string]string{"cluster-gcp": "export", "cluster-aws": "import"} {
		w.Label(cluster, "packs.flotilla.io/mcs", role)
	}
	kindsOfMCS(w)
	w.Push("mcs", map[string]string{"export/fleet.yaml": "", "export/service.yaml": ""})
	names := w.CoreDNS("cluster-aws")
	names.forgets(sharedName)

	start := time.Now()
	w.Push("mcs", nil)
	w.Settled("mcs-export")
	w.Check(w.StandIn("cluster-gcp").Create(context.Background(), &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "data-layer", Name: "postgres-0", Labels: map[string]string{"app": "postgres", "role": "primary"}},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "postgres", Image: "postgres"}}},
	}))
	w.Eventually("waiting for the service on cluster-aws", func() error { return isShared(w) })
	service := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "data-layer", Name: "postgres-primary-clusterset"}}
	w.Check(w.Reads("cluster-aws", service))
	names.answers(sharedName, service.Spec.ClusterIP)
	took := time.Since(start).Round(10 * time.Millisecond)
	w.Prove("service exported and resolved", "mcs", fmt.Sprintf("CoreDNS on cluster-aws answers %s with the address of a Service that leads to the Pod of cluster-gcp, %s after the push", sharedName, took), Proved)

	w.Push("mcs", map[string]string{"export/fleet.yaml": "", "export/service.yaml": ""})
	names.forgets(sharedName)
	w.Prove("service taken back", "mcs without its export", "CoreDNS on cluster-aws answers NXDOMAIN", Proved)
	w.Push("mcs", nil)
	names.answers(sharedName, serviceAddress(w))
	w.healthy("mcs-export", "mcs-import", "mcs-names")
}

// serviceAddress waits for the address of the derived Service on cluster-aws.
func serviceAddress(w *World) string {
	service := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "data-layer", Name: "postgres-primary-clusterset"}}
	w.Eventually("waiting for the derived Service", func() error { return w.Reads("cluster-aws", service) })
	return service.Spec.ClusterIP
}

// isShared tells why the Pod of cluster-gcp is not behind the service on cluster-aws.
func isShared(w *World) error {
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "data-layer", Name: "postgres-0"}}
	slice := object("discovery.k8s.io/v1", "EndpointSlice", "data-layer", "postgres-primary-cluster-gcp")
	service := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "data-layer", Name: "postgres-primary-clusterset"}}
	imported := object("multicluster.x-k8s.io/v1alpha1", "ServiceImport", "data-layer", "postgres-primary")
	if err := w.Reads("cluster-gcp", pod); err != nil {
		return err
	}
	for _, o := range []client.Object{slice, service, imported} {
		if err := w.Reads("cluster-aws", o); err != nil {
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
}
