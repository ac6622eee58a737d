package charts

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// maxBlobBytes bounds the archives that are kept; those that were used longest ago go first.
const maxBlobBytes = 1 << 30

// blobs keeps archives on disk, by their digest. It is a cache: whatever fails, the archive is fetched again.
type blobs struct{ dir string }

func (b blobs) file(digest string) string { return filepath.Join(b.dir, digest+".tgz") }

// get gives back what is whole.
func (b blobs) get(want string) ([]byte, bool) {
	if b.dir == "" || want == "" {
		return nil, false
	}
	data, err := os.ReadFile(b.file(want))
	if err != nil || digest(data) != want {
		return nil, false
	}
	return data, true
}

func (b blobs) put(data []byte) {
	if b.dir == "" || os.MkdirAll(b.dir, 0o700) != nil {
		return
	}
	temp, err := os.CreateTemp(b.dir, "new-*")
	if err != nil {
		return
	}
	defer os.Remove(temp.Name())
	_, err = temp.Write(data)
	if temp.Close() == nil && err == nil {
		_ = os.Rename(temp.Name(), b.file(digest(data)))
	}
	b.sweep()
}

// sweep takes the oldest away until the rest is small enough.
func (b blobs) sweep() {
	entries, _ := os.ReadDir(b.dir)
	var infos []os.FileInfo
	total := int64(0)
	for _, entry := range entries {
		if info, err := entry.Info(); err == nil && strings.HasSuffix(entry.Name(), ".tgz") {
			infos, total = append(infos, info), total+info.Size()
		}
	}
	slices.SortFunc(infos, func(a, b os.FileInfo) int { return a.ModTime().Compare(b.ModTime()) })
	for _, info := range infos {
		if total <= maxBlobBytes {
			return
		}
		total -= info.Size()
		_ = os.Remove(filepath.Join(b.dir, info.Name()))
	}
}
