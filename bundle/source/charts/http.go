package charts

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"crypto/sha256"

	"flotilla.io/flotilla/bundle/source"
)

// seen is what a server told about a file when it was fetched last.
type seen struct {
	etag, modified string
	digest         string
}

// answer is what a server sent. Unchanged: it is as it was seen.
type answer struct {
	data      []byte
	seen      seen
	unchanged bool
}

// errStatus is an answer that is none.
type errStatus struct{ code int }

func (e *errStatus) Error() string {
	return fmt.Sprintf("the server answered %d %s", e.code, http.StatusText(e.code))
}

// get asks for a file, and not again for one that is as it was seen. ref is what it is asked for. The credentials go to the origin
// of the address that they are meant for, and to no other: also not where a server redirects to.
func (f *Fetcher) get(ctx context.Context, ref Ref, auth Auth, home *url.URL, address string, limit int64, before seen) (*answer, error) {
	base, err := f.transport(ref, auth)
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, wrong(source.InvalidURL, ref, "its address is not a URL", "give it as https://host/path")
	}
	req.URL.User = nil
	if before.etag != "" {
		req.Header.Set("If-None-Match", before.etag)
	} else if before.modified != "" {
		req.Header.Set("If-Modified-Since", before.modified)
	}
	client := http.Client{Transport: &homebound{base, auth, home}, CheckRedirect: checkRedirect}
	res, err := client.Do(req)
	if err != nil {
		return nil, explain(ref, auth, unwrapURL(err))
	}
	defer res.Body.Close()
	switch {
	case res.StatusCode == http.StatusNotModified && before != (seen{}):
		return &answer{seen: before, unchanged: true}, nil
	case res.StatusCode == http.StatusUnauthorized, res.StatusCode == http.StatusForbidden:
		if origin(res.Request.URL) != origin(home) {
			return nil, explain(ref, auth, &otherHost{home.Host, res.Request.URL.Host})
		}
		return nil, refusal(ref, auth)
	case res.StatusCode != http.StatusOK:
		return nil, &errStatus{res.StatusCode}
	}
	data, err := io.ReadAll(io.LimitReader(res.Body, limit+1))
	switch {
	case err != nil:
		return nil, explain(ref, auth, err)
	case int64(len(data)) > limit:
		return nil, wrong(source.TooLarge, ref, fmt.Sprintf("what %s sends is larger than %d MiB", res.Request.URL.Host, limit>>20),
			"take a smaller one: a bundle holds at most 60 MiB")
	}
	return &answer{data: data, seen: seen{res.Header.Get("ETag"), res.Header.Get("Last-Modified"), digest(data)}}, nil
}

// homebound adds the credentials where they belong.
type homebound struct {
	base http.RoundTripper
	auth Auth
	home *url.URL
}

func (h *homebound) RoundTrip(req *http.Request) (*http.Response, error) {
	req = req.Clone(req.Context())
	req.Header.Del("Authorization")
	if origin(req.URL) == origin(h.home) && (h.auth.Username != "" || h.auth.Password != "") {
		req.SetBasicAuth(h.auth.Username, h.auth.Password)
	}
	return h.base.RoundTrip(req)
}

// otherHost: a server leads to another, which wants credentials that are not meant for it.
type otherHost struct{ home, other string }

func (o *otherHost) Error() string {
	return o.home + " leads to " + o.other + ", which asks for credentials, and they are sent to no other host than the repository's"
}

func checkRedirect(req *http.Request, via []*http.Request) error {
	switch {
	case len(via) >= 5:
		return errors.New("the server redirects again and again")
	case via[0].URL.Scheme == "https" && req.URL.Scheme != "https":
		return fmt.Errorf("the server redirects from https to %s://%s", req.URL.Scheme, req.URL.Host)
	}
	return nil
}

// withCredentials moves user:password@ of an address to where credentials are, unless there are some.
func withCredentials(raw string, auth Auth) (*url.URL, Auth, error) {
	u, err := url.Parse(strings.TrimSpace(raw))
	if err != nil || u.Host == "" {
		return nil, auth, errors.New("it is no address")
	}
	if u.User != nil && auth.Username == "" && auth.Password == "" {
		auth.Username = u.User.Username()
		auth.Password, _ = u.User.Password()
	}
	u.User = nil
	return u, auth, nil
}

// unwrapURL drops the address that net/http repeats in its errors: it may hold a token.
func unwrapURL(err error) error {
	var wrapped *url.Error
	if errors.As(err, &wrapped) {
		return wrapped.Err
	}
	return err
}

func origin(u *url.URL) string { return u.Scheme + "://" + u.Host }

// identity names an address with who asks for it.
func identity(address string, auth Auth) string {
	return digest([]byte(fmt.Sprintf("%q %q %q %q %v", address, auth.Username, auth.Password, auth.CABundle, auth.Insecure)))
}

func digest(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}
