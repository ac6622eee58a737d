//go:build packs

package packs

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	fleet "flotilla.io/flotilla/api/v1alpha1"
)

// rootOf is the cluster that has the root of all certificates.
const rootOf = "cluster-aws"

// certManager has a CA on each cluster under one root, and renews certificates and CAs, with cert-manager's real controllers.
func certManager(w *World) {
	all := slices.Sorted(maps.Keys(clusters))
	for _, name := range all {
		w.Label(name, "packs.flotilla.io/cert-manager", "true")
	}
	w.Label(rootOf, "packs.flotilla.io/cert-manager-root", "true")
	start := time.Now()
	w.Push("cert-manager", withoutWebhooks(w))
	w.Settled("cert-manager")
	w.says("cert-manager-root", rootOf, fleet.HealthProgressing, "fleet-root")
	for _, name := range all {
		w.Controller(Controller{
			Name: "certmanager", On: name, As: "cert-manager/cert-manager", Args: []string{"--kubeconfig", "$KUBECONFIG"},
		})
	}
	w.healthy("cert-manager", "cert-manager-root", "cert-manager-ca")
	w.Prove("a CA for each cluster under one root", "cert-manager", "cert-manager's controllers on four clusters issued a root, four CAs and a certificate of each, "+seconds(start)+" after the push", Proved)
	for _, name := range all {
		ofItsCA(w, name)
		ownKeyOnly(w, name)
	}
	w.Prove("isolated CAs", "cert-manager", "each certificate leads to the root by its own cluster's CA; each cluster has the key of its own CA and of no other", Proved)
	renewed(w, all)
	w.Push("cert-manager", withoutWebhooks(w))
	w.healthy("cert-manager", "cert-manager-root", "cert-manager-ca")
}

// withoutWebhooks are the pack's changes here: no API server reaches a Pod that would answer them.
func withoutWebhooks(w *World) map[string]string {
	return w.Changed("cert-manager", "server/fleet.yaml", "helm:\n", `kustomize:
  patches:
  - target: {kind: ValidatingWebhookConfiguration}
    patch: '{"$patch": delete, "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingWebhookConfiguration", "metadata": {"name": "cert-manager-webhook"}}'
  - target: {kind: MutatingWebhookConfiguration}
    patch: '{"$patch": delete, "apiVersion": "admissionregistration.k8s.io/v1", "kind": "MutatingWebhookConfiguration", "metadata": {"name": "cert-manager-webhook"}}'
helm:
`)
}

func keyPair(w *World, cluster, name string) *corev1.Secret {
	w.T.Helper()
	s := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "cert-manager", Name: name}}
	w.Check(w.Reads(cluster, s))
	return s
}

// chainOf reads the certificates of a PEM, the one of the key first.
func chainOf(w *World, data []byte) (out []*x509.Certificate) {
	w.T.Helper()
	for {
		var block *pem.Block
		if block, data = pem.Decode(data); block == nil {
			return out
		}
		c, err := x509.ParseCertificate(block.Bytes)
		w.Check(err)
		out = append(out, c)
	}
}

// ofItsCA: a cluster's certificate is trusted by whoever trusts the root, and by way of the cluster's own CA.
func ofItsCA(w *World, cluster string) {
	w.T.Helper()
	trusted := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "cert-manager", Name: "fleet-root"}}
	w.Check(w.Reads(cluster, trusted))
	roots, between := x509.NewCertPool(), x509.NewCertPool()
	roots.AppendCertsFromPEM([]byte(trusted.Data["ca.crt"]))
	chain := chainOf(w, keyPair(w, cluster, "fleet-identity").Data["tls.crt"])
	for _, c := range chain[1:] {
		between.AddCert(c)
	}
	if _, err := chain[0].Verify(x509.VerifyOptions{DNSName: cluster + ".fleet.example.com", Roots: roots, Intermediates: between}); err != nil {
		w.T.Errorf("the certificate of %s: %v", cluster, err)
	}
	if got := chain[0].Issuer.CommonName; got != cluster+" CA" {
		w.T.Errorf("the certificate of %s is signed by %q", cluster, got)
	}
}

// ownKeyOnly: no other member than the root's has the key of a cluster's CA, and none at all that of the root.
func ownKeyOnly(w *World, cluster string) {
	w.T.Helper()
	root, own := keyPair(w, rootOf, "fleet-root").Data["tls.key"], keyPair(w, cluster, "fleet-ca").Data["tls.key"]
	if len(root) == 0 || !bytes.Equal(own, keyPair(w, rootOf, "ca-"+cluster).Data["tls.key"]) {
		w.T.Errorf("%s has not the key that was made for it", cluster)
	}
	for other := range clusters {
		secrets := &corev1.SecretList{}
		w.Check(w.Lists(other, secrets))
		for _, s := range secrets.Items {
			for _, data := range s.Data {
				if other != rootOf && bytes.Contains(data, root) {
					w.T.Errorf("%s has the key of the root, in Secret %s/%s", other, s.Namespace, s.Name)
				}
				if other != rootOf && other != cluster && bytes.Contains(data, own) {
					w.T.Errorf("%s has the key of the CA of %s, in Secret %s/%s", other, cluster, s.Namespace, s.Name)
				}
			}
		}
	}
}

// renewed: with times so short that they can be waited for, certificates and CAs are renewed without a push, and the hub sees it.
func renewed(w *World, all []string) {
	before := map[string]*x509.Certificate{}
	for _, name := range all {
		before[name] = chainOf(w, keyPair(w, name, "fleet-ca").Data["tls.crt"])[0]
	}
	edits := withoutWebhooks(w)
	maps.Copy(edits, w.Changed("cert-manager", "root/values.yaml", "renewBefore: 1080h", "renewBefore: 2159h59m40s"))
	maps.Copy(edits, w.Changed("cert-manager", "ca/values.yaml", "renewBefore: 240h", "renewBefore: 719h59m40s"))
	w.Push("cert-manager", edits)
	for _, name := range all {
		w.Eventually("waiting for certificate and CA of "+name+" to be renewed", func() error {
			revision, err := w.output("cert-manager-ca", name, "revision")
			if err != nil {
				return err
			}
			if n, err := strconv.Atoi(revision); err != nil || n < 3 {
				return fmt.Errorf("the hub has revision %s of its certificate", revision)
			}
			ca := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "cert-manager", Name: "fleet-ca"}}
			if err := w.Reads(name, ca); err != nil {
				return err
			}
			now := chainOf(w, ca.Data["tls.crt"])[0]
			if now.SerialNumber.Cmp(before[name].SerialNumber) == 0 || bytes.Equal(now.RawSubjectPublicKeyInfo, before[name].RawSubjectPublicKeyInfo) {
				return fmt.Errorf("its CA is as it was")
			}
			return nil
		})
		ofItsCA(w, name)
	}
	w.Prove("certificates rotated", "cert-manager with short times", "the revision of each cluster's certificate, seen on the hub, rose to 3 by itself; each CA came anew, with another key, from the root's cluster to its own", Proved)
}
