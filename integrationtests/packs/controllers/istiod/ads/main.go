// Ads asks an istiod, as a sidecar would, for what it is to route by, and prints it as JSON once istiod has said it all.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"os"
	"strings"
	"time"

	endpoint "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	listener "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	route "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/types/known/structpb"

	v3 "istio.io/istio/pilot/pkg/xds/v3"
	"istio.io/istio/pkg/adsc"
	istiolog "istio.io/istio/pkg/log"
)

// told is what the sidecar was told of a host.
type told struct {
	Weights   map[string]uint32          `json:"weights"`   // of the host's route, by cluster
	Endpoints map[string][]string        `json:"endpoints"` // by cluster
	Clusters  map[string]json.RawMessage `json:"clusters"`  // their configuration
	Inbound   json.RawMessage            `json:"inbound"`   // the listener for what comes in
}

func main() {
	address := flag.String("istiod", "", "address of istiod, for plain text")
	name := flag.String("cluster", "", "the cluster that the sidecar says it is of")
	namespace := flag.String("namespace", "", "its namespace")
	pod := flag.String("pod", "", "its Pod")
	ip := flag.String("ip", "", "its address")
	host := flag.String("host", "", "the host that it calls, with port")
	flag.Parse()
	quiet := istiolog.DefaultOptions()
	quiet.OutputPaths = []string{"stderr"}
	if err := istiolog.Configure(quiet); err != nil {
		log.Fatal(err)
	}
	if err := run(*address, *name, *namespace, *pod, *ip, *host); err != nil {
		log.Fatal(err)
	}
}

func run(address, name, namespace, pod, ip, host string) error {
	meta, err := structpb.NewStruct(map[string]any{"CLUSTER_ID": name, "NETWORK": name, "NAMESPACE": namespace})
	if err != nil {
		return err
	}
	client, err := adsc.New(address, &adsc.ADSConfig{
		Config:                   adsc.Config{Namespace: namespace, Workload: pod, IP: ip, Meta: meta},
		InitialDiscoveryRequests: []*discovery.DiscoveryRequest{{TypeUrl: v3.ClusterType}},
	})
	if err != nil {
		return err
	}
	defer client.Close()
	if err := client.Run(); err != nil {
		return err
	}
	if _, err := client.Wait(20*time.Second, v3.ClusterType, v3.EndpointType, v3.ListenerType, v3.RouteType); err != nil {
		return fmt.Errorf("istiod at %s: %w", address, err)
	}
	out, err := read(client, host)
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(out)
}

// read takes out what concerns the host.
func read(client *adsc.ADSC, host string) (told, error) {
	out := told{Weights: map[string]uint32{}, Endpoints: map[string][]string{}, Clusters: map[string]json.RawMessage{}}
	_, port, _ := strings.Cut(host, ":")
	for _, virtual := range client.GetRoutes()[port].GetVirtualHosts() {
		if virtual.GetName() == host {
			weigh(virtual, out.Weights)
		}
	}
	service, _, _ := strings.Cut(host, ".")
	for name, c := range client.GetEdsClusters() {
		if !strings.HasPrefix(name, "outbound|"+port+"||"+service+".") {
			continue
		}
		config, err := protojson.Marshal(c)
		if err != nil {
			return out, err
		}
		out.Clusters[name] = config
		out.Endpoints[name] = addresses(client.GetEndpoints()[name])
	}
	for _, listeners := range []map[string]*listener.Listener{client.GetHTTPListeners(), client.GetTCPListeners()} {
		if in := listeners["virtualInbound"]; in != nil {
			config, err := protojson.Marshal(in)
			if err != nil {
				return out, err
			}
			out.Inbound = config
		}
	}
	return out, nil
}

func weigh(virtual *route.VirtualHost, weights map[string]uint32) {
	for _, r := range virtual.GetRoutes() {
		for _, c := range r.GetRoute().GetWeightedClusters().GetClusters() {
			weights[c.GetName()] = c.GetWeight().GetValue()
		}
	}
}

func addresses(of *endpoint.ClusterLoadAssignment) (out []string) {
	for _, locality := range of.GetEndpoints() {
		for _, e := range locality.GetLbEndpoints() {
			at := e.GetEndpoint().GetAddress().GetSocketAddress()
			out = append(out, fmt.Sprintf("%s:%d", at.GetAddress(), at.GetPortValue()))
		}
	}
	return out
}
