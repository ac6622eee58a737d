package layer

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"hash"
	"slices"
)

// Layer is a set of objects, or of changes to the layers below it.
type Layer struct {
	ID      string  // "l-" and 48 hex digits; "" for no layer at all
	Entries []Entry // sorted by Key, each key once
}

// Stack is what the layers say together: a later one wins, and a whiteout drops the object. The result is sorted by Key.
func Stack(layers ...Layer) []Entry {
	var all []Entry
	for _, l := range layers {
		all = merge(all, l.Entries)
	}
	return slices.DeleteFunc(all, func(e Entry) bool { return e.Removed })
}

// merge lays over upon under; both are sorted, and so is the result, which shares no array with them.
func merge(under, over []Entry) []Entry {
	all := make([]Entry, 0, len(under)+len(over))
	for len(under) > 0 && len(over) > 0 {
		order := under[0].Key.Compare(over[0].Key)
		if order < 0 {
			all, under = append(all, under[0]), under[1:]
			continue
		}
		all, over = append(all, over[0]), over[1:]
		if order == 0 {
			under = under[1:]
		}
	}
	return append(append(all, under...), over...)
}

// HubSecret is the hub's secret of 32 bytes: layer IDs and keys come from it. Who has it can open every layer; a hub
// that loses it makes all layers anew.
type HubSecret []byte

const secretSize = 32

// NewHubSecret makes a secret for a new hub.
func NewHubSecret() HubSecret { return random() }

// Check says whether s can serve. Call it where the secret is read; the other methods panic on one that cannot, because
// IDs and keys made from an empty secret would look right and hide nothing.
func (s HubSecret) Check() error {
	if len(s) != secretSize {
		return fmt.Errorf("the hub secret has %d bytes, not %d; restore it from the backup, or delete it to have all layers made anew",
			len(s), secretSize)
	}
	return nil
}

// ContentKey is the key that opens the layer of this ID: 32 bytes.
func (s HubSecret) ContentKey(id string) []byte { return s.derive("content key " + id) }

// Layer makes a layer of entries, which it does not modify: sorted by Key, and of two with the same key the later.
func (s HubSecret) Layer(entries []Entry) Layer { return s.identifier().layer(sorted(entries)) }

// sorted is entries by Key, of each key the last. It is entries itself when nothing is to be done.
func sorted(entries []Entry) []Entry {
	inOrder := true
	for i := 1; i < len(entries) && inOrder; i++ {
		inOrder = entries[i-1].Key.Compare(entries[i].Key) < 0
	}
	if inOrder {
		return slices.Clip(entries)
	}
	entries = slices.Clone(entries)
	slices.SortStableFunc(entries, func(a, b Entry) int { return a.Key.Compare(b.Key) })
	kept := entries[:0]
	for i, e := range entries {
		if i+1 == len(entries) || entries[i+1].Key != e.Key {
			kept = append(kept, e)
		}
	}
	return kept
}

// derive makes a key of 32 bytes for one purpose.
func (s HubSecret) derive(purpose string) []byte {
	if err := s.Check(); err != nil {
		panic("layer: " + err.Error())
	}
	return expand(s, "hub "+purpose)
}

func expand(secret []byte, purpose string) []byte {
	key, err := hkdf.Key(sha256.New, secret, nil, "flotilla layer v1 "+purpose, secretSize)
	if err != nil {
		panic("layer: " + err.Error()) // only a key longer than 8,160 bytes is an error
	}
	return key
}

// identifier computes IDs. It is not for concurrent use.
type identifier struct {
	mac hash.Hash
	buf []byte
}

func (s HubSecret) identifier() *identifier {
	return &identifier{mac: hmac.New(sha256.New, s.derive("identity"))}
}

// layer makes a layer of entries that are sorted already.
func (d *identifier) layer(entries []Entry) Layer {
	d.begin("objects")
	for _, e := range entries {
		d.text(e.Key.Group, e.Key.Kind, e.Key.Namespace, e.Key.Name, e.Digest) // a whiteout has no digest
	}
	return Layer{ID: d.id("l-"), Entries: entries}
}

func (d *identifier) begin(what string) {
	d.mac.Reset()
	d.buf = d.buf[:0]
	d.text(what)
}

// text adds strings so that no two lists of them give the same bytes.
func (d *identifier) text(fields ...string) {
	for _, f := range fields {
		d.buf = binary.BigEndian.AppendUint32(d.buf, uint32(len(f)))
		d.buf = append(d.buf, f...)
	}
}

// id ends what begin began. 48 hex digits are 192 bits: no two contents share an ID, and it fits a label value.
func (d *identifier) id(prefix string) string {
	d.mac.Write(d.buf)
	return prefix + hex.EncodeToString(d.mac.Sum(nil))[:48]
}

func random() []byte {
	b := make([]byte, secretSize)
	rand.Read(b) // never fails: Go ends the program instead
	return b
}
