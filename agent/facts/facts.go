// Package facts finds what the hub is told of a cluster besides its API: where it is reached, how large it is, where it stands.
//
// All of it is read as a tenant's service account; what that may not read is left out. Lists are sorted and bounded, so that the same
// cluster gives the same facts.
package facts

import (
	"context"
	"encoding/base64"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"sigs.k8s.io/yaml"

	"flotilla.io/flotilla/agent/tenant"
	flotilla "flotilla.io/flotilla/api/flotilla/v1alpha1"
)

const (
	most = 32  // entries of a list
	page = 500 // objects of a request
)

// Endpoint is where the agent itself reaches the cluster's API server; empty inside of the cluster, where that address is of no use to
// others.
type Endpoint struct {
	URL string
	CA  []byte // PEM
}

// Read finds the facts.
func Read(ctx context.Context, t *tenant.Tenant, own Endpoint) (*flotilla.Facts, error) {
	f := &flotilla.Facts{APIServer: own.URL, CABundle: own.CA}
	for _, step := range []func(context.Context, *tenant.Tenant, *flotilla.Facts) error{clusterInfo, nodes, pods, serviceCIDRs, loadBalancers} {
		if err := step(ctx, t, f); err != nil && !apierrors.IsForbidden(err) && !apierrors.IsNotFound(err) && !tenant.IsNotServed(err) {
			return nil, err
		}
	}
	return f, nil
}

// objects is the client for a kind; namespace "" stands for all.
func objects(t *tenant.Tenant, gv, kind, namespace string) (dynamic.ResourceInterface, error) {
	k, err := t.Kinds.Of(schema.FromAPIVersionAndKind(gv, kind))
	if err != nil {
		return nil, err
	}
	return t.Object(k, namespace), nil
}

// clusterInfo is what kubeadm publishes for those who join: the address from outside.
func clusterInfo(ctx context.Context, t *tenant.Tenant, f *flotilla.Facts) error {
	maps, err := objects(t, "v1", "ConfigMap", "kube-public")
	if err != nil {
		return err
	}
	u, err := maps.Get(ctx, "cluster-info", metav1.GetOptions{})
	if err != nil {
		return err
	}
	text, _, _ := unstructured.NestedString(u.Object, "data", "kubeconfig")
	var config struct {
		Clusters []struct {
			Cluster struct {
				Server string `json:"server"`
				CA     string `json:"certificate-authority-data"`
			} `json:"cluster"`
		} `json:"clusters"`
	}
	if yaml.Unmarshal([]byte(text), &config) != nil || len(config.Clusters) == 0 || config.Clusters[0].Cluster.Server == "" {
		return nil
	}
	f.APIServer = config.Clusters[0].Cluster.Server
	if ca, err := base64.StdEncoding.DecodeString(config.Clusters[0].Cluster.CA); err == nil {
		f.CABundle = ca
	}
	return nil
}

// nodes sums up what the nodes offer and where they stand.
func nodes(ctx context.Context, t *tenant.Tenant, f *flotilla.Facts) error {
	client, err := objects(t, "v1", "Node", "")
	if err != nil {
		return err
	}
	var all []corev1.Node
	for next := ""; ; {
		list, err := client.List(ctx, metav1.ListOptions{Limit: page, Continue: next})
		if err != nil {
			return err
		}
		for i := range list.Items {
			var n corev1.Node
			if err := runtime.DefaultUnstructuredConverter.FromUnstructured(list.Items[i].Object, &n); err == nil {
				all = append(all, n)
			}
		}
		if next = list.GetContinue(); next == "" {
			break
		}
	}
	Sum(f, all)
	return nil
}

// Sum fills in what nodes say.
func Sum(f *flotilla.Facts, nodes []corev1.Node) {
	var cpu, memory, pods resource.Quantity
	architectures, providers, regions, zones, cidrs := set{}, set{}, set{}, set{}, set{}
	for i := range nodes {
		n := &nodes[i]
		f.Nodes++
		for _, c := range n.Status.Conditions {
			if c.Type == corev1.NodeReady && c.Status == corev1.ConditionTrue {
				f.ReadyNodes++
			}
		}
		cpu.Add(*n.Status.Allocatable.Cpu())
		memory.Add(*n.Status.Allocatable.Memory())
		pods.Add(*n.Status.Allocatable.Pods())
		architectures.add(n.Status.NodeInfo.Architecture, n.Labels[corev1.LabelArchStable])
		regions.add(n.Labels[corev1.LabelTopologyRegion])
		zones.add(n.Labels[corev1.LabelTopologyZone])
		cidrs.add(n.Spec.PodCIDRs...)
		if provider, _, found := strings.Cut(n.Spec.ProviderID, "://"); found {
			providers.add(provider)
		}
	}
	f.Allocatable = flotilla.Resources{CPU: cpu.String(), Memory: memory.String(), Pods: pods.Value()}
	f.Architectures, f.Providers, f.Regions, f.Zones, f.PodCIDRs = architectures.list(), providers.list(), regions.list(), zones.list(), cidrs.list()
}

func serviceCIDRs(ctx context.Context, t *tenant.Tenant, f *flotilla.Facts) error {
	client, err := objects(t, "networking.k8s.io/v1", "ServiceCIDR", "")
	if err != nil {
		return err
	}
	u, err := client.Get(ctx, "kubernetes", metav1.GetOptions{})
	if err != nil {
		return err
	}
	f.ServiceCIDRs, _, _ = unstructured.NestedStringSlice(u.Object, "spec", "cidrs")
	return nil
}

// loadBalancers: the cluster gives addresses to Services that ask for them, if it gave one to any.
func loadBalancers(ctx context.Context, t *tenant.Tenant, f *flotilla.Facts) error {
	client, err := objects(t, "v1", "Service", "")
	if err != nil {
		return err
	}
	for next := ""; ; {
		list, err := client.List(ctx, metav1.ListOptions{Limit: page, Continue: next})
		if err != nil {
			return err
		}
		for i := range list.Items {
			kind, _, _ := unstructured.NestedString(list.Items[i].Object, "spec", "type")
			given, _, _ := unstructured.NestedSlice(list.Items[i].Object, "status", "loadBalancer", "ingress")
			if kind == string(corev1.ServiceTypeLoadBalancer) && len(given) > 0 {
				f.LoadBalancers = true
				return nil
			}
		}
		if next = list.GetContinue(); next == "" {
			return nil
		}
	}
}

// set gathers names.
type set map[string]bool

func (s set) add(names ...string) {
	for _, name := range names {
		if name != "" {
			s[name] = true
		}
	}
}

func (s set) list() []string {
	all := slices.Sorted(maps.Keys(s))
	return slices.Clip(all[:min(len(all), most)])
}
