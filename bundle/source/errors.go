package source

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"syscall"

	"github.com/go-git/go-git/v5/plumbing/transport"

	"flotilla.io/flotilla/bundle/dial"
)

// Reasons of an Error. They become the reasons of conditions and are part of the API.
const (
	InvalidURL         = "InvalidURL"
	RepoNotFound       = "RepoNotFound"
	RepoEmpty          = "RepoEmpty"
	RefNotFound        = "RefNotFound"
	AuthFailed         = "AuthFailed"
	HostKeyUnknown     = "HostKeyUnknown"
	HostKeyMismatch    = "HostKeyMismatch"
	AddressRefused     = "AddressRefused"
	UnknownCA          = "UnknownCA"
	CertificateInvalid = "CertificateInvalid"
	Unreachable        = "Unreachable"
	Timeout            = "Timeout"
	NotGit             = "NotGit"
	TooLarge           = "TooLarge"
	FetchFailed        = "FetchFailed"

	PathEscape     = "PathEscape"
	PathLoop       = "PathLoop"
	SubmoduleFound = "SubmoduleFound"
	LFSPointer     = "LFSPointer"
	TreeRefused    = "TreeRefused"
)

// Error is what went wrong with a source. It never carries a credential.
type Error struct {
	Reason  string // one of the constants
	Where   string // the repository without its credentials, or a path in the tree
	Message string // what is wrong
	Next    string // what to do about it; may be empty
	cause   error  // context.Canceled or context.DeadlineExceeded, for errors.Is
}

func (e *Error) Error() string {
	text := e.Where + ": " + e.Message
	if e.Next != "" {
		text += "; " + e.Next
	}
	return text
}

func (e *Error) Unwrap() error { return e.cause }

// errTooLarge, errNotGit and errStatus are what our own readers of an answer find wrong with it.
type (
	errTooLarge struct{ what string }
	errNotGit   struct{ contentType string }
	errStatus   struct{ code int }
)

func (e errTooLarge) Error() string { return e.what }
func (e errNotGit) Error() string   { return "the answer is " + e.contentType + ", not Git" }
func (e errStatus) Error() string {
	return fmt.Sprintf("the server answered %d %s", e.code, http.StatusText(e.code))
}

// explain turns what a transfer ended with into an Error without credentials.
func (r *location) explain(err error) *Error {
	var known *Error
	if errors.As(err, &known) {
		return known
	}
	for _, rule := range []func(error) *Error{r.explainContext, r.explainAnswer, r.explainTLS, r.explainNetwork} {
		if known := rule(err); known != nil {
			known.Where = r.display
			return known
		}
	}
	return &Error{Reason: FetchFailed, Where: r.display, Message: r.redact(err.Error()), Next: "try a git clone of it, and git fsck in the repository"}
}

func (r *location) explainContext(err error) *Error {
	switch {
	case errors.Is(err, context.Canceled):
		return &Error{Reason: FetchFailed, Message: "the fetch was cancelled", cause: context.Canceled}
	case errors.Is(err, context.DeadlineExceeded):
		return &Error{Reason: Timeout, Message: "no full answer in time", cause: context.DeadlineExceeded,
			Next: fmt.Sprintf("a listing may take %s and a transfer %s: look at the server's load and the size of the repository", ListTimeout, FetchTimeout)}
	}
	return nil
}

func (r *location) explainAnswer(err error) *Error {
	var large errTooLarge
	var notGit errNotGit
	var status errStatus
	switch {
	case errors.As(err, &status):
		return &Error{Reason: FetchFailed, Message: status.Error(), Next: "check the URL and look at the server's log"}
	case errors.As(err, &large):
		return &Error{Reason: TooLarge, Message: large.what, Next: "keep what is not deployed in another repository"}
	case errors.As(err, &notGit):
		return &Error{Reason: NotGit, Message: "the server answered " + notGit.contentType + ", which is not Git (a sign-in page?)",
			Next: "check the URL, and that it can be cloned with these credentials"}
	case errors.Is(err, transport.ErrEmptyRemoteRepository):
		return &Error{Reason: RepoEmpty, Message: "the repository has no commits", Next: "push one"}
	case errors.Is(err, transport.ErrEmptyUploadPackRequest):
		return &Error{Reason: FetchFailed, Message: "the server sent nothing where it should send files", Next: "look at the server's log"}
	case errors.Is(err, transport.ErrRepositoryNotFound):
		return &Error{Reason: RepoNotFound, Message: "there is no such repository, or these credentials may not see it",
			Next: "check the URL and the credentials"}
	case errors.Is(err, transport.ErrAuthorizationFailed), errors.Is(err, transport.ErrAuthenticationRequired):
		return r.explainRefusal()
	}
	return nil
}

func (r *location) explainRefusal() *Error {
	e := &Error{Reason: AuthFailed, Message: "the server refused the credentials",
		Next: "check user and password (or token), and that it may read this repository"}
	if r.auth.Username == "" && r.auth.Password == "" {
		e.Message = "the server asks for credentials: the repository is private, or does not exist"
		e.Next = "give credentials in a Secret of type kubernetes.io/basic-auth"
	}
	return e
}

func (r *location) explainTLS(err error) *Error {
	var unknown x509.UnknownAuthorityError
	var verification *tls.CertificateVerificationError
	var record tls.RecordHeaderError
	switch {
	case errors.As(err, &unknown):
		return &Error{Reason: UnknownCA, Message: "the server's certificate is signed by a CA that is not trusted",
			Next: "set caBundle to the CA's certificate in PEM"}
	case errors.As(err, &verification):
		return &Error{Reason: CertificateInvalid, Message: r.redact(verification.Err.Error()),
			Next: "renew the server's certificate, or use the name that it is made for"}
	case errors.As(err, &record):
		return &Error{Reason: Unreachable, Message: "the server does not speak TLS on this port", Next: "use http://, or the port for https"}
	}
	return nil
}

func (r *location) explainNetwork(err error) *Error {
	var refused *dial.RefusedError
	var dns *net.DNSError
	var operation *net.OpError
	var timeout net.Error
	switch {
	case errors.As(err, &refused):
		return &Error{Reason: AddressRefused, Message: refused.Error(), Next: "give the address of a server that others can reach too"}
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF), errors.Is(err, syscall.ECONNRESET):
		return &Error{Reason: FetchFailed, Message: "the connection broke off in the middle of an answer", Next: "look at the server and what is between"}
	case errors.As(err, &timeout) && timeout.Timeout():
		return &Error{Reason: Timeout, Message: "the server does not answer", Next: "check that it can be reached from here"}
	case errors.As(err, &dns):
		return &Error{Reason: Unreachable, Message: fmt.Sprintf("looking up host %q: %s", dns.Name, dns.Err), Next: "check the host's name and the DNS here"}
	case errors.As(err, &operation):
		return &Error{Reason: Unreachable, Message: r.redact(operation.Error()), Next: "check that the server runs and can be reached from here"}
	}
	return nil
}

// redact takes every form of the credentials out of a text and bounds its length.
func (r *location) redact(text string) string {
	secrets := []string{r.auth.Password}
	if r.auth.Password != "" || r.auth.Username != "" {
		pair := r.auth.Username + ":" + r.auth.Password
		secrets = append(secrets, base64.StdEncoding.EncodeToString([]byte(pair)), url.UserPassword(r.auth.Username, r.auth.Password).String())
	}
	secrets = append(secrets, url.QueryEscape(r.auth.Password), url.PathEscape(r.auth.Password))
	if r.auth.Password == "" || len(r.auth.Username) >= 8 { // a token may stand in for the user
		secrets = append(secrets, r.auth.Username)
	}
	for _, secret := range secrets {
		if secret != "" {
			text = strings.ReplaceAll(text, secret, "***")
		}
	}
	return shorten(text, 300)
}

// shorten makes one line of at most limit bytes out of a text from elsewhere.
func shorten(text string, limit int) string {
	text = strings.Join(strings.Fields(strings.ToValidUTF8(text, "?")), " ")
	if len(text) <= limit {
		return text
	}
	return strings.ToValidUTF8(text[:limit], "") + "…"
}

// Explain turns what a conversation with a server ended with into an Error about where, without the credentials of auth.
func Explain(where string, auth Auth, err error) *Error {
	return (&location{display: where, auth: auth}).explain(err)
}
