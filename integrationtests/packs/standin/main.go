// Standin writes on one member what only Submariner's Pods could: its Endpoint and Cluster on the broker, and the status of
// Gateway, Submariner, RouteAgent and ServiceExport. It has nothing but the member's own objects to go by, and asks the broker
// with the account that the Submariner object names: a tunnel is connected only when the other member's Endpoint and Cluster
// are both on the broker, and there is a gateway only where a node has the label for it.
package main

import (
	"context"
	"errors"
	"flag"
	"log"
	"os/signal"
	"syscall"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

const namespace = "submariner-operator"

func main() {
	kubeconfig := flag.String("kubeconfig", "", "how to reach the member")
	cluster := flag.String("cluster-id", "", "the member's name")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	config, err := clientcmd.BuildConfigFromFlags("", *kubeconfig)
	if err != nil {
		log.Fatal(err)
	}
	c, err := client.New(config, client.Options{Scheme: runtime.NewScheme()})
	if err != nil {
		log.Fatal(err)
	}
	m := &member{cluster: *cluster, Client: c}
	for ctx.Err() == nil {
		if err := errors.Join(m.tunnel(ctx), m.exports(ctx)); err != nil {
			log.Print(err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(300 * time.Millisecond):
		}
	}
}

// member is the cluster that the program stands on.
type member struct {
	client.Client
	cluster string
	broker  *broker // the last one that it was joined to; nil before
}

func object(apiVersion, kind, namespace, name string) *unstructured.Unstructured {
	u := &unstructured.Unstructured{Object: map[string]any{}}
	u.SetAPIVersion(apiVersion)
	u.SetKind(kind)
	u.SetNamespace(namespace)
	u.SetName(name)
	return u
}

func list(apiVersion, kind string) *unstructured.UnstructuredList {
	l := &unstructured.UnstructuredList{}
	l.SetAPIVersion(apiVersion)
	l.SetKind(kind)
	return l
}

// setStatus writes a status, unless it is there already: of a kind that has it apart, or of one that has not.
func setStatus(ctx context.Context, c client.Client, u *unstructured.Unstructured, status map[string]any, apart bool) error {
	before := u.DeepCopy()
	if err := unstructured.SetNestedMap(u.Object, status, "status"); err != nil {
		return err
	}
	patch := client.MergeFrom(before)
	if data, err := patch.Data(u); err != nil || string(data) == "{}" {
		return err
	}
	if apart {
		return c.Status().Patch(ctx, u, patch)
	}
	return c.Patch(ctx, u, patch)
}
