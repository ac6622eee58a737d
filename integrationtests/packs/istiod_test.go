//go:build packs

package packs

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// istiod is a running one.
type istiod struct {
	*Process
	http, grpc string
}

// startIstiod runs a cluster's istiod as the pack's Deployment says: its account, its environment but for what is in changes, and the
// Secret cacerts where that mounts it.
func startIstiod(w *World, cluster string, changes ...string) *istiod {
	w.T.Helper()
	i := &istiod{http: w.Port(), grpc: w.Port()}
	i.Process = w.Controller(Controller{
		Name: "istiod", On: cluster, As: "istio-system/istiod", Serves: "http://" + i.http + "/ready",
		Args: []string{
			"discovery", "--kubeconfig", "$KUBECONFIG", "--clusterID", cluster, "-n", "istio-system", "--httpAddr", i.http, "--httpsAddr", w.Port(),
			"--grpcAddr", i.grpc, "--secureGRPCAddr", w.Port(), "--monitoringAddr", w.Port(), "--ctrlz_port", "0",
		},
		Env: append(append(environment(w, cluster), "ROOT_CA_DIR="+signsWith(w, cluster)), changes...),
	})
	return i
}

// environment is what the pack's Deployment gives its container.
func environment(w *World, cluster string) []string {
	d := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: "istio-system", Name: "istiod"}}
	w.Eventually("waiting for istiod's Deployment on "+cluster, func() error { return w.Reads(cluster, d) })
	env := []string{"POD_NAME=istiod", "POD_NAMESPACE=istio-system"}
	for _, e := range d.Spec.Template.Spec.Containers[0].Env {
		if e.Value != "" && e.Name != "KUBECONFIG" { // which names a file of the container
			env = append(env, e.Name+"="+e.Value)
		}
	}
	return env
}

// signsWith writes Secret cacerts where istiod finds it, if the cluster has one.
func signsWith(w *World, cluster string) string {
	dir := filepath.Join(w.Dir, "cacerts", cluster)
	w.Check(os.MkdirAll(dir, 0o700))
	list := &corev1.SecretList{}
	w.Check(w.Lists(cluster, list))
	for _, s := range list.Items {
		if s.Namespace != "istio-system" || s.Name != "cacerts" {
			continue
		}
		for name, data := range s.Data {
			w.Check(os.WriteFile(filepath.Join(dir, name), data, 0o600))
		}
	}
	return dir
}

// asks has istiod answer one of its debug pages.
func (i *istiod) asks(page string, out any) error {
	resp, err := http.Get("http://" + i.http + "/debug/" + page)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("istiod at /debug/%s: %s", page, resp.Status)
	}
	return json.NewDecoder(resp.Body).Decode(out)
}

// knows says of each cluster that istiod knows how far it has read it.
func (i *istiod) knows() (map[string]string, error) {
	var list []struct {
		ID         string `json:"id"`
		SyncStatus string `json:"syncStatus"`
	}
	err := i.asks("clusterz", &list)
	known := map[string]string{}
	for _, c := range list {
		known[c.ID] = c.SyncStatus
	}
	return known, err
}

// synced waits until istiod has read these clusters.
func (i *istiod) synced(w *World, names ...string) {
	w.T.Helper()
	w.Eventually("waiting for istiod to have read "+strings.Join(names, ", "), func() error {
		known, err := i.knows()
		if err != nil {
			return err
		}
		for _, name := range names {
			if known[name] != "synced" {
				return fmt.Errorf("istiod says %v", known)
			}
		}
		return nil
	})
}

// trusts: istiod itself says for which domain it signs.
func (i *istiod) trusts(w *World) {
	var mesh struct {
		TrustDomain string `json:"trustDomain"`
	}
	w.Check(i.asks("mesh", &mesh))
	if mesh.TrustDomain != "company.com" {
		w.T.Errorf("istiod's trust domain is %q", mesh.TrustDomain)
	}
	w.Prove("trust domain company.com", "istio", "the real istiod says so at /debug/mesh", Proved)
}

// served: an external istiod brings the remote its root certificate and its webhook the CA.
func served(w *World) {
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
}
