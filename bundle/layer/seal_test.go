package layer

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"math/rand"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
)

// bulky is a layer of several chunks: its values do not compress.
func bulky(t testing.TB, rng *rand.Rand) Layer {
	t.Helper()
	var entries []Entry
	for i := range 5 {
		noise := make([]byte, 300<<10)
		rng.Read(noise)
		entries = append(entries, config(t, fmt.Sprintf("noise-%d", i), hex.EncodeToString(noise)))
	}
	return testSecret.Layer(entries)
}

func sealed(t testing.TB, l Layer) Sealed {
	t.Helper()
	s, err := testSecret.Seal(l)
	must(t, err)
	return s
}

func TestSealAndOpen(t *testing.T) {
	mixed := testSecret.Layer([]Entry{config(t, "a", "<é>"), whiteout(Key{"apps", "Deployment", "prod", "web"}), config(t, "b", "")})
	for name, l := range map[string]Layer{
		"an empty layer":             testSecret.Layer(nil),
		"objects and whiteouts":      mixed,
		"a layer of several chunks":  bulky(t, seeded(t)),
		"a layer of a great many":    testSecret.Layer(configs(t, 3000, "x")),
		"one that does not compress": testSecret.Layer(bulky(t, seeded(t)).Entries[:1]),
	} {
		t.Run(name, func(t *testing.T) {
			s := sealed(t, l)
			got, err := Open(s.ID, s.Key, s.Ciphertext)
			must(t, err)
			if got.ID != l.ID || !slices.EqualFunc(got.Entries, l.Entries, func(a, b Entry) bool { return same(a, b) }) {
				t.Error("what was opened is not what was sealed")
			}
			if s.Chunks != len(s.Ciphertext) || s.Objects != len(l.Entries) || !bytes.Equal(s.Key, testSecret.ContentKey(l.ID)) {
				t.Errorf("the ref is wrong: %+v", s.Ref)
			}
			for i, chunk := range s.Ciphertext {
				if len(chunk) > 768<<10 {
					t.Errorf("chunk %d has %d bytes", i, len(chunk))
				}
			}
		})
	}
	if n := len(sealed(t, bulky(t, seeded(t))).Ciphertext); n < 3 {
		t.Errorf("the layer of several chunks has %d: the tests below need 3", n)
	}
}

func TestSealIsDeterministic(t *testing.T) {
	l := bulky(t, seeded(t))
	first, second := sealed(t, l), sealed(t, Layer{ID: l.ID, Entries: slices.Clone(l.Entries)})
	if !same(first, second) {
		t.Error("equal layers give different ciphertext: each pass of the hub would publish anew")
	}
	other, err := NewHubSecret().Seal(l)
	if err == nil {
		t.Errorf("a layer of another hub was sealed: %+v", other.Ref)
	}
}

// The format is a promise to agents of other versions, and the ID to every Content on every hub.
func TestReleasesKeepIDAndFormat(t *testing.T) {
	l := testSecret.Layer([]Entry{config(t, "a", "1"), whiteout(Key{"", "ConfigMap", "prod", "b"})})
	if want := "l-bb53b357073493e5f70dc912ec6cf84d60fbda8d89a51f03"; l.ID != want {
		t.Errorf("ID %s, want %s", l.ID, want)
	}
	chunk, err := os.ReadFile("testdata/format1.chunk")
	must(t, err)
	got, err := Open(l.ID, testSecret.ContentKey(l.ID), [][]byte{chunk})
	must(t, err)
	if !same(got, l) {
		t.Errorf("a chunk of format 1 opens to %+v", got)
	}
}

// A new compressor makes another stream of the same layer under the same ID and content key: then the chunks must be
// encrypted with another key, since their nonces are the same.
func TestAnotherStreamHasAnotherKey(t *testing.T) {
	l := bulky(t, seeded(t))
	encoder, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedBestCompression))
	must(t, err)
	now := sealed(t, l)
	later := sealStream(l.ID, now.Key, encoder.EncodeAll(encodeEntries(l.Entries), nil))
	got, err := Open(l.ID, now.Key, later)
	must(t, err)
	if !same(got, l) {
		t.Error("another compressor's stream opens to something else")
	}
	// Under one key and nonce, the XOR of two ciphertexts is the XOR of their plaintexts. Streams that begin alike show it.
	streams := [2][]byte{bytes.Repeat([]byte("a"), 1000), append(bytes.Repeat([]byte("a"), 999), 'b')}
	a, b := sealStream(l.ID, now.Key, streams[0])[0], sealStream(l.ID, now.Key, streams[1])[0]
	if equal := countEqual(a[chunkHeader:], b[chunkHeader:]); equal > 50 {
		t.Errorf("%d of 1000 bytes are encrypted alike in two streams that differ in one: a nonce served twice under one key", equal)
	}
	if len(later) == len(now.Ciphertext) {
		mixed := append([][]byte{now.Ciphertext[0]}, later[1:]...)
		refused(t, l.ID, now.Key, mixed, "is of another sealing than chunk 1")
	}
}

func countEqual(a, b []byte) (n int) {
	for i := range a {
		if a[i] == b[i] {
			n++
		}
	}
	return n
}

func refused(t *testing.T, id string, key []byte, chunks [][]byte, want string) {
	t.Helper()
	if l, err := Open(id, key, chunks); !strings.Contains(message(err), want) || len(l.Entries) > 0 {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestOpenRefuses(t *testing.T) {
	rng := seeded(t)
	l := bulky(t, rng)
	s, other := sealed(t, l), sealed(t, bulky(t, rng))
	c := s.Ciphertext
	with := func(i int, chunk []byte) [][]byte {
		chunks := slices.Clone(c)
		chunks[i] = chunk
		return chunks
	}
	renumbered := bytes.Clone(c[0])
	copy(renumbered[4:8], c[1][4:8])
	retagged := bytes.Clone(other.Ciphertext[1])
	copy(retagged[:chunkHeader], c[1][:chunkHeader])
	for _, row := range []struct {
		name   string
		id     string
		key    []byte
		chunks [][]byte
		want   string
	}{
		{"chunks in another order", s.ID, s.Key, slices.Concat(c[1:2], c[:1], c[2:]), "chunk 2 of 3 stands in place 1"},
		{"another order with its numbers made to fit", s.ID, s.Key, with(1, renumbered), "chunk 2 of 3 does not open"},
		{"a chunk twice", s.ID, s.Key, with(1, c[0]), "chunk 1 of 3 stands in place 2"},
		{"the first chunk missing", s.ID, s.Key, c[1:], "chunk 1 says that there are 3, and 2 came"},
		{"the last chunk missing", s.ID, s.Key, c[:2], "chunk 1 says that there are 3, and 2 came"},
		{"no chunk", s.ID, s.Key, nil, "0 chunks"},
		{"an empty chunk", s.ID, s.Key, with(2, nil), "chunk 3 of 3 has 0 bytes"},
		{"a chunk cut short", s.ID, s.Key, with(1, c[1][:len(c[1])-1]), "chunk 2 of 3 does not open"},
		{"a chunk too long", s.ID, s.Key, with(1, append(bytes.Clone(c[1]), 0)), "are no chunk of a layer"},
		{"a chunk of another layer", s.ID, s.Key, with(1, other.Ciphertext[1]), "is of another sealing than chunk 1"},
		{"a chunk of another layer with this one's header", s.ID, s.Key, with(1, retagged), "chunk 2 of 3 does not open"},
		{"all chunks of another layer", s.ID, s.Key, other.Ciphertext, "chunk 1 of 3 does not open"},
		{"another ID", other.ID, s.Key, c, "chunk 1 of 3 does not open"},
		{"the key of another layer", s.ID, other.Key, c, "chunk 1 of 3 does not open"},
		{"the key of another hub", s.ID, NewHubSecret().ContentKey(s.ID), c, "chunk 1 of 3 does not open"},
		{"half a key", s.ID, s.Key[:16], c, "its key has 16 bytes, not 32"},
		{"no key", s.ID, nil, c, "its key has 0 bytes, not 32"},
	} {
		t.Run(row.name, func(t *testing.T) { refused(t, row.id, row.key, row.chunks, row.want) })
	}
	t.Run("files where objects are wanted, and the other way round", func(t *testing.T) {
		f, err := testSecret.SealFiles(map[string][]byte{"a": nil})
		must(t, err)
		refused(t, f.ID, f.Key, f.Ciphertext, "it holds no objects")
		if _, err := OpenFiles(s.ID, s.Key, c); !strings.Contains(message(err), "it holds no files") {
			t.Errorf("got %v", err)
		}
	})
}

func TestOpenRefusesAnyFlippedBit(t *testing.T) {
	rng := seeded(t)
	small := sealed(t, testSecret.Layer(configs(t, 3, "x")))
	flip := func(s Sealed, chunk, bit int) {
		changed := slices.Clone(s.Ciphertext)
		changed[chunk] = bytes.Clone(changed[chunk])
		changed[chunk][bit/8] ^= 1 << (bit % 8)
		if _, err := Open(s.ID, s.Key, changed); err == nil {
			t.Fatalf("chunk %d opens with bit %d flipped", chunk, bit)
		}
	}
	for bit := range len(small.Ciphertext[0]) * 8 {
		flip(small, 0, bit)
	}
	large := sealed(t, bulky(t, rng))
	for chunk, c := range large.Ciphertext {
		for range 30 {
			flip(large, chunk, rng.Intn(len(c)*8))
		}
	}
	for bit := range len(small.Key) * 8 {
		key := bytes.Clone(small.Key)
		key[bit/8] ^= 1 << (bit % 8)
		if _, err := Open(small.ID, key, small.Ciphertext); err == nil {
			t.Fatalf("bit %d of the key flipped, and it opens", bit)
		}
	}
}

// A bomb can come only from who has the key, but a hub may have been given what it renders.
func TestOpenRefusesABomb(t *testing.T) {
	key := testSecret.ContentKey("l-bomb")
	var streamed bytes.Buffer // a stream does not say how much will come
	w, err := zstd.NewWriter(&streamed)
	must(t, err)
	zeros := make([]byte, 1<<20)
	for range 512 {
		_, err = w.Write(zeros)
		must(t, err)
	}
	must(t, w.Close())
	frame := zstdEncoder().EncodeAll(make([]byte, 60<<20), nil)
	tiny := []byte(objectsContainer)
	for i := range maxRecords + 1 {
		e := entryOf(Key{Name: fmt.Sprintf("%06d", i)}, nil)
		tiny = append(tiny, encodeEntries([]Entry{e})[len(objectsContainer):]...)
	}
	for _, row := range []struct {
		name   string
		stream []byte
		want   string
	}{
		{"a stream of 512 MiB", streamed.Bytes(), "it opens to more than 64 MiB"},
		{"many frames of 60 MiB", bytes.Repeat(frame, 100), "it opens to more than 64 MiB"},
		{"a great many tiny objects", zstdEncoder().EncodeAll(tiny, nil), "it holds more than 100000 objects"},
	} {
		t.Run(row.name, func(t *testing.T) {
			chunks := sealStream("l-bomb", key, row.stream)
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			refused(t, "l-bomb", key, chunks, row.want)
			runtime.ReadMemStats(&after)
			if spent := (after.TotalAlloc - before.TotalAlloc) >> 20; spent > 400 {
				t.Errorf("refusing it took %d MiB", spent)
			}
		})
	}
}

// A container that is not exactly what encodeEntries or encodeFiles writes is refused, so none has two readings.
func TestContainerRefuses(t *testing.T) {
	a := config(t, "a", "1")
	full := a
	full.Removed = true
	flag := encodeEntries([]Entry{a})
	flag[len(objectsContainer)+4] = 'x'
	record := appendField(appendField(nil, "a"), "content")
	for name, container := range map[string][]byte{
		"nothing":                   nil,
		"another version":           []byte("flotilla objects 2\n"),
		"an object twice":           encodeEntries([]Entry{a, a}),
		"objects out of order":      encodeEntries([]Entry{config(t, "b", "1"), a}),
		"a whiteout with an object": encodeEntries([]Entry{full}),
		"an unknown flag":           flag,
		"an object cut short":       encodeEntries([]Entry{a})[:100],
		"half a length":             append(encodeEntries([]Entry{a}), 0, 0),
		"a file twice":              slices.Concat([]byte(filesContainer), record, record),
		"a file without content":    appendField([]byte(filesContainer), "a"),
	} {
		t.Run(name, func(t *testing.T) {
			if entries, err := decodeEntries(container); err == nil {
				t.Errorf("it was read as %v", keys(entries))
			}
			if files, err := decodeFiles(container); err == nil {
				t.Errorf("it was read as %d files", len(files))
			}
		})
	}
}

func TestSealRefuses(t *testing.T) {
	l := testSecret.Layer(configs(t, 3, "x"))
	foreign := slices.Clone(l.Entries)
	foreign[1].Object = []byte("{}")
	swapped := slices.Clone(l.Entries)
	swapped[0], swapped[1] = swapped[1], swapped[0]
	full := slices.Clone(l.Entries)
	full[2].Removed = true
	huge := entryOf(Key{Kind: "ConfigMap", Name: "huge"}, make([]byte, maxOpened))
	for _, row := range []struct {
		name   string
		secret HubSecret
		layer  Layer
		want   string
	}{
		{"an ID that is not the content's", testSecret, Layer{ID: l.ID, Entries: l.Entries[:2]}, "the ID is not that of its entries"},
		{"no layer at all", testSecret, Layer{}, "the ID is not that of its entries"},
		{"an object changed after it got its digest", testSecret, Layer{l.ID, foreign}, "the digest of ConfigMap prod/config-1 is not that of its object"},
		{"a whiteout with an object", testSecret, Layer{l.ID, full}, "the digest of ConfigMap prod/config-2 is not that of its object"},
		{"entries out of order", testSecret, Layer{l.ID, swapped}, "ConfigMap prod/config-0 is out of order"},
		{"more than Open would take", testSecret, testSecret.Layer([]Entry{huge}), "64 MiB in 1 parts"},
		{"a hub secret that is too short", testSecret[:31], l, "the hub secret has 31 bytes, not 32"},
	} {
		t.Run(row.name, func(t *testing.T) {
			if _, err := row.secret.Seal(row.layer); !strings.Contains(message(err), row.want) {
				t.Errorf("got %v, want %s", err, row.want)
			}
		})
	}
	t.Run("an ID from no secret", func(t *testing.T) {
		defer func() {
			if recover() == nil {
				t.Error("an empty secret made an ID that hides nothing")
			}
		}()
		HubSecret(nil).Layer(l.Entries)
	})
}

func TestSealFilesAndOpen(t *testing.T) {
	rng := seeded(t)
	noise := make([]byte, 2<<20)
	rng.Read(noise)
	for name, files := range map[string]map[string][]byte{
		"no file":            {},
		"an empty file":      {"a": {}},
		"a bundle with base": {"fleet.yaml": []byte("name: a\n"), "templates/x.yaml": []byte("{}"), "../base/kustomization.yaml": {0, 255}},
		"several chunks":     {"noise": noise, "Chart.yaml": []byte("name: c\n")},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := testSecret.SealFiles(files)
			must(t, err)
			got, err := OpenFiles(s.ID, s.Key, s.Ciphertext)
			must(t, err)
			if len(got) != len(files) {
				t.Fatalf("%d files came back of %d", len(got), len(files))
			}
			for path, want := range files {
				if !bytes.Equal(got[path], want) {
					t.Errorf("%s came back changed", path)
				}
			}
			again, err := testSecret.SealFiles(files)
			must(t, err)
			if !same(s, again) {
				t.Error("equal files give different ciphertext")
			}
		})
	}
}

func TestIDs(t *testing.T) {
	a, b := config(t, "a", "1"), config(t, "b", "1")
	id := testSecret.Layer([]Entry{a, b}).ID
	for name, other := range map[string]string{
		"one more object":           testSecret.Layer([]Entry{a, b, config(t, "c", "1")}).ID,
		"another value":             testSecret.Layer([]Entry{a, config(t, "b", "2")}).ID,
		"a whiteout for an object":  testSecret.Layer([]Entry{a, whiteout(b.Key)}).ID,
		"another hub":               NewHubSecret().Layer([]Entry{a, b}).ID,
		"a name moved over a field": testSecret.Layer([]Entry{a, entryOf(Key{b.Key.Group, b.Key.Kind, b.Key.Namespace + b.Key.Name, ""}, b.Object)}).ID,
	} {
		if other == id {
			t.Errorf("%s gives the same ID", name)
		}
	}
	for name, other := range map[string]string{
		"another order":                   testSecret.Layer([]Entry{b, a}).ID,
		"an object twice, the last taken": testSecret.Layer([]Entry{config(t, "a", "old"), b, a}).ID,
	} {
		if other != id {
			t.Errorf("%s gives another ID", name)
		}
	}
	if len(id) != 50 || id[:2] != "l-" {
		t.Errorf("the ID %s is not of the form that names a Content", id)
	}
}
