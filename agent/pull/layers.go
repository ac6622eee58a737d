// Package pull brings to the cluster what the hub wants there: it watches the cluster's BundleDeployments, the agent's one
// watch on the hub, and fetches and opens the layers that they name.
package pull

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"sync"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"flotilla.io/flotilla/agent/store"
	"flotilla.io/flotilla/api/v1alpha1"
	"flotilla.io/flotilla/bundle/layer"
)

// Remote is where layers come from.
type Remote interface {
	Content(ctx context.Context, name string) (*v1alpha1.Content, error)
	Key(ctx context.Context) ([]byte, error)
}

// Layers opens layers. What was fetched is verified, and then stored sealed as it came, before anybody sees its objects.
// Its methods may be called at the same time.
type Layers struct {
	store *store.Store

	mu     sync.Mutex
	remote Remote // nil as long as the cluster has not joined
	kek    []byte
	own    layer.HubSecret // nil as long as nothing was rendered here
}

// NewLayers opens layers from the store alone, until Use gives it a hub.
func NewLayers(s *store.Store) *Layers { return &Layers{store: s} }

// Use makes Open fetch from a hub what the store has not.
func (l *Layers) Use(remote Remote) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.remote = remote
}

// Open fetches, verifies and stores all the layers of a revision, and returns the objects that they make together, sorted
// by key. It is all of them or an error; the objects are the caller's for as long as it needs them and no longer.
func (l *Layers) Open(ctx context.Context, refs []v1alpha1.LayerRef) ([]layer.Entry, error) {
	opened := make([]layer.Layer, len(refs))
	for i, ref := range refs {
		var err error
		if opened[i], err = l.one(ctx, ref); err != nil {
			return nil, fmt.Errorf("opening layer %s: %w", ref.ID, err)
		}
	}
	return layer.Stack(opened...), nil
}

func (l *Layers) one(ctx context.Context, ref v1alpha1.LayerRef) (layer.Layer, error) {
	if isOwn(ref) {
		return l.openOwn(ctx, ref)
	}
	chunks, err := l.store.Layer(ctx, ref.ID, int(ref.Chunks))
	if err == nil {
		opened, openErr := l.open(ctx, ref, chunks)
		if openErr == nil {
			return opened, nil
		}
		err = fmt.Errorf("the stored copy: %w", openErr) // a changed bit, or another encoding: fetch it again
	} else if !errors.Is(err, store.ErrNotStored) {
		return layer.Layer{}, err
	}
	remote := l.hub()
	if remote == nil {
		return layer.Layer{}, fmt.Errorf("%w; it is fetched once the hub answers", err)
	}
	if chunks, err = fetch(ctx, remote, ref); err != nil {
		return layer.Layer{}, err
	}
	opened, err := l.open(ctx, ref, chunks)
	if err != nil {
		return layer.Layer{}, err
	}
	return opened, l.store.PutLayer(ctx, ref.ID, chunks)
}

func (l *Layers) hub() Remote {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.remote
}

// LostError says that the hub does not have what its own order names, or not as it was written. The hub is told by condition
// Pulled, and makes it again.
type LostError struct{ Content, How string }

func (e *LostError) Error() string {
	return fmt.Sprintf("Content %s %s; the hub is told and makes it again", e.Content, e.How)
}

// maxChunks bounds what a BundleDeployment can make the agent fetch: it is more than 700 MiB.
const maxChunks = 1024

// fetch gets a layer's chunks by name, each checked against its own digest, so that a bad transfer is told from a bad layer.
func fetch(ctx context.Context, remote Remote, ref v1alpha1.LayerRef) ([][]byte, error) {
	if ref.Chunks < 1 || ref.Chunks > maxChunks {
		return nil, fmt.Errorf("it says that it has %d chunks; 1 to %d are possible", ref.Chunks, maxChunks)
	}
	chunks := make([][]byte, ref.Chunks)
	for i := range chunks {
		name := ref.ID
		if ref.Chunks > 1 {
			name = fmt.Sprintf("%s-%d", ref.ID, i)
		}
		content, err := remote.Content(ctx, name)
		if apierrors.IsNotFound(err) {
			return nil, &LostError{name, "is not on the hub"}
		}
		if err != nil {
			return nil, fmt.Errorf("fetching Content %s: %w", name, err)
		}
		sum := sha256.Sum256(content.Content)
		if got := hex.EncodeToString(sum[:]); got != content.SHA256Sum {
			return nil, &LostError{name, fmt.Sprintf("arrived damaged: its SHA-256 is %s, it should be %s", got, content.SHA256Sum)}
		}
		chunks[i] = content.Content
	}
	return chunks, nil
}

// open unwraps the layer's key and opens it. A key that does not fit is asked for anew once: the hub may have made another.
func (l *Layers) open(ctx context.Context, ref v1alpha1.LayerRef, chunks [][]byte) (layer.Layer, error) {
	kek, err := l.key(ctx, nil)
	if err != nil {
		return layer.Layer{}, err
	}
	key, err := layer.Unwrap(kek, ref.Key)
	if err != nil {
		if kek, err = l.key(ctx, kek); err != nil {
			return layer.Layer{}, err
		}
		if key, err = layer.Unwrap(kek, ref.Key); err != nil {
			return layer.Layer{}, fmt.Errorf("its key: %w (Secret %s of the cluster namespace on the hub)", err, v1alpha1.ClusterKeySecret)
		}
	}
	return layer.Open(ref.ID, key, chunks)
}

// key is the cluster's key-encryption key: as known, as stored, or from the hub. One that was found not to fit is passed
// as bad, and only another one will do.
func (l *Layers) key(ctx context.Context, bad []byte) ([]byte, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.kek == nil {
		kek, err := l.store.Key(ctx)
		if err != nil && !errors.Is(err, store.ErrNotStored) {
			return nil, err
		}
		l.kek = kek
	}
	if l.kek != nil && string(l.kek) != string(bad) {
		return l.kek, nil
	}
	if l.remote == nil {
		return nil, fmt.Errorf("the cluster's key is not stored here, and there is no hub yet")
	}
	kek, err := l.remote.Key(ctx)
	if err != nil {
		return nil, fmt.Errorf("getting Secret %s from the hub: %w", v1alpha1.ClusterKeySecret, err)
	}
	if string(kek) == string(bad) {
		return kek, nil
	}
	l.kek = kek
	return kek, l.store.PutKey(ctx, kek)
}
