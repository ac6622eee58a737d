package charts

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"golang.org/x/net/publicsuffix"

	"flotilla.io/flotilla/bundle/source"
)

// What Helm pushes a chart as, now and in its first years with registries.
var chartLayers = []string{"application/vnd.cncf.helm.chart.content.v1.tar+gzip", "application/tar+gzip"}

// registryAddress is the chart's address where helm.repo is a registry: the repository itself, or, where a chart is named and the
// repository is not that one already, below it.
func registryAddress(ref Ref) string {
	repo := strings.TrimSuffix(ref.Repo, "/")
	if ref.Chart == "" || path.Base(repo) == ref.Chart {
		return repo
	}
	return repo + "/" + ref.Chart
}

// conversation is one with a registry about one chart.
type conversation struct {
	ref  Ref
	auth Auth
	repo name.Repository
	opts []remote.Option
}

// inRegistry finds a chart in a registry, by the tag that is its version.
func (s *Session) inRegistry(ctx context.Context, ref Ref, address string) (*place, error) {
	r, fixed, err := s.registry(ctx, ref, address)
	if err != nil {
		return nil, err
	}
	at, version := fixed, ref.Version
	if at == nil {
		if at, version, err = r.tag(); err != nil {
			return nil, err
		}
	}
	image, err := remote.Image(at, r.opts...)
	if err != nil {
		return nil, r.explain(err)
	}
	layer, err := chartLayer(image)
	if err != nil {
		return nil, wrong(ChartInvalid, ref, err.Error(), "push the chart with helm push")
	}
	if tag, ok := at.(name.Tag); ok {
		version = strings.ReplaceAll(tag.TagStr(), "_", "+")
	} else {
		version = ""
	}
	sum, err := layer.Digest()
	if err != nil {
		return nil, r.explain(err)
	}
	return &place{ref: ref, version: version, digest: sum.Hex, get: func(context.Context) ([]byte, error) { return r.read(layer) }}, nil
}

// registry reads the address. A tag or digest in it is what is meant, then.
func (s *Session) registry(ctx context.Context, ref Ref, address string) (*conversation, name.Reference, error) {
	home, auth, err := withCredentials(address, s.auth(keyOf(ref)))
	if err != nil {
		return nil, nil, wrong(source.InvalidURL, ref, err.Error(), "give it as oci://host/path")
	}
	text := home.Host + home.Path
	var options []name.Option
	if auth.PlainHTTP {
		options = append(options, name.Insecure)
	}
	parsed, err := name.ParseReference(text, append(options, name.WithDefaultTag(""))...)
	if err != nil {
		return nil, nil, wrong(source.InvalidURL, ref, "it is no address of a chart in a registry", "give it as oci://host/path")
	}
	base, err := s.fetcher.transport(ref, auth)
	if err != nil {
		return nil, nil, err
	}
	r := &conversation{ref: ref, auth: auth, repo: parsed.Context()}
	guard := &homeRegistry{base, home.Host, auth.PlainHTTP}
	r.opts = []remote.Option{remote.WithContext(ctx), remote.WithTransport(guard), remote.WithRetryBackoff(remote.Backoff{Steps: 1})}
	if auth.Username != "" || auth.Password != "" {
		r.opts = append(r.opts, remote.WithAuth(&authn.Basic{Username: auth.Username, Password: auth.Password}))
	}
	switch at := parsed.(type) {
	case name.Digest:
		return r, at, nil
	case name.Tag:
		if at.TagStr() == "" {
			return r, nil, nil
		}
		if ref.Version != "" && ref.Version != at.TagStr() {
			return nil, nil, wrong(VersionInvalid, ref, "its address has tag "+at.TagStr()+", and helm.version says otherwise", "leave one of them out")
		}
		return r, at, nil
	}
	return r, nil, nil
}

// keyOf is the address by which credentials are chosen.
func keyOf(ref Ref) string {
	if ref.Repo != "" {
		return ref.Repo
	}
	return ref.Chart
}

// tag finds the tag of the version that is asked for. A version that is one is asked for at once; tags are listed for a range.
func (r *conversation) tag() (name.Reference, string, error) {
	asTag := func(version string) name.Tag { return r.repo.Tag(strings.ReplaceAll(version, "+", "_")) }
	if !r.ref.Moving() {
		exact := asTag(r.ref.Version)
		_, err := remote.Head(exact, r.opts...)
		if err == nil {
			return exact, r.ref.Version, nil
		}
		if !isNotFound(err) {
			return nil, "", r.explain(err)
		}
	}
	tags, err := remote.List(r.repo, r.opts...)
	if err != nil {
		return nil, "", r.explain(err)
	}
	versions := make([]string, 0, len(tags))
	for _, tag := range tags[:min(len(tags), MaxTags)] {
		versions = append(versions, strings.ReplaceAll(tag, "_", "+"))
	}
	at, err := pick(r.ref, versions)
	if err != nil {
		return nil, "", err
	}
	return asTag(versions[at]), versions[at], nil
}

func isNotFound(err error) bool {
	var answered *transport.Error
	return errors.As(err, &answered) && answered.StatusCode == http.StatusNotFound
}

// chartLayer is the layer that is the packed chart.
func chartLayer(image v1.Image) (v1.Layer, error) {
	manifest, err := image.Manifest()
	if err != nil {
		return nil, errors.New("what the registry has there is no chart")
	}
	for _, d := range manifest.Layers {
		if slices.Contains(chartLayers, string(d.MediaType)) {
			if d.Size > MaxArchiveBytes {
				return nil, fmt.Errorf("the chart is larger than %d MiB", MaxArchiveBytes>>20)
			}
			return image.LayerByDigest(d.Digest)
		}
	}
	return nil, fmt.Errorf("what the registry has there is no chart, but of type %s", manifest.Config.MediaType)
}

// read fetches the layer; what its digest does not fit is refused by the library.
func (r *conversation) read(layer v1.Layer) ([]byte, error) {
	body, err := layer.Compressed()
	if err != nil {
		return nil, r.explain(err)
	}
	defer body.Close()
	data, err := io.ReadAll(io.LimitReader(body, MaxArchiveBytes+1))
	switch {
	case err != nil && strings.Contains(err.Error(), "error verifying"):
		return nil, wrong(DigestMismatch, r.ref, "what the registry sends has another digest than it says", "look at the registry: its storage is damaged, or somebody changed it")
	case err != nil:
		return nil, r.explain(err)
	case len(data) > MaxArchiveBytes:
		return nil, wrong(source.TooLarge, r.ref, fmt.Sprintf("the chart is larger than %d MiB", MaxArchiveBytes>>20), "take a smaller one")
	}
	return data, nil
}

func (r *conversation) explain(err error) error {
	var answered *transport.Error
	if !errors.As(err, &answered) {
		return explain(r.ref, r.auth, unwrapURL(err))
	}
	switch answered.StatusCode {
	case http.StatusUnauthorized, http.StatusForbidden:
		return refusal(r.ref, r.auth)
	case http.StatusNotFound:
		return wrong(ChartNotFound, r.ref, "the registry has no chart there", "check the address, and that the chart was pushed")
	}
	return explain(r.ref, r.auth, &errStatus{answered.StatusCode})
}

// homeRegistry lets credentials go to the registry, and to where it has tokens made if that is a host of the same owner. A registry
// is asked without TLS only where that is said, or on this machine.
type homeRegistry struct {
	base http.RoundTripper
	home string
	http bool
}

func (h *homeRegistry) RoundTrip(req *http.Request) (*http.Response, error) {
	to, home := req.URL.Hostname(), (&url.URL{Host: h.home}).Hostname()
	if req.URL.Scheme != "https" && !h.http && !isLoopback(to) {
		return nil, errors.New("the registry does not speak TLS; key basicHTTP of the Secret lets it be asked without")
	}
	if req.Header.Get("Authorization") != "" && to != home && !sameOwner(to, home) {
		return nil, &otherHost{h.home, req.URL.Host}
	}
	return h.base.RoundTrip(req)
}

func sameOwner(a, b string) bool {
	if net.ParseIP(a) != nil || net.ParseIP(b) != nil {
		return false
	}
	one, errOne := publicsuffix.EffectiveTLDPlusOne(a)
	other, errOther := publicsuffix.EffectiveTLDPlusOne(b)
	return errOne == nil && errOther == nil && one == other
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
