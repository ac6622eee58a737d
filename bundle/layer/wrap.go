package layer

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"fmt"
)

// NewKEK makes a cluster's key-encryption key: 32 bytes.
func NewKEK() []byte { return random() }

// wrapCheck is the initial value of RFC 3394, 2.2.3.1: found again on unwrapping, it proves key and kek.
const wrapCheck uint64 = 0xa6a6a6a6a6a6a6a6

// Wrap encrypts key with kek by AES key wrap (RFC 3394): equal keys give equal bytes, 8 more than the key has. key is a
// multiple of 8 bytes, at least 16.
func Wrap(kek, key []byte) ([]byte, error) {
	block, err := aes.NewCipher(kek)
	if err != nil {
		return nil, fmt.Errorf("wrapping a key: the key-encryption key has %d bytes, not 32", len(kek))
	}
	if len(key) < 16 || len(key)%8 != 0 {
		return nil, fmt.Errorf("wrapping a key: the key has %d bytes; it needs a multiple of 8, at least 16", len(key))
	}
	wrapped := make([]byte, 8+len(key))
	copy(wrapped[8:], key)
	n := len(key) / 8
	check := wrapCheck
	var b [aes.BlockSize]byte
	for step := range 6 * n {
		r := wrapped[8*(step%n+1):][:8]
		join(&b, check, r)
		block.Encrypt(b[:], b[:])
		check = binary.BigEndian.Uint64(b[:8]) ^ uint64(step+1)
		copy(r, b[8:])
	}
	binary.BigEndian.PutUint64(wrapped, check)
	return wrapped, nil
}

// Unwrap undoes Wrap. A changed bit and another kek are errors.
func Unwrap(kek, wrapped []byte) ([]byte, error) {
	block, err := aes.NewCipher(kek)
	if err != nil {
		return nil, fmt.Errorf("unwrapping a key: the key-encryption key has %d bytes, not 32", len(kek))
	}
	if len(wrapped) < 24 || len(wrapped)%8 != 0 {
		return nil, fmt.Errorf("unwrapping a key: %d bytes are no wrapped key; it has a multiple of 8, at least 24", len(wrapped))
	}
	key, ok := unwrap(block, wrapped)
	if !ok {
		return nil, errors.New("unwrapping a key: it was wrapped with another key-encryption key, or changed on its way")
	}
	return key, nil
}

func unwrap(block cipher.Block, wrapped []byte) (key []byte, ok bool) {
	key = append([]byte(nil), wrapped[8:]...)
	n := len(key) / 8
	check := binary.BigEndian.Uint64(wrapped)
	var b [aes.BlockSize]byte
	for step := 6*n - 1; step >= 0; step-- {
		r := key[8*(step%n):][:8]
		join(&b, check^uint64(step+1), r)
		block.Decrypt(b[:], b[:])
		check = binary.BigEndian.Uint64(b[:8])
		copy(r, b[8:])
	}
	var got, want [8]byte
	binary.BigEndian.PutUint64(got[:], check)
	binary.BigEndian.PutUint64(want[:], wrapCheck)
	return key, subtle.ConstantTimeCompare(got[:], want[:]) == 1
}

// join fills a cipher block from its two halves.
func join(b *[aes.BlockSize]byte, high uint64, low []byte) {
	binary.BigEndian.PutUint64(b[:8], high)
	copy(b[8:], low)
}
