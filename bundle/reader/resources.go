package reader

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
	"unicode/utf8"

	"flotilla.io/flotilla/api/v1alpha1"
)

// compressAbove is the size of a Bundle, as JSON, above which all its files are compressed, as in Fleet.
const compressAbove = 1_000_000

// Inline writes files into a Bundle, for those that are made without a source on the hub. They are compressed when compress
// says so, when they are no text, and all of them when the Bundle is large.
func Inline(b *v1alpha1.Bundle, files map[string][]byte, compress bool) error {
	b.Spec.Resources = nil
	for _, name := range slices.Sorted(maps.Keys(files)) {
		resource := v1alpha1.BundleResource{Name: name, Content: string(files[name])}
		if compress || !utf8.Valid(files[name]) {
			resource.Content, resource.Encoding = encode(files[name]), v1alpha1.EncodingBase64GZ
		}
		b.Spec.Resources = append(b.Spec.Resources, resource)
	}
	if compress {
		return nil
	}
	data, err := json.Marshal(b)
	if err != nil {
		return fmt.Errorf("encoding bundle %s: %w", b.Name, err)
	}
	if len(data) < compressAbove {
		return nil
	}
	return Inline(b, files, true)
}

func encode(data []byte) string {
	var packed bytes.Buffer
	w := gzip.NewWriter(&packed)
	_, _ = w.Write(data) // into memory: it never fails
	_ = w.Close()
	return base64.StdEncoding.EncodeToString(packed.Bytes())
}

// Resources decodes the files that a Bundle holds in itself, by their names. Bundles from a source hold none.
func Resources(b *v1alpha1.Bundle) (map[string][]byte, error) {
	contents := make(map[string][]byte, len(b.Spec.Resources))
	total := 0
	for i, r := range b.Spec.Resources {
		field := fmt.Sprintf("spec.resources[%d] (%s)", i, r.Name)
		if r.Name == "" {
			r.Name = fmt.Sprintf("manifests/file%03d.yaml", i)
		}
		name := path.Clean(r.Name)
		below := name
		for strings.HasPrefix(below, "../") { // a Kustomize base or chart beside the bundle
			below = below[len("../"):]
		}
		if !fs.ValidPath(below) || below == "." {
			return nil, fmt.Errorf("%s: the name must be a path of a file in the bundle or beside it", field)
		}
		if _, twice := contents[name]; twice {
			return nil, fmt.Errorf("%s: the name stands there twice", field)
		}
		data, err := decode(r, maxBytes-total)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", field, err)
		}
		contents[name] = data
		total += len(data)
	}
	return contents, nil
}

// decode gives a file's content, of at most room bytes.
func decode(r v1alpha1.BundleResource, room int) ([]byte, error) {
	data := []byte(r.Content)
	switch r.Encoding {
	case "":
	case v1alpha1.EncodingBase64GZ:
		unzipped, err := gzip.NewReader(base64.NewDecoder(base64.StdEncoding, strings.NewReader(r.Content)))
		if err == nil {
			data, err = io.ReadAll(io.LimitReader(unzipped, int64(room)+1))
		}
		if err != nil {
			return nil, fmt.Errorf("decoding %s: %w", r.Encoding, err)
		}
	default:
		return nil, fmt.Errorf("no encoding %q; it is empty or %s", r.Encoding, v1alpha1.EncodingBase64GZ)
	}
	if len(data) > room {
		return nil, fmt.Errorf("all resources together have more than %s", megabytes(maxBytes))
	}
	return data, nil
}
