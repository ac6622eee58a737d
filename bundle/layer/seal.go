package layer

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/klauspost/compress/zstd"
)

// Ref is all that a cluster needs to know of a layer before it fetches it.
type Ref struct {
	ID      string
	Chunks  int
	Key     []byte `json:"-"` // content key, plain: wrap it before it leaves the hub
	Objects int    // objects and whiteouts, or files
	Bytes   int64  // what it opens to; the same whatever compresses it
}

// Sealed is a layer as it is published.
type Sealed struct {
	Ref
	Ciphertext [][]byte // chunks in order, each at most 768 KiB
}

const (
	// maxOpened bounds what a layer opens to, and so the memory of who opens it.
	maxOpened = 64 << 20
	// maxChunk keeps a chunk in one API object: base64 makes 1 MiB of it, and etcd takes 1.5 MiB.
	maxChunk = 768 << 10

	chunkMagic  = "flc1"
	chunkHeader = len(chunkMagic) + 4 + 4 + sha256.Size // magic, index, count, tag
	gcmTag      = 16
	maxPayload  = maxChunk - chunkHeader - gcmTag
)

// Seal encrypts a layer that s.Layer made; any other, or one that opens to more than 64 MiB, is an error. Equal layers
// give equal ciphertext.
func (s HubSecret) Seal(l Layer) (Sealed, error) {
	if err := s.Check(); err != nil {
		return Sealed{}, fmt.Errorf("sealing layer %s: %w", l.ID, err)
	}
	if err := s.verify(l); err != nil {
		return Sealed{}, fmt.Errorf("sealing layer %s: %w", l.ID, err)
	}
	return s.seal(l.ID, encodeEntries(l.Entries), len(l.Entries))
}

// verify computes digests and ID again: who fetches by ID must get what the ID promises.
func (s HubSecret) verify(l Layer) error {
	for i, e := range l.Entries {
		if i > 0 && l.Entries[i-1].Key.Compare(e.Key) >= 0 {
			return fmt.Errorf("%s is out of order; let HubSecret.Layer make the layer", e.Key)
		}
		if want := entryOf(e.Key, e.Object); e.Removed && (len(e.Object) > 0 || e.Digest != "") || !e.Removed && !e.same(want) {
			return fmt.Errorf("the digest of %s is not that of its object; let NewEntry make the entry", e.Key)
		}
	}
	if want := s.identifier().layer(l.Entries).ID; l.ID != want {
		return errors.New("the ID is not that of its entries; let HubSecret.Layer make the layer")
	}
	return nil
}

// Open checks and decrypts the chunks of a layer, in order; all of them are needed.
func Open(id string, key []byte, chunks [][]byte) (Layer, error) {
	container, err := open(id, key, chunks)
	if err != nil {
		return Layer{}, fmt.Errorf("opening layer %s: %w", id, err)
	}
	entries, err := decodeEntries(container)
	if err != nil {
		return Layer{}, fmt.Errorf("opening layer %s: %w", id, err)
	}
	return Layer{ID: id, Entries: entries}, nil
}

// SealFiles seals the files of a bundle, by path, like a layer; its ID is "f-" and 48 hex digits.
func (s HubSecret) SealFiles(files map[string][]byte) (Sealed, error) {
	if err := s.Check(); err != nil {
		return Sealed{}, fmt.Errorf("sealing %d files: %w", len(files), err)
	}
	d := s.identifier()
	d.begin("files")
	for _, path := range slices.Sorted(maps.Keys(files)) {
		d.text(path, digest(files[path]))
	}
	return s.seal(d.id("f-"), encodeFiles(files), len(files))
}

// OpenFiles undoes SealFiles.
func OpenFiles(id string, key []byte, chunks [][]byte) (map[string][]byte, error) {
	container, err := open(id, key, chunks)
	if err != nil {
		return nil, fmt.Errorf("opening files %s: %w", id, err)
	}
	files, err := decodeFiles(container)
	if err != nil {
		return nil, fmt.Errorf("opening files %s: %w", id, err)
	}
	return files, nil
}

func (s HubSecret) seal(id string, container []byte, objects int) (Sealed, error) {
	if len(container) > maxOpened || objects > maxRecords {
		return Sealed{}, fmt.Errorf("sealing %s: it holds %d MiB in %d parts, and the limits are %d MiB and %d; spread the bundle over several directories",
			id, len(container)>>20, objects, maxOpened>>20, maxRecords)
	}
	key := s.ContentKey(id)
	chunks := sealStream(id, key, zstdEncoder().EncodeAll(container, nil))
	return Sealed{
		Ref:        Ref{ID: id, Chunks: len(chunks), Key: key, Objects: objects, Bytes: int64(len(container))},
		Ciphertext: chunks,
	}, nil
}

// sealStream cuts a stream into chunks and encrypts each; the package doc says why it may reuse nonces 0, 1, 2…
func sealStream(id string, key, stream []byte) [][]byte {
	mac := hmac.New(sha256.New, expand(key, "tag"))
	mac.Write(binary.BigEndian.AppendUint32(nil, uint32(maxPayload)))
	mac.Write(stream)
	tag := mac.Sum(nil)

	gcm := chunkCipher(key, tag)
	count := max(1, (len(stream)+maxPayload-1)/maxPayload)
	chunks := make([][]byte, 0, count)
	for i := range count {
		payload := stream[i*maxPayload : min(len(stream), (i+1)*maxPayload)]
		chunk := make([]byte, 0, chunkHeader+len(payload)+gcmTag)
		chunk = append(chunk, chunkMagic...)
		chunk = binary.BigEndian.AppendUint32(chunk, uint32(i))
		chunk = binary.BigEndian.AppendUint32(chunk, uint32(count))
		chunk = append(chunk, tag...)
		chunks = append(chunks, gcm.Seal(chunk, chunkNonce(i), payload, chunkAAD(id, chunk)))
	}
	return chunks
}

// open is the container of a layer.
func open(id string, key []byte, chunks [][]byte) ([]byte, error) {
	stream, err := openStream(id, key, chunks)
	if err != nil {
		return nil, err
	}
	container, err := zstdDecoder().DecodeAll(stream, nil)
	switch {
	case errors.Is(err, zstd.ErrDecoderSizeExceeded), errors.Is(err, zstd.ErrWindowSizeExceeded), len(container) > maxOpened:
		return nil, fmt.Errorf("it opens to more than %d MiB", maxOpened>>20)
	case err != nil:
		return nil, fmt.Errorf("unpacking: %w", err)
	}
	return container, nil
}

func openStream(id string, key []byte, chunks [][]byte) ([]byte, error) {
	if len(key) != secretSize {
		return nil, fmt.Errorf("its key has %d bytes, not %d", len(key), secretSize)
	}
	size := 0
	for i, chunk := range chunks {
		if err := checkHeader(chunk, i, chunks); err != nil {
			return nil, err
		}
		size += len(chunk) - chunkHeader - gcmTag
	}
	if len(chunks) == 0 || size > maxOpened+maxOpened/64 { // what does not compress grows by a little
		return nil, fmt.Errorf("it has %d chunks of %d MiB in all", len(chunks), size>>20)
	}
	gcm := chunkCipher(key, chunks[0][chunkHeader-sha256.Size:chunkHeader])
	stream := make([]byte, 0, size)
	for i, chunk := range chunks {
		header := chunk[:chunkHeader:chunkHeader]
		var err error
		stream, err = gcm.Open(stream, chunkNonce(i), chunk[chunkHeader:], chunkAAD(id, header))
		if err != nil {
			return nil, fmt.Errorf("chunk %d of %d does not open: it was changed on its way, or it or the key is another layer's; fetch both again",
				i+1, len(chunks))
		}
	}
	return stream, nil
}

// checkHeader says in words what the cipher would only refuse.
func checkHeader(chunk []byte, i int, chunks [][]byte) error {
	n := len(chunks)
	if len(chunk) < chunkHeader+gcmTag || len(chunk) > maxChunk || string(chunk[:len(chunkMagic)]) != chunkMagic {
		return fmt.Errorf("chunk %d of %d has %d bytes that are no chunk of a layer; fetch it again", i+1, n, len(chunk))
	}
	numbers := chunk[len(chunkMagic):]
	if count := binary.BigEndian.Uint32(numbers[4:]); uint64(count) != uint64(n) {
		return fmt.Errorf("chunk %d says that there are %d, and %d came; fetch all again", i+1, count, n)
	}
	if index := binary.BigEndian.Uint32(numbers); uint64(index) != uint64(i) {
		return fmt.Errorf("chunk %d of %d stands in place %d; fetch all again", uint64(index)+1, n, i+1)
	}
	if !bytes.Equal(chunk[chunkHeader-sha256.Size:chunkHeader], chunks[0][chunkHeader-sha256.Size:chunkHeader]) {
		return fmt.Errorf("chunk %d of %d is of another sealing than chunk 1; fetch all again", i+1, n)
	}
	return nil
}

func chunkCipher(key, tag []byte) cipher.AEAD {
	block, err := aes.NewCipher(expand(key, "chunks "+string(tag)))
	if err != nil {
		panic("layer: " + err.Error()) // only the length of the key can be wrong, and expand gives 32 bytes
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		panic("layer: " + err.Error()) // AES has the block size that GCM needs
	}
	return gcm
}

func chunkNonce(i int) []byte {
	return binary.BigEndian.AppendUint32(make([]byte, 8, 12), uint32(i))
}

func chunkAAD(id string, header []byte) []byte {
	return append(appendField(make([]byte, 0, 4+len(id)+chunkHeader), id), header...)
}

// zstdEncoder is used by EncodeAll only, which runs a call on one core and so gives the same bytes on every machine.
var zstdEncoder = sync.OnceValue(func() *zstd.Encoder {
	encoder, err := zstd.NewWriter(nil)
	if err != nil {
		panic("layer: " + err.Error()) // only an option out of range is an error
	}
	return encoder
})

var zstdDecoder = sync.OnceValue(func() *zstd.Decoder {
	decoder, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(maxOpened))
	if err != nil {
		panic("layer: " + err.Error()) // only an option out of range is an error
	}
	return decoder
})
