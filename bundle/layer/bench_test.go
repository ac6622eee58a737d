package layer

import (
	"fmt"
	"math/rand"
	"strings"
	"testing"
)

// thousand is a layer of 1,000 objects, about 1 KiB each, of words as manifests have them.
func thousand(b *testing.B) Layer {
	rng := rand.New(rand.NewSource(1))
	words := strings.Fields("apiVersion name image registry web prod replicas limits memory 256Mi cpu port http probe path env value from secret")
	entries := make([]Entry, 1000)
	for i := range entries {
		var text strings.Builder
		for text.Len() < 900 {
			fmt.Fprintf(&text, "%s: %s-%d\n", words[rng.Intn(len(words))], words[rng.Intn(len(words))], rng.Intn(1000))
		}
		entries[i] = config(b, fmt.Sprintf("object-%d", i), text.String())
	}
	return testSecret.Layer(entries)
}

func BenchmarkSeal(b *testing.B) {
	l := thousand(b)
	b.SetBytes(int64(bytesOf(l)))
	b.ReportAllocs()
	for b.Loop() {
		_, err := testSecret.Seal(l)
		must(b, err)
	}
}

func BenchmarkOpen(b *testing.B) {
	s, err := testSecret.Seal(thousand(b))
	must(b, err)
	b.SetBytes(s.Bytes)
	b.ReportAllocs()
	for b.Loop() {
		_, err := Open(s.ID, s.Key, s.Ciphertext)
		must(b, err)
	}
}

func BenchmarkNewEntry(b *testing.B) {
	u := object(b, string(thousand(b).Entries[0].Object))
	b.ReportAllocs()
	for b.Loop() {
		_, err := NewEntry(u)
		must(b, err)
	}
}

// BenchmarkSplit is a push of one shared object to 5,000 outputs of 100 objects that all differ in one.
func BenchmarkSplit(b *testing.B) {
	outputs := fleet(b, 5000)
	previous, _ := testSecret.Split(nil, outputs)
	outputs = edit(outputs, everywhere, "", config(b, "config-7", "new"))
	for i := range outputs {
		outputs[i].Entries = sorted(outputs[i].Entries)
	}
	b.ReportAllocs()
	for b.Loop() {
		testSecret.Split(previous, outputs)
	}
}
