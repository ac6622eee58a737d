// Package gitserver is a real Git server over HTTP on loopback, for the demo and for tests: git's own http-backend in
// front of a directory of bare repositories, with pushing allowed.
//
// It needs git on PATH and nothing from the user: no gitconfig is read and HOME may be empty.
package gitserver

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"time"
)

// Options of a Server.
type Options struct {
	Dir    string                         // holds the bare repositories, <name>.git each; made when it is not there
	Addr   string                         // "" is 127.0.0.1 and any free port
	TLS    bool                           // serve HTTPS with a certificate of a CA made for this server
	OnPush func(repo, ref, commit string) // after a push, once for each ref that moved, sorted; commit is "" for a deleted ref
}

// Server serves the repositories below Options.Dir.
type Server struct {
	options Options
	git     string // the git program
	dir     string // Options.Dir, absolute
	tls     *tls.Config
	ca      []byte

	mu    sync.Mutex
	http  *http.Server // nil before Start
	addr  string
	repos map[string]*repository
}

// repository is what the server knows of one repository besides what is on disk.
type repository struct {
	pushing        sync.Mutex // one push at a time, so that the refs before and after it are its own
	user, password string     // "" asks for nothing
	counts         Counts
}

// New makes a server; nothing listens before Start.
func New(o Options) (*Server, error) {
	git, err := exec.LookPath("git")
	if err != nil {
		return nil, fmt.Errorf("looking for git, which serves the repositories: %w; install git", err)
	}
	dir, err := filepath.Abs(o.Dir)
	if err != nil {
		return nil, fmt.Errorf("resolving the directory of repositories %q: %w", o.Dir, err)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("making the directory of repositories: %w", err)
	}
	s := &Server{options: o, git: git, dir: dir, repos: map[string]*repository{}}
	if o.TLS {
		if s.tls, s.ca, err = newCertificate(); err != nil {
			return nil, fmt.Errorf("making the server's certificate: %w", err)
		}
	}
	return s, nil
}

// Start listens and serves until ctx ends or Close.
func (s *Server) Start(ctx context.Context) error {
	addr := s.options.Addr
	if addr == "" {
		addr = "127.0.0.1:0"
	}
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return fmt.Errorf("listening for Git on %s: %w; choose another address", addr, err)
	}
	server := &http.Server{Handler: s.Handler(), ReadHeaderTimeout: 10 * time.Second,
		ErrorLog: log.New(io.Discard, "", 0)} // a client that does not trust us knows it itself
	s.mu.Lock()
	s.http, s.addr = server, listener.Addr().String()
	s.mu.Unlock()
	if s.tls != nil {
		listener = tls.NewListener(listener, s.tls)
	}
	go server.Serve(listener) //nolint:errcheck // ends with ErrServerClosed, or with a listener that Close closed
	context.AfterFunc(ctx, func() { s.Close() })
	return nil
}

// Close stops listening and ends what is under way. It may be called more than once.
func (s *Server) Close() error {
	s.mu.Lock()
	server := s.http
	s.mu.Unlock()
	if server == nil {
		return nil
	}
	if err := server.Close(); err != nil && !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("closing the Git server: %w", err)
	}
	return nil
}

// URL of a repository, without credentials. It is known once Start returned.
func (s *Server) URL(name string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	scheme := "http"
	if s.tls != nil {
		scheme = "https"
	}
	return scheme + "://" + s.addr + "/" + name + ".git"
}

// CA is the certificate of the CA that signed the server's, in PEM; nil without TLS.
func (s *Server) CA() []byte { return s.ca }

// Protect asks for a user and a password before anything of a repository is served.
func (s *Server) Protect(name, user, password string) {
	r := s.repository(name)
	s.mu.Lock()
	defer s.mu.Unlock()
	r.user, r.password = user, password
}

func (s *Server) repository(name string) *repository {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, ok := s.repos[name]
	if !ok {
		r = &repository{}
		s.repos[name] = r
	}
	return r
}
