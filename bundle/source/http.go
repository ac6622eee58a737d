package source

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/format/pktline"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/capability"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/sideband"
	"github.com/go-git/go-git/v5/plumbing/transport"
	githttp "github.com/go-git/go-git/v5/plumbing/transport/http"

	"flotilla.io/flotilla/bundle/dial"
)

// remote is a repository that can be listed and then asked for packs.
type remote interface {
	// list is one small request.
	list(ctx context.Context) (*refs, error)
	// pack is what s lacks of the wanted objects: commits at most depth deep, with their files.
	pack(ctx context.Context, wants []plumbing.Hash, depth int, s *store) (io.ReadCloser, error)
	// close ends the conversation; a pack is read before.
	close()
}

// explainer makes an Error of what a conversation ended with.
type explainer interface {
	explain(ctx context.Context, err error) error
}

// Azure DevOps serves no client without multi_ack, which go-git leaves out by default because it does not negotiate in
// rounds. We never do: all that we have goes into the one request.
func init() { transport.UnsupportedCapabilities = []capability.Capability{capability.ThinPack} }

// httpRemote is one conversation with a smart HTTP server: a listing, then at most one pack.
//
// go-git follows redirects of the listing only, and drops credentials as soon as one leaves scheme, host or port.
type httpRemote struct {
	at           *location
	exchange     *exchange
	session      transport.UploadPackSession
	capabilities *capability.List
}

func newHTTPRemote(at *location, base http.RoundTripper) (*httpRemote, error) {
	endpoint, err := transport.NewEndpoint(at.url)
	if err != nil {
		return nil, &Error{Reason: InvalidURL, Where: at.display, Message: at.redact(err.Error()), Next: "give the repository as https://host/path"}
	}
	var auth transport.AuthMethod
	if at.auth.Username != "" || at.auth.Password != "" {
		auth = &githttp.BasicAuth{Username: at.auth.Username, Password: at.auth.Password}
	}
	r := &httpRemote{at: at, exchange: &exchange{base: base}}
	r.session, err = githttp.NewClient(&http.Client{Transport: r.exchange}).NewUploadPackSession(endpoint, auth)
	if err != nil {
		return nil, at.explain(err)
	}
	return r, nil
}

func (r *httpRemote) list(ctx context.Context) (*refs, error) {
	advertised, err := r.session.AdvertisedReferencesContext(ctx)
	if err != nil {
		return nil, r.explain(ctx, err)
	}
	r.capabilities = advertised.Capabilities
	return readAdvertised(advertised), nil
}

func readAdvertised(a *packp.AdvRefs) *refs {
	out := &refs{heads: map[string]plumbing.Hash{}, tags: map[string]tag{}}
	for name, hash := range a.References {
		if head, ok := strings.CutPrefix(name, "refs/heads/"); ok {
			out.heads[head] = hash
		} else if name, ok := strings.CutPrefix(name, "refs/tags/"); ok {
			out.tags[name] = tag{object: hash, commit: hash}
		}
	}
	for name, commit := range a.Peeled {
		if name, ok := strings.CutPrefix(name, "refs/tags/"); ok {
			out.tags[name] = tag{object: out.tags[name].object, commit: commit}
		}
	}
	if a.Head != nil {
		out.head = *a.Head
	}
	for _, symref := range a.Capabilities.Get(capability.SymRef) {
		if name, ok := strings.CutPrefix(symref, "HEAD:refs/heads/"); ok {
			out.headName = name
		}
	}
	out.anyCommit = a.Capabilities.Supports(capability.AllowReachableSHA1InWant)
	return out
}

func (r *httpRemote) pack(ctx context.Context, wants []plumbing.Hash, depth int, s *store) (io.ReadCloser, error) {
	req, err := packRequest(r.capabilities, wants, depth, s)
	if err != nil {
		return nil, r.explain(ctx, err)
	}
	if req.IsEmpty() { // all of it is here
		return io.NopCloser(strings.NewReader("")), nil
	}
	answer, err := r.session.UploadPack(ctx, req)
	if err != nil {
		return nil, r.explain(ctx, err)
	}
	return &packReader{demultiplex(req.Capabilities, answer), answer, r, ctx}, nil
}

// packRequest asks for what s lacks of the wanted objects, in the terms of what a server offers.
func packRequest(offered *capability.List, wants []plumbing.Hash, depth int, s *store) (*packp.UploadPackRequest, error) {
	req := packp.NewUploadPackRequestFromCapabilities(offered)
	req.Wants = wants
	haves, shallows := s.frontier()
	if offered.Supports(capability.Shallow) {
		req.Haves, req.Shallows, req.Depth = haves, shallows, packp.DepthCommits(depth)
		if err := req.Capabilities.Set(capability.Shallow); err != nil {
			return nil, err
		}
	} else if len(shallows) == 0 { // a server that takes every ancestor for granted may only hear of whole histories
		req.Haves = haves
	}
	if offered.Supports(capability.NoProgress) {
		if err := req.Capabilities.Set(capability.NoProgress); err != nil {
			return nil, err
		}
	}
	return req, nil
}

func (r *httpRemote) close() {}

func demultiplex(c *capability.List, r io.Reader) io.Reader {
	switch {
	case c.Supports(capability.Sideband64k):
		return sideband.NewDemuxer(sideband.Sideband64k, r)
	case c.Supports(capability.Sideband):
		return sideband.NewDemuxer(sideband.Sideband, r)
	}
	return r
}

// packReader explains what a transfer breaks off with.
type packReader struct {
	io.Reader
	io.Closer
	remote explainer
	ctx    context.Context
}

func (p *packReader) Read(b []byte) (int, error) {
	n, err := p.Reader.Read(b)
	if err != nil && err != io.EOF {
		err = p.remote.explain(p.ctx, err)
	}
	return n, err
}

// explain prefers what the connection ended with over what go-git made of it.
func (r *httpRemote) explain(ctx context.Context, err error) error {
	switch {
	case r.exchange.err != nil:
		err = r.exchange.err
	case ctx.Err() != nil:
		err = ctx.Err()
	case notOurRef(err):
		return r.at.noSuchCommit()
	}
	known := r.at.explain(err)
	if known.Reason == AuthFailed && r.exchange.moved {
		known.Message = "the server redirects to " + r.exchange.host + ", and credentials are sent to no other host than the URL's"
		known.Next = "set the URL to where the repository is now"
	}
	return known
}

func notOurRef(err error) bool {
	var line *pktline.ErrorLine
	return errors.As(err, &line) && strings.Contains(line.Text, "not our ref") || strings.Contains(err.Error(), "not our ref")
}

func (l *location) noSuchCommit() *Error {
	return &Error{Reason: RefNotFound, Where: l.display, Message: "the repository does not have this commit, or no branch and no tag leads to it",
		Next: "push it, or set revision to one that is there"}
}

// exchange watches and bounds the answers of one conversation.
type exchange struct {
	base  http.RoundTripper
	host  string // the last one asked
	moved bool   // to another origin than the first
	first string
	err   error // what the connection itself ended with
}

func (x *exchange) RoundTrip(req *http.Request) (*http.Response, error) {
	x.host = req.URL.Host
	origin := req.URL.Scheme + "://" + req.URL.Host
	if x.first == "" {
		x.first = origin
	}
	x.moved = origin != x.first
	res, err := x.base.RoundTrip(req)
	if err != nil {
		x.err = err
		return nil, err
	}
	if res.StatusCode < 200 || res.StatusCode > 299 {
		switch res.StatusCode {
		case http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound: // go-git knows these
		default:
			if res.StatusCode >= 400 {
				x.err = errStatus{res.StatusCode}
			}
		}
		res.Body = x.bounded(res.Body, 8<<10, nil) // go-git reads the whole of it into its error
		return res, nil
	}
	want, limit := "application/x-git-upload-pack-advertisement", int64(MaxListBytes)
	tooLarge := errTooLarge{fmt.Sprintf("the list of its refs is larger than %d MiB", limit>>20)}
	if req.Method == http.MethodPost {
		want, limit = "application/x-git-upload-pack-result", MaxPackBytes
		tooLarge = errTooLarge{fmt.Sprintf("what is to be fetched is larger than %d MiB", limit>>20)}
	}
	if got, _, _ := mime.ParseMediaType(res.Header.Get("Content-Type")); got != want {
		res.Body.Close()
		x.err = errNotGit{shorten(fmt.Sprintf("%q", got), 100)}
		return nil, x.err
	}
	res.Body = x.bounded(res.Body, limit, tooLarge)
	return res, nil
}

func (x *exchange) bounded(body io.ReadCloser, limit int64, tooLarge error) io.ReadCloser {
	return &boundedBody{body, limit, tooLarge, x}
}

// boundedBody ends with tooLarge, or as if it were over when that is nil.
type boundedBody struct {
	io.ReadCloser
	left     int64
	tooLarge error
	exchange *exchange
}

func (b *boundedBody) Read(p []byte) (int, error) {
	if b.left <= 0 {
		if b.tooLarge == nil {
			return 0, io.EOF
		}
		b.exchange.err = b.tooLarge
		return 0, b.tooLarge
	}
	n, err := b.ReadCloser.Read(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	if err != nil && err != io.EOF {
		b.exchange.err = err
	}
	return n, err
}

// newTransport is the connections to servers with one notion of whom to trust.
func newTransport(at *location, guard dial.Guard) (http.RoundTripper, error) {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.ResponseHeaderTimeout = 2 * time.Minute // a server may think long before it sends a large pack
	t.TLSClientConfig = &tls.Config{InsecureSkipVerify: at.auth.Insecure}
	if len(at.auth.CABundle) == 0 {
		return guard.Transport(t), nil
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool()
	}
	if !pool.AppendCertsFromPEM(at.auth.CABundle) {
		return nil, &Error{Reason: CertificateInvalid, Where: at.display, Message: "caBundle holds no certificate in PEM",
			Next: "set it to the CA's certificate, from -----BEGIN CERTIFICATE----- on"}
	}
	t.TLSClientConfig.RootCAs = pool
	return guard.Transport(t), nil
}
