// Package content keeps sealed layers in the hub's Content objects.
//
// A layer is written once, under a name made from its digest, and never changed. Reading one back needs the hub secret:
// the key of a layer follows from its ID. The store remembers what it has seen, so a layer that many bundles and
// clusters share costs one request in the life of the process.
package content

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/lru"
	"sigs.k8s.io/controller-runtime/pkg/client"

	fleet "flotilla.io/flotilla/api/v1alpha1"
	"flotilla.io/flotilla/bundle/layer"
)

// openLayers and openTrees bound how many opened layers and source trees the store keeps in memory.
const (
	openLayers = 256
	openTrees  = 16
)

// Store publishes layers and reads them back. It is safe for concurrent use.
type Store struct {
	client client.Client
	reader client.Reader
	secret layer.HubSecret

	mending sync.Mutex

	mu        sync.Mutex
	published map[string]layer.Ref
	opened    *lru.Cache
	trees     *lru.Cache
}

// NewStore returns a store that writes through c and reads live through r (Content is not cached: its objects are large).
func NewStore(c client.Client, r client.Reader, secret layer.HubSecret) *Store {
	return &Store{client: c, reader: r, secret: secret, published: map[string]layer.Ref{}, opened: lru.New(openLayers), trees: lru.New(openTrees)}
}

// Secret is the hub secret that the store's layers are sealed with.
func (s *Store) Secret() layer.HubSecret { return s.secret }

// PublishLayer seals and writes a layer, unless this process knows that it is there. The Ref carries the plain content
// key, which goes nowhere but into a wrap.
func (s *Store) PublishLayer(ctx context.Context, l layer.Layer) (layer.Ref, error) {
	if ref, ok := s.known(l.ID); ok {
		return ref, nil
	}
	sealed, err := s.secret.Seal(l)
	if err != nil {
		return layer.Ref{}, fmt.Errorf("sealing layer %s: %w", l.ID, err)
	}
	if err := s.publish(ctx, sealed); err != nil {
		return layer.Ref{}, err
	}
	s.opened.Add(l.ID, l)
	return sealed.Ref, nil
}

// PublishFiles seals and writes the files of a bundle and returns what to put into spec.contentsId. have is the
// contentsId that the bundle has: nothing is written for the same files.
func (s *Store) PublishFiles(ctx context.Context, files map[string][]byte, have string) (layer.Ref, error) {
	sealed, err := s.secret.SealFiles(files)
	if err != nil {
		return layer.Ref{}, fmt.Errorf("sealing source files: %w", err)
	}
	if ref, ok := s.known(sealed.ID); ok {
		return ref, nil
	}
	if ID(sealed.Ref) == have {
		return sealed.Ref, nil
	}
	return sealed.Ref, s.publish(ctx, sealed)
}

// Layer reads a layer back and opens it. Chunks is the count of its Content objects.
func (s *Store) Layer(ctx context.Context, id string, chunks int) (layer.Layer, error) {
	if l, ok := s.opened.Get(id); ok {
		return l.(layer.Layer), nil
	}
	sealed, err := s.fetch(ctx, id, chunks)
	if err != nil {
		return layer.Layer{}, err
	}
	l, err := layer.Open(id, s.secret.ContentKey(id), sealed)
	if err != nil {
		return layer.Layer{}, fmt.Errorf("opening layer %s: %w", id, err)
	}
	s.opened.Add(id, l)
	return l, nil
}

// Files reads the source files of a bundle back. The map is shared and must not be modified.
func (s *Store) Files(ctx context.Context, id string, chunks int) (map[string][]byte, error) {
	if files, ok := s.trees.Get(id); ok {
		return files.(map[string][]byte), nil
	}
	sealed, err := s.fetch(ctx, id, chunks)
	if err != nil {
		return nil, err
	}
	files, err := layer.OpenFiles(id, s.secret.ContentKey(id), sealed)
	if err != nil {
		return nil, fmt.Errorf("opening source files %s: %w", id, err)
	}
	s.trees.Add(id, files)
	return files, nil
}

// ErrDamaged tells that a Content is not what was written.
var ErrDamaged = errors.New("it is damaged")

// IsLost tells whether a read failed because Content was deleted or damaged: then only making it again helps.
func IsLost(err error) bool { return apierrors.IsNotFound(err) || errors.Is(err, ErrDamaged) }

// Mend looks whether a layer can be fetched and, if not, clears the way for making it again; a layer that this process has
// open is written again at once. It tells whether the layer is whole now.
func (s *Store) Mend(ctx context.Context, id string, chunks int) (whole bool, err error) {
	s.mending.Lock() // so that of two bundles with one layer the second finds it mended
	defer s.mending.Unlock()
	open, known := s.opened.Get(id)
	sealed, err := s.fetch(ctx, id, chunks)
	if err == nil {
		if _, err = layer.Open(id, s.secret.ContentKey(id), sealed); err == nil {
			return true, nil
		}
		err = fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	if !IsLost(err) {
		return false, err
	}
	if err := s.Clear(ctx, id, chunks, err); err != nil || !known {
		return false, err
	}
	_, err = s.PublishLayer(ctx, open.(layer.Layer))
	return err == nil, err
}

// Clear makes room for what was lost, as lost says: it is forgotten, and what is damaged is deleted.
func (s *Store) Clear(ctx context.Context, id string, chunks int, lost error) error {
	s.Forget(id)
	if !errors.Is(lost, ErrDamaged) {
		return nil
	}
	for i := range chunks {
		obj := &fleet.Content{ObjectMeta: metav1.ObjectMeta{Name: ChunkName(id, i, chunks)}}
		if err := s.client.Delete(ctx, obj); client.IgnoreNotFound(err) != nil {
			return fmt.Errorf("deleting Content %s, which is damaged: %w", obj.Name, err)
		}
	}
	return nil
}

// Forget drops what the process knows of an ID, after its Content was swept or found missing.
func (s *Store) Forget(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.published, id)
	s.opened.Remove(id)
	s.trees.Remove(id)
}

func (s *Store) known(id string) (layer.Ref, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	ref, ok := s.published[id]
	return ref, ok
}

func (s *Store) publish(ctx context.Context, sealed layer.Sealed) error {
	for i, chunk := range sealed.Ciphertext {
		name := ChunkName(sealed.ID, i, len(sealed.Ciphertext))
		sum := sha256.Sum256(chunk)
		obj := &fleet.Content{ObjectMeta: metav1.ObjectMeta{Name: name}, Content: chunk, SHA256Sum: hex.EncodeToString(sum[:])}
		if err := s.client.Create(ctx, obj); err != nil && !apierrors.IsAlreadyExists(err) {
			return fmt.Errorf("writing Content %s: %w", name, err)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.published[sealed.ID] = sealed.Ref
	return nil
}

func (s *Store) fetch(ctx context.Context, id string, chunks int) ([][]byte, error) {
	out := make([][]byte, 0, chunks)
	for i := range chunks {
		obj := &fleet.Content{}
		if err := s.reader.Get(ctx, client.ObjectKey{Name: ChunkName(id, i, chunks)}, obj); err != nil {
			return nil, fmt.Errorf("reading Content %s: %w", ChunkName(id, i, chunks), err)
		}
		if sum := sha256.Sum256(obj.Content); hex.EncodeToString(sum[:]) != obj.SHA256Sum {
			return nil, fmt.Errorf("reading Content %s: %w", obj.Name, ErrDamaged)
		}
		out = append(out, obj.Content)
	}
	return out, nil
}

// ChunkName is the name of the Content object that holds chunk i of a layer of n chunks.
func ChunkName(id string, i, n int) string {
	if n == 1 {
		return id
	}
	return fmt.Sprintf("%s-%d", id, i)
}

// ID is how spec.contentsId and status.sharedLayers name a layer: its ID, and the count of chunks where it is not one.
func ID(ref layer.Ref) string {
	if ref.Chunks <= 1 {
		return ref.ID
	}
	return fmt.Sprintf("%s.%d", ref.ID, ref.Chunks)
}

// ParseID takes apart what ID made.
func ParseID(s string) (id string, chunks int, err error) {
	id, n, found := strings.Cut(s, ".")
	if !found {
		return id, 1, nil
	}
	chunks, err = strconv.Atoi(n)
	if err != nil || chunks < 1 {
		return "", 0, fmt.Errorf("%q is no layer ID: want <id> or <id>.<chunks>", s)
	}
	return id, chunks, nil
}
