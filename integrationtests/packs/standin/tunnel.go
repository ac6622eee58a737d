package main

import (
	"context"
	"encoding/base64"
	"fmt"
	"reflect"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// broker is a member's way to the others.
type broker struct {
	client.Client
	namespace string
	way       [4]string // what the Submariner object says of it
}

// tunnel does what operator, gateway and route agent would.
func (m *member) tunnel(ctx context.Context) error {
	wanted := object("submariner.io/v1alpha1", "Submariner", namespace, "submariner")
	if err := m.Get(ctx, client.ObjectKeyFromObject(wanted), wanted); meta.IsNoMatchError(err) {
		return nil
	} else if client.IgnoreNotFound(err) != nil {
		return err
	} else if err != nil {
		return m.leave(ctx)
	}
	spec, _, _ := unstructured.NestedMap(wanted.Object, "spec")
	if err := m.reach(spec); err != nil {
		return err
	}
	node, err := m.gatewayNode(ctx)
	if err != nil {
		return err
	}
	if node == "" {
		return setStatus(ctx, m, wanted, map[string]any{
			"gatewayDaemonSetStatus": map[string]any{"mismatchedContainerImages": false, "status": map[string]any{"numberReady": int64(0)}},
			"gateways":               []any{},
		}, true)
	}
	if err := m.announce(ctx, node, fmt.Sprint(spec["cableDriver"])); err != nil {
		return err
	}
	connections, err := m.connections(ctx)
	if err != nil {
		return err
	}
	return m.tell(ctx, wanted, node, connections)
}

// reach makes the client of the broker that the Submariner object names, and of no other.
func (m *member) reach(spec map[string]any) error {
	var way [4]string
	for i, field := range []string{"brokerK8sApiServer", "brokerK8sApiServerToken", "brokerK8sCA", "brokerK8sRemoteNamespace"} {
		if way[i], _ = spec[field].(string); way[i] == "" {
			return fmt.Errorf("Submariner %s: spec.%s is empty", m.cluster, field)
		}
	}
	if id, _ := spec["clusterID"].(string); id != m.cluster {
		return fmt.Errorf("Submariner: spec.clusterID is %q, on %s", id, m.cluster)
	}
	if m.broker != nil && m.broker.way == way {
		return nil
	}
	ca, err := base64.StdEncoding.DecodeString(way[2])
	if err != nil {
		return fmt.Errorf("Submariner: spec.brokerK8sCA: %w", err)
	}
	c, err := client.New(&rest.Config{
		Host: "https://" + way[0], BearerToken: way[1], TLSClientConfig: rest.TLSClientConfig{CAData: ca},
	}, client.Options{Scheme: runtime.NewScheme()})
	if err != nil {
		return err
	}
	m.broker = &broker{Client: c, namespace: way[3], way: way}
	return nil
}

// gatewayNode is a node with the label of gateways.
func (m *member) gatewayNode(ctx context.Context) (string, error) {
	nodes := list("v1", "NodeList")
	if err := m.List(ctx, nodes, client.MatchingLabels{"submariner.io/gateway": "true"}); err != nil || len(nodes.Items) == 0 {
		return "", err
	}
	return nodes.Items[0].GetName(), nil
}

func (m *member) endpoint(driver, node string) map[string]any {
	return map[string]any{"cluster_id": m.cluster, "cable_name": "submariner-cable-" + m.cluster, "hostname": node, "backend": driver, "nat_enabled": true}
}

// announce puts the member's Endpoint and Cluster on the broker.
func (m *member) announce(ctx context.Context, node, driver string) error {
	for kind, spec := range map[string]map[string]any{
		"Endpoint": m.endpoint(driver, node),
		"Cluster":  {"cluster_id": m.cluster, "color_codes": []any{"blue"}},
	} {
		u := object("submariner.io/v1", kind, m.broker.namespace, m.cluster)
		err := m.broker.Get(ctx, client.ObjectKeyFromObject(u), u)
		if client.IgnoreNotFound(err) != nil {
			return err
		}
		if reflect.DeepEqual(u.Object["spec"], any(spec)) {
			continue
		}
		u.Object["spec"] = spec
		if err == nil {
			err = m.broker.Update(ctx, u)
		} else {
			err = m.broker.Create(ctx, u)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// connections are the member's tunnels: one to each other member that has an Endpoint on the broker.
func (m *member) connections(ctx context.Context) (out []any, err error) {
	endpoints, clusters := list("submariner.io/v1", "EndpointList"), list("submariner.io/v1", "ClusterList")
	for _, l := range []*unstructured.UnstructuredList{endpoints, clusters} {
		if err := m.broker.List(ctx, l, client.InNamespace(m.broker.namespace)); err != nil {
			return nil, err
		}
	}
	known := map[string]bool{}
	for _, c := range clusters.Items {
		id, _, _ := unstructured.NestedString(c.Object, "spec", "cluster_id")
		known[id] = true
	}
	for _, e := range endpoints.Items {
		spec, _, _ := unstructured.NestedMap(e.Object, "spec")
		id, _ := spec["cluster_id"].(string)
		if id == m.cluster {
			continue
		}
		connection := map[string]any{"status": "connecting", "statusMessage": "", "endpoint": spec}
		if known[id] {
			connection["status"] = "connected"
			connection["latencyRTT"] = map[string]any{"last": "1ms", "min": "1ms", "average": "1ms", "max": "1ms", "stdDev": "0s"}
		}
		out = append(out, connection)
	}
	return out, nil
}

// tell writes the status of Gateway, RouteAgent and Submariner.
func (m *member) tell(ctx context.Context, submariner *unstructured.Unstructured, node string, connections []any) error {
	if connections == nil {
		connections = []any{}
	}
	spec, _, _ := unstructured.NestedMap(submariner.Object, "spec")
	status := map[string]any{
		"haStatus": "active", "version": "simulated", "statusFailure": "", "connections": connections,
		"localEndpoint": m.endpoint(fmt.Sprint(spec["cableDriver"]), node),
	}
	remote := []any{}
	for _, c := range connections {
		remote = append(remote, map[string]any{"status": c.(map[string]any)["status"], "spec": c.(map[string]any)["endpoint"]})
	}
	for kind, status := range map[string]map[string]any{"Gateway": status, "RouteAgent": {"version": "simulated", "statusFailure": "", "remoteEndpoints": remote}} {
		u := object("submariner.io/v1", kind, namespace, node)
		if err := m.Get(ctx, client.ObjectKeyFromObject(u), u); client.IgnoreNotFound(err) != nil {
			return err
		} else if err != nil {
			if err := m.Create(ctx, u); err != nil {
				return err
			}
		}
		if err := setStatus(ctx, m, u, status, false); err != nil {
			return err
		}
	}
	return setStatus(ctx, m, submariner, map[string]any{
		"gatewayDaemonSetStatus": map[string]any{"mismatchedContainerImages": false, "status": map[string]any{"numberReady": int64(1)}},
		"gateways":               []any{status},
	}, true)
}

// leave takes away what the member made, as the operator does when its Submariner object goes.
func (m *member) leave(ctx context.Context) error {
	if m.broker == nil {
		return nil
	}
	for _, kind := range []string{"Endpoint", "Cluster"} {
		if err := m.broker.Delete(ctx, object("submariner.io/v1", kind, m.broker.namespace, m.cluster)); client.IgnoreNotFound(err) != nil {
			return err
		}
	}
	for _, kind := range []string{"Gateway", "RouteAgent"} {
		if err := m.DeleteAllOf(ctx, object("submariner.io/v1", kind, namespace, ""), client.InNamespace(namespace)); err != nil {
			return err
		}
	}
	m.broker = nil
	return nil
}
