//go:build packs

package packs

import (
	"context"
	"fmt"
	"os"
	"reflect"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	fleet "flotilla.io/flotilla/api/v1alpha1"
	"flotilla.io/flotilla/integrationtests/world"
)

const istioLabel = "packs.flotilla.io/istio"

// istio makes a mesh with the real istiod: of cluster-aws, the primary, and cluster-gcp, its remote; then of cluster-azure and
// cluster-edge with a control plane each.
func istio(w *World) {
	for _, stop := range w.standIns { // so that nobody says of a ServiceExport that it is served before this test does
		stop()
	}
	kindsOfMCS(w)
	w.Label("cluster-aws", istioLabel, "primary")
	w.Label("cluster-gcp", istioLabel, "remote")
	start := time.Now()
	// The gateway's Pods would have their sidecar injected by an istiod that no API server here can reach.
	w.Push("istio", w.Changed("istio", "gateway/fleet.yaml", "    networkGateway:", "    autoscaling: {enabled: false}\n    replicaCount: 0\n    networkGateway:"))
	remoteSecret(w)
	w.T.Logf("from push to the remote secret: %s", seconds(start))
	notYet(w, "istio-istiod", "cluster-aws", "MutatingWebhookConfiguration")
	primary := startIstiod(w, "cluster-aws")
	notYet(w, "istio-app", "cluster-aws", "ServiceExport")
	notYet(w, "istio-gateway", "cluster-aws", "Service")
	waitsForAddress(w)
	addressed(w, "203.0.113.10")
	w.Prove("remote joined: the address of the primary's gateway", "istio", "EndpointSlice istiod of cluster-gcp has the address of Service istio-eastwestgateway of cluster-aws", Simulated)
	primary.synced(w, "cluster-aws", "cluster-gcp") // once the remote has the reader's role, which comes with the address
	w.Prove("primary installed, remote joined", "istio", "the real istiod, as the pack's account, says synced of both clusters at /debug/clusterz, "+seconds(start)+" after the push", Proved)
	served(w)
	w.Prove("external istiod serves the remote", "istio", "cluster-gcp has istio-ca-root-cert, and its injection webhook a CA, from the istiod of cluster-aws", Proved)
	primary.trusts(w)
	remoteOutAndBack(w, primary)
	routed(w, primary)

	moved := time.Now()
	addressed(w, "203.0.113.20")
	w.Prove("a moved gateway address reaches its consumer", "nothing", "EndpointSlice istiod of cluster-gcp has the new address after "+seconds(moved), Simulated)
	newToken(w, primary)
	primary.Stop()
	withoutClusterLocal(w)
	multiPrimary(w)
	w.healthy("istio-system", "istio-base", "istio-istiod", "istio-gateway", "istio-mesh", "istio-reader", "istio-remote",
		"istio-ca", "istio-cacerts", "istio-app", "istio-routing")
	w.Prove("all Healthy", "istio", "11 bundles on a primary, a remote and two that are both", Simulated)
}

// kindsOfMCS: Submariner brings ServiceExport and ServiceImport; where it did not, pack mcs does.
func kindsOfMCS(w *World) {
	lacking := false
	for name := range clusters {
		err := w.Reads(name, object("apiextensions.k8s.io/v1", "CustomResourceDefinition", "", "serviceexports.multicluster.x-k8s.io"))
		if client.IgnoreNotFound(err) != nil {
			w.T.Fatal(err)
		}
		if err != nil {
			w.Label(name, "packs.flotilla.io/mcs-crds", "true")
			lacking = true
		}
	}
	if lacking && !w.repos["mcs"] {
		w.Push("mcs", nil)
	}
	if lacking {
		w.Settled("mcs-crds")
	}
}

// notYet: as long as a stand-in or controller has not done its part, a bundle is on its way, and names the object.
func notYet(w *World, bundle, cluster, kind string) {
	w.T.Helper()
	w.Eventually("waiting for "+bundle+" to name what it waits for", func() error {
		d, err := w.deployment(bundle, cluster)
		if err != nil {
			return err
		}
		if s := d.Status; s.Health == fleet.HealthProgressing {
			for _, o := range s.NonReadyStatus {
				if o.Kind == kind {
					return nil
				}
			}
		}
		return fmt.Errorf("it is %s: %+v", d.Status.Health, d.Status.NonReadyStatus)
	})
	w.Prove("not Healthy before it is", "istio", bundle+" on "+cluster+" reads Progressing and names its "+kind, Proved)
}

// waitsForAddress: the remote waits for the primary's gateway, and says so.
func waitsForAddress(w *World) {
	w.Eventually("waiting for istio-remote to say what it waits for", func() error {
		b := &fleet.Bundle{}
		if err := w.Hub.Client.Get(context.Background(), client.ObjectKey{Namespace: world.Workspace, Name: "istio-remote"}, b); err != nil {
			return err
		}
		for _, c := range b.Status.Conditions {
			if c.Type == fleet.ConditionWaiting && strings.Contains(c.Message, "waits for input pilot: output address of bundle istio-gateway") {
				return nil
			}
		}
		return fmt.Errorf("its conditions are %+v", b.Status.Conditions)
	})
	w.Prove("not Healthy before it is", "istio", "istio-remote waits for the address of the gateway of cluster-aws", Proved)
}

// remoteSecret: the Secret is what istioctl create-remote-secret makes.
func remoteSecret(w *World) {
	made := secretOf("cluster-gcp")
	w.Eventually("waiting for the remote secret", func() error { return w.Reads("cluster-aws", made) })
	out, err := w.Run("istiod", "remotesecret", "create-remote-secret", "--name=cluster-gcp", "-i", "istio-system",
		"--kubeconfig", w.Kubeconfig("cluster-gcp", reader), "--create-service-account=false")
	w.Check(err)
	want := &corev1.Secret{}
	w.Check(yaml.Unmarshal(out, want))
	if made.Namespace != want.Namespace || made.Name != want.Name {
		w.T.Errorf("it is %s/%s, istioctl's %s/%s", made.Namespace, made.Name, want.Namespace, want.Name)
	}
	for key, value := range want.Labels {
		if made.Labels[key] != value {
			w.T.Errorf("label %s is %q, not %q", key, made.Labels[key], value)
		}
	}
	for key, value := range want.Annotations {
		if made.Annotations[key] != value {
			w.T.Errorf("annotation %s is %q, not %q", key, made.Annotations[key], value)
		}
	}
	if len(want.Labels) == 0 || len(want.Annotations) == 0 || len(want.StringData) != 1 || len(made.Data) != 1 {
		w.T.Errorf("istioctl made %d labels, %d annotations, %d keys; the pack %d keys", len(want.Labels), len(want.Annotations), len(want.StringData), len(made.Data))
	}
	ours, err := clientcmd.Load(made.Data["cluster-gcp"])
	w.Check(err)
	theirs, err := clientcmd.Load([]byte(want.StringData["cluster-gcp"]))
	w.Check(err)
	if !reflect.DeepEqual(ours, theirs) {
		w.T.Error("the kubeconfig is not istioctl's: server, CA, account, token or context")
	}
	w.Prove("remote secret made", "istio", "Secret istio-remote-secret-cluster-gcp of cluster-aws equals what istioctl's create-remote-secret --name=cluster-gcp makes", Proved)
}

func secretOf(cluster string) *corev1.Secret {
	return &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "istio-system", Name: "istio-remote-secret-" + cluster}}
}

// gives gives a cluster's gateway an address, as its cloud would.
func gives(w *World, cluster, ip string) {
	w.T.Helper()
	service := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "istio-system", Name: "istio-eastwestgateway"}}
	w.Eventually("waiting for the gateway of "+cluster, func() error { return w.Reads(cluster, service) })
	before := service.DeepCopy()
	service.Status.LoadBalancer.Ingress = []corev1.LoadBalancerIngress{{IP: ip}}
	w.Check(w.StandIn(cluster).Status().Patch(context.Background(), service, client.MergeFrom(before)))
}

// addressed gives the primary's gateway an address, and waits until the remote uses it.
func addressed(w *World, ip string) {
	gives(w, "cluster-aws", ip)
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

// newToken: a token that is made anew reaches the primary, whose istiod goes on with it.
func newToken(w *World, primary *istiod) {
	token := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "istio-system", Name: "istio-reader-service-account-istio-remote-secret-token"}}
	w.Check(w.Reads("cluster-gcp", token))
	old, start := string(token.Data["token"]), time.Now()
	w.Check(w.Person("cluster-gcp").Delete(context.Background(), token))
	w.Eventually("waiting for another token in the remote secret", func() error {
		if err := w.Reads("cluster-gcp", token); err != nil {
			return err
		}
		made := secretOf("cluster-gcp")
		if err := w.Reads("cluster-aws", made); err != nil {
			return err
		}
		if now := string(token.Data["token"]); now == old || now == "" || !strings.Contains(string(made.Data["cluster-gcp"]), now) {
			return fmt.Errorf("it has the old one")
		}
		return nil
	})
	took := seconds(start)
	w.Eventually("waiting for istiod to take the new token", func() error {
		log, err := os.ReadFile(primary.Log)
		if err == nil && !strings.Contains(string(log), "Update cluster\tcluster=cluster-gcp") {
			err = fmt.Errorf("its log %s says nothing of it", primary.Log)
		}
		return err
	})
	primary.synced(w, "cluster-aws", "cluster-gcp")
	w.Prove("a rotated token reaches its consumer", "nothing", "the Secret was deleted by hand; its new token was in the remote secret after "+took+", and istiod is synced with it", Proved)
}

// remoteOutAndBack: a label takes the remote out of the mesh, and puts it back.
func remoteOutAndBack(w *World, primary *istiod) {
	w.Label("cluster-gcp", istioLabel, "")
	w.Eventually("waiting for the remote secret to go", func() error {
		err := w.Reads("cluster-aws", secretOf("cluster-gcp"))
		if err == nil {
			return fmt.Errorf("it is there")
		}
		return client.IgnoreNotFound(err)
	})
	w.Eventually("waiting for istiod to forget the remote", func() error {
		known, err := primary.knows()
		if err == nil && known["cluster-gcp"] != "" {
			err = fmt.Errorf("it knows %v", known)
		}
		return err
	})
	start := time.Now()
	w.Label("cluster-gcp", istioLabel, "remote")
	primary.synced(w, "cluster-aws", "cluster-gcp")
	served(w)
	w.Prove("a joined cluster is taken out and put back by a label", "a label", "istiod forgot cluster-gcp, and was synced with it again "+seconds(start)+" after the label came back", Proved)
}
