// Package seal closes a message for the holder of one key, and proves that a request comes from a holder of a token.
//
// The hub hands an agent its credential in the status of a ClusterRegistration, which others may read. So the agent makes
// an X25519 key of its own, sends the public half with its request, and the hub seals the credential to it. The scheme is
// X25519 with a fresh sender key, HKDF-SHA256, AES-256-GCM; a sealed message is version, sender key, ciphertext.
package seal

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdh"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
)

const (
	version = 1
	keySize = 32
	label   = "flotilla seal v1"
)

// NewKey makes an X25519 key pair of 32 bytes each.
func NewKey() (private, public []byte, err error) {
	key, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		return nil, nil, fmt.Errorf("making a key: %w", err)
	}
	return key.Bytes(), key.PublicKey().Bytes(), nil
}

// PublicKey is the public half of a private key.
func PublicKey(private []byte) ([]byte, error) {
	key, err := ecdh.X25519().NewPrivateKey(private)
	if err != nil {
		return nil, fmt.Errorf("reading the private key: %w", err)
	}
	return key.PublicKey().Bytes(), nil
}

// SealTo closes plaintext so that only the holder of the private half of public can open it. Two calls give two results.
func SealTo(public, plaintext []byte) ([]byte, error) {
	to, err := ecdh.X25519().NewPublicKey(public)
	if err != nil {
		return nil, fmt.Errorf("reading the public key: %w", err)
	}
	from, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("making a sender key: %w", err)
	}
	box, nonce, err := open(from, to, from.PublicKey().Bytes(), public)
	if err != nil {
		return nil, err
	}
	head := append([]byte{version}, from.PublicKey().Bytes()...)
	return box.Seal(head, nonce, plaintext, head), nil
}

// OpenWith opens what SealTo closed for the public half of private. A flipped bit anywhere is an error.
func OpenWith(private, sealed []byte) ([]byte, error) {
	key, err := ecdh.X25519().NewPrivateKey(private)
	if err != nil {
		return nil, fmt.Errorf("reading the private key: %w", err)
	}
	if len(sealed) < 1+keySize || sealed[0] != version {
		return nil, fmt.Errorf("opening a sealed message of %d bytes: it is not one of version %d", len(sealed), version)
	}
	head := sealed[:1+keySize]
	from, err := ecdh.X25519().NewPublicKey(head[1:])
	if err != nil {
		return nil, fmt.Errorf("reading the sender key: %w", err)
	}
	box, nonce, err := open(key, from, head[1:], key.PublicKey().Bytes())
	if err != nil {
		return nil, err
	}
	plaintext, err := box.Open(nil, nonce, sealed[1+keySize:], head)
	if err != nil {
		return nil, fmt.Errorf("opening a sealed message: it was changed, or closed for another key")
	}
	return plaintext, nil
}

// open derives the cipher that both sides share. The sender key is used once, so the nonce may follow from it.
func open(own *ecdh.PrivateKey, peer *ecdh.PublicKey, sender, receiver []byte) (cipher.AEAD, []byte, error) {
	shared, err := own.ECDH(peer)
	if err != nil {
		return nil, nil, fmt.Errorf("agreeing on a key: %w", err)
	}
	salt := append(append([]byte{}, sender...), receiver...)
	material, err := hkdf.Key(sha256.New, shared, salt, label, keySize+12)
	if err != nil {
		return nil, nil, fmt.Errorf("deriving a key: %w", err)
	}
	block, err := aes.NewCipher(material[:keySize])
	if err != nil {
		return nil, nil, fmt.Errorf("making a cipher: %w", err)
	}
	box, err := cipher.NewGCM(block)
	if err != nil {
		return nil, nil, fmt.Errorf("making a cipher: %w", err)
	}
	return box, material[keySize:], nil
}
