package source

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/url"
	"path/filepath"
	"strings"
)

// location is where a repository is, and who asks.
type location struct {
	url     string // without credentials, http(s) only
	path    string // a repository on this machine
	auth    Auth
	display string // for people: no credentials, no query
}

// locate reads the URL of a request. Credentials in it stand in for an empty Auth.
func locate(req Request) (*location, error) {
	raw := strings.TrimSpace(req.URL)
	if filepath.IsAbs(raw) {
		return &location{path: filepath.Clean(raw), display: filepath.Clean(raw)}, nil
	}
	u, err := url.Parse(raw)
	if err != nil { // its text repeats the URL with everything in it
		return nil, &Error{Reason: InvalidURL, Where: "repository", Message: "its address is not a URL", Next: "give it as https://host/path"}
	}
	shown := url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}
	l := &location{auth: req.Auth, display: shown.String()}
	switch {
	case u.Scheme == "file" && (u.Host == "" || u.Host == "localhost") && filepath.IsAbs(u.Path):
		l.path, l.auth = filepath.Clean(u.Path), Auth{}
		return l, nil
	case u.Scheme != "http" && u.Scheme != "https":
		return nil, &Error{Reason: InvalidURL, Where: scrub(raw), Message: "this kind of address is not served",
			Next: "use https://host/path, http://host/path or file:///path"}
	case u.RawQuery != "":
		return nil, &Error{Reason: InvalidURL, Where: l.display, Message: "a URL with a query (?...) is not served",
			Next: "leave it out, and give a token as the password in a Secret of type kubernetes.io/basic-auth"}
	case u.Hostname() == "" || u.Path == "" || u.Path == "/":
		return nil, &Error{Reason: InvalidURL, Where: l.display, Message: "host or path is missing", Next: "give the repository as https://host/path"}
	}
	if u.User != nil && req.Auth.Username == "" && req.Auth.Password == "" {
		l.auth.Username = u.User.Username()
		l.auth.Password, _ = u.User.Password()
	}
	u.User, u.Fragment = nil, ""
	l.url = u.String()
	return l, nil
}

// scrub takes what may be a credential out of an address that we cannot serve (git@host:path, ssh://user@host).
func scrub(raw string) string {
	scheme, rest, found := strings.Cut(raw, "://")
	if !found {
		scheme, rest = "", raw
	} else {
		scheme += "://"
	}
	rest, _, _ = strings.Cut(rest, "?")
	if at := strings.LastIndex(rest, "@"); at >= 0 {
		rest = rest[at+1:]
	}
	return shorten(scheme+rest, 300)
}

// key names the mirror of a location: another credential, or another notion of whom to trust, is another mirror.
func (l *location) key() string {
	h := sha256.New()
	for _, part := range []string{l.url, l.path, l.auth.Username, l.auth.Password, string(l.auth.CABundle), fmt.Sprint(l.auth.Insecure)} {
		fmt.Fprintf(h, "%d:%s", len(part), part)
	}
	return hex.EncodeToString(h.Sum(nil))[:40]
}
