package localfleet

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"syscall"
	"time"
)

// Part names one of the programs that make up a cluster.
type Part string

// The parts of a cluster, in the order in which they start.
const (
	Etcd                  Part = "etcd"
	KubeAPIServer         Part = "kube-apiserver"
	KubeControllerManager Part = "kube-controller-manager"
	KubeScheduler         Part = "kube-scheduler"
	Kwok                  Part = "kwok"
)

// order is how parts start; they stop the other way round.
var order = []Part{Etcd, KubeAPIServer, KubeControllerManager, KubeScheduler, Kwok}

// State is what a part is doing.
type State string

// The states of a part.
const (
	Stopped State = "stopped" // not started, or ended because it was told to
	Running State = "running"
	Paused  State = "paused" // frozen by Pause
	Failed  State = "failed" // ended by itself
)

const (
	startTimeout = 3 * time.Minute       // a loaded machine may take ten times as long as an idle one
	stopGrace    = 10 * time.Second      // what a part gets to end by itself
	etcdGrace    = time.Second           // what etcd gets: it would wait 5 s for its clients, and loses nothing when killed
	pollInterval = 50 * time.Millisecond // between two looks at a part that is starting
	lookTimeout  = 5 * time.Second       // for one such look
)

// runner is one part of a cluster with what it takes to run it. Its methods may be called at the same time.
type runner struct {
	part   Part
	of     string // whose part it is, for messages
	binary string
	dir    string // its working directory, and HOME
	log    string
	args   []string
	port   int                         // the one it listens on, 0 for none
	ready  func(context.Context) error // nil when it is ready; tells what is missing

	mu    sync.Mutex
	proc  *process // nil before the first start and after a stop
	state State    // Running may in truth be Failed: ask look
	shut  bool     // after close
}

// start runs the part unless it runs, and waits until it is ready.
func (r *runner) start(ctx context.Context) error {
	if err := r.spawn(); err != nil {
		return fmt.Errorf("starting %s of %s: %w", r.part, r.of, err)
	}
	return r.await(ctx)
}

// spawn runs the part unless it runs, without waiting for it.
func (r *runner) spawn() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.shut {
		return ErrClosed
	}
	if r.proc != nil && !r.proc.ended() {
		return nil
	}
	if r.port != 0 {
		if err := awaitPort(r.port); err != nil {
			return err
		}
	}
	proc, err := startProcess(r.binary, append([]string{string(r.part)}, r.args...), r.dir, r.log)
	if err != nil {
		return err
	}
	r.proc, r.state = proc, Running
	return nil
}

// await waits until the part is ready. It gives up when the part ends, when ctx does, and after startTimeout.
func (r *runner) await(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	for {
		r.mu.Lock()
		proc := r.proc
		r.mu.Unlock()
		if proc == nil {
			return fmt.Errorf("starting %s of %s: it was stopped meanwhile", r.part, r.of)
		}
		err := r.probe(ctx)
		if err == nil && !proc.ended() {
			return nil
		}
		select {
		case <-proc.done:
			return fmt.Errorf("starting %s of %s: it ended (%v); the end of %s:\n%s", r.part, r.of, proc.err, r.log, tail(r.log))
		case <-ctx.Done():
			return fmt.Errorf("starting %s of %s: %w; last seen: %v; its log is %s", r.part, r.of, context.Cause(ctx), err, r.log)
		case <-time.After(pollInterval):
		}
	}
}

func (r *runner) probe(ctx context.Context) error {
	if r.ready == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	return r.ready(ctx)
}

// stop ends the part within grace; a part that does not run is no error.
func (r *runner) stop(grace time.Duration) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.proc == nil {
		return nil
	}
	if r.part == Etcd {
		grace = min(grace, etcdGrace)
	}
	if err := r.proc.stop(grace); err != nil {
		return fmt.Errorf("stopping %s of %s: %w", r.part, r.of, err)
	}
	r.proc, r.state = nil, Stopped
	return nil
}

// close refuses every later start.
func (r *runner) close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.shut = true
}

// freeze pauses the part, or thaws a paused one.
func (r *runner) freeze(on bool) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	sig, state, verb := syscall.SIGCONT, Running, "resuming"
	if on {
		sig, state, verb = syscall.SIGSTOP, Paused, "pausing"
	}
	if r.proc == nil || r.proc.ended() {
		return fmt.Errorf("%s %s of %s: it does not run; start it first", verb, r.part, r.of)
	}
	if err := r.proc.signal(sig); err != nil {
		return fmt.Errorf("%s %s of %s: %w", verb, r.part, r.of, err)
	}
	r.state = state
	return nil
}

// look tells what the part does now, and its process id (0 when it has none).
func (r *runner) look() (State, int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.proc == nil:
		return Stopped, 0
	case r.proc.ended():
		return Failed, 0
	}
	return r.state, r.proc.pid()
}

// alive tells whether the part runs, paused or not.
func (r *runner) alive() bool {
	_, pid := r.look()
	return pid != 0
}

// known tells whether a name is that of a part.
func (p Part) known() bool { return slices.Contains(order, p) }
