//go:build packs

package packs

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

const istioLabel = "packs.flotilla.io/istio"

// istio makes a mesh of cluster-aws, the primary, and cluster-gcp, its remote, with the real istiod.
func istio(w *World) {
	w.Label("cluster-aws", istioLabel, "primary")
	w.Label("cluster-gcp", istioLabel, "remote")
	start := time.Now()
	// The gateway's Pods would have their sidecar injected by an istiod that no API server here can reach.
	w.Push("istio", w.Changed("istio", "gateway/fleet.yaml", "    networkGateway:", "    autoscaling: {enabled: false}\n    replicaCount: 0\n    networkGateway:"))
	remoteSecret(w)
	w.T.Logf("from push to the remote secret: %s", time.Since(start).Round(10*time.Millisecond))
	addressed(w, "203.0.113.10")
	w.Prove("remote joined: the address of the primary's gateway", "istio", "EndpointSlice istiod of cluster-gcp has the address of Service istio-eastwestgateway of cluster-aws", Simulated)
	addressed(w, "203.0.113.20")
	w.Prove("a moved gateway address reaches its consumer", "nothing", "EndpointSlice istiod of cluster-gcp has the new address", Simulated)
	synced(w)
}

// remoteSecret: the Secret is what istioctl create-remote-secret makes, and opens the remote.
func remoteSecret(w *World) {
	made := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "istio-system", Name: "istio-remote-secret-cluster-gcp"}}
	token := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "istio-system", Name: "istio-reader-service-account-istio-remote-secret-token"}}
	w.Eventually("waiting for the remote secret", func() error {
		if err := w.Reads("cluster-gcp", token); err != nil {
			return err
		}
		return w.Reads("cluster-aws", made)
	})
	if made.Labels["istio/multiCluster"] != "true" || made.Annotations["networking.istio.io/cluster"] != "cluster-gcp" || len(made.Data) != 1 {
		w.T.Errorf("labels %v, annotations %v, %d keys", made.Labels, made.Annotations, len(made.Data))
	}
	config, err := clientcmd.Load(made.Data["cluster-gcp"])
	w.Check(err)
	at, user := config.Clusters["cluster-gcp"], config.AuthInfos["cluster-gcp"]
	if config.CurrentContext != "cluster-gcp" || at == nil || user == nil || at.Server != w.Configs["cluster-gcp"].Host ||
		string(at.CertificateAuthorityData) != string(token.Data["ca.crt"]) || user.Token != string(token.Data["token"]) {
		w.T.Error("the kubeconfig is not that of the reader's account on cluster-gcp")
	}
	w.Prove("remote secret made", "istio", "Secret istio-remote-secret-cluster-gcp of cluster-aws has server, CA and token of istio-reader-service-account of cluster-gcp", Proved)
}

// addressed gives the primary's gateway an address, as a cloud would, and waits until the remote uses it.
func addressed(w *World, ip string) {
	service := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "istio-system", Name: "istio-eastwestgateway"}}
	w.Eventually("waiting for the gateway's Service", func() error { return w.Reads("cluster-aws", service) })
	before := service.DeepCopy()
	service.Status.LoadBalancer.Ingress = []corev1.LoadBalancerIngress{{IP: ip}}
	w.Check(w.StandIn("cluster-aws").Status().Patch(context.Background(), service, client.MergeFrom(before)))
	w.Eventually("waiting for the remote to know the address "+ip, func() error {
		slice := object("discovery.k8s.io/v1", "EndpointSlice", "istio-system", "istiod")
		if err := w.Reads("cluster-gcp", slice); err != nil {
			return err
		}
		if endpoints, _, _ := unstructured.NestedSlice(slice.Object, "endpoints"); len(endpoints) != 1 ||
			fmt.Sprint(endpoints[0].(map[string]any)["addresses"]) != "["+ip+"]" {
			return fmt.Errorf("it has %v", endpoints)
		}
		return nil
	})
}

// synced: the real istiod reads both clusters, and brings the remote its root certificate and its webhook the CA.
func synced(w *World) {
	address := w.Port()
	w.Controller(Controller{
		Name: "istiod", On: "cluster-aws", As: "istio-system/istiod", Serves: "http://" + address + "/ready",
		Args: []string{
			"discovery", "--kubeconfig", "$KUBECONFIG", "--clusterID", "cluster-aws", "-n", "istio-system", "--httpAddr", address, "--httpsAddr", w.Port(),
			"--grpcAddr", w.Port(), "--secureGRPCAddr", w.Port(), "--monitoringAddr", w.Port(), "--ctrlz_port", "0",
		},
		Env: []string{
			"EXTERNAL_ISTIOD=true", "REVISION=default", "POD_NAME=istiod", "POD_NAMESPACE=istio-system", "CLUSTER_ID=cluster-aws",
			"ENABLE_MCS_SERVICE_DISCOVERY=true", "ENABLE_MCS_HOST=true", "ENABLE_MCS_CLUSTER_LOCAL=true",
		},
	})
	w.Eventually("waiting for istiod to have read both clusters", func() error { return bothSynced("http://" + address + "/debug/clusterz") })
	w.Prove("primary installed, remote joined", "istio", "the real istiod, as the pack's account, says synced of both clusters at /debug/clusterz", Proved)
	w.Eventually("waiting for the root certificate on the remote", func() error {
		return w.Reads("cluster-gcp", &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "istio-ca-root-cert"}})
	})
	w.Eventually("waiting for the CA of the remote's webhook", func() error {
		hook := object("admissionregistration.k8s.io/v1", "MutatingWebhookConfiguration", "", "istio-sidecar-injector")
		if err := w.Reads("cluster-gcp", hook); err != nil {
			return err
		}
		hooks, _, _ := unstructured.NestedSlice(hook.Object, "webhooks")
		for _, h := range hooks {
			if ca, _, _ := unstructured.NestedString(h.(map[string]any), "clientConfig", "caBundle"); ca == "" {
				return fmt.Errorf("a webhook of it has none")
			}
		}
		return nil
	})
	w.Prove("external istiod serves the remote", "istio", "cluster-gcp has istio-ca-root-cert, and its injection webhook a CA", Proved)
}

func bothSynced(url string) error {
	resp, err := http.Get(url)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	var list []struct {
		ID         string `json:"id"`
		SyncStatus string `json:"syncStatus"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&list); err != nil {
		return err
	}
	synced := map[string]bool{}
	for _, c := range list {
		synced[c.ID] = c.SyncStatus == "synced"
	}
	if !synced["cluster-aws"] || !synced["cluster-gcp"] {
		return fmt.Errorf("istiod says %+v", list)
	}
	return nil
}
