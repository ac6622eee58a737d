package main

import (
	"archive/tar"
	"bytes"
	"debug/elf"
	"encoding/binary"
	"errors"
	"io"
	"log"
	"os"
	"path/filepath"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
)

// program is the smallest file that reads as one built by Go from a commit: a header, one segment, and in it what `go version
// -m` prints. second is the kind of another segment: PT_INTERP for a program that needs a linker.
func program(t *testing.T, arch, content string, second elf.ProgType) []byte {
	t.Helper()
	settings := "build\tvcs.revision=c0ffee\nbuild\tvcs.time=2026-01-02T03:04:05Z\n"
	info := append([]byte("\xff Go buildinf:\x08\x02"), make([]byte, 16)...) // strings follow; at 32
	for _, text := range []string{"go1.26.0", "0123456789abcdef" + settings + "0123456789abcdef"} {
		info = append(binary.AppendUvarint(info, uint64(len(text))), text...)
	}
	info = append(info, content...)
	const header, entry, at = 64, 56, 64 + 2*56
	var out bytes.Buffer
	for _, part := range []any{
		elf.Header64{
			Ident: [16]byte{0x7f, 'E', 'L', 'F', byte(elf.ELFCLASS64), byte(elf.ELFDATA2LSB), byte(elf.EV_CURRENT)},
			Type:  uint16(elf.ET_EXEC), Machine: uint16(machines[arch]), Version: 1, Phoff: header, Ehsize: header, Phentsize: entry, Phnum: 2,
		},
		elf.Prog64{Type: uint32(elf.PT_LOAD), Flags: uint32(elf.PF_R | elf.PF_W), Off: at, Vaddr: at, Filesz: uint64(len(info)), Memsz: uint64(len(info)), Align: 1},
		elf.Prog64{Type: uint32(second), Off: at, Vaddr: at},
		info,
	} {
		must(t, binary.Write(&out, binary.LittleEndian, part))
	}
	return out.Bytes()
}

// extract writes the files of an image below a folder.
func extract(t *testing.T, image v1.Image, to string) map[string][]byte {
	t.Helper()
	flat := mutate.Extract(image)
	defer flat.Close()
	files := map[string][]byte{}
	for r := tar.NewReader(flat); ; {
		header, err := r.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		must(t, err)
		if header.Typeflag != tar.TypeReg {
			continue
		}
		content, err := io.ReadAll(r)
		must(t, err)
		files[header.Name] = content
		file := filepath.Join(to, filepath.Clean("/"+header.Name))
		must(t, os.MkdirAll(filepath.Dir(file), 0o700))
		must(t, os.WriteFile(file, content, header.FileInfo().Mode()))
	}
}

func discard() *log.Logger { return log.New(io.Discard, "", 0) }
