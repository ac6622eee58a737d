package layer

import (
	"bytes"
	"encoding/hex"
	"strings"
	"testing"
)

// The six vectors of RFC 3394, section 4.
func TestWrapKeepsToTheRFC(t *testing.T) {
	for _, row := range []struct{ name, kek, key, wrapped string }{
		{"4.1 128 bits with 128", "000102030405060708090A0B0C0D0E0F", "00112233445566778899AABBCCDDEEFF",
			"1FA68B0A8112B447 AEF34BD8FB5A7B82 9D3E862371D2CFE5"},
		{"4.2 128 bits with 192", "000102030405060708090A0B0C0D0E0F1011121314151617", "00112233445566778899AABBCCDDEEFF",
			"96778B25AE6CA435 F92B5B97C050AED2 468AB8A17AD84E5D"},
		{"4.3 128 bits with 256", "000102030405060708090A0B0C0D0E0F101112131415161718191A1B1C1D1E1F", "00112233445566778899AABBCCDDEEFF",
			"64E8C3F9CE0F5BA2 63E9777905818A2A 93C8191E7D6E8AE7"},
		{"4.4 192 bits with 192", "000102030405060708090A0B0C0D0E0F1011121314151617", "00112233445566778899AABBCCDDEEFF0001020304050607",
			"031D33264E15D332 68F24EC260743EDC E1C6C7DDEE725A93 6BA814915C6762D2"},
		{"4.5 192 bits with 256", "000102030405060708090A0B0C0D0E0F101112131415161718191A1B1C1D1E1F", "00112233445566778899AABBCCDDEEFF0001020304050607",
			"A8F9BC1612C68B3F F6E6F4FBE30E71E4 769C8B80A32CB895 8CD5D17D6B254DA1"},
		{"4.6 256 bits with 256", "000102030405060708090A0B0C0D0E0F101112131415161718191A1B1C1D1E1F", "00112233445566778899AABBCCDDEEFF000102030405060708090A0B0C0D0E0F",
			"28C9F404C4B810F4 CBCCB35CFB87F826 3F5786E2D80ED326 CBC7F0E71A99F43B FB988B9B7A02DD21"},
	} {
		t.Run(row.name, func(t *testing.T) {
			kek, key, want := unhex(t, row.kek), unhex(t, row.key), unhex(t, row.wrapped)
			got, err := Wrap(kek, key)
			must(t, err)
			if !bytes.Equal(got, want) {
				t.Fatalf("got  %X\nwant %X", got, want)
			}
			back, err := Unwrap(kek, got)
			must(t, err)
			if !bytes.Equal(back, key) {
				t.Errorf("unwrapped %X, want %X", back, key)
			}
		})
	}
}

func TestUnwrapRefuses(t *testing.T) {
	kek, key := NewKEK(), testSecret.ContentKey("l-1")
	wrapped, err := Wrap(kek, key)
	must(t, err)
	for bit := range len(wrapped) * 8 {
		changed := bytes.Clone(wrapped)
		changed[bit/8] ^= 1 << (bit % 8)
		if got, err := Unwrap(kek, changed); err == nil || got != nil {
			t.Fatalf("bit %d flipped: %x, %v", bit, got, err)
		}
	}
	for _, row := range []struct {
		name         string
		kek, wrapped []byte
		want         string
	}{
		{"the key of another cluster", NewKEK(), wrapped, "another key-encryption key"},
		{"a key cut short", kek, wrapped[:32], "another key-encryption key"},
		{"a key cut within a block", kek, wrapped[:30], "30 bytes are no wrapped key"},
		{"nothing", kek, nil, "0 bytes are no wrapped key"},
		{"a key-encryption key of the wrong size", kek[:31], wrapped, "31 bytes, not 32"},
	} {
		t.Run(row.name, func(t *testing.T) {
			if _, err := Unwrap(row.kek, row.wrapped); !strings.Contains(message(err), row.want) {
				t.Errorf("got %v, want %s", err, row.want)
			}
		})
	}
	again, err := Wrap(kek, key)
	must(t, err)
	if !bytes.Equal(wrapped, again) {
		t.Error("wrapping twice gives two results: the BundleDeployment would be written again at each pass")
	}
	for _, size := range []int{0, 8, 20} {
		if _, err := Wrap(kek, make([]byte, size)); err == nil {
			t.Errorf("a key of %d bytes was wrapped", size)
		}
	}
}

func unhex(t *testing.T, text string) []byte {
	b, err := hex.DecodeString(strings.ReplaceAll(text, " ", ""))
	must(t, err)
	return b
}
