// Package liveness knows which clusters are lost, from the leases that their agents renew.
//
// A lease is judged by the time at which the hub's API server saw its last renewal, so an agent's clock plays no part and
// a restarted controller knows at once what the old one knew. One timer stands at the next expiry; nothing is polled. A
// cluster is lost when its lease has run out and back with the first renewal; one that was lost a short while ago is given
// longer before it is called lost again, so that a bad line does not make the fleet flicker.
package liveness

import (
	"container/heap"
	"context"
	"sync"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
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
)

// Liveness is what is known of all clusters. Its methods are safe for concurrent use.
type Liveness struct {
	clock clock.Clock
	wake  chan struct{}

	mu       sync.Mutex
	leases   client.Reader    // the cache; nil before Setup
	beats    map[string]*beat // by cluster namespace
	expiries expiries
	watchers []func(*fleet.Cluster)
}

// beat is what is known of one cluster.
type beat struct {
	cluster  *fleet.Cluster // name and namespace, and status.namespace
	renewed  time.Time      // zero: never
	lease    time.Duration
	patience int // leases that may be missed
	lost     bool
	back     time.Time // the renewal with which it was last found again
	index    int       // in expiries; -1: not there
}

func (b *beat) deadline() time.Time { return b.renewed.Add(b.lease * time.Duration(b.patience)) }

// New returns a Liveness that knows no cluster.
func New(c clock.Clock) *Liveness {
	return &Liveness{clock: c, wake: make(chan struct{}, 1), beats: map[string]*beat{}}
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
	l.mu.Lock()
	b, known := l.beats[lease.Namespace]
	if !known {
		b = &beat{cluster: cluster, patience: 1, index: -1}
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
		timer.Reset(l.expire())
		select {
		case <-ctx.Done():
			return nil
		case <-timer.C():
		case <-l.wake:
		}
	}
}

// expire turns the clusters whose time is up and returns the time until the next.
func (l *Liveness) expire() time.Duration {
	l.mu.Lock()
	now, next := l.clock.Now(), idle
	var turned []*fleet.Cluster
	for len(l.expiries) > 0 {
		b := l.expiries[0]
		if left := b.deadline().Sub(now); left > 0 {
			next = left
			break
		}
		b.lost = true
		heap.Pop(&l.expiries)
		turned = append(turned, b.cluster)
	}
	l.mu.Unlock()
	for _, c := range turned {
		l.tell(c)
	}
	return next
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
