// Admiral is a member of a Submariner broker: it brings ServiceImports to the broker and those of other members back, with
// Submariner's own library. The way to the broker comes in the environment that Submariner's operator gives to its pods:
// BROKER_K8S_APISERVER, BROKER_K8S_APISERVERTOKEN, BROKER_K8S_CA, BROKER_K8S_REMOTENAMESPACE.
package main

import (
	"context"
	"flag"
	"log"
	"os/signal"
	"syscall"

	"github.com/submariner-io/admiral/pkg/syncer/broker"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/tools/clientcmd"
	mcs "sigs.k8s.io/mcs-api/pkg/apis/v1alpha1"
)

func main() {
	kubeconfig := flag.String("kubeconfig", "", "how to reach the member")
	cluster := flag.String("cluster-id", "", "the member's name")
	namespace := flag.String("namespace", "submariner-operator", "where ServiceImports are on the member")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	if err := run(ctx, *kubeconfig, *cluster, *namespace); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, kubeconfig, cluster, namespace string) error {
	member, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return err
	}
	if err := mcs.AddToScheme(scheme.Scheme); err != nil { // the library converts with the one of all clients
		return err
	}
	syncer, err := broker.NewSyncer(broker.SyncerConfig{
		LocalRestConfig: member, LocalNamespace: namespace, LocalClusterID: cluster,
		ResourceConfigs: []broker.ResourceConfig{{
			LocalSourceNamespace: namespace, LocalResourceType: &mcs.ServiceImport{}, BrokerResourceType: &mcs.ServiceImport{},
		}},
	})
	if err != nil {
		return err
	}
	if err := syncer.Start(ctx.Done()); err != nil {
		return err
	}
	<-ctx.Done()
	return nil
}
