package reader

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"maps"
	"strings"
	"testing"

	"flotilla.io/flotilla/api/v1alpha1"
)

func packed(data []byte) string {
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	_, _ = w.Write(data)
	_ = w.Close()
	return base64.StdEncoding.EncodeToString(out.Bytes())
}

func TestResources(t *testing.T) {
	type resource = v1alpha1.BundleResource
	const gz = v1alpha1.EncodingBase64GZ
	for _, c := range []struct {
		rule      string
		resources []resource
		want      string // the content of "x", or the error
	}{
		{"plain text is itself", []resource{{Name: "x", Content: "a: b"}}, "a: b"},
		{"packed content is unpacked", []resource{{Name: "x", Content: packed([]byte("a: \xff")), Encoding: gz}}, "a: \xff"},
		{"an unknown encoding is named", []resource{{Name: "x", Encoding: "zip"}}, `spec.resources[0] (x): no encoding "zip"; it is empty or base64+gz`},
		{"broken packing is told", []resource{{Name: "x", Content: "!!", Encoding: gz}}, "spec.resources[0] (x): decoding base64+gz: unexpected EOF"},
		{"a bomb is refused", []resource{{Name: "x", Content: packed(make([]byte, maxBytes+1)), Encoding: gz}}, "spec.resources[0] (x): all resources together have more than 60.0 MiB"},
		{"all together count", []resource{{Name: "y", Content: strings.Repeat("y", 40<<20)}, {Name: "x", Content: strings.Repeat("x", 40<<20)}},
			"spec.resources[1] (x): all resources together have more than 60.0 MiB"},
		{"a name may lead beside the bundle", []resource{{Name: "../y"}, {Name: "a/../../../z"}, {Name: "x"}}, ""},
		{"a name ends in a file", []resource{{Name: "../.."}}, "spec.resources[0] (../..): the name must be a path of a file in the bundle or beside it"},
		{"an absolute name is refused", []resource{{Name: "/x"}}, "spec.resources[0] (/x): the name must be a path of a file in the bundle or beside it"},
		{"a file without a name is a manifest, numbered as in Fleet", []resource{{Content: "a"}, {Name: "manifests/file000.yaml"}}, "spec.resources[1] (manifests/file000.yaml): the name stands there twice"},
		{"a name stands there once", []resource{{Name: "x"}, {Name: "./x"}}, "spec.resources[1] (./x): the name stands there twice"},
	} {
		t.Run(c.rule, func(t *testing.T) {
			files, err := Resources(&v1alpha1.Bundle{Spec: v1alpha1.BundleSpec{Resources: c.resources}})
			got := string(files["x"])
			if err != nil {
				got = err.Error()
			}
			if got != c.want {
				t.Errorf("got %.200q, want %q", got, c.want)
			}
		})
	}
}

func TestInline(t *testing.T) {
	large := strings.Repeat("x", compressAbove)
	for _, c := range []struct {
		rule     string
		files    map[string][]byte
		compress bool
		want     string // names, with a star where the content is compressed
	}{
		{"text is written as it is, sorted by name", map[string][]byte{"b": []byte("b"), "a/b": []byte("ab"), "../c": []byte("c")}, false, "../c a/b b"},
		{"what is no text is compressed", map[string][]byte{"a": {0xff}, "b": []byte("b")}, false, "a* b"},
		{"all is compressed when it is asked for", map[string][]byte{"a": []byte("a"), "b": []byte("b")}, true, "a* b*"},
		{"all is compressed in a large bundle", map[string][]byte{"a": []byte(large), "b": []byte("b")}, false, "a* b*"},
	} {
		t.Run(c.rule, func(t *testing.T) {
			b := &v1alpha1.Bundle{}
			if err := Inline(b, c.files, c.compress); err != nil {
				t.Fatal(err)
			}
			var names []string
			for _, r := range b.Spec.Resources {
				if r.Encoding == v1alpha1.EncodingBase64GZ {
					r.Name += "*"
				}
				names = append(names, r.Name)
			}
			if got := strings.Join(names, " "); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
			back, err := Resources(b)
			if err != nil || !maps.EqualFunc(back, c.files, bytes.Equal) {
				t.Errorf("they read back as %d files, %v", len(back), err)
			}
		})
	}
}
