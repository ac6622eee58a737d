//go:build packs

package packs

import (
	"context"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// crosses: Submariner's own broker client has on each member what its operator would give it, which is what the Submariner object
// says and nothing else, and a ServiceImport of one is one of the other.
func crosses(w *World) {
	for _, name := range submariners {
		u, err := submarinerOf(w, name)
		w.Check(err)
		spec := func(field string) string { s, _, _ := unstructured.NestedString(u.Object, "spec", field); return s }
		p := w.Controller(Controller{
			Name: "admiral", On: name,
			Args: []string{"--kubeconfig", "$KUBECONFIG", "--cluster-id", spec("clusterID")},
			Env: []string{
				"BROKER_K8S_APISERVER=" + spec("brokerK8sApiServer"), "BROKER_K8S_APISERVERTOKEN=" + spec("brokerK8sApiServerToken"),
				"BROKER_K8S_CA=" + spec("brokerK8sCA"), "BROKER_K8S_REMOTENAMESPACE=" + spec("brokerK8sRemoteNamespace"), "BROKER_K8S_INSECURE=false",
			},
		})
		defer p.Stop()
	}
	start := time.Now()
	imported := object("multicluster.x-k8s.io/v1alpha1", "ServiceImport", "submariner-operator", "web")
	imported.Object["spec"] = map[string]any{"type": "ClusterSetIP", "ips": []any{"10.96.7.7"}, "ports": []any{map[string]any{"port": int64(80), "protocol": "TCP"}}}
	w.Check(w.StandIn("cluster-gcp").Create(context.Background(), imported.DeepCopy()))
	for _, namespace := range []string{"submariner-k8s-broker", "submariner-operator"} {
		there := object("multicluster.x-k8s.io/v1alpha1", "ServiceImport", namespace, "web")
		w.Eventually("waiting for the ServiceImport in "+namespace+" of cluster-aws", func() error {
			if err := w.Reads("cluster-aws", there); err != nil {
				return err
			}
			if ips, _, _ := unstructured.NestedStringSlice(there.Object, "spec", "ips"); len(ips) != 1 || ips[0] != "10.96.7.7" {
				return fmt.Errorf("it has addresses %v", ips)
			}
			return nil
		})
	}
	w.Prove("a ServiceImport crosses the broker", "submariner", fmt.Sprintf("Submariner's own syncer, with URL, CA, token and namespace of each Submariner object alone, "+
		"brought one of cluster-gcp to the broker and to cluster-aws in %s", time.Since(start).Round(10*time.Millisecond)), Proved)
	w.Check(w.StandIn("cluster-gcp").Delete(context.Background(), imported))
	w.Eventually("waiting for the ServiceImport to leave cluster-aws", func() error {
		err := w.Reads("cluster-aws", imported.DeepCopy())
		if err == nil {
			return fmt.Errorf("it is there")
		}
		return client.IgnoreNotFound(err)
	})
}
