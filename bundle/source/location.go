package source

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/url"
	"path/filepath"
	"strings"
)

// location is where a repository is, and who asks.
type location struct {
	url     string // without credentials but for the user of SSH; http(s) and ssh only
	onHost  string // the path that a server reached by SSH is asked for
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
	full, relative := fromSCP(raw)
	u, err := url.Parse(full)
	if err != nil { // its text repeats the URL with everything in it
		return nil, &Error{Reason: InvalidURL, Where: "repository", Message: "its address is not a URL", Next: "give it as https://host/path"}
	}
	shown := url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}
	l := &location{auth: req.Auth, display: shown.String()}
	switch {
	case u.Scheme == "file" && (u.Host == "" || u.Host == "localhost") && filepath.IsAbs(u.Path):
		l.path, l.auth = filepath.Clean(u.Path), Auth{}
		return l, nil
	case u.Scheme != "http" && u.Scheme != "https" && u.Scheme != "ssh":
		return nil, &Error{Reason: InvalidURL, Where: scrub(raw), Message: "this kind of address is not served",
			Next: "use https://host/path, http://host/path, ssh://user@host/path, user@host:path or file:///path"}
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
	if u.Scheme == "ssh" {
		if l.onHost = pathOnHost(u, relative); strings.HasPrefix(l.onHost, "-") {
			return nil, &Error{Reason: InvalidURL, Where: l.display, Message: "a path that begins with '-' is not asked for", Next: "rename the repository"}
		}
		u.User, l.auth.Username = url.User(cmp.Or(l.auth.Username, "git")), ""
	}
	l.url = u.String()
	return l, nil
}

// OverSSH tells whether a repository at this address is asked by SSH.
func OverSSH(address string) bool {
	full, _ := fromSCP(strings.TrimSpace(address))
	return strings.HasPrefix(strings.ToLower(full), "ssh://")
}

func (l *location) ssh() bool { return strings.HasPrefix(l.url, "ssh://") }

// fromSCP makes a URL of user@host:path. Such a path is relative to where the server puts that user, unlike a URL's.
func fromSCP(raw string) (full string, relative bool) {
	before, path, found := strings.Cut(raw, ":")
	if !found || strings.Contains(before, "/") || strings.HasPrefix(path, "//") || !strings.Contains(before, "@") {
		return raw, false
	}
	return "ssh://" + before + "/" + strings.TrimPrefix(path, "/"), !strings.HasPrefix(path, "/")
}

// pathOnHost is what git itself would ask for: /~user/x is x in that user's home.
func pathOnHost(u *url.URL, relative bool) string {
	if relative || strings.HasPrefix(u.Path, "/~") {
		return u.Path[1:]
	}
	return u.Path
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
	for _, part := range []string{l.url, l.onHost, l.path, l.auth.Username, l.auth.Password, string(l.auth.CABundle), fmt.Sprint(l.auth.Insecure),
		string(l.auth.SSHKey), string(l.auth.KnownHosts), fmt.Sprint(l.auth.AnyHostKey), l.auth.App.name()} {
		fmt.Fprintf(h, "%d:%s", len(part), part)
	}
	return hex.EncodeToString(h.Sum(nil))[:40]
}
