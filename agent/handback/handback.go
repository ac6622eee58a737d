// Package handback is the way back to Rancher Fleet: it takes this agent's marks off what it deployed on a cluster, and gives
// the fields that it managed back to the name that Fleet's agent writes under. Nothing else about an object changes, and
// none is deleted.
//
// Without it Fleet's server-side apply would find each field of an object in the hands of an agent that is gone, and fail
// with the next change of one.
package handback

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/fluxcd/pkg/ssa"
	appsv1 "k8s.io/api/apps/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"

	"flotilla.io/flotilla/agent/fields"
	"flotilla.io/flotilla/api/v1alpha1"
)

// agentName is the agent's Deployment, as its chart calls it.
const agentName = "flotilla-agent"

// All hands back every object on the cluster and returns how many there were. It refuses while the agent runs, which would
// only take them again.
func All(ctx context.Context, cluster *rest.Config) (int, error) {
	cluster = rest.CopyConfig(cluster)
	cluster.WarningHandler = rest.NoWarnings{} // every kind is looked at, deprecated ones too
	objects, err := metadata.NewForConfig(metadata.ConfigFor(cluster))
	if err != nil {
		return 0, err
	}
	if err := agentOff(ctx, cluster); err != nil {
		return 0, err
	}
	kinds, err := kindsOf(cluster)
	if err != nil {
		return 0, err
	}
	count := 0
	for _, kind := range kinds {
		list, err := objects.Resource(kind).List(ctx, metav1.ListOptions{LabelSelector: v1alpha1.OwnedLabel})
		if apierrors.IsNotFound(err) || apierrors.IsMethodNotSupported(err) {
			continue
		}
		if err != nil {
			return count, fmt.Errorf("listing %s: %w", kind.GroupResource(), err)
		}
		for i := range list.Items {
			m := &list.Items[i]
			if m.Annotations[v1alpha1.OwnerAnnotation] == "" {
				continue // a controller copied the label, as from a Service to its Endpoints
			}
			if err := one(ctx, objects.Resource(kind).Namespace(m.Namespace), m); err != nil {
				return count, fmt.Errorf("handing back %s %s/%s: %w", kind.GroupResource(), m.Namespace, m.Name, err)
			}
			count++
		}
	}
	return count, nil
}

func agentOff(ctx context.Context, cluster *rest.Config) error {
	client, err := dynamic.NewForConfig(cluster)
	if err != nil {
		return err
	}
	u, err := client.Resource(appsv1.SchemeGroupVersion.WithResource("deployments")).Namespace(v1alpha1.SystemNamespace).Get(ctx, agentName, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("looking whether Flotilla's agent runs: %w", err)
	}
	var d appsv1.Deployment
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(u.Object, &d); err != nil {
		return err
	}
	if d.Spec.Replicas == nil || *d.Spec.Replicas > 0 || d.Status.Replicas > 0 {
		return fmt.Errorf("Flotilla's agent runs on this cluster and would take the objects again; turn it off first: "+
			"kubectl -n %s scale deployment %s --replicas=0", v1alpha1.SystemNamespace, agentName)
	}
	return nil
}

// kindsOf lists what the cluster serves and can be listed and patched, each in one version. An API that does not answer is an
// error: what it serves might be ours.
func kindsOf(cluster *rest.Config) ([]schema.GroupVersionResource, error) {
	client, err := discovery.NewDiscoveryClientForConfig(cluster)
	if err != nil {
		return nil, err
	}
	lists, err := client.ServerPreferredResources()
	if err != nil {
		return nil, fmt.Errorf("asking what the cluster serves: %w", err)
	}
	var kinds []schema.GroupVersionResource
	for _, list := range lists {
		gv, err := schema.ParseGroupVersion(list.GroupVersion)
		if err != nil {
			return nil, err
		}
		for _, r := range list.APIResources {
			if slices.Contains(r.Verbs, "list") && slices.Contains(r.Verbs, "patch") && !strings.Contains(r.Name, "/") {
				kinds = append(kinds, gv.WithResource(r.Name))
			}
		}
	}
	return kinds, nil
}

// tries bounds how often an object that moves is read anew.
const tries = 5

// one changes a single object, bound to what was read.
func one(ctx context.Context, objects metadata.ResourceInterface, m *metav1.PartialObjectMetadata) error {
	for try := 1; ; try++ {
		data, err := patch(m)
		if err != nil {
			return err
		}
		_, err = objects.Patch(ctx, m.Name, types.JSONPatchType, data, metav1.PatchOptions{FieldManager: v1alpha1.FleetFieldManager})
		if err == nil || apierrors.IsNotFound(err) {
			return nil
		}
		if try == tries || !apierrors.IsConflict(err) {
			return err
		}
		if m, err = objects.Get(ctx, m.Name, metav1.GetOptions{}); err != nil {
			return err
		}
	}
}

// patch takes our marks off an object and gives its fields back.
func patch(m *metav1.PartialObjectMetadata) ([]byte, error) {
	operations := []map[string]any{
		{"op": "replace", "path": "/metadata/resourceVersion", "value": m.ResourceVersion},
	}
	for path, value := range map[string]string{
		"/metadata/labels/" + fields.Escape(v1alpha1.OwnedLabel):           m.Labels[v1alpha1.OwnedLabel],
		"/metadata/annotations/" + fields.Escape(v1alpha1.OwnerAnnotation): m.Annotations[v1alpha1.OwnerAnnotation],
	} {
		if value != "" {
			operations = append(operations, map[string]any{"op": "remove", "path": path})
		}
	}
	u := &unstructured.Unstructured{Object: map[string]any{}}
	u.SetManagedFields(m.ManagedFields)
	ours := []ssa.FieldManager{{Name: v1alpha1.AgentFieldManager, OperationType: metav1.ManagedFieldsOperationApply, ExactMatch: true}}
	entries, err := ssa.PatchReplaceFieldsManagers(u, ours, v1alpha1.FleetFieldManager)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		operations = append(operations, map[string]any{"op": e.Operation, "path": e.Path, "value": e.Value})
	}
	return json.Marshal(operations)
}
