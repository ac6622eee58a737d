// Package probes makes the checks that bundles carry in health.probes: what objects do not tell is asked from the cluster itself.
// A probe counts to a bundle's health and never to its readiness. Its checks cost the hub nothing; only a change of what they say
// is worth a word.
package probes

import (
	"cmp"
	"context"
	"fmt"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"flotilla.io/flotilla/agent/tenant"
	"flotilla.io/flotilla/api/v1alpha1"
	"flotilla.io/flotilla/bundle/dial"
)

// Runner makes the probes of all deployments. Its methods may be called at the same time.
type Runner struct {
	ctx    context.Context
	guard  dial.Guard
	notify func(deployment string)

	mu      sync.Mutex
	running map[string]*set // by deployment
}

// set is the probes of one deployment.
type set struct {
	cancel context.CancelFunc
	probes []v1alpha1.HealthProbe
	tenant *tenant.Tenant
	states []state
}

// NewRunner makes a Runner that works until ctx ends. notify is told of a deployment when what its probes say has changed, and when
// each was made for the first time; it must not block.
func NewRunner(ctx context.Context, guard dial.Guard, notify func(deployment string)) *Runner {
	return &Runner{ctx: ctx, guard: guard, notify: notify, running: map[string]*set{}}
}

// Want replaces the probes of a deployment; none ends them. Objects are read as the tenant.
func (r *Runner) Want(deployment string, t *tenant.Tenant, probes []v1alpha1.HealthProbe) {
	r.mu.Lock()
	defer r.mu.Unlock()
	was := r.running[deployment]
	if was != nil && was.tenant == t && equality.Semantic.DeepEqual(was.probes, probes) {
		return
	}
	if was != nil {
		was.cancel()
		delete(r.running, deployment)
	}
	if len(probes) == 0 {
		return
	}
	ctx, cancel := context.WithCancel(r.ctx)
	s := &set{cancel: cancel, probes: probes, tenant: t, states: make([]state, len(probes))}
	for i, p := range probes {
		if was != nil {
			s.states[i] = was.of(p) // another probe of the bundle changed
		}
		go r.run(ctx, deployment, s, i)
	}
	r.running[deployment] = s
}

// of is the state of a probe that is as before.
func (s *set) of(p v1alpha1.HealthProbe) state {
	for i, had := range s.probes {
		if equality.Semantic.DeepEqual(had, p) {
			return s.states[i]
		}
	}
	return state{}
}

// Made tells whether each probe of a deployment was made at least once.
func (r *Runner) Made(deployment string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.running[deployment]
	if s == nil {
		return true
	}
	for _, state := range s.states {
		if !state.made {
			return false
		}
	}
	return true
}

// Failing says what the probes of a deployment do not find as it should be, in their order.
func (r *Runner) Failing(deployment string) (lines []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.running[deployment]
	if s == nil {
		return nil
	}
	for i, p := range s.probes {
		if wrong := s.states[i].verdict(threshold(p)); wrong != "" {
			lines = append(lines, Line(p, wrong))
		}
	}
	return lines
}

// Line is what is said of a probe.
func Line(p v1alpha1.HealthProbe, wrong string) string {
	return fmt.Sprintf("probe %s: %s", p.Name, v1alpha1.Clip(wrong, 300))
}

// run makes one probe of a set, again and again.
func (r *Runner) run(ctx context.Context, deployment string, s *set, i int) {
	p := s.probes[i]
	every := Interval(p)
	for {
		failed := ""
		if err := r.check(ctx, s.tenant, p); err != nil {
			failed = err.Error()
		}
		if ctx.Err() != nil {
			return
		}
		r.mu.Lock()
		before := s.states[i]
		after := before.after(failed, time.Now())
		s.states[i] = after
		r.mu.Unlock()
		if !before.made || before.verdict(threshold(p)) != after.verdict(threshold(p)) {
			r.notify(deployment)
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(after.wait(every)):
		}
	}
}

// Bounds of what a bundle may ask for, and what holds where it asks for nothing.
const (
	MinInterval     = 5 * time.Second
	MaxTimeout      = 30 * time.Second
	defaultInterval = time.Minute
	defaultTimeout  = 5 * time.Second
)

// Interval is how long after one check the next one follows.
func Interval(p v1alpha1.HealthProbe) time.Duration {
	return max(length(p.Interval, defaultInterval), MinInterval)
}

// Timeout is how long one check may take.
func Timeout(p v1alpha1.HealthProbe) time.Duration {
	return min(length(p.Timeout, defaultTimeout), MaxTimeout)
}

func length(d *metav1.Duration, otherwise time.Duration) time.Duration {
	if d == nil || d.Duration <= 0 {
		return otherwise
	}
	return d.Duration
}

func threshold(p v1alpha1.HealthProbe) int { return max(cmp.Or(p.FailureThreshold, 2), 1) }
