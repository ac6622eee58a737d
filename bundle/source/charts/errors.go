package charts

import (
	"errors"
	"fmt"
	"net/url"
	"strings"

	"flotilla.io/flotilla/bundle/dial"
	"flotilla.io/flotilla/bundle/source"
)

// Reasons besides those of source. They become the reasons of conditions and are part of the API.
const (
	ChartNotFound   = "ChartNotFound"
	VersionNotFound = "VersionNotFound"
	VersionInvalid  = "VersionInvalid"
	IndexInvalid    = "IndexInvalid"
	ChartInvalid    = "ChartInvalid"
	DigestMismatch  = "DigestMismatch"
	AddressRefused  = "AddressRefused"
)

func wrong(reason string, ref Ref, message, next string) *source.Error {
	return &source.Error{Reason: reason, Where: "chart " + ref.String(), Message: message, Next: next}
}

// named gives an error of an archive the name of its chart.
func named(err error, ref Ref) error {
	var known *source.Error
	if errors.As(err, &known) {
		known.Where = "chart " + ref.String()
	}
	return err
}

// explain turns what a connection ended with into an error without credentials.
func explain(ref Ref, auth Auth, err error) error {
	var refused *dial.RefusedError
	var elsewhere *otherHost
	switch {
	case errors.As(err, &refused):
		return wrong(AddressRefused, ref, refused.Error(), "give an address that this chart is really published at")
	case errors.As(err, &elsewhere):
		return wrong(source.AuthFailed, ref, elsewhere.Error(), "give the address of the repository itself, or credentials of the host that it leads to")
	}
	known := source.Explain("chart "+ref.String(), auth.Auth, err)
	switch known.Reason {
	case source.UnknownCA:
		known.Next = "put the CA's certificate into key cacerts of the Secret that helmSecretName names"
	case source.FetchFailed:
		known.Next = "check the address, and look at the server"
	case source.TooLarge:
		known.Next = "take a smaller one: a bundle holds at most 60 MiB"
	case source.Timeout:
		known.Next = fmt.Sprintf("a chart may take %s: look at the server", Timeout)
	}
	return known
}

// refusal is what the server's 401 or 403 means.
func refusal(ref Ref, auth Auth) error {
	if auth.Username == "" && auth.Password == "" {
		return wrong(source.AuthFailed, ref, "the server asks for credentials, and none were sent",
			"name a Secret in helmSecretName; for a GitRepo, helmRepoURLRegex must match "+address(ref)+", too")
	}
	return wrong(source.AuthFailed, ref, "the server refused the credentials", "check user and password of the Secret that helmSecretName names")
}

// address is what credentials are decided by: the repository, or the chart that is an address itself.
func address(ref Ref) string {
	if ref.Repo != "" {
		return shown(ref.Repo)
	}
	return shown(ref.Chart)
}

// shown is an address without what may be a credential in it.
func shown(raw string) string {
	u, err := url.Parse(raw)
	if err != nil || u.Host == "" {
		if at := strings.LastIndex(raw, "@"); at >= 0 {
			raw = raw[at+1:]
		}
		raw, _, _ = strings.Cut(raw, "?")
		return raw[:min(len(raw), 300)]
	}
	return (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}).String()
}

func isHTTP(s string) bool {
	s = strings.ToLower(s)
	return strings.HasPrefix(s, "https://") || strings.HasPrefix(s, "http://")
}

func isOCI(s string) bool { return strings.HasPrefix(strings.ToLower(s), "oci://") }

func pathOf(raw string) string {
	if u, err := url.Parse(raw); err == nil && isHTTP(raw) {
		return u.Path
	}
	return ""
}
