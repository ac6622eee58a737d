package others

import (
	"fmt"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"flotilla.io/flotilla/agent/fields"
	"flotilla.io/flotilla/bundle/layer"
)

// scaler is a HorizontalPodAutoscaler among the objects: what it scales, and between which numbers.
type scaler struct {
	target   layer.Key
	min, max int64
}

func scalers(objects []*unstructured.Unstructured) []scaler {
	var list []scaler
	for _, u := range objects {
		if u.GroupVersionKind().GroupKind() != (schema.GroupKind{Group: "autoscaling", Kind: "HorizontalPodAutoscaler"}) {
			continue
		}
		apiVersion, _, _ := unstructured.NestedString(u.Object, "spec", "scaleTargetRef", "apiVersion")
		kind, _, _ := unstructured.NestedString(u.Object, "spec", "scaleTargetRef", "kind")
		name, _, _ := unstructured.NestedString(u.Object, "spec", "scaleTargetRef", "name")
		group := schema.FromAPIVersionAndKind(apiVersion, kind).Group
		s := scaler{target: layer.Key{Group: group, Kind: kind, Namespace: u.GetNamespace(), Name: name}, min: 1}
		if n, found := number(u.Object, "spec", "minReplicas"); found {
			s.min = n
		}
		s.max, _ = number(u.Object, "spec", "maxReplicas")
		list = append(list, s)
	}
	return list
}

func number(object map[string]any, path ...string) (int64, bool) {
	value, _, _ := unstructured.NestedFieldNoCopy(object, path...)
	switch n := value.(type) {
	case int64:
		return n, true
	case float64:
		return int64(n), true
	}
	return 0, false
}

// defaults are the fields that something on the cluster is known to write.
func (r Rules) defaults(wanted, live *unstructured.Unstructured) []string {
	var pointers []string
	for _, s := range r.scalers {
		if s.target == keyOf(wanted) && s.within(live) {
			pointers = append(pointers, "/spec/replicas")
		}
	}
	gk := wanted.GroupVersionKind().GroupKind()
	if _, aggregated := wanted.Object["aggregationRule"]; aggregated && gk == (schema.GroupKind{Group: "rbac.authorization.k8s.io", Kind: "ClusterRole"}) {
		pointers = append(pointers, "/rules") // a controller gathers them
	}
	return append(pointers, injectedBundles(gk, wanted.Object)...)
}

// within tells whether the autoscaler could have chosen the number of replicas; another one is somebody else's.
func (s scaler) within(live *unstructured.Unstructured) bool {
	n, found := number(live.Object, "spec", "replicas")
	return found && s.min <= n && n <= s.max
}

// injectedBundles are the CA bundles that are left open for an injector: empty, or a mere line break in base64.
func injectedBundles(gk schema.GroupKind, object map[string]any) []string {
	var places []string
	switch gk {
	case schema.GroupKind{Group: "admissionregistration.k8s.io", Kind: "MutatingWebhookConfiguration"},
		schema.GroupKind{Group: "admissionregistration.k8s.io", Kind: "ValidatingWebhookConfiguration"}:
		webhooks, _, _ := unstructured.NestedSlice(object, "webhooks")
		for i := range webhooks {
			places = append(places, fmt.Sprintf("/webhooks/%d/clientConfig/caBundle", i))
		}
	case schema.GroupKind{Group: "apiextensions.k8s.io", Kind: "CustomResourceDefinition"}:
		places = []string{"/spec/conversion/webhook/clientConfig/caBundle"}
	case schema.GroupKind{Group: "apiregistration.k8s.io", Kind: "APIService"}:
		places = []string{"/spec/caBundle"}
	}
	var open []string
	for _, pointer := range places {
		if value, found := fields.At(object, pointer); found && (value == "" || value == "\n" || value == "Cg==") {
			open = append(open, pointer)
		}
	}
	return open
}

// expires tells whether an object goes by itself once it has done its work.
func expires(wanted *unstructured.Unstructured) bool {
	if wanted.GroupVersionKind().GroupKind() != (schema.GroupKind{Group: "batch", Kind: "Job"}) {
		return false
	}
	_, found, _ := unstructured.NestedFieldNoCopy(wanted.Object, "spec", "ttlSecondsAfterFinished")
	return found
}
