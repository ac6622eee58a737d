package importer

import (
	"context"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	fleet "flotilla.io/flotilla/api/v1alpha1"
)

// secrets are those of the system namespace, by name.
type secrets struct {
	client.Reader
	all map[string]corev1.Secret
}

func (s secrets) Get(_ context.Context, key client.ObjectKey, obj client.Object, _ ...client.GetOption) error {
	have, ok := s.all[key.Name]
	if !ok || key.Namespace != fleet.SystemNamespace {
		return apierrors.NewNotFound(schema.GroupResource{Resource: "secrets"}, key.Name)
	}
	have.DeepCopyInto(obj.(*corev1.Secret))
	return nil
}

func TestTheHubHandsItsPullSecretsOn(t *testing.T) {
	reader := secrets{all: map[string]corev1.Secret{
		"registry": {Type: corev1.SecretTypeDockerConfigJson, Data: map[string][]byte{".dockerconfigjson": []byte("{}")}},
		"hub":      {Type: corev1.SecretTypeOpaque, Data: map[string][]byte{"key": []byte("secret")}},
	}}
	own := []corev1.LocalObjectReference{{Name: "mine"}}
	for _, row := range []struct {
		rule    string
		names   []string
		cluster fleet.ClusterSpec
		want    any
		wrong   string
	}{
		{"those of the hub's chart", []string{"registry"}, fleet.ClusterSpec{}, []any{map[string]any{"name": "registry"}}, ""},
		{"none where it has none", nil, fleet.ClusterSpec{}, nil, ""},
		{"none to a Cluster that names its own", []string{"registry"}, fleet.ClusterSpec{AgentPullSecrets: &own}, nil, ""},
		{"none to a Cluster that wants none", []string{"registry"}, fleet.ClusterSpec{AgentPullSecrets: &[]corev1.LocalObjectReference{}}, nil, ""},
		{"and says so when one is missing", []string{"gone"}, fleet.ClusterSpec{}, nil, "reading Secret cattle-fleet-system/gone that the chart's imagePullSecrets names"},
		{"and never another kind of Secret", []string{"hub"}, fleet.ClusterSpec{}, nil, "is of type Opaque, which is not handed on"},
	} {
		t.Run(row.rule, func(t *testing.T) {
			in := &run{cluster: &fleet.Cluster{Spec: row.cluster}, order: Order{Namespace: "agents", Values: map[string]any{}}}
			err := (&Reconciler{Live: reader, PullSecrets: row.names}).pullSecrets(t.Context(), in)
			if (err != nil) != (row.wrong != "") || err != nil && !strings.Contains(err.Error(), row.wrong) {
				t.Fatalf("error %v, want %q", err, row.wrong)
			}
			if d := cmp.Diff(row.want, in.order.Values["imagePullSecrets"]); d != "" {
				t.Error(d)
			}
			if row.want == nil && len(in.order.PullSecrets) > 0 {
				t.Errorf("%d Secrets go along", len(in.order.PullSecrets))
			}
		})
	}
	t.Run("into the agent's namespace, as they are", func(t *testing.T) {
		in := &run{cluster: &fleet.Cluster{}, order: Order{Namespace: "agents", Values: map[string]any{}}}
		if err := (&Reconciler{Live: reader, PullSecrets: []string{"registry"}}).pullSecrets(t.Context(), in); err != nil {
			t.Fatal(err)
		}
		objects, err := in.order.Before()
		if err != nil || len(objects) != 1 {
			t.Fatal(objects, err)
		}
		if d := cmp.Diff(map[string]any{
			"apiVersion": "v1", "kind": "Secret", "metadata": map[string]any{"name": "registry", "namespace": "agents"},
			"type": "kubernetes.io/dockerconfigjson", "data": map[string]any{".dockerconfigjson": "e30="},
		}, objects[0].Object); d != "" {
			t.Error(d)
		}
	})
}
