package seal

import (
	"bytes"
	"testing"
)

func TestASealedMessageOpensOnlyWithItsKey(t *testing.T) {
	private, public, err := NewKey()
	if err != nil {
		t.Fatal(err)
	}
	other, _, err := NewKey()
	if err != nil {
		t.Fatal(err)
	}
	message := []byte(`{"token":"abc"}`)
	sealed, err := SealTo(public, message)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(sealed, message) {
		t.Error("the sealed message shows its plaintext")
	}
	if got, err := OpenWith(private, sealed); err != nil || !bytes.Equal(got, message) {
		t.Errorf("OpenWith = %q, %v; want the message", got, err)
	}
	if _, err := OpenWith(other, sealed); err == nil {
		t.Error("another key opened the message")
	}
	for i := range sealed {
		bad := bytes.Clone(sealed)
		bad[i] ^= 1
		if _, err := OpenWith(private, bad); err == nil {
			t.Errorf("a message with byte %d changed was opened", i)
		}
	}
	for n := range sealed {
		if _, err := OpenWith(private, sealed[:n]); err == nil {
			t.Errorf("a message cut to %d bytes was opened", n)
		}
	}
}

func TestTwoSealingsDiffer(t *testing.T) {
	_, public, _ := NewKey()
	a, _ := SealTo(public, []byte("x"))
	b, _ := SealTo(public, []byte("x"))
	if bytes.Equal(a, b) {
		t.Error("two sealings of one message are equal")
	}
}

func TestBadKeysAreErrors(t *testing.T) {
	for name, key := range map[string][]byte{
		"no key":                         nil,
		"a short key":                    make([]byte, 31),
		"a point that agrees on nothing": make([]byte, 32),
		"a long key":                     make([]byte, 33),
	} {
		if _, err := SealTo(key, []byte("x")); err == nil {
			t.Errorf("%s was accepted", name)
		}
	}
}

func TestThePublicHalfFollowsFromThePrivate(t *testing.T) {
	private, public, _ := NewKey()
	if got, err := PublicKey(private); err != nil || !bytes.Equal(got, public) {
		t.Errorf("PublicKey = %x, %v; want %x", got, err, public)
	}
}
