//go:build packs

package packs

import (
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// multiPrimary: cluster-azure and cluster-edge each have a control plane, know each other, and sign with one root.
func multiPrimary(w *World) {
	start := time.Now()
	w.Label("cluster-azure", "packs.flotilla.io/istio-ca", "true")
	addresses := map[string]string{"cluster-azure": "203.0.113.40", "cluster-edge": "203.0.113.50"}
	for cluster := range addresses {
		w.Label(cluster, istioLabel, "multi-primary")
	}
	others := map[string]string{"cluster-azure": "cluster-edge", "cluster-edge": "cluster-azure"}
	for cluster, other := range others {
		w.Eventually("waiting for what the control plane of "+cluster+" needs", func() error {
			if err := w.Reads(cluster, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "istio-system", Name: "cacerts"}}); err != nil {
				return err
			}
			return w.Reads(cluster, secretOf(other))
		})
	}
	for cluster, other := range others {
		i := startIstiod(w, cluster)
		defer i.Stop()
		i.synced(w, cluster, other, "cluster-gcp")
	}
	took := seconds(start)
	w.Prove("multi-primary", "two labels", "the istiods of cluster-azure and cluster-edge each say synced of the other, "+took+" after the labels", Proved)
	oneRoot(w)
	for cluster, ip := range addresses {
		gives(w, cluster, ip)
		exported(w, cluster)
	}
	w.healthy("istio-istiod", "istio-base")
}

// oneRoot: what both istiods sign with is the root that one cluster made.
func oneRoot(w *World) {
	root := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "istio-system", Name: "istio-root-ca"}}
	w.Check(w.Reads("cluster-azure", root))
	for _, cluster := range []string{"cluster-azure", "cluster-edge"} {
		w.Eventually("waiting for the root certificate on "+cluster, func() error {
			given := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "istio-ca-root-cert"}}
			if err := w.Reads(cluster, given); err != nil {
				return err
			}
			if given.Data["root-cert.pem"] != string(root.Data["tls.crt"]) {
				return fmt.Errorf("it is another")
			}
			return nil
		})
	}
	w.Prove("one root for several control planes", "istio", "the real istiods give their clusters the certificate that cluster-azure made", Proved)
}
