// Package store is the agent's memory on its own cluster: Secrets in the agent's own namespace, and nothing else.
//
// It holds, for each BundleDeployment, a record (the accepted spec, the highest sequence seen), a second copy of it where the
// hub could not give it again, and the inventory; the
// sealed layers that the records name, identical ones once, cut into pieces of 512 KiB; and the key that opens them. So
// an agent that starts with an empty disk and no hub knows all it needs to go on healing. Layers stay sealed here and are
// opened in memory only; all of it is in Secrets, so whoever encrypts Secrets at rest encrypts this too.
//
// One agent writes here. What is written is remembered by its digest, so that equal content is not written again.
package store

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/metadata"
)

// Label marks the agent's Secrets with what they hold: one of the kinds below.
const Label = "flotilla.io/agent"

const (
	kindRecord    = "record"
	kindInventory = "inventory"
	kindLayer     = "layer"
	kindKey       = "key"
)

// Secrets is what the store needs of a client.
type Secrets interface {
	Create(context.Context, *corev1.Secret, metav1.CreateOptions) (*corev1.Secret, error)
	Update(context.Context, *corev1.Secret, metav1.UpdateOptions) (*corev1.Secret, error)
	Get(context.Context, string, metav1.GetOptions) (*corev1.Secret, error)
	Delete(context.Context, string, metav1.DeleteOptions) error
}

var _ Secrets = corev1client.SecretInterface(nil)

// Store keeps the agent's memory. Its methods may be called at the same time for different BundleDeployments.
type Store struct {
	secrets Secrets

	mu      sync.Mutex
	written map[string][32]byte // by Secret name; the zero digest for one that exists with content not read yet
}

// ErrNotStored says that something is not in the store, or damaged.
var ErrNotStored = errors.New("not in the agent's store")

// Open finds out what the store holds. It reads names only.
func Open(ctx context.Context, secrets Secrets, names metadata.ResourceInterface) (*Store, error) {
	list, err := names.List(ctx, metav1.ListOptions{LabelSelector: Label})
	if err != nil {
		return nil, fmt.Errorf("listing the agent's own Secrets: %w", err)
	}
	s := &Store{secrets: secrets, written: map[string][32]byte{}}
	for _, m := range list.Items {
		s.written[m.Name] = [32]byte{}
	}
	return s, nil
}

// names lists the Secrets that begin with prefix, sorted.
func (s *Store) names(prefix string) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var names []string
	for name := range s.written {
		if strings.HasPrefix(name, prefix) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

func (s *Store) digestOf(name string) (sum [32]byte, exists bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	sum, exists = s.written[name]
	return sum, exists
}

func (s *Store) remember(name string, sum [32]byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.written[name] = sum
}

// put writes one Secret, unless it is known to hold just this.
func (s *Store) put(ctx context.Context, kind, name string, data map[string][]byte) error {
	sum := digest(data)
	before, exists := s.digestOf(name)
	if exists && before == sum {
		return nil
	}
	secret := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{Label: kind}},
		Type:       "flotilla.io/agent-" + corev1.SecretType(kind),
		Data:       data,
	}
	var err error
	if !exists {
		_, err = s.secrets.Create(ctx, secret, metav1.CreateOptions{})
	}
	if exists || apierrors.IsAlreadyExists(err) {
		_, err = s.secrets.Update(ctx, secret, metav1.UpdateOptions{})
		if apierrors.IsNotFound(err) {
			_, err = s.secrets.Create(ctx, secret, metav1.CreateOptions{})
		}
	}
	if err != nil {
		return fmt.Errorf("writing Secret %s: %w", name, err)
	}
	s.remember(name, sum)
	return nil
}

func (s *Store) get(ctx context.Context, name string) (map[string][]byte, error) {
	secret, err := s.secrets.Get(ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		s.forget(name)
		return nil, fmt.Errorf("reading Secret %s: %w", name, ErrNotStored)
	}
	if err != nil {
		return nil, fmt.Errorf("reading Secret %s: %w", name, err)
	}
	s.remember(name, digest(secret.Data))
	return secret.Data, nil
}

func (s *Store) drop(ctx context.Context, name string) error {
	if err := s.secrets.Delete(ctx, name, metav1.DeleteOptions{}); err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("deleting Secret %s: %w", name, err)
	}
	s.forget(name)
	return nil
}

func (s *Store) forget(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.written, name)
}

func digest(data map[string][]byte) [32]byte {
	keys := make([]string, 0, len(data))
	for key := range data {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	h := sha256.New()
	for _, key := range keys {
		fmt.Fprintf(h, "%s %d\n", key, len(data[key]))
		h.Write(data[key])
	}
	return [32]byte(h.Sum(nil))
}
