package gitserver

import (
	"crypto/subtle"
	"fmt"
	"io"
	"net/http"
	"net/http/cgi"
	"os"
	"path"
	"slices"
	"strings"
)

// Counts is what a repository was asked for.
type Counts struct {
	Lists  int   // listings of refs for fetching
	Packs  int   // posts to git-upload-pack: one for each pack, and with protocol 2 one for each listing
	Pushes int   // packs received
	Sent   int64 // bytes of all answers' bodies
}

// Counts of a repository since it was made or ResetCounts. Refused requests count too.
func (s *Server) Counts(name string) Counts {
	r := s.repository(name)
	s.mu.Lock()
	defer s.mu.Unlock()
	return r.counts
}

// ResetCounts starts the counts of a repository anew.
func (s *Server) ResetCounts(name string) {
	r := s.repository(name)
	s.mu.Lock()
	defer s.mu.Unlock()
	r.counts = Counts{}
}

// Handler serves the repositories at /<name>.git.
func (s *Server) Handler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		name, _, found := strings.Cut(strings.TrimPrefix(path.Clean(req.URL.Path), "/"), ".git")
		if !found || s.check(name) != nil {
			http.NotFound(w, req)
			return
		}
		s.serve(w, req, name)
	})
}

func (s *Server) serve(w http.ResponseWriter, req *http.Request, name string) {
	repo := s.repository(name)
	body := &countingWriter{ResponseWriter: w}
	pushes := strings.HasSuffix(req.URL.Path, "/git-receive-pack")
	defer func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		repo.counts.Sent += body.written
	}()
	s.count(repo, req)
	if !s.admitted(repo, req) {
		w.Header().Set("WWW-Authenticate", `Basic realm="Flotilla demo"`)
		http.Error(body, "this repository asks for a user and a password", http.StatusUnauthorized)
		return
	}
	if !pushes {
		s.backend(body, req)
		return
	}

	repo.pushing.Lock()
	defer repo.pushing.Unlock()
	before := s.refs(name)
	s.backend(body, req)
	if s.options.OnPush != nil {
		for _, moved := range differences(before, s.refs(name)) {
			s.options.OnPush(name, moved.ref, moved.commit)
		}
	}
}

func (s *Server) count(repo *repository, req *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case strings.HasSuffix(req.URL.Path, "/info/refs") && req.URL.Query().Get("service") == "git-upload-pack":
		repo.counts.Lists++
	case strings.HasSuffix(req.URL.Path, "/git-upload-pack"):
		repo.counts.Packs++
	case strings.HasSuffix(req.URL.Path, "/git-receive-pack"):
		repo.counts.Pushes++
	}
}

func (s *Server) admitted(repo *repository, req *http.Request) bool {
	s.mu.Lock()
	wantUser, wantPassword := repo.user, repo.password
	s.mu.Unlock()
	if wantUser == "" && wantPassword == "" {
		return true
	}
	user, password, _ := req.BasicAuth()
	sameUser := subtle.ConstantTimeCompare([]byte(user), []byte(wantUser))
	samePassword := subtle.ConstantTimeCompare([]byte(password), []byte(wantPassword))
	return sameUser&samePassword == 1
}

// backend runs git http-backend for one request.
func (s *Server) backend(w http.ResponseWriter, req *http.Request) {
	cleanup, err := sized(req)
	if err != nil {
		http.Error(w, fmt.Sprintf("receiving the request: %v", err), http.StatusInternalServerError)
		return
	}
	defer cleanup()
	backend := &cgi.Handler{
		Path: s.git,
		Args: []string{"http-backend"},
		Dir:  s.dir,
		Env:  append(s.environment(), "GIT_PROJECT_ROOT="+s.dir, "GIT_HTTP_EXPORT_ALL=1"),
		// The client is told what it did wrong; what else http-backend says ("not a git repository") is noise.
		Stderr: io.Discard,
	}
	backend.ServeHTTP(w, req)
}

// sized gives a request of unknown length (git sends large pushes in chunks, which CGI cannot take) its length, by way
// of a file.
func sized(req *http.Request) (cleanup func(), err error) {
	if req.ContentLength >= 0 {
		return func() {}, nil
	}
	file, err := os.CreateTemp("", "gitserver-push-")
	if err != nil {
		return nil, err
	}
	cleanup = func() {
		file.Close()
		os.Remove(file.Name())
	}
	if req.ContentLength, err = io.Copy(file, req.Body); err == nil {
		_, err = file.Seek(0, io.SeekStart)
	}
	if err != nil {
		cleanup()
		return nil, err
	}
	req.Body, req.TransferEncoding = file, nil
	return cleanup, nil
}

type movedRef struct{ ref, commit string }

// differences lists the refs that were made, moved or deleted between two states, sorted.
func differences(before, after map[string]string) []movedRef {
	var moved []movedRef
	for ref, commit := range after {
		if before[ref] != commit {
			moved = append(moved, movedRef{ref, commit})
		}
	}
	for ref := range before {
		if after[ref] == "" {
			moved = append(moved, movedRef{ref, ""})
		}
	}
	slices.SortFunc(moved, func(a, b movedRef) int { return strings.Compare(a.ref, b.ref) })
	return moved
}

type countingWriter struct {
	http.ResponseWriter
	written int64
}

func (w *countingWriter) Write(p []byte) (int, error) {
	n, err := w.ResponseWriter.Write(p)
	w.written += int64(n)
	return n, err
}

// Flush lets git's progress through while it still runs.
func (w *countingWriter) Flush() {
	if f, ok := w.ResponseWriter.(http.Flusher); ok {
		f.Flush()
	}
}
