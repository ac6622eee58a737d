package layer

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
)

// A container is what is compressed and sealed: a name of what it holds and its version, then records of fields, each
// field with its length in four bytes. Every content has exactly one container, and what is not one is refused.
const (
	objectsContainer = "flotilla objects 1\n" // records: flag, group, kind, namespace, name, object
	filesContainer   = "flotilla files 1\n"   // records: path, content
)

// maxRecords bounds what many tiny records grow to in memory.
const maxRecords = 100_000

const (
	flagObject   = "o"
	flagWhiteout = "w"
)

func encodeEntries(entries []Entry) []byte {
	size := len(objectsContainer)
	for _, e := range entries {
		size += e.size()
	}
	b := append(make([]byte, 0, size), objectsContainer...)
	for _, e := range entries {
		flag := flagObject
		if e.Removed {
			flag = flagWhiteout
		}
		for _, f := range []string{flag, e.Key.Group, e.Key.Kind, e.Key.Namespace, e.Key.Name} {
			b = appendField(b, f)
		}
		b = appendField(b, []byte(e.Object))
	}
	return b
}

// size is how many bytes the entry has in a container.
func (e Entry) size() int {
	const fields, flag = 6 * 4, 1
	return fields + flag + len(e.Key.Group) + len(e.Key.Kind) + len(e.Key.Namespace) + len(e.Key.Name) + len(e.Object)
}

// decodeEntries reads a container; the entries' objects are parts of b.
func decodeEntries(b []byte) ([]Entry, error) {
	in := fields{rest: b}
	in.header(objectsContainer, "objects")
	var entries []Entry
	var last Key
	for in.more() {
		flag := in.text(flagObject)
		key := Key{Group: in.text(last.Group), Kind: in.text(last.Kind), Namespace: in.text(last.Namespace), Name: in.text(last.Name)}
		object := in.next()
		switch {
		case len(entries) > 0 && last.Compare(key) >= 0:
			in.fail(fmt.Sprintf("%s is out of order", key))
		case len(entries) == maxRecords:
			in.fail(fmt.Sprintf("it holds more than %d objects", maxRecords))
		case flag == flagObject:
			entries = append(entries, entryOf(key, object))
		case flag == flagWhiteout && len(object) == 0:
			entries = append(entries, whiteout(key))
		default:
			in.fail(fmt.Sprintf("%s is neither an object nor a whiteout", key))
		}
		last = key
	}
	if in.err != nil {
		return nil, in.err
	}
	return entries, nil
}

func encodeFiles(files map[string][]byte) []byte {
	b := []byte(filesContainer)
	for _, path := range slices.Sorted(maps.Keys(files)) {
		b = appendField(b, path)
		b = appendField(b, files[path])
	}
	return b
}

// decodeFiles reads a container; the files' contents are parts of b.
func decodeFiles(b []byte) (map[string][]byte, error) {
	in := fields{rest: b}
	in.header(filesContainer, "files")
	files := map[string][]byte{}
	last := ""
	for in.more() {
		path := in.text(last)
		switch {
		case len(files) > 0 && path <= last:
			in.fail(fmt.Sprintf("file %q is out of order", path))
		case len(files) == maxRecords:
			in.fail(fmt.Sprintf("it holds more than %d files", maxRecords))
		}
		files[path] = in.next()
		last = path
	}
	if in.err != nil {
		return nil, in.err
	}
	return files, nil
}

func appendField[T string | []byte](b []byte, field T) []byte {
	b = binary.BigEndian.AppendUint32(b, uint32(len(field)))
	return append(b, field...)
}

// fields reads a container. After the first fault it yields nothing more and keeps err.
type fields struct {
	rest []byte
	err  error
}

func (f *fields) header(want, what string) {
	if len(f.rest) < len(want) || string(f.rest[:len(want)]) != want {
		f.fail("it holds no " + what + " in a format that this version knows")
		return
	}
	f.rest = f.rest[len(want):]
}

func (f *fields) more() bool { return f.err == nil && len(f.rest) > 0 }

func (f *fields) next() []byte {
	if f.err != nil {
		return nil
	}
	if len(f.rest) < 4 {
		f.fail("it ends within a record")
		return nil
	}
	size := uint64(binary.BigEndian.Uint32(f.rest))
	if uint64(len(f.rest)-4) < size {
		f.fail("it ends within a record")
		return nil
	}
	field := f.rest[4 : 4+size : 4+size]
	f.rest = f.rest[4+size:]
	return field
}

// text is the next field as a string: likely itself where it is the same, which is cheaper than another copy.
func (f *fields) text(likely string) string {
	if b := f.next(); string(b) != likely {
		return string(b)
	}
	return likely
}

func (f *fields) fail(what string) {
	if f.err == nil {
		f.err = errors.New(what)
	}
}
