package localfleet

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"time"
)

// ClusterOptions say what a cluster is made of. The zero value is an API server with a controller manager, which is what a
// hub needs: namespaces go, owner references collect, service accounts come.
type ClusterOptions struct {
	// Nodes is how many simulated nodes the cluster has. With nodes come kube-scheduler and kwok: Deployments become ready.
	Nodes int
	// Parts, when not empty, names the parts instead. etcd and kube-apiserver are always among them.
	Parts []Part
	// OwnEtcd gives the cluster an etcd of its own, as Snapshot and Restore need it, instead of the fleet's shared one.
	OwnEtcd bool
	// AuditLog records every request in the file that AuditLogPath names: who, verb, object and answer, without bodies. A
	// request is in the file before it is answered.
	AuditLog bool
	// Port is where the API server listens; 0 picks a free one at the first start and keeps it.
	Port int
	// Listen is the address that the API server listens on; "" is 127.0.0.1.
	Listen string
	// Names are more names and addresses that the API server's certificate is good for.
	Names []string
	// ExtraAPIServerArgs are added to kube-apiserver's command line; there the last of two equal flags holds.
	ExtraAPIServerArgs []string
}

// parts are the cluster's parts, in the order in which they start.
func (o ClusterOptions) parts() []Part {
	want := o.Parts
	if len(want) == 0 {
		want = []Part{KubeControllerManager}
		if o.Nodes > 0 {
			want = append(want, KubeScheduler, Kwok)
		}
	}
	var parts []Part
	for _, part := range order {
		if part == Etcd || part == KubeAPIServer || slices.Contains(want, part) {
			parts = append(parts, part)
		}
	}
	return parts
}

func (o ClusterOptions) check() error {
	for _, part := range o.Parts {
		if !part.known() {
			return fmt.Errorf("no part is named %q; there are %v", part, order)
		}
	}
	if o.Nodes > 0 && !slices.Contains(o.parts(), Kwok) {
		return errors.New("nodes need kwok among the parts: nobody else makes them ready")
	}
	return nil
}

// Cluster is one cluster of a Fleet. Its methods may be called at the same time.
type Cluster struct {
	name  string
	dir   string
	opts  ClusterOptions
	port  int
	ca    *authority
	store *store
	http  *http.Client // the administrator's

	mu      sync.Mutex // held while parts start or stop, and data is dropped or copied
	runners map[Part]*runner
}

// newCluster prepares the cluster's folder: certificates, kubeconfigs, port. It starts nothing.
func newCluster(binary, dir, name string, st *store, opts ClusterOptions) (*Cluster, error) {
	if opts.Listen == "" {
		opts.Listen = "127.0.0.1"
	}
	ca, err := openAuthority(filepath.Join(dir, "pki"), name)
	if err != nil {
		return nil, err
	}
	port, err := keptPort(filepath.Join(dir, "port"), opts.Port)
	if err != nil {
		return nil, err
	}
	c := &Cluster{name: name, dir: dir, opts: opts, port: port, ca: ca, store: st}
	if err := c.credentials(); err != nil {
		return nil, err
	}
	if c.http, err = ca.httpClient("admin"); err != nil {
		return nil, err
	}
	return c, c.makeRunners(binary)
}

func (c *Cluster) makeRunners(binary string) error {
	apiServer, err := c.apiServer()
	if err != nil {
		return err
	}
	args := map[Part][]string{
		KubeAPIServer: apiServer, KubeControllerManager: c.controllerManager(), KubeScheduler: c.scheduler(), Kwok: c.kwok(),
	}
	ready := map[Part]func(context.Context) error{
		KubeAPIServer:         c.serves("/readyz"),
		KubeControllerManager: c.serves("/api/v1/namespaces/default/serviceaccounts/default"), // its first visible work
		Kwok:                  c.nodesReady,
	}
	c.runners = map[Part]*runner{Etcd: c.store.runner}
	for _, part := range c.opts.parts()[1:] {
		c.runners[part] = &runner{
			part: part, of: c.name, binary: binary, dir: c.dir, log: c.LogPath(part), args: args[part], ready: ready[part],
		}
	}
	c.runners[KubeAPIServer].port = c.port
	return nil
}

// Name is the cluster's name, also that of its context in kubeconfigs.
func (c *Cluster) Name() string { return c.name }

// Host is the API server's URL.
func (c *Cluster) Host() string { return "https://127.0.0.1:" + strconv.Itoa(c.port) }

// Kubeconfig is the path of a kubeconfig with the rights of an administrator. It stays as it is over stops, starts and Wipe.
func (c *Cluster) Kubeconfig() string { return filepath.Join(c.dir, "kubeconfig") }

// CA is the certificate, in PEM, that the API server's certificate is checked with.
func (c *Cluster) CA() ([]byte, error) { return os.ReadFile(c.ca.path("ca.crt")) }

// AuditLogPath is the file of the audit log, one JSON object of kind audit.k8s.io/v1 Event per line.
func (c *Cluster) AuditLogPath() string { return filepath.Join(c.dir, "audit.log") }

// LogPath is the file that a part's output is appended to.
func (c *Cluster) LogPath(part Part) string {
	if part == Etcd {
		return c.store.log
	}
	return filepath.Join(c.dir, string(part)+".log")
}

// Parts are the parts that the cluster is made of, in the order in which they start.
func (c *Cluster) Parts() []Part { return c.opts.parts() }

// State tells what a part does, and its process id, which is 0 when there is no process.
func (c *Cluster) State(part Part) (State, int) {
	r, ok := c.runners[part]
	if !ok {
		return Stopped, 0
	}
	return r.look()
}

// Start starts the parts named, or all, with the data they had, and returns when they are ready: the API server's /readyz is
// ok, the controller manager has done its first work, the nodes are Ready. What runs already is only waited for. After an
// error the parts that did start go on.
func (c *Cluster) Start(ctx context.Context, parts ...Part) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	runners, err := c.pick(parts)
	if err != nil {
		return err
	}
	return c.start(ctx, runners)
}

// start starts what clients need first; the other parts then start at the same time.
func (c *Cluster) start(ctx context.Context, runners []*runner) error {
	var clients []*runner
	for _, r := range runners {
		switch r.part {
		case Etcd:
			if err := r.start(ctx); err != nil {
				return err
			}
		case KubeAPIServer:
			if err := r.start(ctx); err != nil {
				return err
			}
			if err := c.createNodes(ctx); err != nil {
				return err
			}
		default:
			clients = append(clients, r)
		}
	}
	for _, r := range clients {
		if err := r.spawn(); err != nil {
			return fmt.Errorf("starting %s of %s: %w", r.part, r.of, err)
		}
	}
	for _, r := range clients {
		if err := r.await(ctx); err != nil {
			return err
		}
	}
	return nil
}

// Stop ends the parts named, or all, and keeps their data. Each gets a few seconds to end by itself. All of a cluster means
// not the etcd that it shares; naming that one stops it for every cluster on it.
func (c *Cluster) Stop(parts ...Part) error { return c.end(stopGrace, parts) }

// Kill is Stop without warning: SIGKILL.
func (c *Cluster) Kill(parts ...Part) error { return c.end(0, parts) }

func (c *Cluster) end(grace time.Duration, parts []Part) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	runners, err := c.pick(parts)
	if err != nil {
		return err
	}
	if len(parts) == 0 {
		runners = c.ownRunners()
	}
	return stopAll(runners, grace)
}

// stopAll ends the parts in turn, the last one first, so that none meets a server that is gone.
func stopAll(runners []*runner, grace time.Duration) error {
	var errs []error
	for _, r := range slices.Backward(runners) {
		errs = append(errs, r.stop(grace))
	}
	return errors.Join(errs...)
}

// Pause freezes the parts named, or all but a shared etcd, with SIGSTOP: they answer nothing but their connections stand.
func (c *Cluster) Pause(parts ...Part) error { return c.freeze(true, parts) }

// Resume thaws the parts that Pause froze.
func (c *Cluster) Resume(parts ...Part) error { return c.freeze(false, parts) }

func (c *Cluster) freeze(on bool, parts []Part) error {
	runners, err := c.pick(parts)
	if err != nil {
		return err
	}
	if len(parts) == 0 {
		runners = c.ownRunners()
	}
	for _, r := range runners {
		if err := r.freeze(on); err != nil {
			return err
		}
	}
	return nil
}

// pick finds the runners of the parts named, or all, in the order in which they start.
func (c *Cluster) pick(parts []Part) ([]*runner, error) {
	for _, part := range parts {
		if _, ok := c.runners[part]; !ok {
			return nil, fmt.Errorf("cluster %s has no part %q; it has %v", c.name, part, c.Parts())
		}
	}
	var runners []*runner
	for _, part := range c.Parts() {
		if len(parts) == 0 || slices.Contains(parts, part) {
			runners = append(runners, c.runners[part])
		}
	}
	return runners, nil
}

// ownRunners are the runners of all parts but a shared etcd, in the order in which they start.
func (c *Cluster) ownRunners() []*runner {
	var runners []*runner
	for _, part := range c.Parts() {
		if part != Etcd || c.opts.OwnEtcd {
			runners = append(runners, c.runners[part])
		}
	}
	return runners
}

// busy tells whether a part of the cluster runs, or somebody is starting or stopping some.
func (c *Cluster) busy() bool {
	if !c.mu.TryLock() {
		return true
	}
	defer c.mu.Unlock()
	return slices.ContainsFunc(c.ownRunners(), (*runner).alive)
}

// serves is a check that the API server answers an administrator's GET of path with success.
func (c *Cluster) serves(path string) func(context.Context) error {
	return func(ctx context.Context) error {
		_, err := c.request(ctx, http.MethodGet, path, nil)
		return err
	}
}

// request asks the API server something as administrator.
func (c *Cluster) request(ctx context.Context, method, path string, body []byte) ([]byte, error) {
	return call(ctx, c.http, method, c.Host()+path, body)
}

// prefix is where the cluster's objects are in its etcd.
func (c *Cluster) prefix() string { return "/" + c.name }
