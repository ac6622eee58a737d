package reader

import (
	"compress/gzip"
	"encoding/base64"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"

	"flotilla.io/flotilla/api/v1alpha1"
)

// Resources decodes the files that a Bundle holds in itself, by their names. Bundles from a source hold none.
func Resources(b *v1alpha1.Bundle) (map[string][]byte, error) {
	contents := make(map[string][]byte, len(b.Spec.Resources))
	total := 0
	for i, r := range b.Spec.Resources {
		field := fmt.Sprintf("spec.resources[%d] (%s)", i, r.Name)
		if !fs.ValidPath(path.Clean(r.Name)) || path.Clean(r.Name) == "." {
			return nil, fmt.Errorf("%s: the name must be a path below the bundle", field)
		}
		name := path.Clean(r.Name)
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
