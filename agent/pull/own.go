package pull

import (
	"context"
	"errors"
	"fmt"

	"flotilla.io/flotilla/agent/store"
	"flotilla.io/flotilla/api/v1alpha1"
	"flotilla.io/flotilla/bundle/layer"
)

// Keep stores what was rendered on this cluster, a layer for each list, sealed like any layer but with a secret of the
// cluster's own, so that they outlive a change of hubs. use is told the layers before they are stored: nobody may sweep them
// away.
func (l *Layers) Keep(ctx context.Context, use func([]v1alpha1.LayerRef), lists ...[]layer.Entry) ([]v1alpha1.LayerRef, error) {
	secret, err := l.ownKey(ctx)
	if err != nil {
		return nil, fmt.Errorf("storing what was rendered here: %w", err)
	}
	sealed, refs := make([]layer.Sealed, len(lists)), make([]v1alpha1.LayerRef, len(lists))
	for i, entries := range lists {
		if sealed[i], err = secret.Seal(secret.Layer(entries)); err != nil {
			return nil, fmt.Errorf("storing what was rendered here: %w", err)
		}
		s := sealed[i]
		refs[i] = v1alpha1.LayerRef{ID: s.ID, Chunks: int32(len(s.Ciphertext)), Objects: int32(s.Objects), Bytes: s.Bytes}
	}
	use(refs)
	for _, s := range sealed {
		if err := l.store.PutLayer(ctx, s.ID, s.Ciphertext); err != nil {
			return nil, err
		}
	}
	return refs, nil
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
	opened, err := layer.Open(ref.ID, secret.ContentKey(ref.ID), chunks)
	if err != nil {
		return layer.Layer{}, fmt.Errorf("the stored copy is damaged: %w", errors.Join(err, store.ErrNotStored))
	}
	return opened, nil
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
