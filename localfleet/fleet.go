package localfleet

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Options say where a fleet lives and how.
type Options struct {
	// Dir is the folder of the fleet, made if it is not there. Clusters that were in it keep their data, certificates and
	// ports. One process at a time may use it.
	Dir string
	// Binary is the path of the localfleet program; "" has Find look for it.
	Binary string
	// Fsync has etcd wait for the disk, so that data survives a crash of the machine. Off, data survives only the end of
	// processes, however it comes, and a busy disk slows nothing.
	Fsync bool
}

// Fleet is a folder of clusters. Its methods may be called at the same time.
type Fleet struct {
	opts   Options
	lock   *os.File
	shared *store

	mu       sync.Mutex
	clusters map[string]*Cluster
	server   *http.Server // nil before Serve
	closed   bool
}

// ErrClosed is the answer of a Fleet after Close.
var ErrClosed = errors.New("the fleet is closed")

// New opens the fleet in opts.Dir and starts nothing. It fails when another process has it open, naming that process.
func New(opts Options) (*Fleet, error) {
	var err error
	if opts.Binary == "" {
		if opts.Binary, err = Find(); err != nil {
			return nil, err
		}
	}
	if opts.Dir == "" {
		return nil, errors.New("opening a fleet: Options.Dir is empty")
	}
	if opts.Dir, err = filepath.Abs(opts.Dir); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(opts.Dir, 0o700); err != nil {
		return nil, err
	}
	f := &Fleet{opts: opts, clusters: map[string]*Cluster{}}
	if f.lock, err = lockDir(opts.Dir); err != nil {
		return nil, err
	}
	if f.shared, err = openStore(opts.Binary, filepath.Join(opts.Dir, "etcd"), "the fleet", opts.Fsync); err != nil {
		return nil, errors.Join(err, f.lock.Close())
	}
	return f, nil
}

// lockDir takes the folder for this process. The kernel gives it back when the process ends.
func lockDir(dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		pid, _ := os.ReadFile(f.Name()) // without it the message is only less helpful
		return nil, errors.Join(fmt.Errorf("a fleet runs in %s already (process %s); stop that one or choose another folder",
			dir, strings.TrimSpace(string(pid))), f.Close())
	}
	if err := f.Truncate(0); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	if _, err := f.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// Dir is the fleet's folder.
func (f *Fleet) Dir() string { return f.opts.Dir }

// Binary is the path of the localfleet program that the fleet uses; `Binary() kubectl` is a kubectl.
func (f *Fleet) Binary() string { return f.opts.Binary }

var validName = regexp.MustCompile(`^[a-z]([-a-z0-9]{0,38}[a-z0-9])?$`)

// Start makes the cluster called name, or opens the one of that name in the fleet's folder, starts it and returns when it is
// ready, as Cluster.Start says. A cluster that this Fleet has stopped may be started with other options. When it fails,
// what it started of the cluster is stopped.
func (f *Fleet) Start(ctx context.Context, name string, opts ClusterOptions) (*Cluster, error) {
	if !validName.MatchString(name) {
		return nil, fmt.Errorf("%q is no name for a cluster: at most 40 small letters, digits and dashes, a letter first", name)
	}
	if err := opts.check(); err != nil {
		return nil, fmt.Errorf("starting cluster %s: %w", name, err)
	}
	c, err := f.add(name, opts)
	if err != nil {
		return nil, err
	}
	defer c.mu.Unlock()
	runners, err := c.pick(nil)
	if err != nil {
		return nil, err
	}
	if err := c.start(ctx, runners); err != nil {
		return nil, errors.Join(err, stopAll(c.ownRunners(), 0))
	}
	return c, nil
}

// add puts the cluster in the fleet, in the place of a stopped one of that name, and returns it with its lock held.
func (f *Fleet) add(name string, opts ClusterOptions) (*Cluster, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return nil, ErrClosed
	}
	if old, ok := f.clusters[name]; ok && old.busy() {
		return nil, fmt.Errorf("cluster %s runs already", name)
	}
	dir, st := filepath.Join(f.opts.Dir, "clusters", name), f.shared
	if opts.OwnEtcd {
		var err error
		if st, err = openStore(f.opts.Binary, filepath.Join(dir, "etcd"), name, f.opts.Fsync); err != nil {
			return nil, err
		}
	}
	c, err := newCluster(f.opts.Binary, dir, name, st, opts)
	if err != nil {
		return nil, fmt.Errorf("preparing cluster %s: %w", name, err)
	}
	c.mu.Lock()
	f.clusters[name] = c
	return c, nil
}

// Cluster is the cluster called name, or an error that names those there are.
func (f *Fleet) Cluster(name string) (*Cluster, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if c, ok := f.clusters[name]; ok {
		return c, nil
	}
	return nil, fmt.Errorf("no cluster is named %q; there are %v", name, slices.Sorted(maps.Keys(f.clusters)))
}

// Clusters are the clusters that this Fleet has started, stopped ones too, by name.
func (f *Fleet) Clusters() []*Cluster {
	f.mu.Lock()
	defer f.mu.Unlock()
	var clusters []*Cluster
	for _, name := range slices.Sorted(maps.Keys(f.clusters)) {
		clusters = append(clusters, f.clusters[name])
	}
	return clusters
}

// WriteKubeconfig writes a kubeconfig for an administrator with a context for each cluster named, or for all, the first one
// current. The file is replaced whole, so that nobody reads half of one.
func (f *Fleet) WriteKubeconfig(path string, names ...string) error {
	text, err := f.kubeconfig(names)
	if err == nil {
		err = replaceFile(path, text)
	}
	if err != nil {
		return fmt.Errorf("writing kubeconfig %s: %w", path, err)
	}
	return nil
}

func (f *Fleet) kubeconfig(names []string) ([]byte, error) {
	clusters, err := f.named(names)
	if err != nil {
		return nil, err
	}
	if len(clusters) == 0 {
		return nil, errors.New("the fleet has no cluster yet")
	}
	var ids []identity
	for _, c := range clusters {
		id, err := c.ca.identity(c.name, c.Host(), "admin")
		if err != nil {
			return nil, err
		}
		ids = append(ids, id)
	}
	return kubeconfig(ids...), nil
}

// named are the clusters of these names, in this order, or all.
func (f *Fleet) named(names []string) ([]*Cluster, error) {
	if len(names) == 0 {
		return f.Clusters(), nil
	}
	var clusters []*Cluster
	for _, name := range names {
		c, err := f.Cluster(name)
		if err != nil {
			return nil, err
		}
		clusters = append(clusters, c)
	}
	return clusters, nil
}

// Remove stops a cluster and deletes its data and its folder: certificates, port, logs. Nothing of it is left.
func (f *Fleet) Remove(ctx context.Context, name string) error {
	c, err := f.Cluster(name)
	if err != nil {
		return err
	}
	if err := c.Wipe(ctx); err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.clusters, name)
	return os.RemoveAll(c.dir)
}

// Close ends every process of the fleet and lets go of its folder. All data stay. A second Close does nothing.
func (f *Fleet) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return nil
	}
	f.closed = true
	var errs []error
	if f.server != nil {
		errs = append(errs, f.server.Close())
	}
	for _, c := range f.clusters {
		for _, r := range c.runners {
			r.close()
		}
		for _, r := range slices.Backward(c.ownRunners()) {
			grace := time.Duration(0) // only etcd holds anything
			if r.part == Etcd {
				grace = etcdGrace
			}
			errs = append(errs, r.stop(grace))
		}
	}
	f.shared.close()
	errs = append(errs, f.shared.stop(etcdGrace), f.lock.Close())
	return errors.Join(errs...)
}
