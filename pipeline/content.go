package pipeline

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	fleet "flotilla.io/flotilla/api/v1alpha1"
)

// manifest is what Fleet keeps in a Content: a bundle's files.
type manifest struct {
	Resources []fleet.BundleResource `json:"resources,omitempty"`
}

// contentOf packs the files of a Bundle. Its name follows from them, as in Fleet.
func contentOf(b *fleet.Bundle) (*fleet.Content, error) {
	var plain, packed bytes.Buffer
	if err := json.NewEncoder(&plain).Encode(manifest{b.Spec.Resources}); err != nil {
		return nil, fmt.Errorf("packing the files of bundle %s: %w", b.Name, err)
	}
	w := gzip.NewWriter(&packed)
	_, _ = w.Write(plain.Bytes()) // into memory: it never fails
	_ = w.Close()
	sum := sha256.Sum256(plain.Bytes())
	digest := hex.EncodeToString(sum[:])
	return &fleet.Content{
		TypeMeta:   metav1.TypeMeta{APIVersion: fleet.GroupVersion.String(), Kind: "Content"},
		ObjectMeta: metav1.ObjectMeta{Name: ("s-" + digest)[:63]},
		Content:    packed.Bytes(),
		SHA256Sum:  digest,
	}, nil
}

// maxContent bounds what a Content may unpack to.
const maxContent = 64 << 20

// resourcesOf unpacks a Content of a pipeline and checks that it is whole.
func resourcesOf(c *fleet.Content) ([]fleet.BundleResource, error) {
	r, err := gzip.NewReader(bytes.NewReader(c.Content))
	if err != nil {
		return nil, fmt.Errorf("Content %s holds no files in gzip: those on a hub are sealed; take what `flotilla target` prints", c.Name)
	}
	plain, err := io.ReadAll(io.LimitReader(r, maxContent+1))
	if err != nil {
		return nil, fmt.Errorf("unpacking Content %s: %w", c.Name, err)
	}
	if len(plain) > maxContent {
		return nil, fmt.Errorf("Content %s unpacks to more than %d MB", c.Name, maxContent>>20)
	}
	sum := sha256.Sum256(plain)
	if digest := hex.EncodeToString(sum[:]); c.SHA256Sum != "" && c.SHA256Sum != digest {
		return nil, fmt.Errorf("Content %s was changed: its files have the digest %s, its sha256sum is %s", c.Name, digest, c.SHA256Sum)
	}
	var m manifest
	if err := json.Unmarshal(plain, &m); err != nil {
		return nil, fmt.Errorf("reading the files in Content %s: %w", c.Name, err)
	}
	return m.Resources, nil
}
