package importer

import (
	"context"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	fleet "flotilla.io/flotilla/api/v1alpha1"
)

// registryTypes are the Secrets that the hub hands on: what else lies in its namespace concerns no cluster.
var registryTypes = []corev1.SecretType{corev1.SecretTypeDockerConfigJson, corev1.SecretTypeDockercfg}

// pullSecrets adds the hub's own credentials for registries to an order, unless the Cluster names its agent's: those are
// brought to the cluster by others.
func (r *Reconciler) pullSecrets(ctx context.Context, in *run) error {
	if in.cluster.Spec.AgentPullSecrets != nil || len(r.PullSecrets) == 0 {
		return nil
	}
	var names []any
	for _, name := range r.PullSecrets {
		key, secret := client.ObjectKey{Namespace: fleet.SystemNamespace, Name: name}, &corev1.Secret{}
		if err := r.Live.Get(ctx, key, secret); err != nil {
			return fmt.Errorf("reading Secret %s that the chart's imagePullSecrets names: %w; create it, or take it out", key, err)
		}
		if !slices.Contains(registryTypes, secret.Type) {
			return fmt.Errorf("Secret %s that the chart's imagePullSecrets names is of type %s, which is not handed on; make it one of type %s",
				key, secret.Type, registryTypes[0])
		}
		in.order.PullSecrets = append(in.order.PullSecrets, corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: name}, Type: secret.Type, Data: secret.Data})
		names = append(names, map[string]any{"name": name})
	}
	in.order.Values["imagePullSecrets"] = names
	return nil
}

// Before are the objects that the agent's Pod needs when it is made.
func (o Order) Before() ([]*unstructured.Unstructured, error) {
	out := make([]*unstructured.Unstructured, 0, len(o.PullSecrets))
	for _, s := range o.PullSecrets {
		s.TypeMeta, s.Namespace = metav1.TypeMeta{APIVersion: "v1", Kind: "Secret"}, o.Namespace
		object, err := runtime.DefaultUnstructuredConverter.ToUnstructured(&s)
		if err != nil {
			return nil, err
		}
		unstructured.RemoveNestedField(object, "metadata", "creationTimestamp")
		out = append(out, &unstructured.Unstructured{Object: object})
	}
	return out, nil
}
