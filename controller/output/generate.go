package output

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	fleet "flotilla.io/flotilla/api/v1alpha1"
)

// make gives a value that is made once and kept, in a Secret of the bundle's workspace. The Secret belongs to nobody: a bundle that goes
// and comes again finds the value that its consumers have.
func (g *Giver) make(ctx context.Context, b *fleet.Bundle, o *fleet.Output) (any, error) {
	key := client.ObjectKey{Namespace: b.Namespace, Name: "generated-" + b.Name}
	g.mu.Lock()
	defer g.mu.Unlock()
	id := key.String() + "/" + o.Name
	if value, known := g.generated[id]; known {
		return value, nil
	}
	secret := &corev1.Secret{}
	err := g.Reader.Get(ctx, key, secret)
	if apierrors.IsNotFound(err) {
		secret = &corev1.Secret{
			ObjectMeta: metav1.ObjectMeta{Name: key.Name, Namespace: key.Namespace, Labels: map[string]string{fleet.BundleLabel: b.Name, fleet.ManagedLabel: "true"}},
			Type:       fleet.SecretTypeGenerated,
		}
		err = g.Client.Create(ctx, secret)
	}
	if err != nil {
		return nil, err
	}
	if secret.Type != fleet.SecretTypeGenerated {
		return nil, fmt.Errorf("secret %s is there already and is of type %q; rename it, the values that bundle %s generates are kept there", key, secret.Type, b.Name)
	}
	if len(secret.Data[o.Name]) == 0 {
		before := secret.DeepCopy()
		if secret.Data == nil {
			secret.Data = map[string][]byte{}
		}
		secret.Data[o.Name] = []byte(random(o.Generate.Bytes))
		// A write by another replica in between must not be overwritten: its value may be in use.
		if err := g.Client.Patch(ctx, secret, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{})); err != nil {
			return nil, err
		}
	}
	if g.generated == nil {
		g.generated = map[string]any{}
	}
	value := string(secret.Data[o.Name])
	g.generated[id] = value
	return value, nil
}

func random(n int) string {
	raw := make([]byte, n)
	_, _ = rand.Read(raw) // never fails
	return base64.StdEncoding.EncodeToString(raw)
}
