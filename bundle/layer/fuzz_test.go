package layer

import (
	"bytes"
	"slices"
	"testing"
)

// Open gets chunks from the network and from a disk. Sealed by nobody, they are refused; sealed by a hub gone mad, they
// open to what is a layer or are refused. Nothing panics, and nothing takes more memory than a layer may.
func FuzzOpen(f *testing.F) {
	l := testSecret.Layer(append(configs(f, 3, "x"), whiteout(Key{Kind: "Pod", Name: "a"})))
	s, err := testSecret.Seal(l)
	must(f, err)
	container := encodeEntries(l.Entries)
	f.Add(s.Ciphertext[0], 1)
	f.Add(container, 2)
	f.Add(zstdEncoder().EncodeAll(container, nil), 3)
	f.Add([]byte(objectsContainer+"\xff\xff\xff\xff"), 1)
	f.Fuzz(func(t *testing.T, data []byte, cuts int) {
		if l, err := Open(s.ID, s.Key, cut(data, cuts)); err == nil && !bytes.Equal(data, s.Ciphertext[0]) {
			t.Fatalf("bytes that no hub sealed open to %d objects", len(l.Entries))
		}
		for _, stream := range [][]byte{data, zstdEncoder().EncodeAll(data, nil)} {
			l, err := Open(s.ID, s.Key, sealStream(s.ID, s.Key, stream))
			if err != nil {
				continue
			}
			if !slices.IsSortedFunc(l.Entries, func(a, b Entry) int { return a.Key.Compare(b.Key) }) {
				t.Fatal("a layer out of order was opened")
			}
			if _, err := testSecret.Seal(testSecret.Layer(l.Entries)); err != nil {
				t.Fatalf("what was opened cannot be sealed: %v", err)
			}
		}
		if entries, err := decodeEntries(data); err == nil && !bytes.Equal(encodeEntries(entries), data) {
			t.Fatal("two containers hold the same objects")
		}
	})
}

func FuzzOpenFiles(f *testing.F) {
	s, err := testSecret.SealFiles(map[string][]byte{"fleet.yaml": []byte("a: 1\n"), "../base/a.yaml": nil})
	must(f, err)
	container := encodeFiles(map[string][]byte{"fleet.yaml": []byte("a: 1\n"), "../base/a.yaml": nil})
	f.Add(s.Ciphertext[0], 1)
	f.Add(container, 2)
	f.Add(zstdEncoder().EncodeAll(container, nil), 3)
	f.Fuzz(func(t *testing.T, data []byte, cuts int) {
		if files, err := OpenFiles(s.ID, s.Key, cut(data, cuts)); err == nil && !bytes.Equal(data, s.Ciphertext[0]) {
			t.Fatalf("bytes that no hub sealed open to %d files", len(files))
		}
		for _, stream := range [][]byte{data, zstdEncoder().EncodeAll(data, nil)} {
			if files, err := OpenFiles(s.ID, s.Key, sealStream(s.ID, s.Key, stream)); err == nil {
				_, err = testSecret.SealFiles(files)
				must(t, err)
			}
		}
		if files, err := decodeFiles(data); err == nil && !bytes.Equal(encodeFiles(files), data) {
			t.Fatal("two containers hold the same files")
		}
	})
}

// cut cuts data into at most 16 chunks.
func cut(data []byte, cuts int) [][]byte {
	n := 1 + (cuts&15+16)%16
	chunks := make([][]byte, 0, n)
	for i := range n {
		chunks = append(chunks, data[i*len(data)/n:(i+1)*len(data)/n])
	}
	return chunks
}
