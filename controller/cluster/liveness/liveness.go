// Package liveness knows which clusters are lost, from the leases that their agents renew.
//
// A lease is judged by the time at which the hub's API server saw its last renewal, so an agent's clock plays no part. One
// timer stands at the next expiry; nothing is polled. A cluster is lost when its lease has run out, which is read once more
// before it is said, and back with the first renewal. One that was lost a short while ago is given longer before it is
// called lost again, so that a bad line does not make the fleet flicker.
//
// Time in which the hub could not have heard of a renewal does not count: after an outage of the API server, or of this
// controller, no cluster is lost that was not lost before, until a whole lease has passed.
package liveness

import (
	"container/heap"
	"context"
	"sync"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/tools/events"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	fleet "flotilla.io/flotilla/api/v1alpha1"
)

const (
	// maxPatience bounds how many leases in a row an unsteady cluster may miss before it is lost.
	maxPatience = 8
	// steadyLeases is how many leases a cluster has to last after its return to be judged like any other again.
	steadyLeases = 10
	// idle is how long the timer sleeps when there is no lease; a new lease wakes it.
	idle = time.Hour
	// deafRetry is how often the API server is tried while it does not answer.
	deafRetry = 5 * time.Second
)

// Liveness is what is known of all clusters. Its methods are safe for concurrent use.
type Liveness struct {
	// Events, if set, are told of clusters that turn.
	Events events.EventRecorder

	clock clock.Clock
	wake  chan struct{}

	// Setup sets these three; before, there is nothing to read.
	cached client.Reader
	live   func(ctx context.Context, clusterNamespace string) (*coordinationv1.Lease, error)
	before func(*fleet.Cluster) (lost bool) // what an earlier controller said

	mu       sync.Mutex
	since    time.Time        // no lease runs out by what was before
	deaf     bool             // the API server did not answer
	beats    map[string]*beat // by cluster namespace
	expiries expiries
	watchers []func(*fleet.Cluster)
}

// beat is what is known of one cluster.
type beat struct {
	cluster  *fleet.Cluster // name and namespace, and status.namespace
	renewed  time.Time      // zero: never
	since    time.Time      // the hub hears of renewals since then
	lease    time.Duration
	patience int // leases that may be missed
	lost     bool
	back     time.Time // the renewal with which it was last found again
	index    int       // in expiries; -1: not there
}

// deadline is when the lease runs out.
func (b *beat) deadline() time.Time {
	from := b.renewed
	if b.since.After(from) {
		from = b.since
	}
	return from.Add(b.lease * time.Duration(b.patience))
}

// New returns a Liveness that knows no cluster.
func New(c clock.Clock) *Liveness {
	return &Liveness{clock: c, wake: make(chan struct{}, 1), since: c.Now(), beats: map[string]*beat{}}
}

// Lost tells whether the lease of a cluster has run out. A cluster that never had one renewed is not lost.
func (l *Liveness) Lost(clusterNamespace string) bool {
	_, _, lost := l.look(clusterNamespace)
	return lost
}

// LastSeen is when the hub last heard from a cluster; zero for never.
func (l *Liveness) LastSeen(clusterNamespace string) time.Time {
	seen, _, _ := l.look(clusterNamespace)
	return seen
}

// look reads all at once.
func (l *Liveness) look(clusterNamespace string) (seen, back time.Time, lost bool) {
	l.catchUp(clusterNamespace)
	l.mu.Lock()
	defer l.mu.Unlock()
	b := l.beats[clusterNamespace]
	if b == nil {
		return time.Time{}, time.Time{}, false
	}
	return b.renewed, b.back, b.lost
}

// Source brings the clusters that are seen for the first time, lost or found again to a reconciler. The object of the
// (generic) event is a Cluster of which only name, namespace and status.namespace are set.
func (l *Liveness) Source(h handler.EventHandler) source.Source {
	return source.Func(func(ctx context.Context, q workqueue.TypedRateLimitingInterface[reconcile.Request]) error {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.watchers = append(l.watchers, func(c *fleet.Cluster) { h.Generic(ctx, event.GenericEvent{Object: c}, q) })
		return nil
	})
}

// Observe takes in the present state of a lease.
func (l *Liveness) Observe(lease *coordinationv1.Lease) {
	cluster, ok := clusterOf(lease)
	if !ok {
		return
	}
	wasLost := !l.knows(lease.Namespace) && l.before != nil && l.before(cluster)
	l.mu.Lock()
	b, known := l.beats[lease.Namespace]
	if !known {
		b = &beat{cluster: cluster, since: l.since, patience: 1, index: -1}
		if wasLost {
			b.since = time.Time{} // it ran out under the earlier controller, and need not do so again
		}
		l.beats[lease.Namespace] = b
	}
	b.lease = duration(lease)
	turned := l.renew(b, renewedAt(lease))
	l.mu.Unlock()
	if turned {
		l.tell(b.cluster)
	}
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// renew moves a beat to a renewal, and tells whether that changed what is to be said about the cluster.
func (l *Liveness) renew(b *beat, at time.Time) bool {
	if !at.After(b.renewed) {
		l.place(b)
		return false
	}
	now, first, wasLost := l.clock.Now(), b.renewed.IsZero(), b.lost
	b.renewed = at
	switch {
	case wasLost:
		b.patience, b.back = min(2*b.patience, maxPatience), at
	case now.Sub(b.back) > steadyLeases*b.lease:
		b.patience = 1
	}
	b.lost = !now.Before(b.deadline())
	l.place(b)
	return first || wasLost != b.lost
}

// place keeps a beat in the heap as long as it can expire.
func (l *Liveness) place(b *beat) {
	canExpire := !b.renewed.IsZero() && !b.lost
	switch {
	case canExpire && b.index < 0:
		heap.Push(&l.expiries, b)
	case canExpire:
		heap.Fix(&l.expiries, b.index)
	case b.index >= 0:
		heap.Remove(&l.expiries, b.index)
	}
}

// Forget drops a cluster whose lease is gone.
func (l *Liveness) Forget(clusterNamespace string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	b := l.beats[clusterNamespace]
	if b == nil {
		return
	}
	if b.index >= 0 {
		heap.Remove(&l.expiries, b.index)
	}
	delete(l.beats, clusterNamespace)
}

// Start waits for expiries until ctx ends. It makes Liveness a manager.Runnable.
func (l *Liveness) Start(ctx context.Context) error {
	timer := l.clock.NewTimer(idle)
	defer timer.Stop()
	for {
		timer.Reset(l.expire(ctx))
		select {
		case <-ctx.Done():
			return nil
		case <-timer.C():
		case <-l.wake:
		}
	}
}

// expire turns the clusters whose time is up and returns the time until the next.
func (l *Liveness) expire(ctx context.Context) time.Duration {
	for {
		b, left := l.next()
		if b == nil || left > 0 {
			return left
		}
		namespace := b.cluster.Status.Namespace
		lease, err := l.read(ctx, namespace)
		switch {
		case apierrors.IsNotFound(err):
			l.Forget(namespace)
		case err != nil:
			l.mu.Lock()
			l.deaf = true
			l.mu.Unlock()
			return deafRetry
		case l.hearsAgain():
			// Nobody could renew: all start anew.
		default:
			if lease != nil {
				l.Observe(lease)
			}
			if l.lose(b) {
				l.tell(b.cluster)
			}
		}
	}
}

// next is the cluster whose lease runs out first, and the time until then.
func (l *Liveness) next() (*beat, time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.expiries) == 0 {
		return nil, idle
	}
	return l.expiries[0], l.expiries[0].deadline().Sub(l.clock.Now())
}

func (l *Liveness) read(ctx context.Context, clusterNamespace string) (*coordinationv1.Lease, error) {
	if l.live == nil {
		return nil, nil
	}
	ctx, cancel := context.WithTimeout(ctx, deafRetry)
	defer cancel()
	return l.live(ctx, clusterNamespace)
}

// hearsAgain tells whether the API server answers for the first time after an outage, and then starts all leases anew.
func (l *Liveness) hearsAgain() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.deaf {
		return false
	}
	l.deaf, l.since = false, l.clock.Now()
	for _, b := range l.expiries {
		b.since = l.since
	}
	heap.Init(&l.expiries)
	return true
}

// lose turns a cluster if its time is still up.
func (l *Liveness) lose(b *beat) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if b.index < 0 || b.deadline().After(l.clock.Now()) {
		return false
	}
	b.lost = true
	heap.Remove(&l.expiries, b.index)
	return true
}

func (l *Liveness) knows(clusterNamespace string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.beats[clusterNamespace] != nil
}

func (l *Liveness) tell(c *fleet.Cluster) {
	l.mu.Lock()
	watchers := l.watchers
	l.mu.Unlock()
	for _, w := range watchers {
		w(c)
	}
}

// expiries is a heap of beats by deadline.
type expiries []*beat

func (e expiries) Len() int           { return len(e) }
func (e expiries) Less(i, j int) bool { return e[i].deadline().Before(e[j].deadline()) }
func (e expiries) Swap(i, j int) {
	e[i], e[j] = e[j], e[i]
	e[i].index, e[j].index = i, j
}

// Push and Pop serve container/heap.
func (e *expiries) Push(x any) {
	b := x.(*beat)
	b.index = len(*e)
	*e = append(*e, b)
}

func (e *expiries) Pop() any {
	last := (*e)[len(*e)-1]
	*e = (*e)[:len(*e)-1]
	last.index = -1
	return last
}
