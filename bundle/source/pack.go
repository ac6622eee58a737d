package source

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/format/idxfile"
	"github.com/go-git/go-git/v5/plumbing/format/packfile"
)

const tempPattern = "tmp-*"

// install adds a pack to the store: received in full into a file, bounded, indexed and checked against its checksum, and
// only then given the name under which it is found. It returns that name without the ending, "" for an empty pack.
func (s *store) install(from io.Reader) (name string, err error) {
	pack, err := os.CreateTemp(s.packs(), tempPattern)
	if err != nil {
		return "", fmt.Errorf("making room for a pack: %w", err)
	}
	defer func() {
		pack.Close()
		os.Remove(pack.Name())
	}()
	received, err := io.Copy(pack, from)
	if err != nil {
		return "", err
	}
	if received == 0 {
		return "", nil
	}
	objects, err := measure(pack)
	if err != nil || objects == 0 {
		return "", err
	}
	index, err := indexPack(pack)
	if err != nil {
		return "", err
	}
	return s.addPack(pack.Name(), index)
}

// measure refuses a pack whose objects would take more than their due when unpacked, before anything is unpacked into
// memory, and counts them.
func measure(pack io.ReadSeeker) (uint32, error) {
	if _, err := pack.Seek(0, io.SeekStart); err != nil {
		return 0, err
	}
	scanner := packfile.NewScanner(bufio.NewReaderSize(pack, 64<<10))
	_, count, err := scanner.Header()
	if err != nil {
		return 0, fmt.Errorf("reading the pack: %w", err)
	}
	if count > MaxObjects {
		return 0, errTooLarge{fmt.Sprintf("what is to be fetched has %d objects, more than %d", count, MaxObjects)}
	}
	var total uint64
	for range count {
		header, err := scanner.NextObjectHeader()
		if err != nil {
			return 0, fmt.Errorf("reading the pack: %w", err)
		}
		unpacked := uint64(max(header.Length, 0))
		if unpacked > MaxObjectBytes {
			return 0, objectTooLarge()
		}
		var start prefix
		if _, _, err := scanner.NextObject(&start); err != nil {
			return 0, fmt.Errorf("reading the pack: %w", err)
		}
		if header.Type.IsDelta() {
			unpacked = start.deltaTarget()
		}
		if total += unpacked; unpacked > MaxObjectBytes {
			return 0, objectTooLarge()
		}
		if total > MaxTotalBytes {
			return 0, errTooLarge{fmt.Sprintf("what is to be fetched is larger than %d MiB when unpacked", MaxTotalBytes>>20)}
		}
	}
	return count, nil
}

func objectTooLarge() error {
	return errTooLarge{fmt.Sprintf("it holds a file larger than %d MiB", MaxObjectBytes>>20)}
}

// prefix keeps the first bytes written to it.
type prefix []byte

func (p *prefix) Write(b []byte) (int, error) {
	*p = append(*p, b[:min(len(b), max(0, 20-len(*p)))]...)
	return len(b), nil
}

// deltaTarget is the size of what a delta makes: the second of the two numbers that it starts with.
func (p prefix) deltaTarget() uint64 {
	for len(p) > 0 && p[0]&0x80 != 0 {
		p = p[1:]
	}
	var n uint64
	for i := 1; i < len(p) && i <= 9; i++ {
		n |= uint64(p[i]&0x7f) << (7 * (i - 1))
		if p[i]&0x80 == 0 {
			break
		}
	}
	return n
}

func indexPack(pack io.ReadSeeker) (*idxfile.MemoryIndex, error) {
	if _, err := pack.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	writer := new(idxfile.Writer)
	parser, err := packfile.NewParser(packfile.NewScanner(pack), writer)
	if err != nil {
		return nil, fmt.Errorf("reading the pack: %w", err)
	}
	if _, err := parser.Parse(); err != nil {
		return nil, fmt.Errorf("reading the pack: %w", err)
	}
	index, err := writer.Index()
	if err != nil {
		return nil, fmt.Errorf("indexing the pack: %w", err)
	}
	return index, nil
}

// addPack names a pack and its index. The index goes first: go-git takes every pack to have one.
func (s *store) addPack(temp string, index *idxfile.MemoryIndex) (string, error) {
	file, err := os.CreateTemp(s.packs(), tempPattern)
	if err != nil {
		return "", fmt.Errorf("making room for an index: %w", err)
	}
	defer os.Remove(file.Name())
	_, err = idxfile.NewEncoder(file).Encode(index)
	if err := errors.Join(err, file.Close()); err != nil {
		return "", fmt.Errorf("writing an index: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	name := filepath.Join(s.packs(), fmt.Sprintf("pack-%x", index.PackfileChecksum))
	if err := os.Rename(file.Name(), name+".idx"); err != nil {
		return "", fmt.Errorf("adding an index: %w", err)
	}
	if err := os.Rename(temp, name+".pack"); err != nil {
		return "", fmt.Errorf("adding a pack: %w", err)
	}
	s.git.Reindex()
	return name, nil
}

// removePack takes back a pack that turned out not to hold what it should.
func (s *store) removePack(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	os.Remove(name + ".pack")
	os.Remove(name + ".idx")
	s.git.Reindex()
}

// consolidate makes one pack of the small ones when there are many, since each is searched for each object.
func (s *store) consolidate() error {
	names, err := filepath.Glob(filepath.Join(s.packs(), "pack-*.pack"))
	if err != nil || len(names) <= maxPacks {
		return err
	}
	var small []string
	var objects []plumbing.Hash
	for _, name := range names {
		info, err := os.Stat(name)
		if err != nil || info.Size() > smallPack {
			continue
		}
		held, err := packed(name)
		if err != nil {
			return err
		}
		small, objects = append(small, name), append(objects, held...)
	}
	if len(small) < 2 {
		return nil
	}
	one, err := s.repack(objects)
	if err != nil {
		return err
	}
	for _, name := range small {
		if name != one+".pack" {
			s.removePack(name[:len(name)-len(".pack")])
		}
	}
	return nil
}

// packed lists the objects of a pack.
func packed(name string) ([]plumbing.Hash, error) {
	file, err := os.Open(name[:len(name)-len(".pack")] + ".idx")
	if err != nil {
		return nil, fmt.Errorf("reading an index: %w", err)
	}
	defer file.Close()
	index := idxfile.NewMemoryIndex()
	if err := idxfile.NewDecoder(bufio.NewReader(file)).Decode(index); err != nil {
		return nil, fmt.Errorf("reading an index: %w", err)
	}
	entries, err := index.Entries()
	if err != nil {
		return nil, fmt.Errorf("reading an index: %w", err)
	}
	defer entries.Close()
	var out []plumbing.Hash
	for {
		entry, err := entries.Next()
		if err == io.EOF {
			return out, nil
		}
		if err != nil {
			return nil, fmt.Errorf("reading an index: %w", err)
		}
		out = append(out, entry.Hash)
	}
}

// repack writes objects of the store into a pack of their own.
func (s *store) repack(objects []plumbing.Hash) (string, error) {
	pr, pw := io.Pipe()
	go func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		out := bufio.NewWriterSize(pw, 64<<10)
		_, err := packfile.NewEncoder(out, s.git, false).Encode(unique(objects), 10)
		if err == nil {
			err = out.Flush()
		}
		pw.CloseWithError(err)
	}()
	defer pr.Close()
	return s.install(pr)
}

func unique(hashes []plumbing.Hash) []plumbing.Hash {
	seen := make(map[plumbing.Hash]bool, len(hashes))
	var out []plumbing.Hash
	for _, hash := range hashes {
		if !seen[hash] {
			seen[hash] = true
			out = append(out, hash)
		}
	}
	return out
}
