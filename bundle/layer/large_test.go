package layer

import (
	"encoding/base64"
	"fmt"
	"testing"
)

// TestLargeIsCutForTheAPI seals 5,000 objects in 50 MB that no compression makes small, and as many files: each chunk fits one object
// of the API, which etcd takes up to 1.5 MiB of.
func TestLargeIsCutForTheAPI(t *testing.T) {
	const limit = 3 << 19
	random := seeded(t)
	files, entries := map[string][]byte{}, make([]Entry, 5000)
	for i := range entries {
		data := make([]byte, 7_500)
		random.Read(data)
		text := base64.StdEncoding.EncodeToString(data)
		entries[i] = config(t, fmt.Sprintf("config-%04d", i), text)
		files[fmt.Sprintf("objects/%04d.yaml", i)] = []byte(text)
	}
	l := testSecret.Layer(entries)
	sealed, err := testSecret.Seal(l)
	must(t, err)
	sealedFiles, err := testSecret.SealFiles(files)
	must(t, err)
	for _, s := range []Sealed{sealed, sealedFiles} {
		if len(s.Ciphertext) < 40 {
			t.Errorf("%d chunks are too few for 50 MB", len(s.Ciphertext))
		}
		for i, chunk := range s.Ciphertext {
			if size := base64.StdEncoding.EncodedLen(len(chunk)) + 1024; size > limit { // 1024: name, labels and the rest of the object
				t.Errorf("chunk %d makes an object of %d bytes", i, size)
			}
		}
	}
	back, err := Open(l.ID, testSecret.ContentKey(l.ID), sealed.Ciphertext)
	must(t, err)
	if !same(back.Entries, l.Entries) {
		t.Error("it opens to something else")
	}
}
