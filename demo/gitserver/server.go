// Package gitserver is a real Git server over HTTP on loopback, for the demo and for tests: git's own http-backend in
// front of a directory of bare repositories, with pushing allowed.
//
// It needs git on PATH and nothing from the user: no gitconfig is read and HOME may be empty.
package gitserver

import (
	"context"
	"net/http"
)

// Options of a Server.
type Options struct {
	Dir    string                         // holds the bare repositories, <name>.git each
	Addr   string                         // "" is 127.0.0.1 and any free port
	TLS    bool                           // serve HTTPS with a certificate of a CA made for this server
	OnPush func(repo, ref, commit string) // after a push, once for each ref that moved; commit is "" for a deleted ref
}

// Counts is what a repository was asked for.
type Counts struct {
	Lists  int   // listings of refs for fetching
	Packs  int   // packs sent
	Pushes int   // packs received
	Sent   int64 // bytes of all answers
}

// Server serves the repositories below Options.Dir.
type Server struct{ options Options }

// New makes a server; nothing listens before Start.
func New(o Options) (*Server, error) { return &Server{options: o}, nil }

// Start listens and serves until ctx ends or Close.
func (s *Server) Start(ctx context.Context) error { return nil }

// Close stops listening and ends what is under way.
func (s *Server) Close() error { return nil }

// Handler serves the repositories at /<name>.git.
func (s *Server) Handler() http.Handler { return nil }

// URL of a repository, without credentials.
func (s *Server) URL(name string) string { return "" }

// CA is the certificate of the CA that signed the server's, in PEM; nil without TLS.
func (s *Server) CA() []byte { return nil }

// Create makes an empty repository whose default branch is main. One that is there is left as it is.
func (s *Server) Create(name string) error { return nil }

// Seed commits the tree of files in dir to branch main of a repository, which is made when it is not there, and returns
// the commit. A tree that main already holds makes no commit.
func (s *Server) Seed(name, dir string) (string, error) { return "", nil }

// Protect asks for a user and a password before anything of a repository is served.
func (s *Server) Protect(name, user, password string) {}

// Counts of a repository since it was made or ResetCounts.
func (s *Server) Counts(name string) Counts { return Counts{} }

// ResetCounts starts the counts of a repository anew.
func (s *Server) ResetCounts(name string) {}
