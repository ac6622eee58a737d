package content

import (
	"context"
	"fmt"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	fleet "flotilla.io/flotilla/api/v1alpha1"
)

const (
	sweepEvery = 30 * time.Minute
	sweepGrace = time.Hour
)

// Sweeper deletes Content that nothing refers to: unreferenced in two sweeps, and older than an hour. Register it with
// the manager; it runs on the leader only.
type Sweeper struct {
	Client client.Client
	Reader client.Reader
	Store  *Store

	candidates map[string]bool
}

// NeedLeaderElection keeps the sweep on one replica.
func (s *Sweeper) NeedLeaderElection() bool { return true }

// Start sweeps until ctx ends.
func (s *Sweeper) Start(ctx context.Context) error {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case now := <-tick.C:
			if err := s.Sweep(ctx, now); err != nil && ctx.Err() == nil {
				// What cannot be listed is not swept; the next tick tries again.
				s.candidates = nil
			}
		}
	}
}

// Sweep makes one pass.
func (s *Sweeper) Sweep(ctx context.Context, now time.Time) error {
	used, err := s.used(ctx)
	if err != nil {
		return err
	}
	list := &metav1.PartialObjectMetadataList{}
	list.SetGroupVersionKind(fleet.GroupVersion.WithKind("ContentList"))
	if err := s.Reader.List(ctx, list); err != nil {
		return fmt.Errorf("listing Content: %w", err)
	}
	next := map[string]bool{}
	for i := range list.Items {
		obj := &list.Items[i]
		if used[obj.Name] || !ours(obj.Name) || now.Sub(obj.CreationTimestamp.Time) < sweepGrace {
			continue
		}
		if !s.candidates[obj.Name] {
			next[obj.Name] = true
			continue
		}
		s.Store.Forget(layerOf(obj.Name))
		content := &fleet.Content{ObjectMeta: metav1.ObjectMeta{Name: obj.Name}}
		if err := s.Client.Delete(ctx, content, client.Preconditions{UID: &obj.UID}); client.IgnoreNotFound(err) != nil {
			return err
		}
	}
	s.candidates = next
	return nil
}

// used names all Content that a Bundle or BundleDeployment refers to.
func (s *Sweeper) used(ctx context.Context) (map[string]bool, error) {
	used := map[string]bool{}
	mark := func(id string, chunks int) {
		for i := range chunks {
			used[ChunkName(id, i, chunks)] = true
		}
	}
	bundles, deployments := &fleet.BundleList{}, &fleet.BundleDeploymentList{}
	if err := s.Client.List(ctx, bundles); err != nil {
		return nil, err
	}
	if err := s.Client.List(ctx, deployments); err != nil {
		return nil, err
	}
	for _, b := range bundles.Items {
		for _, ref := range append([]string{b.Spec.ContentsID}, b.Status.SharedLayers...) {
			if id, chunks, err := ParseID(ref); err == nil && id != "" {
				mark(id, chunks)
			}
		}
	}
	for _, bd := range deployments.Items {
		for _, ref := range bd.Spec.Layers {
			mark(ref.ID, int(ref.Chunks))
		}
	}
	return used, nil
}

// ours tells our Content from Fleet's, which is named after its manifest ("s-...") and is left alone.
func ours(name string) bool { return !strings.HasPrefix(name, "s-") }

// layerOf is the layer that a Content object holds a chunk of.
func layerOf(name string) string {
	if i := strings.LastIndex(name, "-"); i > 1 {
		return name[:i]
	}
	return name
}
