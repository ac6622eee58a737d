package reader

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
)

// hash is the tree's own hash of the bundle's directory; with files from outside, or some left to others, a hash over that and
// these.
func (r *reading) hash() (string, error) {
	own, err := r.tree.Hash(r.place.dir)
	if err != nil {
		return "", fmt.Errorf("hashing %s: %w", r.place.dir, err)
	}
	if len(r.files.outside)+len(r.files.left) == 0 {
		return own, nil
	}
	outside := slices.Compact(slices.Sorted(slices.Values(r.files.outside)))
	sum := sha256.New()
	fmt.Fprintf(sum, "%q %q %q\n", r.place.dir, own, r.files.left)
	for _, name := range outside {
		hash, err := r.tree.Hash(name)
		if err != nil {
			return "", fmt.Errorf("hashing %s: %w", name, err)
		}
		fmt.Fprintf(sum, "%q %q\n", name, hash)
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}
