// Package charts fetches Helm charts from where they are published: Helm repositories (an index over HTTP), OCI registries, and
// plain archives.
//
// A chart becomes the files of its directory, so that rendering needs no network. Nothing that a server says is trusted: addresses
// are checked when they are dialled, answers are bounded in size and time, archives with links or paths that lead out of them are
// refused, and what an index or a registry gives the digest of must have that digest. Credentials go to the origin they are meant
// for, and nowhere else that it points to.
package charts

import (
	"cmp"
	"context"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/Masterminds/semver/v3"

	"flotilla.io/flotilla/bundle/dial"
	"flotilla.io/flotilla/bundle/source"
)

// What a chart may cost us. One beyond a limit is TooLarge.
const (
	MaxIndexBytes   = 32 << 20 // the index of a repository
	MaxArchiveBytes = 32 << 20 // a chart, packed
	MaxChartBytes   = 60 << 20 // and unpacked: what a bundle may hold
	MaxChartFiles   = 10_000
	MaxTags         = 50_000 // versions in a registry

	// Timeout bounds one chart, with all that has to be asked for it.
	Timeout = time.Minute

	maxDepth   = 5  // charts that depend on charts
	maxIndexes = 32 // that are kept in memory
)

// Ref names a chart as Helm options do: a name in a repository, a repository oci:// that is the chart or has it below it, or a chart
// that is an oci:// or http(s):// address by itself. Version is a version, a range, or "" for the newest.
type Ref struct{ Repo, Chart, Version string }

// String is for people: no credentials.
func (r Ref) String() string {
	name := shown(r.Chart)
	if r.Repo != "" {
		name = strings.TrimSuffix(strings.TrimSuffix(shown(r.Repo), "/")+"/"+name, "/")
	}
	return strings.TrimSpace(name + " " + r.Version)
}

// Moving tells whether the same Ref may mean another version later.
func (r Ref) Moving() bool {
	_, err := semver.StrictNewVersion(strings.TrimPrefix(r.Version, "v"))
	return err != nil && !(r.Repo == "" && isHTTP(r.Chart))
}

// Auth says who we are to a repository and whom we trust.
type Auth struct {
	source.Auth
	// PlainHTTP lets a registry be asked without TLS.
	PlainHTTP bool
}

// Chart is a chart that was fetched.
type Chart struct {
	Version string
	Files   map[string][]byte // by their path in the chart's directory, dependencies among them
}

// Fetcher keeps connections, indexes and archives between fetches. It is safe for concurrent use.
type Fetcher struct {
	blobs blobs
	guard dial.Guard

	mu         sync.Mutex
	transports map[string]http.RoundTripper
	indexes    map[string]*index // by URL and credentials, as last seen
	archives   map[string]seen   // plain archives, by URL and credentials
}

// Options of a Fetcher.
type Options struct {
	// Dir keeps archives, for this process alone; it may be lost. "" keeps none.
	Dir string
	// Local lets this machine's own addresses be asked: for a person's own commands, and for tests.
	Local bool
}

// New makes a Fetcher.
func New(o Options) *Fetcher {
	return &Fetcher{blobs: blobs{dir: o.Dir}, guard: dial.Guard{Local: o.Local}, transports: map[string]http.RoundTripper{}, indexes: map[string]*index{}, archives: map[string]seen{}}
}

// Session is one reading: an index is asked for once in it, so that all charts are of one moment.
type Session struct {
	fetcher *Fetcher
	auth    func(url string) Auth

	mu      sync.Mutex
	indexes map[string]*once
}

type once struct {
	sync.Once
	index *index
	err   error
}

// Begin starts a reading. auth says who we are to the repository or chart of an address.
func (f *Fetcher) Begin(auth func(url string) Auth) *Session {
	return &Session{fetcher: f, auth: auth, indexes: map[string]*once{}}
}

// Version is the version that ref means now. Errors are *source.Error.
func (s *Session) Version(ctx context.Context, ref Ref) (string, error) {
	found, err := bounded(ctx, ref, func(ctx context.Context) (*place, error) { return s.locate(ctx, ref) })
	if err != nil {
		return "", err
	}
	return found.version, nil
}

// Fetch brings the files of the chart that ref means now, with the dependencies that it names and does not bring along. Errors are
// *source.Error.
func (s *Session) Fetch(ctx context.Context, ref Ref) (*Chart, error) {
	return bounded(ctx, ref, func(ctx context.Context) (*Chart, error) { return s.fetch(ctx, ref, 0) })
}

// bounded bounds the time of one call, and turns a panic over what a server sent into an error.
func bounded[T any](ctx context.Context, ref Ref, call func(context.Context) (T, error)) (out T, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = wrong(source.FetchFailed, ref, "reading what the server sent panicked", "report this")
		}
	}()
	ctx, cancel := context.WithTimeout(ctx, Timeout)
	defer cancel()
	return call(ctx)
}

// place is where the chart of a version is.
type place struct {
	ref     Ref
	version string
	digest  string // SHA-256 of the archive, "" when nobody told
	get     func(context.Context) ([]byte, error)
}

func (s *Session) locate(ctx context.Context, ref Ref) (*place, error) {
	switch {
	case isOCI(ref.Repo):
		return s.inRegistry(ctx, ref, registryAddress(ref))
	case isOCI(ref.Chart) && ref.Repo == "":
		return s.inRegistry(ctx, ref, ref.Chart)
	case isHTTP(ref.Repo):
		return s.inRepository(ctx, ref)
	case isHTTP(ref.Chart) && ref.Repo == "":
		return s.atURL(ctx, ref)
	case ref.Repo != "":
		return nil, wrong(source.InvalidURL, ref, "a Helm repository is an address https://, http:// or oci://", "correct helm.repo")
	}
	return nil, wrong(source.InvalidURL, ref, "a chart is fetched from https://, http:// and oci:// only, not by Git, S3, GCS or Mercurial",
		"give the address of an archive (https://host/web-1.0.0.tgz), a chart in a registry (oci://host/web), or commit the chart")
}

func (s *Session) fetch(ctx context.Context, ref Ref, depth int) (*Chart, error) {
	at, err := s.locate(ctx, ref)
	if err != nil {
		return nil, err
	}
	archive, err := s.fetcher.archive(ctx, at)
	if err != nil {
		return nil, err
	}
	_, below, _ := strings.Cut(pathOf(ref.Chart), "//")
	files, err := unpack(archive, below)
	if err != nil {
		return nil, named(err, ref)
	}
	chart := &Chart{Version: at.version, Files: files}
	meta, err := readMetadata(files)
	if err != nil {
		return nil, named(err, ref)
	}
	if chart.Version == "" {
		chart.Version = meta.Version
	}
	return chart, s.complete(ctx, ref, chart, meta, depth)
}

// complete fetches the dependencies that a chart names and does not bring along.
func (s *Session) complete(ctx context.Context, ref Ref, chart *Chart, meta *metadata, depth int) error {
	for _, d := range meta.missing(chart.Files) {
		from := Ref{d.Repository, d.Name, d.Version}
		switch {
		case depth == maxDepth:
			return wrong(ChartInvalid, ref, "charts depend on charts, more than 5 deep", "look for one that depends on itself")
		case !isHTTP(d.Repository) && !isOCI(d.Repository):
			return wrong(ChartInvalid, ref, "dependency "+d.Name+" is not in the chart, and its repository "+cmp.Or(shown(d.Repository), `""`)+" is no address",
				"take a chart that was packed with its dependencies")
		}
		inner, err := s.fetch(ctx, from, depth+1)
		if err != nil {
			return err
		}
		for _, name := range slices.Sorted(maps.Keys(inner.Files)) {
			chart.Files["charts/"+d.Name+"-"+inner.Version+"/"+name] = inner.Files[name]
		}
		if size(chart.Files) > MaxChartBytes || len(chart.Files) > MaxChartFiles {
			return wrong(source.TooLarge, ref, "with its dependencies the chart is larger than 60 MiB or 10,000 files", "deploy its parts as charts of their own")
		}
	}
	return nil
}

// archive is a packed chart: the one that is kept, or a new one, whose digest is what was told.
func (f *Fetcher) archive(ctx context.Context, at *place) ([]byte, error) {
	if data, ok := f.blobs.get(at.digest); ok {
		return data, nil
	}
	data, err := at.get(ctx)
	if err != nil {
		return nil, err
	}
	if at.digest != "" && at.digest != digest(data) {
		return nil, wrong(DigestMismatch, at.ref, "what was sent is not what the repository gives the digest of (sha256:"+at.digest[:min(12, len(at.digest))]+"…)",
			"look at the repository: the archive was changed, or its index is old")
	}
	f.blobs.put(data)
	return data, nil
}

func size(files map[string][]byte) (n int) {
	for _, data := range files {
		n += len(data)
	}
	return n
}
