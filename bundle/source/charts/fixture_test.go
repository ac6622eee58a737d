package charts

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"path"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"flotilla.io/flotilla/bundle/source"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// packed is an archive with these entries. A content "-> x" makes a symbolic link.
func packed(t testing.TB, entries ...string) []byte {
	t.Helper()
	var out bytes.Buffer
	zipped := gzip.NewWriter(&out)
	w := tar.NewWriter(zipped)
	for i := 0; i < len(entries); i += 2 {
		h := &tar.Header{Name: entries[i], Mode: 0o644, Size: int64(len(entries[i+1])), Typeflag: tar.TypeReg}
		to, link := strings.CutPrefix(entries[i+1], "-> ")
		if link {
			h.Typeflag, h.Linkname, h.Size = tar.TypeSymlink, to, 0
		}
		must(t, w.WriteHeader(h))
		if !link {
			_, err := w.Write([]byte(entries[i+1]))
			must(t, err)
		}
	}
	must(t, w.Close())
	must(t, zipped.Close())
	return out.Bytes()
}

func chartOf(t testing.TB, name, version string, more ...string) []byte {
	t.Helper()
	return packed(t, append([]string{
		name + "/Chart.yaml", fmt.Sprintf("apiVersion: v2\nname: %s\nversion: %s\n", name, version),
		name + "/templates/cm.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: " + name + "}\ndata: {version: \"" + version + "\"}\n",
	}, more...)...)
}

// repository is a Helm repository over HTTP.
type repository struct {
	mu       sync.Mutex
	files    map[string][]byte
	entries  map[string][]string // by name: version, digest
	password string              // of user ann, "" for everyone
	asked    []string            // "GET /index.yaml 304", credentials and all
}

func (r *repository) add(t testing.TB, name, version string, more ...string) {
	t.Helper()
	data := chartOf(t, name, version, more...)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.start()
	r.files["/charts/"+name+"-"+version+".tgz"] = data
	r.entries[name] = append(r.entries[name], fmt.Sprintf("{name: %s, version: %q, digest: %s, urls: [\"%s-%s.tgz\"]}", name, version, digest(data), name, version))
	var index strings.Builder
	index.WriteString("apiVersion: v1\nentries:\n")
	for name, versions := range r.entries {
		fmt.Fprintf(&index, "  %s:\n  - %s\n", name, strings.Join(versions, "\n  - "))
	}
	r.files["/charts/index.yaml"] = []byte(index.String())
}

func (r *repository) start() {
	if r.files == nil {
		r.files, r.entries = map[string][]byte{}, map[string][]string{}
	}
}

func (r *repository) put(path, content string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.start()
	r.files[path] = []byte(content)
}

func (r *repository) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	r.mu.Lock()
	defer r.mu.Unlock()
	user, password, _ := req.BasicAuth()
	data, ok := r.files[req.URL.Path]
	etag := `"` + digest(data) + `"`
	code := http.StatusOK
	switch {
	case r.password != "" && (user != "ann" || password != r.password):
		code = http.StatusUnauthorized
	case !ok:
		code = http.StatusNotFound
	case req.Header.Get("If-None-Match") == etag:
		code = http.StatusNotModified
	}
	r.asked = append(r.asked, strings.TrimSpace(fmt.Sprintf("%s %d %s", path.Base(req.URL.Path), code, req.Header.Get("Authorization"))))
	w.Header().Set("ETag", etag)
	w.WriteHeader(code)
	if code == http.StatusOK {
		_, _ = w.Write(data)
	}
}

// requests since the last call.
func (r *repository) requests() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := strings.Join(r.asked, ", ")
	r.asked = nil
	return out
}

func serve(t testing.TB, h http.Handler) string {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.URL
}

func nobody(string) Auth { return Auth{} }

func ann(password string) func(string) Auth {
	return func(string) Auth {
		return Auth{Auth: source.Auth{Username: "ann", Password: password}}
	}
}

func local(t testing.TB) *Fetcher { return New(Options{Dir: t.TempDir(), Local: true}) }

// push puts a chart into a registry as helm push does.
func push(t testing.TB, address, version string, archive []byte) v1.Hash {
	t.Helper()
	layer := static.NewLayer(archive, types.MediaType(chartLayers[0]))
	image := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), "application/vnd.cncf.helm.config.v1+json")
	image, err := mutate.AppendLayers(image, layer)
	must(t, err)
	ref, err := name.ParseReference(strings.TrimPrefix(address, "http://") + ":" + strings.ReplaceAll(version, "+", "_"))
	must(t, err)
	must(t, remote.Write(ref, image))
	sum, err := image.Digest()
	must(t, err)
	return sum
}

func newRegistry(t testing.TB) string {
	return serve(t, registry.New(registry.Logger(log.New(io.Discard, "", 0))))
}

// fails checks the reason and the words of an error.
func fails(t testing.TB, err error, reason string, words ...string) {
	t.Helper()
	var known *source.Error
	if !errors.As(err, &known) || known.Reason != reason {
		t.Fatalf("got %v, want %s", err, reason)
	}
	for _, word := range words {
		if !strings.Contains(err.Error(), word) {
			t.Errorf("%q lacks %q", err, word)
		}
	}
	if strings.Contains(err.Error(), "s3cret") {
		t.Errorf("%q tells the password", err)
	}
}
