package apply

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"flotilla.io/flotilla/agent/fields"
	"flotilla.io/flotilla/agent/tenant"
	"flotilla.io/flotilla/api/v1alpha1"
	"flotilla.io/flotilla/bundle/layer"
)

const (
	// createdAnnotation marks a namespace that the agent created because a bundle deploys into it. Such a namespace is in
	// no inventory: bundles may share it, and nobody deletes it.
	createdAnnotation = "flotilla.io/created"
	// namespaceManager begins the names under which a namespace's labels and annotations are written, one for each
	// deployment. They are others than the agent's, since the same Namespace may be an object of a bundle too, and several
	// bundles may be deployed into it; no set must take another one away.
	namespaceManager = "flotilla-namespace"
	podSecurity      = "pod-security.kubernetes.io/"
)

// Namespace is the one that a bundle deploys into.
type Namespace struct {
	Name                string
	Create              bool
	Labels, Annotations map[string]string
	For                 string // the deployment
}

func (ns Namespace) manager() string { return v1alpha1.SafeConcatName(namespaceManager, ns.For) }

var namespaceKind = tenant.Kind{Resource: schema.GroupVersionResource{Version: "v1", Resource: "namespaces"}, Kind: "Namespace"}

// EnsureNamespace creates the namespace if it is missing and gives it its labels and annotations, as the tenant. Labels of
// pod security stay as they are on a namespace that we did not create: whoever did create it meant them.
func EnsureNamespace(ctx context.Context, t *tenant.Tenant, ns Namespace) error {
	key := layer.Key{Kind: "Namespace", Name: ns.Name}
	objects := t.Object(namespaceKind, "")
	live, err := objects.Get(ctx, ns.Name, metav1.GetOptions{})
	created := false
	switch {
	case apierrors.IsNotFound(err) && ns.Create:
		if live, err = create(ctx, t, ns); err != nil {
			return explain(key, err)
		}
		created = true
	case apierrors.IsNotFound(err):
		return fmt.Errorf("Namespace %s does not exist, and createNamespace is off; add it to a bundle or turn createNamespace on", ns.Name)
	case apierrors.IsForbidden(err) && len(ns.Labels)+len(ns.Annotations) == 0:
		return nil // a tenant that may not read its namespace: the objects themselves will tell
	case err != nil:
		return explain(key, err)
	}
	labels := ns.Labels
	if !created && live.GetAnnotations()[createdAnnotation] != "true" {
		labels = withoutPodSecurity(labels)
	}
	covered := covers(live.GetLabels(), labels) && covers(live.GetAnnotations(), ns.Annotations)
	if covered && !ns.hasMore(live, len(labels)+len(ns.Annotations)) {
		return nil
	}
	if err := applyNamespace(ctx, t, ns, labels); err != nil {
		return explain(key, err)
	}
	return nil
}

func create(ctx context.Context, t *tenant.Tenant, ns Namespace) (*unstructured.Unstructured, error) {
	u := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "v1", "kind": "Namespace"}}
	u.SetName(ns.Name)
	u.SetAnnotations(map[string]string{createdAnnotation: "true"})
	objects := t.Object(namespaceKind, "")
	live, err := objects.Create(ctx, u, metav1.CreateOptions{FieldManager: namespaceManager})
	if apierrors.IsAlreadyExists(err) {
		return objects.Get(ctx, ns.Name, metav1.GetOptions{})
	}
	return live, err
}

// hasMore tells whether an earlier revision of the deployment gave the namespace more than n labels and annotations: what is
// wanted no more goes.
func (ns Namespace) hasMore(live *unstructured.Unstructured, n int) bool {
	for _, e := range live.GetManagedFields() {
		if set := fields.Set(e); set != nil && e.Manager == ns.manager() && e.Operation == metav1.ManagedFieldsOperationApply {
			return set.Leaves().Size() > n
		}
	}
	return false
}

func applyNamespace(ctx context.Context, t *tenant.Tenant, ns Namespace, labels map[string]string) error {
	u := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "v1", "kind": "Namespace"}}
	u.SetName(ns.Name)
	u.SetLabels(labels)
	u.SetAnnotations(ns.Annotations)
	data, err := json.Marshal(u.Object)
	if err != nil {
		return err
	}
	force := true
	_, err = t.Object(namespaceKind, "").Patch(ctx, ns.Name, types.ApplyPatchType, data,
		metav1.PatchOptions{FieldManager: ns.manager(), Force: &force})
	return err
}

func withoutPodSecurity(labels map[string]string) map[string]string {
	rest := map[string]string{}
	for k, v := range labels {
		if !strings.HasPrefix(k, podSecurity) {
			rest[k] = v
		}
	}
	return rest
}

// covers tells whether have has all of want.
func covers(have, want map[string]string) bool {
	for k, v := range want {
		if got, ok := have[k]; !ok || got != v {
			return false
		}
	}
	return true
}
