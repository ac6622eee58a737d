package pull

import (
	"context"
	"fmt"

	"flotilla.io/flotilla/api/v1alpha1"
	"flotilla.io/flotilla/bundle/layer"
)

// Keep stores objects that were rendered on this cluster, sealed like any layer but with a secret of the cluster's own, so
// that they outlive a change of hubs. use is told the layer before it is stored: nobody may sweep it away.
func (l *Layers) Keep(ctx context.Context, entries []layer.Entry, use func([]v1alpha1.LayerRef)) ([]v1alpha1.LayerRef, error) {
	secret, err := l.ownKey(ctx)
	if err != nil {
		return nil, fmt.Errorf("storing what was rendered here: %w", err)
	}
	sealed, err := secret.Seal(secret.Layer(entries))
	if err != nil {
		return nil, fmt.Errorf("storing what was rendered here: %w", err)
	}
	refs := []v1alpha1.LayerRef{{ID: sealed.ID, Chunks: int32(len(sealed.Ciphertext)), Objects: int32(sealed.Objects), Bytes: sealed.Bytes}}
	use(refs)
	return refs, l.store.PutLayer(ctx, sealed.ID, sealed.Ciphertext)
}

// isOwn tells a layer of Keep: it carries no wrapped key.
func isOwn(ref v1alpha1.LayerRef) bool { return len(ref.Key) == 0 }

func (l *Layers) openOwn(ctx context.Context, ref v1alpha1.LayerRef) (layer.Layer, error) {
	secret, err := l.ownKey(ctx)
	if err != nil {
		return layer.Layer{}, err
	}
	chunks, err := l.store.Layer(ctx, ref.ID, int(ref.Chunks))
	if err != nil {
		return layer.Layer{}, err
	}
	return layer.Open(ref.ID, secret.ContentKey(ref.ID), chunks)
}

func (l *Layers) ownKey(ctx context.Context) (layer.HubSecret, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.own == nil {
		secret, err := l.store.OwnKey(ctx)
		if err != nil {
			return nil, err
		}
		if err := secret.Check(); err != nil {
			return nil, fmt.Errorf("Secret own-key of the agent: %w", err)
		}
		l.own = secret
	}
	return l.own, nil
}
