package source

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/cache"
	"golang.org/x/sync/singleflight"

	"flotilla.io/flotilla/bundle/dial"
)

// Options of Mirrors.
type Options struct {
	// Dir holds the mirrors. It belongs to this process alone and is made on first use. It may outlive the process: the next one
	// goes on with what it finds.
	Dir string
	// Local lets this machine itself be asked: for who stands beside its servers.
	Local bool
}

// Mirrors keeps one bare mirror on disk for each repository and credential. It is safe for concurrent use.
type Mirrors struct {
	dir     string
	guard   dial.Guard
	objects cache.Object // shared: an object is looked up in a mirror's own index before it is taken from here

	mu         sync.Mutex
	mirrors    map[string]*mirror           // by location.key
	transports map[string]http.RoundTripper // by whom they trust
	tokens     map[string]appToken          // by location.key
}

// mirror is one repository's. Listings and transfers each go one at a time.
type mirror struct {
	at        *location
	lists     flights
	transfers flights

	store *store // nil before the first transfer; transfers only
}

// NewMirrors opens nothing yet.
func NewMirrors(o Options) *Mirrors {
	return &Mirrors{
		dir:        o.Dir,
		guard:      dial.Guard{Local: o.Local},
		objects:    cache.NewObjectLRU(cacheBytes),
		mirrors:    map[string]*mirror{},
		transports: map[string]http.RoundTripper{},
		tokens:     map[string]appToken{},
	}
}

// Head is the commit that req names now: one small request, shared by those who ask at the same time, and none for a
// commit given in full.
func (m *Mirrors) Head(ctx context.Context, req Request) (string, error) {
	at, err := m.locate(req)
	if err != nil {
		return "", err
	}
	if commit, ok := req.pinned(); ok {
		return commit.String(), nil
	}
	mirror := m.mirror(at)
	listed, err := mirror.lists.do(ctx, at, "", ListTimeout, func(ctx context.Context) (any, error) {
		remote, err := m.dial(ctx, mirror.at)
		if err != nil {
			return nil, err
		}
		defer remote.close()
		return remote.list(ctx)
	})
	if err != nil {
		return "", err
	}
	found, err := at.resolve(req, listed.(*refs))
	if err != nil {
		return "", err
	}
	return found.commit.String(), nil
}

// Fetch brings what req names into its mirror and returns its files. It transfers only what the mirror lacks, and asks
// nobody when req names a commit in full that is there. Those who ask for the same at the same time share one transfer;
// what is returned is never older than the call. A failed Fetch changes nothing that was fetched before.
func (m *Mirrors) Fetch(ctx context.Context, req Request) (Tree, Revision, error) {
	at, err := m.locate(req)
	if err != nil {
		return nil, Revision{}, err
	}
	mirror := m.mirror(at)
	ref := req.Revision + "\x00" + req.Branch
	fetched, err := mirror.transfers.do(ctx, at, ref, FetchTimeout, func(ctx context.Context) (any, error) {
		return m.fetch(ctx, mirror, req)
	})
	if err != nil {
		return nil, Revision{}, err
	}
	tree := fetched.(*files)
	return tree, tree.revision().Revision, nil
}

func (m *Mirrors) fetch(ctx context.Context, mirror *mirror, req Request) (*files, error) {
	if err := m.open(mirror); err != nil {
		return nil, err
	}
	tree, err := m.obtain(ctx, mirror, req)
	if err != nil {
		return nil, err
	}
	if err := mirror.store.keep(tree.revision().hash); err != nil {
		return nil, mirror.diskError(err)
	}
	return tree, nil
}

// obtain finds what req names in the mirror, or transfers it.
func (m *Mirrors) obtain(ctx context.Context, mirror *mirror, req Request) (*files, error) {
	if commit, ok := req.pinned(); ok {
		if tree, err := newCommitFiles(mirror.store, commit, ""); err == nil {
			return tree, nil
		}
	}
	remote, err := m.dial(ctx, mirror.at)
	if err != nil {
		return nil, err
	}
	defer remote.close()
	listed, err := remote.list(ctx)
	if err != nil {
		return nil, err
	}
	found, err := mirror.at.resolve(req, listed)
	if err != nil {
		return nil, err
	}
	if tree, err := newCommitFiles(mirror.store, found.commit, found.branch); err == nil {
		return tree, nil
	}
	return mirror.transfer(ctx, remote, listed, found)
}

// transfer fetches what the mirror lacks of found and checks that it is whole; a pack that is not is taken back.
func (m *mirror) transfer(ctx context.Context, remote remote, listed *refs, found target) (*files, error) {
	wants, depth := []plumbing.Hash{found.want}, HistoryDepth
	if found.branch == "" && !listed.offers(found.want) { // a server that gives out no commit by its name: take all it has
		wants, depth = listed.all(), wholeHistory
	}
	packed, err := remote.pack(ctx, wants, depth, m.store)
	if err != nil {
		return nil, err
	}
	defer packed.Close()
	name, err := m.store.install(packed)
	if err != nil {
		return nil, m.at.explain(err)
	}
	commit := found.commit
	if peeled, err := m.store.peel(found.want); err == nil {
		commit = peeled.Hash
	}
	tree, err := newCommitFiles(m.store, commit, found.branch)
	switch {
	case err == nil:
		_ = m.store.consolidate() // the packs stay as they are and the next transfer tries again
		return tree, nil
	case depth == wholeHistory && errors.Is(err, plumbing.ErrObjectNotFound) && !m.store.has(commit):
		return nil, &Error{Reason: RefNotFound, Where: m.at.display, Message: fmt.Sprintf("no branch and no tag leads to commit %s", commit),
			Next: "push it, or set revision to one that is there"}
	}
	if name != "" {
		m.store.removePack(name)
	}
	if known := (*Error)(nil); errors.As(err, &known) {
		known.Where = m.at.display
		return nil, known
	}
	return nil, m.at.explain(fmt.Errorf("checking what the server sent for commit %s: %w", commit, err))
}

// offers says whether a server gives out an object when it is asked for by name.
func (r *refs) offers(object plumbing.Hash) bool {
	if r.anyCommit || object == r.head {
		return true
	}
	for _, ref := range r.all() {
		if ref == object {
			return true
		}
	}
	return false
}

func (r *refs) all() []plumbing.Hash {
	var all []plumbing.Hash
	for _, hash := range r.heads {
		all = append(all, hash)
	}
	for _, tag := range r.tags {
		all = append(all, tag.object)
	}
	return unique(all)
}

// locate refuses the mirrors themselves as a source: they hold what other credentials may see.
func (m *Mirrors) locate(req Request) (*location, error) {
	at, err := locate(req)
	if err != nil || at.path == "" {
		return at, err
	}
	own, errOwn := realPath(m.dir)
	path, errPath := realPath(at.path)
	if errOwn == nil && errPath == nil && (path == own || strings.HasPrefix(path, own+string(filepath.Separator))) {
		return nil, &Error{Reason: InvalidURL, Where: at.display, Message: "Flotilla's own mirrors are no source", Next: "give the URL of the repository itself"}
	}
	return at, nil
}

func realPath(path string) (string, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	return filepath.EvalSymlinks(abs)
}

func (m *Mirrors) mirror(at *location) *mirror {
	m.mu.Lock()
	defer m.mu.Unlock()
	key := at.key()
	if m.mirrors[key] == nil {
		m.mirrors[key] = &mirror{at: at, lists: newFlights(), transfers: newFlights()}
	}
	return m.mirrors[key]
}

// open the mirror's repository; called by one transfer at a time.
func (m *Mirrors) open(mirror *mirror) error {
	if mirror.store != nil {
		return nil
	}
	if err := os.MkdirAll(m.dir, 0o700); err != nil {
		return mirror.diskError(fmt.Errorf("making the directory of mirrors: %w", err))
	}
	store, err := openStore(filepath.Join(m.dir, mirror.at.key()+".git"), m.objects)
	if err != nil {
		return mirror.diskError(err)
	}
	mirror.store = store
	return nil
}

func (m *mirror) diskError(err error) *Error {
	return &Error{Reason: FetchFailed, Where: m.at.display, Message: err.Error(), Next: "look at the disk that holds the mirrors"}
}

func (m *Mirrors) dial(ctx context.Context, at *location) (remote, error) {
	at, err := m.signIn(ctx, at)
	if err != nil {
		return nil, err
	}
	if at.path != "" {
		return newFileRemote(at)
	}
	if at.ssh() {
		return m.newSSHRemote(at)
	}
	transport, err := m.transport(at)
	if err != nil {
		return nil, err
	}
	return newHTTPRemote(at, transport)
}

func (m *Mirrors) transport(at *location) (http.RoundTripper, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	trust := fmt.Sprintf("%v %s", at.auth.Insecure, at.auth.CABundle)
	if m.transports[trust] == nil {
		transport, err := newTransport(at, m.guard)
		if err != nil {
			return nil, err
		}
		m.transports[trust] = transport
	}
	return m.transports[trust], nil
}

// newSSHRemote has a directory of its own for what is written for a moment.
func (m *Mirrors) newSSHRemote(at *location) (remote, error) {
	if err := os.MkdirAll(m.dir, 0o700); err != nil {
		return nil, fmt.Errorf("making the directory of mirrors: %w", err)
	}
	return &sshRemote{at: at, guard: m.guard, scratch: m.dir}, nil
}

// flights runs one call at a time. Callers that wait for the same key to get its turn share it; one that comes while it
// runs gets a run of its own, so that no answer is older than the question.
type flights struct {
	group *singleflight.Group
	turn  chan struct{}
}

func newFlights() flights { return flights{&singleflight.Group{}, make(chan struct{}, 1)} }

// do waits for the result or for ctx. The call itself goes on without ctx, for others and for the next time.
func (f flights) do(ctx context.Context, at *location, key string, limit time.Duration, call func(context.Context) (any, error)) (any, error) {
	detached := context.WithoutCancel(ctx)
	result := f.group.DoChan(key, func() (any, error) {
		f.turn <- struct{}{}
		defer func() { <-f.turn }()
		f.group.Forget(key)
		ctx, cancel := context.WithTimeout(detached, limit)
		defer cancel()
		return at.guard(ctx, call)
	})
	select {
	case r := <-result:
		return r.Val, r.Err
	case <-ctx.Done():
		return nil, at.explain(ctx.Err())
	}
}

// guard turns a panic over what a repository holds into an error: it is one repository's failure, not the hub's.
func (l *location) guard(ctx context.Context, call func(context.Context) (any, error)) (result any, err error) {
	defer func() {
		if p := recover(); p != nil {
			result, err = nil, &Error{Reason: FetchFailed, Where: l.display, Message: l.redact(fmt.Sprintf("reading the repository panicked: %v", p)),
				Next: "check it with git fsck, and report this"}
		}
	}()
	return call(ctx)
}
