package migration

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// seen is what must not change about an object: its UID and generation, a Deployment's template, a Pod's restarts.
type seen map[string]string

// bundled are the namespaces of the bundles, and none.
var bundled = []string{"", "web", "shop", "legacy"}

// deployed is all that runs on the cluster in the bundles' namespaces.
func (p *place) deployed() seen {
	p.Helper()
	s := seen{}
	for _, kind := range []string{
		"apps/v1 Deployment", "apps/v1 ReplicaSet", "v1 Pod", "v1 Service", "v1 ConfigMap", "v1 ServiceAccount", "batch/v1 CronJob",
		"v1 PersistentVolumeClaim", "v1 PersistentVolume", "v1 Namespace",
	} {
		p.add(s, p.edge, kind)
	}
	return s
}

// kept is what keeps its name on the hub.
func (p *place) kept() seen {
	p.Helper()
	s := seen{}
	for _, kind := range []string{"GitRepo", "Bundle", "BundleDeployment", "Cluster", "ClusterGroup", "ClusterRegistrationToken", "ClusterRegistration"} {
		list := &unstructured.UnstructuredList{}
		list.SetAPIVersion("fleet.cattle.io/v1alpha1")
		list.SetKind(kind + "List")
		must(p.T, p.hub.client.List(context.Background(), list))
		for _, u := range list.Items {
			s[kind+" "+u.GetNamespace()+"/"+u.GetName()] = string(u.GetUID())
		}
	}
	return s
}

func (p *place) add(s seen, where *side, kind string) {
	p.Helper()
	version, name, _ := strings.Cut(kind, " ")
	list := &unstructured.UnstructuredList{}
	list.SetAPIVersion(version)
	list.SetKind(name + "List")
	must(p.T, where.client.List(context.Background(), list))
	for _, u := range list.Items {
		if ns := u.GetNamespace(); !slices.Contains(bundled, ns) || name == "Namespace" && !slices.Contains(bundled, u.GetName()) {
			continue
		}
		about := map[string]any{"uid": u.GetUID(), "generation": u.GetGeneration()}
		if name == "Deployment" {
			about["template"], _, _ = unstructured.NestedMap(u.Object, "spec", "template")
		}
		if name == "Pod" {
			statuses, _, _ := unstructured.NestedSlice(u.Object, "status", "containerStatuses")
			for _, status := range statuses {
				about["restarts"] = status.(map[string]any)["restartCount"]
			}
		}
		data, err := json.Marshal(about)
		must(p.T, err)
		s[name+" "+u.GetNamespace()+"/"+u.GetName()] = string(data)
	}
}

// same fails for everything that was and is no more as it was. What is new is no business of it.
func (p *place) same(what string, before, after seen) {
	p.Helper()
	if len(before) < 5 {
		p.Fatalf("%s: only %d objects were there before: this compares nothing", what, len(before))
	}
	for _, name := range slices.Sorted(maps.Keys(before)) {
		if after[name] != before[name] {
			p.Errorf("%s: %s was\n%s\nand is\n%s", what, name, before[name], after[name])
		}
	}
}

// object reads one of the cluster's; nil if it is not there.
func (p *place) object(where *side, version, kind, namespace, name string) *unstructured.Unstructured {
	p.Helper()
	u := &unstructured.Unstructured{}
	u.SetAPIVersion(version)
	u.SetKind(kind)
	err := where.client.Get(context.Background(), client.ObjectKey{Namespace: namespace, Name: name}, u)
	if client.IgnoreNotFound(err) != nil {
		p.Fatal(fmt.Errorf("reading %s %s/%s: %w", kind, namespace, name, err))
	}
	if err != nil {
		return nil
	}
	return u
}
