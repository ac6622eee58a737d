package source

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"strings"
	"sync"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/capability"
	"github.com/go-git/go-git/v5/plumbing/transport"
	"github.com/skeema/knownhosts"
	"golang.org/x/crypto/ssh"
	xknownhosts "golang.org/x/crypto/ssh/knownhosts"

	"flotilla.io/flotilla/bundle/dial"
)

// sshRemote is one conversation with git-upload-pack over SSH: a listing, then at most one pack. go-git's own client would
// dial by itself, past the guard and past the context, so the connection is made here and go-git reads what comes over it.
type sshRemote struct {
	at       *location
	guard    dial.Guard
	scratch  string // a directory for the known hosts, which the library reads from a file
	watch    exchange
	client   *ssh.Client
	session  *ssh.Session
	in       io.WriteCloser
	out      io.Reader
	complain complaint // what the server says besides
	offered  *capability.List
}

func (r *sshRemote) list(ctx context.Context) (*refs, error) {
	if err := r.connect(ctx); err != nil {
		return nil, r.explain(ctx, err)
	}
	defer r.bind(ctx)()
	advertised := packp.NewAdvRefs()
	limit := r.watch.bounded(io.NopCloser(r.out), MaxListBytes, errTooLarge{fmt.Sprintf("the list of its refs is larger than %d MiB", MaxListBytes>>20)})
	if err := advertised.Decode(limit); err != nil {
		if errors.Is(err, packp.ErrEmptyAdvRefs) {
			err = transport.ErrEmptyRemoteRepository
		}
		return nil, r.explain(ctx, err)
	}
	r.offered = advertised.Capabilities
	return readAdvertised(advertised), nil
}

func (r *sshRemote) pack(ctx context.Context, wants []plumbing.Hash, depth int, s *store) (io.ReadCloser, error) {
	req, err := packRequest(r.offered, wants, depth, s)
	if err != nil {
		return nil, r.explain(ctx, err)
	}
	if req.IsEmpty() { // all of it is here
		return io.NopCloser(strings.NewReader("")), nil
	}
	release := r.bind(ctx)
	answer, err := r.ask(req)
	if err != nil {
		release()
		return nil, r.explain(ctx, err)
	}
	return &packReader{demultiplex(req.Capabilities, answer), closer(func() error { release(); return nil }), r, ctx}, nil
}

// ask sends all that a request says in one go, as over HTTP, so that the answer is the same too.
func (r *sshRemote) ask(req *packp.UploadPackRequest) (*packp.UploadPackResponse, error) {
	if err := req.UploadRequest.Encode(r.in); err != nil {
		return nil, err
	}
	if err := req.UploadHaves.Encode(r.in, false); err != nil {
		return nil, err
	}
	if _, err := io.WriteString(r.in, "0009done\n"); err != nil {
		return nil, err
	}
	limit := r.watch.bounded(io.NopCloser(r.out), MaxPackBytes, errTooLarge{fmt.Sprintf("what is to be fetched is larger than %d MiB", MaxPackBytes>>20)})
	answer := packp.NewUploadPackResponse(req)
	return answer, answer.Decode(limit)
}

func (r *sshRemote) close() {
	if r.client != nil {
		r.client.Close()
	}
}

// bind ends the connection with ctx.
func (r *sshRemote) bind(ctx context.Context) (release func() bool) {
	return context.AfterFunc(ctx, r.close)
}

// connect signs in and starts git-upload-pack.
func (r *sshRemote) connect(ctx context.Context) error {
	u, err := url.Parse(r.at.url)
	if err != nil {
		return err
	}
	address := net.JoinHostPort(u.Hostname(), "22")
	if u.Port() != "" {
		address = u.Host
	}
	config, err := r.config(address)
	if err != nil {
		return err
	}
	config.User = u.User.Username()
	connection, err := r.guard.Dialer().DialContext(ctx, "tcp", address)
	if err != nil {
		return err
	}
	release := context.AfterFunc(ctx, func() { connection.Close() })
	defer release()
	signedIn, channels, requests, err := ssh.NewClientConn(connection, address, config)
	if err != nil {
		connection.Close()
		return err
	}
	r.client = ssh.NewClient(signedIn, channels, requests)
	if r.session, err = r.client.NewSession(); err != nil {
		return err
	}
	r.session.Stderr = &r.complain
	if r.in, err = r.session.StdinPipe(); err != nil {
		return err
	}
	if r.out, err = r.session.StdoutPipe(); err != nil {
		return err
	}
	return r.session.Start("git-upload-pack " + quote(r.at.onHost))
}

// quote makes one word for the server's shell.
func quote(word string) string { return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'" }

// config is who we are and whom we trust.
func (r *sshRemote) config(address string) (*ssh.ClientConfig, error) {
	config := &ssh.ClientConfig{HostKeyCallback: ssh.InsecureIgnoreHostKey()}
	if len(r.at.auth.SSHKey) > 0 {
		signer, err := ssh.ParsePrivateKey(r.at.auth.SSHKey)
		if err != nil {
			return nil, r.badKey(err)
		}
		config.Auth = append(config.Auth, ssh.PublicKeys(signer))
	}
	if r.at.auth.Password != "" {
		config.Auth = append(config.Auth, ssh.Password(r.at.auth.Password))
	}
	if r.at.auth.AnyHostKey {
		return config, nil
	}
	known, err := r.knownHosts()
	if err != nil {
		return nil, err
	}
	config.HostKeyAlgorithms = known.HostKeyAlgorithms(address)
	config.HostKeyCallback = func(host string, from net.Addr, key ssh.PublicKey) error {
		if err := known.HostKeyCallback()(host, from, key); err != nil {
			return r.distrust(host, key, err)
		}
		return nil
	}
	return config, nil
}

func (r *sshRemote) badKey(err error) *Error {
	e := &Error{Reason: AuthFailed, Where: r.at.display, Message: "the private key cannot be read as one", // the library's words may quote it
		Next: "put a key as ssh-keygen writes it, from -----BEGIN on, into key ssh-privatekey of the Secret"}
	if missing := (*ssh.PassphraseMissingError)(nil); errors.As(err, &missing) {
		e.Message, e.Next = "the private key is protected by a passphrase", "give a key without one: ssh-keygen -p -N '' -f FILE takes it away"
	}
	return e
}

func (r *sshRemote) knownHosts() (*knownhosts.HostKeyDB, error) {
	file, err := os.CreateTemp(r.scratch, tempPattern)
	if err != nil {
		return nil, fmt.Errorf("making room for the known hosts: %w", err)
	}
	defer os.Remove(file.Name())
	_, err = file.Write(r.at.auth.KnownHosts)
	if err := errors.Join(err, file.Close()); err != nil {
		return nil, fmt.Errorf("writing the known hosts: %w", err)
	}
	known, err := knownhosts.NewDB(file.Name())
	if err != nil {
		return nil, &Error{Reason: HostKeyUnknown, Where: r.at.display,
			Message: "the known hosts cannot be read: " + shorten(strings.ReplaceAll(err.Error(), file.Name()+":", "line "), 200),
			Next:    "give lines as ssh-keyscan writes them"}
	}
	return known, nil
}

// distrust says of a host key that is not to be trusted what it is and what was expected.
func (r *sshRemote) distrust(host string, key ssh.PublicKey, err error) error {
	seen := fmt.Sprintf("%s %s", key.Type(), ssh.FingerprintSHA256(key))
	var revoked *xknownhosts.RevokedError
	if errors.As(err, &revoked) {
		return &Error{Reason: HostKeyMismatch, Where: r.at.display, Message: fmt.Sprintf("the host key of %s is %s, which is marked as revoked", host, seen),
			Next: "do not trust this server; ask who runs it for its new key"}
	}
	var unknown *xknownhosts.KeyError
	if !errors.As(err, &unknown) {
		return &Error{Reason: HostKeyMismatch, Where: r.at.display, Message: fmt.Sprintf("the host key of %s, %s, is refused: %s", host, seen, shorten(err.Error(), 200)),
			Next: "compare it with what who runs the server says"}
	}
	if len(unknown.Want) == 0 {
		return &Error{Reason: HostKeyUnknown, Where: r.at.display, Message: fmt.Sprintf("no host key of %s is known; it shows %s", host, seen),
			Next: "compare that with what who runs the server says, then add the line that ssh-keyscan prints to key known_hosts of the Secret, or of ConfigMap known-hosts"}
	}
	var expected []string
	for _, want := range unknown.Want {
		expected = append(expected, fmt.Sprintf("%s %s", want.Key.Type(), ssh.FingerprintSHA256(want.Key)))
	}
	return &Error{Reason: HostKeyMismatch, Where: r.at.display,
		Message: fmt.Sprintf("the host key of %s is %s, but known_hosts has %s", host, seen, strings.Join(expected, ", ")),
		Next:    "somebody may be between here and the server; if it was given a new key, replace the line in known_hosts"}
}

// explain prefers what the server says of itself over how the connection ended.
func (r *sshRemote) explain(ctx context.Context, err error) error {
	if errors.Is(err, packp.ErrEmptyInput) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		_ = r.session.Wait() // it ended; why is on its way
	}
	said := r.complain.String()
	lower := strings.ToLower(said)
	known := (*Error)(nil)
	switch {
	case errors.As(err, &known):
		return known
	case r.watch.err != nil:
		err = r.watch.err
	case ctx.Err() != nil:
		err = ctx.Err()
	case notOurRef(err), strings.Contains(lower, "not our ref"):
		return r.at.noSuchCommit()
	case strings.Contains(err.Error(), "unable to authenticate"), strings.Contains(lower, "permission denied"):
		return r.refusal()
	case strings.Contains(lower, "not found"), strings.Contains(lower, "not appear to be a git repository"),
		strings.Contains(lower, "could not be found"), strings.Contains(lower, "does not exist"), strings.Contains(lower, "cannot find repository"):
		err = transport.ErrRepositoryNotFound
	case said != "":
		err = fmt.Errorf("the server says %q", r.at.redact(said))
	}
	return r.at.explain(err)
}

func (r *sshRemote) refusal() *Error {
	if len(r.at.auth.SSHKey) == 0 && r.at.auth.Password == "" {
		return &Error{Reason: AuthFailed, Where: r.at.display, Message: "the server asks for a key",
			Next: "give one in a Secret of type kubernetes.io/ssh-auth"}
	}
	e := &Error{Reason: AuthFailed, Where: r.at.display, Message: "the server refused the credentials", Next: "check user and password"}
	if signer, err := ssh.ParsePrivateKey(r.at.auth.SSHKey); err == nil {
		e.Message = fmt.Sprintf("the server refused the key %s %s", signer.PublicKey().Type(), ssh.FingerprintSHA256(signer.PublicKey()))
		e.Next = "add its public half to the repository as a deploy key, or to the account whose name the URL has"
	}
	return e
}

// complaint keeps the beginning of what a server says; safe for concurrent use.
type complaint struct {
	mu   sync.Mutex
	text []byte
}

const maxComplaint = 4 << 10

func (t *complaint) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.text = append(t.text, p[:min(len(p), maxComplaint-len(t.text))]...)
	return len(p), nil
}

func (t *complaint) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.text)
}

type closer func() error

func (c closer) Close() error { return c() }
