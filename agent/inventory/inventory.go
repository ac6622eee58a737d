// Package inventory is the list of what the agent applied for one BundleDeployment, as it is kept on the cluster.
//
// The inventory is a superset of the live objects at any moment: a new name is written, as an item that is still being
// created (UID ""), before the object itself, and an item is dropped only after its object is gone, was handed over to
// another BundleDeployment, or stays for good. So an agent that is killed between any two writes leaves nothing behind
// that nobody remembers, and nothing but an item is ever a reason to delete.
//
// The package is pure: no client, no clock. Package store keeps inventories in Secrets.
package inventory

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"io"
	"slices"

	"k8s.io/apimachinery/pkg/types"

	"flotilla.io/flotilla/api/v1alpha1"
	"flotilla.io/flotilla/bundle/layer"
)

// Item is one object.
type Item struct {
	Key         layer.Key // as applied: with the namespace it ended up in
	Version     string    // the API version it was applied at
	UID         types.UID // "" while it is being created: a live read decides whether it is ours
	Digest      string    // what was applied, as plan.Wanted names it; "" while it is being created
	Fingerprint string    // as the API server answered the last apply
	Created     int64     // when the object was created, in seconds of Unix time; 0 while it is being created

	// Of an object that is applied once (see package once): the digest of the spec that it was made with, or, while it is being
	// created, is about to be made with; how its work ended, "" if it has not; and why it failed.
	Once string
	End  v1alpha1.OnceResult
	Why  string
}

// Inventory holds the items by identity. The zero value is empty and read-only.
type Inventory map[layer.Key]Item

// Sorted lists the items by key.
func (inv Inventory) Sorted() []Item {
	items := make([]Item, 0, len(inv))
	for _, item := range inv {
		items = append(items, item)
	}
	slices.SortFunc(items, func(a, b Item) int { return a.Key.Compare(b.Key) })
	return items
}

// wire is an item as it is stored.
type wire struct {
	Group       string    `json:"g,omitempty"`
	Kind        string    `json:"k"`
	Namespace   string    `json:"ns,omitempty"`
	Name        string    `json:"n"`
	Version     string    `json:"v"`
	UID         types.UID `json:"u,omitempty"`
	Digest      string    `json:"d,omitempty"`
	Fingerprint string    `json:"f,omitempty"`
	Created     int64     `json:"c,omitempty"`

	Once string              `json:"o,omitempty"`
	End  v1alpha1.OnceResult `json:"e,omitempty"`
	Why  string              `json:"w,omitempty"`
}

// maxBytes bounds what a shard may unpack to.
const maxBytes = 64 << 20

// Encode packs items. Equal items give equal bytes.
func Encode(items []Item) ([]byte, error) {
	var packed bytes.Buffer
	gz := gzip.NewWriter(&packed)
	enc := json.NewEncoder(gz)
	for _, i := range items {
		w := wire{i.Key.Group, i.Key.Kind, i.Key.Namespace, i.Key.Name, i.Version, i.UID, i.Digest, i.Fingerprint, i.Created, i.Once, i.End, i.Why}
		if err := enc.Encode(w); err != nil {
			return nil, fmt.Errorf("packing the inventory item %s: %w", i.Key, err)
		}
	}
	if err := gz.Close(); err != nil {
		return nil, fmt.Errorf("packing an inventory: %w", err)
	}
	return packed.Bytes(), nil
}

// DecodeInto adds the items of one shard to inv. Of two items with one key (a crash while the number of shards grew) the
// one that names a UID stays.
func DecodeInto(inv Inventory, packed []byte) error {
	gz, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return fmt.Errorf("unpacking an inventory: %w", err)
	}
	dec := json.NewDecoder(io.LimitReader(gz, maxBytes))
	for {
		var w wire
		if err := dec.Decode(&w); err == io.EOF {
			return nil
		} else if err != nil {
			return fmt.Errorf("unpacking an inventory: %w", err)
		}
		key := layer.Key{Group: w.Group, Kind: w.Kind, Namespace: w.Namespace, Name: w.Name}
		if inv[key].UID == "" {
			inv[key] = Item{
				Key: key, Version: w.Version, UID: w.UID, Digest: w.Digest, Fingerprint: w.Fingerprint, Created: w.Created,
				Once: w.Once, End: w.End, Why: w.Why,
			}
		}
	}
}

// An inventory is one shard as long as it is small, then manyShards, and stays so: that is the only moment at which an
// item changes its shard.
const (
	few        = 256
	manyShards = 16
)

// Shards cuts an inventory into pieces that are written one by one: an item keeps its piece whatever comes and goes
// beside it. before is how many shards the stored inventory has, 0 when there is none. An empty piece is nil.
func Shards(inv Inventory, before int) [][]Item {
	n := 1
	if before > 1 || len(inv) > few {
		n = manyShards
	}
	shards := make([][]Item, n)
	for _, item := range inv.Sorted() {
		i := shardOf(item.Key, n)
		shards[i] = append(shards[i], item)
	}
	return shards
}

func shardOf(key layer.Key, n int) int {
	h := fnv.New32a()
	for _, part := range []string{key.Group, key.Kind, key.Namespace, key.Name} {
		h.Write([]byte(part))
		h.Write([]byte{0})
	}
	return int(h.Sum32() % uint32(n))
}
