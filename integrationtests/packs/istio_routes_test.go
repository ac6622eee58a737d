//go:build packs

package packs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

const (
	ofCluster    = "outbound|8080||api-service.production.svc.cluster.local"
	ofClusterSet = "outbound|8080||api-service.production.svc.clusterset.local"
	gatewayOfGCP = "203.0.113.30"
	throughGCP   = gatewayOfGCP + ":15443"
)

// told is what a sidecar was told of a host by the program ads.
type told struct {
	Weights   map[string]int             `json:"weights"`
	Endpoints map[string][]string        `json:"endpoints"`
	Clusters  map[string]json.RawMessage `json:"clusters"`
	Inbound   json.RawMessage            `json:"inbound"`
}

// routed: a sidecar of cluster-aws sends 70 % to its own cluster and 30 % to all, in mutual TLS, with outlier detection.
func routed(w *World, primary *istiod) {
	gives(w, "cluster-gcp", gatewayOfGCP)
	for _, cluster := range []string{"cluster-aws", "cluster-gcp"} {
		runs(w, cluster)
		exported(w, cluster)
		imported(w, cluster)
	}
	own := addressOf(w, "cluster-aws")
	var got told
	w.Eventually("waiting for istiod to tell a sidecar of both clusters", func() (err error) {
		if got, err = ask(w, primary, own); err != nil {
			return err
		}
		if here, there := got.Endpoints[ofCluster], got.Endpoints[ofClusterSet]; !slices.Equal(here, []string{own + ":8080"}) ||
			len(there) != 2 || !slices.Contains(there, own+":8080") || !slices.Contains(there, throughGCP) {
			return fmt.Errorf("svc.cluster.local is at %v, svc.clusterset.local at %v", here, there)
		}
		return nil
	})
	if len(got.Weights) != 2 || got.Weights[ofCluster] != 70 || got.Weights[ofClusterSet] != 30 {
		w.T.Errorf("the weights are %v", got.Weights)
	}
	w.Prove("70/30 routed", "istio", fmt.Sprintf("the real istiod tells a sidecar of cluster-aws: weight 70 for %s at %v, weight 30 for %s at %v, the gateway of cluster-gcp",
		strings.TrimPrefix(ofCluster, "outbound|8080||"), got.Endpoints[ofCluster], strings.TrimPrefix(ofClusterSet, "outbound|8080||"), got.Endpoints[ofClusterSet]), Proved)
	secured(w, got)
}

// secured: what comes in must be mutual TLS of the trust domain, and what fails is left out for a while.
func secured(w *World, got told) {
	for _, name := range []string{ofCluster, ofClusterSet} {
		for _, want := range []string{`"outlierDetection":{"consecutive5xx":5`, `"baseEjectionTime":"30s"`, "spiffe://company.com/"} {
			if !strings.Contains(string(got.Clusters[name]), want) {
				w.T.Errorf("%s has no %s: %s", name, want, got.Clusters[name])
			}
		}
	}
	if in := string(got.Inbound); !strings.Contains(in, `"requireClientCertificate":true`) || strings.Contains(in, "raw_buffer") {
		w.T.Errorf("what comes in may be plain text: %s", in)
	}
	w.Prove("mTLS STRICT, failover", "istio", "what istiod tells the sidecar: nothing comes in without a client certificate, both clusters have outlierDetection and expect spiffe://company.com", Proved)
}

// withoutClusterLocal: with the switch off, svc.cluster.local is all clusters.
func withoutClusterLocal(w *World) {
	other := startIstiod(w, "cluster-aws", "ENABLE_MCS_CLUSTER_LOCAL=false")
	defer other.Stop()
	other.synced(w, "cluster-aws", "cluster-gcp")
	own := addressOf(w, "cluster-aws")
	w.Eventually("waiting for istiod to tell a sidecar of both clusters", func() error {
		got, err := ask(w, other, own)
		if err == nil && !slices.Contains(got.Endpoints[ofCluster], throughGCP) {
			var networks any
			err = errors.Join(other.asks("networkz", &networks), fmt.Errorf("svc.cluster.local is at %v, networks are %v", got.Endpoints[ofCluster], networks))
		}
		return err
	})
	w.Prove("70/30 needs the switch", "nothing", "an istiod with ENABLE_MCS_CLUSTER_LOCAL off has the gateway of cluster-gcp for svc.cluster.local too", Proved)
}

// ask is a sidecar of cluster-aws.
func ask(w *World, i *istiod, ip string) (got told, err error) {
	out, err := w.Run("istiod", "ads", "-istiod", i.grpc, "-cluster", "cluster-aws", "-namespace", "production", "-pod", "api-service-0", "-ip", ip,
		"-host", "api-service.production.svc.cluster.local:8080")
	if err == nil {
		err = json.Unmarshal(out, &got)
	}
	return got, err
}

// runs makes the service's Pod on a cluster, with what the injection of a sidecar leaves on it.
func runs(w *World, cluster string) {
	w.Eventually("waiting for the service on "+cluster, func() error {
		return w.Reads(cluster, &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "production", Name: "api-service"}})
	})
	w.Check(w.StandIn(cluster).Create(context.Background(), &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "production", Name: "api-service-0", Labels: map[string]string{
			"app": "api-service", "security.istio.io/tlsMode": "istio", "sidecar.istio.io/inject": "false",
		}},
		Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "api", Image: "api"}}},
	}))
	addressOf(w, cluster)
}

func addressOf(w *World, cluster string) (ip string) {
	w.Eventually("waiting for the Pod on "+cluster, func() error {
		pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "production", Name: "api-service-0"}}
		err := w.Reads(cluster, pod)
		if ip = pod.Status.PodIP; err == nil && ip == "" {
			err = fmt.Errorf("it has no address")
		}
		return err
	})
	return ip
}

// exported says of a cluster's ServiceExport what Lighthouse would.
func exported(w *World, cluster string) {
	export := object("multicluster.x-k8s.io/v1alpha1", "ServiceExport", "production", "api-service")
	w.Eventually("waiting for the ServiceExport of "+cluster, func() error { return w.Reads(cluster, export) })
	before := export.DeepCopy()
	now := metav1.Now().UTC().Format("2006-01-02T15:04:05Z")
	w.Check(unstructured.SetNestedSlice(export.Object, []any{
		map[string]any{"type": "Valid", "status": "True", "reason": "Valid", "message": "", "lastTransitionTime": now},
		map[string]any{"type": "Ready", "status": "True", "reason": "Exported", "message": "", "lastTransitionTime": now},
	}, "status", "conditions"))
	w.Check(w.StandIn(cluster).Status().Patch(context.Background(), export, client.MergeFrom(before)))
}

// imported makes what Lighthouse makes on each cluster of a service that one of them exports. Without its address istiod has no
// svc.clusterset.local, and none of that cluster's endpoints for it.
func imported(w *World, cluster string) {
	u := object("multicluster.x-k8s.io/v1alpha1", "ServiceImport", "production", "api-service")
	ports := []any{map[string]any{"name": "http", "port": int64(8080), "protocol": "TCP"}}
	u.Object["spec"] = map[string]any{"type": "ClusterSetIP", "ips": []any{"243.0.0.10"}, "ports": ports}
	w.Check(w.StandIn(cluster).Create(context.Background(), u))
}
