//go:build packs

package packs

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	fleet "flotilla.io/flotilla/api/v1alpha1"
)

const (
	submarinerLabel = "packs.flotilla.io/submariner"
	brokerLabel     = "packs.flotilla.io/submariner-broker"
)

var submariners = []string{"cluster-aws", "cluster-gcp"}

// submariner joins cluster-aws, which has the broker, and cluster-gcp by a push and labels, takes one out and puts it back, and
// follows a rotated token. The tunnels themselves need Pods.
func submariner(w *World) {
	w.Label("cluster-aws", brokerLabel, "true")
	gateways := map[string]string{}
	for _, name := range submariners {
		gateways[name] = gatewayOf(w, name)
		w.Annotate(name, "packs.flotilla.io/submariner-gateways", gateways[name])
		w.Label(name, submarinerLabel, "member")
	}
	start := time.Now()
	w.Push("submariner", nil)
	for _, name := range submariners {
		joined(w, name)
	}
	w.T.Logf("from push to both joined: %s", time.Since(start).Round(10*time.Millisecond))
	w.Prove("broker deployed, both clusters joined with wireguard", "submariner",
		"each Submariner object has the broker's address, its own token and CA, the common key and cable driver wireguard", Proved)
	for name, gateway := range gateways {
		n := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: gateway}}
		w.Check(w.Reads(name, n))
		if n.Labels["submariner.io/gateway"] != "true" {
			w.T.Errorf("node %s of %s has no gateway label", n.Name, name)
		}
	}
	connected(w)
	theirRights(w)
	crosses(w)
	rotated(w)
	outAndBack(w)
}

func submarinerOf(w *World, cluster string) (*unstructured.Unstructured, error) {
	u := object("submariner.io/v1alpha1", "Submariner", "submariner-operator", "submariner")
	return u, w.Reads(cluster, u)
}

func object(apiVersion, kind, namespace, name string) *unstructured.Unstructured {
	u := &unstructured.Unstructured{}
	u.SetAPIVersion(apiVersion)
	u.SetKind(kind)
	u.SetNamespace(namespace)
	u.SetName(name)
	return u
}

func accountOf(w *World, cluster string) (*corev1.Secret, error) {
	s := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "submariner-k8s-broker", Name: "cluster-" + cluster + "-token"}}
	return s, w.Reads("cluster-aws", s)
}

// joined waits until a member's object says what the broker's cluster made for it.
func joined(w *World, cluster string) {
	w.T.Helper()
	w.Eventually("waiting for "+cluster+" to join", func() error {
		u, err := submarinerOf(w, cluster)
		if err != nil {
			return err
		}
		account, err := accountOf(w, cluster)
		if err != nil {
			return err
		}
		for field, want := range map[string]string{
			"clusterID": cluster, "cableDriver": "wireguard", "brokerK8sRemoteNamespace": "submariner-k8s-broker",
			"brokerK8sApiServer": hostOf(w, "cluster-aws"), "brokerK8sApiServerToken": string(account.Data["token"]),
			"brokerK8sCA": base64.StdEncoding.EncodeToString(account.Data["ca.crt"]),
		} {
			if got, _, _ := unstructured.NestedString(u.Object, "spec", field); got != want || want == "" {
				return fmt.Errorf("spec.%s is another: %d bytes, not %d", field, len(got), len(want))
			}
		}
		own := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "submariner-operator", Name: "submariner-broker-secret"}}
		if err := w.Reads(cluster, own); err != nil {
			return err
		}
		if !bytes.Equal(own.Data["token"], account.Data["token"]) {
			return fmt.Errorf("Secret submariner-broker-secret has another token")
		}
		return nil
	})
}

func hostOf(w *World, cluster string) string {
	return w.Configs[cluster].Host[len("https://"):]
}

// theirRights: a member's token opens what Submariner's own role lets it, on the broker's namespace, and nothing else.
func theirRights(w *World) {
	account, err := accountOf(w, "cluster-gcp")
	w.Check(err)
	broker, err := dynamic.NewForConfig(&rest.Config{
		Host: w.Configs["cluster-aws"].Host, BearerToken: string(account.Data["token"]), TLSClientConfig: rest.TLSClientConfig{CAData: account.Data["ca.crt"]},
	})
	w.Check(err)
	ctx := context.Background()
	endpoints := schema.GroupVersionResource{Group: "submariner.io", Version: "v1", Resource: "endpoints"}
	if _, err := broker.Resource(endpoints).Namespace("submariner-k8s-broker").List(ctx, metav1.ListOptions{}); err != nil {
		w.T.Errorf("the token of cluster-gcp does not open the broker: %v", err)
	}
	for _, resource := range []string{"nodes", "configmaps", "secrets"} {
		_, err := broker.Resource(schema.GroupVersionResource{Version: "v1", Resource: resource}).List(ctx, metav1.ListOptions{})
		if !apierrors.IsForbidden(err) {
			w.T.Errorf("the token of cluster-gcp lists all %s of cluster-aws: %v", resource, err)
		}
	}
	w.Prove("isolated credentials", "submariner", "the token of cluster-gcp lists the broker's endpoints, and may list no nodes, configmaps or secrets of cluster-aws", Proved)
}

// rotated: a token that is made anew reaches its member, without a push.
func rotated(w *World) {
	account, err := accountOf(w, "cluster-gcp")
	w.Check(err)
	before := account.UID
	w.Check(w.Person("cluster-aws").Delete(context.Background(), account))
	w.Eventually("waiting for another token", func() error {
		account, err := accountOf(w, "cluster-gcp")
		if err != nil || account.UID == before || len(account.Data["token"]) == 0 {
			return fmt.Errorf("there is none: %w", err)
		}
		return nil
	})
	joined(w, "cluster-gcp")
	w.Prove("a rotated token reaches its consumer", "nothing", "the Secret was deleted by hand, made again, and its new token is in the Submariner object of cluster-gcp", Proved)
}

// outAndBack: a label takes a member out, and another puts it back.
func outAndBack(w *World) {
	gone := func(what string, read func() error) {
		w.Eventually("waiting for "+what+" to go", func() error {
			err := read()
			if err == nil {
				return fmt.Errorf("%s is there", what)
			}
			return client.IgnoreNotFound(err)
		})
	}
	w.Label("cluster-gcp", submarinerLabel, "leaving")
	w.says("submariner-join", "cluster-aws", fleet.HealthProgressing, "no other cluster is connected yet")
	gone("the Submariner object", func() error { _, err := submarinerOf(w, "cluster-gcp"); return err })
	if _, err := accountOf(w, "cluster-gcp"); err != nil {
		w.T.Errorf("the account went before its member did: %v", err)
	}
	w.Label("cluster-gcp", submarinerLabel, "")
	gone("the account", func() error { _, err := accountOf(w, "cluster-gcp"); return err })
	w.Label("cluster-gcp", submarinerLabel, "member")
	joined(w, "cluster-gcp")
	w.healthy("submariner-join")
	w.Prove("a joined cluster is taken out and put back by a label", "a label", "Submariner object and account of cluster-gcp went and came again, cluster-aws said that it is alone, and both are Healthy", Proved)
}
