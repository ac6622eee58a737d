package cluster_test

import (
	"bytes"
	"strings"
	"sync"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	fleet "flotilla.io/flotilla/api/v1alpha1"
	"flotilla.io/flotilla/controller/hub"
)

func TestTheHubSecretIsMadeOnce(t *testing.T) {
	replace := func(with *corev1.Secret) {
		t.Helper()
		old := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: fleet.SystemNamespace, Name: fleet.HubSecretName}}
		must(t, client.IgnoreNotFound(theHub.client.Delete(t.Context(), old)))
		if with != nil {
			with.ObjectMeta = metav1.ObjectMeta{Namespace: old.Namespace, Name: old.Name}
			must(t, theHub.client.Create(t.Context(), with))
		}
	}
	original := get(t, fleet.SystemNamespace, fleet.HubSecretName, &corev1.Secret{})
	defer func() { replace(&corev1.Secret{Data: original.Data, Immutable: original.Immutable}) }()
	if !bytes.Equal(original.Data[fleet.HubSecretKey], theHub.id.Secret) || original.Immutable == nil || !*original.Immutable {
		t.Errorf("the Secret is %+v", original)
	}

	replace(nil)
	found := make([]hub.Identity, 8)
	var all sync.WaitGroup
	for i := range found {
		all.Go(func() {
			var err error
			if found[i], err = hub.Load(t.Context(), theHub.client, theHub.client); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	for _, id := range found {
		if id.UID != theHub.id.UID || len(id.Secret) != 32 || !bytes.Equal(id.Secret, found[0].Secret) {
			t.Errorf("replicas that start at once come to %v and %v", found[0], id)
		}
	}

	replace(&corev1.Secret{Data: map[string][]byte{fleet.HubSecretKey: []byte("short")}})
	if _, err := hub.Load(t.Context(), theHub.client, theHub.client); err == nil || !strings.Contains(err.Error(), "holds 5 bytes, want 32") {
		t.Errorf("a broken Secret gives %v", err)
	}
}
