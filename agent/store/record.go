package store

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/types"

	"flotilla.io/flotilla/agent/hooks"
	"flotilla.io/flotilla/agent/inventory"
	"flotilla.io/flotilla/api/v1alpha1"
	"flotilla.io/flotilla/bundle/layer"
)

// Record is what the agent remembers of a BundleDeployment besides its objects.
type Record struct {
	Name string    `json:"name"`
	UID  types.UID `json:"uid,omitempty"` // of the BundleDeployment on the hub
	// Namespace is the cluster namespace that it was taken in under: its objects name it as their owner. Hub is the UID of
	// the hub that gave the order; sequences of two hubs have nothing to do with each other.
	Namespace string `json:"namespace,omitempty"`
	Hub       string `json:"hub,omitempty"`
	// Spec is the accepted state: all its layers are stored and were opened once.
	Spec v1alpha1.BundleDeploymentSpec `json:"spec"`
	// Revision is the label that a person knows Spec by: the commit, or "" if there is none.
	Revision string `json:"revision,omitempty"`
	// Previous is what ran before Spec, until Spec is Ready: the last that was Ready, and the last that was tried. Their
	// layers stay, and their objects tell which fields were ours.
	Previous []v1alpha1.BundleDeploymentSpec `json:"previous,omitempty"`
	// Good is the ID that was last ready, GoodRevision how a person knows it, and GivenUp why Spec was given up for it; ""
	// if it was not.
	Good         string `json:"good,omitempty"`
	GoodRevision string `json:"goodRevision,omitempty"`
	GivenUp      string `json:"givenUp,omitempty"`
	// Running is the revision that was last applied in whole, as a person knows it.
	Running string `json:"running,omitempty"`
	// Sequence is the highest that was ever seen.
	Sequence int64 `json:"sequence"`
	// Applied is the deploymentID that was last applied in whole.
	Applied string `json:"applied,omitempty"`
	// Synced is the forceSyncGeneration that was last carried out.
	Synced int64 `json:"synced,omitempty"`
	// KeepResources is the option of that name in the last spec that was no order to delete.
	KeepResources bool `json:"keepResources,omitempty"`
	// Kept lists the objects that left the bundle and stay.
	Kept []string `json:"kept,omitempty"`
	// Deletion is "done" once the order to delete was carried out.
	Deletion string `json:"deletion,omitempty"`
	// Deployed are the layers that the objects are in, where these are not those of Spec: what was rendered on this cluster,
	// or, once there is an order to delete, what was deployed before it.
	Deployed []v1alpha1.LayerRef `json:"deployed,omitempty"`
	// Values is the digest of the valuesFrom objects that it was rendered with.
	Values string `json:"values,omitempty"`
	// Hooks is how far the hooks of the revision are; nil if it has none.
	Hooks *hooks.Run `json:"hooks,omitempty"`
	// DeleteHooks tells that some run at a deletion.
	DeleteHooks bool `json:"deleteHooks,omitempty"`
}

// Layers are those that the objects of Spec are in.
func (r Record) Layers() []v1alpha1.LayerRef {
	if r.Deployed != nil {
		return r.Deployed
	}
	return r.Spec.Layers
}

// ID tells one deployment from the next: the revision, and the values of the cluster that it was rendered with.
func (r Record) ID() string {
	if r.Values == "" {
		return r.Spec.DeploymentID
	}
	return r.Spec.DeploymentID + "+" + r.Values
}

// Target is what the objects are to be: Spec, or, where that was given up, what was ready before; its layers are those that
// the objects are in.
func (r Record) Target() v1alpha1.BundleDeploymentSpec {
	if r.GivenUp != "" && len(r.Previous) > 0 {
		return r.Previous[0]
	}
	spec := r.Spec
	spec.Layers = r.Layers()
	return spec
}

// CanGoBack tells whether there is something that was ready before Spec, the first of Previous.
func (r Record) CanGoBack() bool {
	return r.Good != "" && r.Good != r.ID() && len(r.Previous) > 0
}

// isUnique tells whether the record has what no order of the hub brings back: which hooks ran, what was rendered here.
func (r Record) isUnique() bool { return r.Hooks != nil || r.Deployed != nil && r.Spec.Deletion == nil }

const (
	recordPrefix    = "record-"
	sparePrefix     = "spare-"
	inventoryPrefix = "inventory-"
	keyName         = "kek"
	ownKeyName      = "own-key"
)

// Records reads all records, sorted by the name of their Secret. For one that is gone or damaged its spare copy counts; if
// there is none, lost names the Secret, and the hub's order is as new.
func (s *Store) Records(ctx context.Context) (records []Record, lost []string, err error) {
	var names []string
	for _, prefix := range []string{recordPrefix, sparePrefix} {
		for _, name := range s.names(prefix) {
			names = append(names, strings.TrimPrefix(name, prefix))
		}
	}
	slices.Sort(names)
	for _, name := range slices.Compact(names) {
		r, err := s.record(ctx, recordPrefix+name)
		if errors.Is(err, ErrNotStored) {
			r, err = s.record(ctx, sparePrefix+name)
		}
		switch {
		case errors.Is(err, ErrNotStored):
			lost = append(lost, recordPrefix+name)
		case err != nil:
			return nil, nil, err
		default:
			records = append(records, r)
		}
	}
	return records, lost, nil
}

func (s *Store) record(ctx context.Context, secret string) (Record, error) {
	data, err := s.get(ctx, secret)
	if err != nil {
		return Record{}, err
	}
	var r Record
	if err := json.Unmarshal(data["record"], &r); err != nil || r.Name == "" {
		return Record{}, fmt.Errorf("Secret %s holds no record: %w", secret, errors.Join(err, ErrNotStored))
	}
	return r, nil
}

// PutRecord stores a record. It is written before anything of its spec is applied. One that nobody could give again is
// stored twice.
func (s *Store) PutRecord(ctx context.Context, r Record) error {
	data, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("storing the record of %s: %w", r.Name, err)
	}
	if err := s.put(ctx, kindRecord, recordPrefix+secretName(r.Name), map[string][]byte{"record": data}); err != nil {
		return err
	}
	if r.isUnique() {
		return s.put(ctx, kindRecord, sparePrefix+secretName(r.Name), map[string][]byte{"record": data})
	}
	return s.dropSpare(ctx, r.Name)
}

// Forget drops record and inventory of a BundleDeployment whose deletion is done.
func (s *Store) Forget(ctx context.Context, deployment string) error {
	for _, name := range s.shardNames(deployment) {
		if err := s.drop(ctx, name); err != nil {
			return err
		}
	}
	if err := s.dropSpare(ctx, deployment); err != nil {
		return err
	}
	return s.drop(ctx, recordPrefix+secretName(deployment))
}

func (s *Store) dropSpare(ctx context.Context, deployment string) error {
	spare := sparePrefix + secretName(deployment)
	if _, exists := s.digestOf(spare); !exists {
		return nil
	}
	return s.drop(ctx, spare)
}

// Inventory reads a BundleDeployment's inventory; it is empty if there is none. The error is ErrNotStored where a part of it
// is damaged; the rest is returned.
func (s *Store) Inventory(ctx context.Context, deployment string) (inventory.Inventory, error) {
	inv := inventory.Inventory{}
	var damaged error
	for _, name := range s.shardNames(deployment) {
		data, err := s.get(ctx, name)
		if err != nil {
			return nil, err
		}
		if err := inventory.DecodeInto(inv, data["items"]); err != nil {
			damaged = fmt.Errorf("Secret %s: %w", name, errors.Join(err, ErrNotStored))
		}
	}
	return inv, damaged
}

// PutInventory stores an inventory: those shards that changed, and only then drops those that are empty now.
func (s *Store) PutInventory(ctx context.Context, deployment string, inv inventory.Inventory) error {
	before := s.shardNames(deployment)
	shards := inventory.Shards(inv, shardsOf(before))
	used := map[string]bool{}
	for i, items := range shards {
		if len(items) == 0 {
			continue
		}
		packed, err := inventory.Encode(items)
		if err != nil {
			return err
		}
		name := shardName(deployment, i, len(shards))
		used[name] = true
		if err := s.put(ctx, kindInventory, name, map[string][]byte{"items": packed}); err != nil {
			return fmt.Errorf("storing the inventory of %s: %w", deployment, err)
		}
	}
	for _, name := range before {
		if !used[name] {
			if err := s.drop(ctx, name); err != nil {
				return err
			}
		}
	}
	return nil
}

// shardName ends in the number of the shard and how many there are.
func shardName(deployment string, i, of int) string {
	return fmt.Sprintf("%s%s-%d-%d", inventoryPrefix, secretName(deployment), i, of)
}

func (s *Store) shardNames(deployment string) []string {
	var names []string
	prefix := inventoryPrefix + secretName(deployment) + "-"
	for _, name := range s.names(prefix) {
		if strings.Count(strings.TrimPrefix(name, prefix), "-") == 1 { // not that of a name which begins alike
			names = append(names, name)
		}
	}
	return names
}

func shardsOf(names []string) int {
	most := 0
	for _, name := range names {
		if n, err := strconv.Atoi(name[strings.LastIndexByte(name, '-')+1:]); err == nil {
			most = max(most, n)
		}
	}
	return most
}

// secretName is a deployment's name as a part of a Secret's name. The hash behind it keeps a name that begins like another
// apart from it; a name that is too long is hashed whole, and the true one stands in the record.
func secretName(deployment string) string {
	sum := sha256.Sum256([]byte(deployment))
	if len(deployment) > 200 {
		return hex.EncodeToString(sum[:])
	}
	return deployment + "." + hex.EncodeToString(sum[:4])
}

// PutKey stores the key that opens the layers.
func (s *Store) PutKey(ctx context.Context, kek []byte) error {
	return s.put(ctx, kindKey, keyName, map[string][]byte{"kek": kek})
}

// Key reads the key that opens the layers, ErrNotStored if there is none yet.
func (s *Store) Key(ctx context.Context) ([]byte, error) {
	data, err := s.get(ctx, keyName)
	if err != nil {
		return nil, err
	}
	return data["kek"], nil
}

// OwnKey reads the secret that seals what is rendered on this cluster; it is made when there is none yet.
func (s *Store) OwnKey(ctx context.Context) (layer.HubSecret, error) {
	data, err := s.get(ctx, ownKeyName)
	if err == nil {
		return data["secret"], nil
	}
	if !errors.Is(err, ErrNotStored) {
		return nil, err
	}
	secret := layer.NewHubSecret()
	return secret, s.put(ctx, kindKey, ownKeyName, map[string][]byte{"secret": secret})
}
