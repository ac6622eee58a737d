// Package hub knows which hub this is: its UID, by which agents tell one hub from another, and its secret, from which the
// keys of all layers follow.
package hub

import (
	"context"
	"crypto/rand"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	fleet "flotilla.io/flotilla/api/v1alpha1"
)

const secretSize = 32

// Identity is what makes this hub this hub.
type Identity struct {
	UID    string // of Namespace kube-system
	Secret []byte // 32 bytes; a backup needs etcd and this, which lies in etcd too
}

// Load reads the hub's identity, and makes its secret at the first start. Reads must be live (no cache).
func Load(ctx context.Context, c client.Writer, live client.Reader) (Identity, error) {
	system := &corev1.Namespace{}
	if err := live.Get(ctx, client.ObjectKey{Name: metav1.NamespaceSystem}, system); err != nil {
		return Identity{}, fmt.Errorf("reading the UID of namespace %s: %w", metav1.NamespaceSystem, err)
	}
	secret, err := secret(ctx, c, live)
	if err != nil {
		return Identity{}, err
	}
	return Identity{UID: string(system.UID), Secret: secret}, nil
}

func secret(ctx context.Context, c client.Writer, live client.Reader) ([]byte, error) {
	found := &corev1.Secret{}
	key := client.ObjectKey{Namespace: fleet.SystemNamespace, Name: fleet.HubSecretName}
	err := live.Get(ctx, key, found)
	if apierrors.IsNotFound(err) {
		if err = create(ctx, c); err == nil || apierrors.IsAlreadyExists(err) {
			err = live.Get(ctx, key, found) // of two replicas that start at once, one wins
		}
	}
	if err != nil {
		return nil, fmt.Errorf("reading the hub secret %s: %w", key, err)
	}
	if n := len(found.Data[fleet.HubSecretKey]); n != secretSize {
		return nil, fmt.Errorf("reading the hub secret %s: key %q holds %d bytes, want %d; restore it from a backup "+
			"(deleting it makes a new one, and all layers are made again)", key, fleet.HubSecretKey, n, secretSize)
	}
	return found.Data[fleet.HubSecretKey], nil
}

func create(ctx context.Context, c client.Writer) error {
	random := make([]byte, secretSize)
	rand.Read(random) // never fails
	return c.Create(ctx, &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: fleet.HubSecretName, Namespace: fleet.SystemNamespace},
		Immutable:  ptr.To(true),
		Data:       map[string][]byte{fleet.HubSecretKey: random},
	})
}
