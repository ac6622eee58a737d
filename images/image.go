package main

import (
	"archive/tar"
	"bytes"
	"debug/buildinfo"
	"debug/elf"
	"encoding/pem"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"golang.org/x/crypto/x509roots/fallback/bundle"
)

// nonRoot is the user that programs run as. Kubernetes checks runAsNonRoot against a number only.
const nonRoot = "65532:65532"

var machines = map[string]elf.Machine{"amd64": elf.EM_X86_64, "arm64": elf.EM_AARCH64}

// platforms in the order in which they stand in an index.
var platforms = []v1.Platform{{OS: "linux", Architecture: "amd64"}, {OS: "linux", Architecture: "arm64"}}

// built is a product for all platforms.
type built struct {
	product
	Index v1.ImageIndex
}

// pack makes the images of all products from the programs in a folder.
func pack(folder string, products []product) (all []built, err error) {
	for _, p := range products {
		index := mutate.IndexMediaType(empty.Index, types.OCIImageIndex)
		var labels map[string]string
		for _, platform := range platforms {
			program := filepath.Join(folder, platform.OS+"-"+platform.Architecture, p.Program)
			image, itsLabels, err := imageOf(p, program, platform)
			if err != nil {
				return nil, fmt.Errorf("packing %s for %s: %w", p.Program, platform, err)
			}
			labels = itsLabels
			index = mutate.AppendManifests(index, mutate.IndexAddendum{Add: image, Descriptor: v1.Descriptor{Platform: &platform}})
		}
		all = append(all, built{p, mutate.Annotations(index, labels).(v1.ImageIndex)})
	}
	return all, nil
}

// imageOf is the image of one program. Its labels are the annotations of its manifest too: some tools read these, some those.
func imageOf(p product, program string, platform v1.Platform) (v1.Image, map[string]string, error) {
	if err := checkProgram(program, platform); err != nil {
		return nil, nil, err
	}
	commit, created, err := origin(program)
	if err != nil {
		return nil, nil, err
	}
	content, err := os.ReadFile(program)
	if err != nil {
		return nil, nil, err
	}
	labels := map[string]string{
		"org.opencontainers.image.title": p.Program, "org.opencontainers.image.description": p.About,
		"org.opencontainers.image.version": p.Version, "org.opencontainers.image.created": created.Format(time.RFC3339),
	}
	if commit != "" {
		labels["org.opencontainers.image.revision"] = commit
	}
	image := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	for _, files := range [][]file{base(), {{"usr/local/bin/" + p.Program, 0o755, content}}} {
		layer, err := layerOf(files, created)
		if err != nil {
			return nil, nil, err
		}
		if image, err = mutate.AppendLayers(image, layer); err != nil {
			return nil, nil, err
		}
	}
	config, err := image.ConfigFile()
	if err != nil {
		return nil, nil, err
	}
	config = config.DeepCopy()
	config.OS, config.Architecture, config.Created = platform.OS, platform.Architecture, v1.Time{Time: created}
	config.Config = v1.Config{
		User: nonRoot, Env: []string{"PATH=/usr/local/bin"}, WorkingDir: "/", Labels: labels,
		Entrypoint: []string{"/usr/local/bin/" + p.Program},
	}
	if image, err = mutate.ConfigFile(image, config); err != nil {
		return nil, nil, err
	}
	return mutate.Annotations(image, labels).(v1.Image), labels, nil
}

// checkProgram sees to it that a program will start in an image that has nothing else.
func checkProgram(program string, platform v1.Platform) error {
	f, err := elf.Open(program)
	if err != nil {
		return fmt.Errorf("reading the program: %w; `make images` builds it", err)
	}
	defer f.Close()
	if f.Machine != machines[platform.Architecture] {
		return fmt.Errorf("%s is a program for %s", program, f.Machine)
	}
	for _, part := range f.Progs {
		if part.Type == elf.PT_INTERP {
			return fmt.Errorf("%s needs a dynamic linker, which the image lacks: build it with CGO_ENABLED=0", program)
		}
	}
	return nil
}

// origin is the commit that a program was built from, and its time; without one the program is as old as time itself.
func origin(program string) (commit string, created time.Time, err error) {
	info, err := buildinfo.ReadFile(program)
	if err != nil {
		return "", time.Time{}, fmt.Errorf("reading where the program comes from: %w", err)
	}
	created = time.Unix(0, 0).UTC()
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			commit = s.Value
		case "vcs.time":
			if created, err = time.Parse(time.RFC3339, s.Value); err != nil {
				return "", time.Time{}, fmt.Errorf("reading the time of the program's commit: %w", err)
			}
		}
	}
	return commit, created.UTC(), nil
}

// file is a file of an image; a folder when its name ends with a slash.
type file struct {
	name    string
	mode    int64
	content []byte
}

// base is all that the programs need besides themselves.
func base() []file {
	return []file{
		{"etc/", 0o755, nil},
		{"etc/passwd", 0o644, []byte("root:x:0:0:root:/:/nologin\nflotilla:x:65532:65532:flotilla:/tmp:/nologin\n")},
		{"etc/ssl/", 0o755, nil},
		{"etc/ssl/certs/", 0o755, nil},
		{"etc/ssl/certs/ca-certificates.crt", 0o644, certificates()},
		{"tmp/", 0o1777, nil},
	}
}

// certificates are Mozilla's, as the Go team publishes them in a module: the same for everyone, whoever builds. They lie in
// a file where all programs look for them, so that a company can put its own beside or over them. A root that is trusted
// with a limit only is left out: the file's format cannot say so.
func certificates() []byte {
	var out bytes.Buffer
	for root := range bundle.Roots() {
		if root.Constraint == nil {
			_ = pem.Encode(&out, &pem.Block{Type: "CERTIFICATE", Bytes: root.Certificate}) // into memory, without headers: no error
		}
	}
	return out.Bytes()
}

// layerOf packs files in their order, all of one time and root's.
func layerOf(files []file, modified time.Time) (v1.Layer, error) {
	var packed bytes.Buffer
	w := tar.NewWriter(&packed)
	for _, f := range files {
		header := &tar.Header{Name: f.name, Mode: f.mode, Size: int64(len(f.content)), ModTime: modified, Typeflag: tar.TypeReg, Format: tar.FormatUSTAR}
		if f.name[len(f.name)-1] == '/' {
			header.Typeflag = tar.TypeDir
		}
		if err := w.WriteHeader(header); err != nil {
			return nil, err
		}
		if _, err := w.Write(f.content); err != nil {
			return nil, err
		}
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	opener := func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(packed.Bytes())), nil }
	return tarball.LayerFromOpener(opener, tarball.WithMediaType(types.OCILayer), tarball.WithCompressedCaching)
}
