package layer

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Key is an object's identity on a cluster. It holds no version: an object stays the same one when its API version moves.
type Key struct {
	Group, Kind, Namespace, Name string
}

// String is how a person names the object: "Deployment.apps prod/web", "Namespace prod".
func (k Key) String() string {
	kind, name := k.Kind, k.Name
	if k.Group != "" {
		kind += "." + k.Group
	}
	if k.Namespace != "" {
		name = k.Namespace + "/" + name
	}
	return kind + " " + name
}

// Compare orders keys by group, kind, namespace and name.
func (k Key) Compare(o Key) int {
	return cmp.Or(cmp.Compare(k.Group, o.Group), cmp.Compare(k.Kind, o.Kind),
		cmp.Compare(k.Namespace, o.Namespace), cmp.Compare(k.Name, o.Name))
}

// Entry is one object of a layer, or the word that a layer below has one too many.
type Entry struct {
	Key     Key
	Object  json.RawMessage // canonical JSON; nil when Removed
	Digest  string          // hex SHA-256 of Object; "" when Removed
	Removed bool            // a whiteout: layers below may hold the object, the stack does not
}

// NewEntry brings an object into canonical form, which is the same whatever order, number type or spelling it came in:
// keys sorted, no spaces, numbers as Kubernetes holds them (an int64 exactly, anything else as a float64), without
// status and without the null creationTimestamp that Go programs print. It does not modify u.
//
// An object that cannot be named on a cluster, or that holds what JSON has not, is an error that names object and field.
func NewEntry(u *unstructured.Unstructured) (Entry, error) {
	gv, err := schema.ParseGroupVersion(u.GetAPIVersion())
	key := Key{Group: gv.Group, Kind: u.GetKind(), Namespace: u.GetNamespace(), Name: u.GetName()}
	switch {
	case err != nil:
		return Entry{}, fmt.Errorf("reading %s: apiVersion: %w", key, err)
	case gv.Version == "" || key.Kind == "":
		return Entry{}, fmt.Errorf("reading an object named %q: apiVersion is %q and kind is %q; both are needed",
			key.Name, u.GetAPIVersion(), key.Kind)
	case key.Name == "" && u.GetGenerateName() != "":
		return Entry{}, fmt.Errorf("reading %s%s…: metadata.generateName makes a new object at each apply; give it a metadata.name",
			key, u.GetGenerateName())
	case key.Name == "":
		return Entry{}, fmt.Errorf("reading a %s: metadata.name is missing", key.Kind)
	}
	object, err := canonicalObject(u.Object)
	if err != nil {
		return Entry{}, fmt.Errorf("reading %s: %w", key, err)
	}
	return entryOf(key, object), nil
}

// entryOf is the entry of an object that is canonical already.
func entryOf(key Key, object []byte) Entry {
	return Entry{Key: key, Object: object, Digest: digest(object)}
}

// whiteout is the entry that takes key out of the layers below.
func whiteout(key Key) Entry { return Entry{Key: key, Removed: true} }

// same says whether two entries of one key want the same thing.
func (e Entry) same(o Entry) bool { return e.Removed == o.Removed && e.Digest == o.Digest }

func digest(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}
