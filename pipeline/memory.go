package pipeline

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"

	"flotilla.io/flotilla/agent/inventory"
)

// memory keeps the inventory of one deployment in a Secret, beside what it deploys, as Helm keeps a release.
type memory struct {
	secrets corev1client.SecretInterface
	name    string
}

const (
	memoryKey  = "items"
	memoryType = "flotilla.io/deployed"
)

func memoryName(deployment string) string { return "flotilla-deployed." + deployment }

func (m memory) load(ctx context.Context) (inventory.Inventory, error) {
	known := inventory.Inventory{}
	secret, err := m.secrets.Get(ctx, m.name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return known, nil
	}
	if err == nil {
		err = inventory.DecodeInto(known, secret.Data[memoryKey])
	}
	if err != nil {
		return nil, fmt.Errorf("reading what was deployed before, in Secret %s: %w", m.name, err)
	}
	return known, nil
}

func (m memory) save(ctx context.Context, known inventory.Inventory) error {
	packed, err := inventory.Encode(known.Sorted())
	if err != nil {
		return err
	}
	secret := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: m.name},
		Type:       memoryType,
		Data:       map[string][]byte{memoryKey: packed},
	}
	_, err = m.secrets.Update(ctx, secret, metav1.UpdateOptions{})
	if apierrors.IsNotFound(err) {
		_, err = m.secrets.Create(ctx, secret, metav1.CreateOptions{})
	}
	if err != nil {
		return fmt.Errorf("remembering what is deployed, in Secret %s: %w", m.name, err)
	}
	return nil
}
