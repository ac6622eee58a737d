// Package keys remembers the key-encryption keys of clusters.
package keys

import (
	"context"
	"errors"
	"sync"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	fleet "flotilla.io/flotilla/api/v1alpha1"
)

// ErrNotYet is of a cluster whose key is still being made.
var ErrNotYet = errors.New("the cluster's key is not there yet")

// Keys reads each cluster's key once, by UID: a Cluster that was made anew has another key. The zero value is ready, and safe for
// concurrent use.
type Keys struct{ known sync.Map }

// Of is the key of a cluster, 32 bytes.
func (k *Keys) Of(ctx context.Context, live client.Reader, c *fleet.Cluster) ([]byte, error) {
	if key, ok := k.known.Load(c.UID); ok {
		return key.([]byte), nil
	}
	secret := &corev1.Secret{}
	err := live.Get(ctx, client.ObjectKey{Namespace: c.Status.Namespace, Name: fleet.ClusterKeySecret}, secret)
	if apierrors.IsNotFound(err) || err == nil && len(secret.Data[fleet.ClusterKeyKey]) == 0 {
		return nil, ErrNotYet
	}
	if err != nil {
		return nil, err
	}
	k.known.Store(c.UID, secret.Data[fleet.ClusterKeyKey])
	return secret.Data[fleet.ClusterKeyKey], nil
}
