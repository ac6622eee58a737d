package layer

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
)

// sealedValue says what a value is, so that one cannot be put in the place of another.
type sealedValue struct {
	Name  string          `json:"name"`
	Value json.RawMessage `json:"value"`
}

// ValueName is under which name an output of a bundle is sealed. each is the cluster that it is for, "" for all alike.
func ValueName(bundle, output, each string) string { return bundle + "/" + output + "/" + each }

// SealValue encrypts a JSON value with a cluster's key-encryption key, under a name that OpenValue has to give again. Equal values
// give equal bytes, so that what did not change is not written.
func SealValue(kek []byte, name string, value json.RawMessage) ([]byte, error) {
	plain, err := json.Marshal(sealedValue{name, value})
	if err != nil {
		return nil, fmt.Errorf("sealing %s: it is no JSON", name)
	}
	if short := len(plain) % 8; short > 0 { // white space behind it means nothing
		plain = append(plain, bytes.Repeat([]byte{' '}, 8-short)...)
	}
	return Wrap(kek, plain)
}

// OpenValue undoes SealValue. A value that was sealed under another name, or with another key, is an error.
func OpenValue(kek []byte, name string, sealed []byte) (json.RawMessage, error) {
	plain, err := Unwrap(kek, sealed)
	if err != nil {
		return nil, errors.New("opening " + name + ": it was sealed with another cluster's key, or changed on its way")
	}
	var v sealedValue
	if err := json.Unmarshal(plain, &v); err != nil || v.Name != name {
		return nil, errors.New("opening " + name + ": it was sealed as another value")
	}
	return v.Value, nil
}
