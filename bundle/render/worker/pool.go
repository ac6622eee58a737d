// Package worker renders in child processes of the same program, with limits of time and memory, so that a template which
// never ends, or eats all memory, or crashes costs its own bundle only.
//
// A child is started when it is first needed, kept for the next renderings and ended when nothing came for a minute. It has
// no environment, no network by the libraries' ways, and dies with its parent.
package worker

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"flotilla.io/flotilla/bundle/render"
)

// Options of a Pool. Exe and Children are required.
type Options struct {
	Exe      string        // the program, as os.Executable tells it
	Args     []string      // what makes it call Serve
	Children int           // at most so many renderings at once
	Timeout  time.Duration // of one rendering, more for a large bundle; 0 is 30 s
	Memory   int64         // bytes a rendering may need, more for a large bundle; 0 is 512 MiB
}

// idleFor is how long a child waits for its next rendering.
const idleFor = time.Minute

// Pool renders in children.
type Pool struct {
	// Renderings counts what was given to children, whatever came of it.
	Renderings prometheus.Counter

	options Options
	slots   chan struct{}

	mu     sync.Mutex
	idle   []*child
	closed bool
}

// New makes a pool without starting anything.
func New(o Options) *Pool {
	if o.Timeout == 0 {
		o.Timeout = 30 * time.Second
	}
	if o.Memory == 0 {
		o.Memory = 512 << 20
	}
	return &Pool{
		Renderings: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "flotilla_renderings_total",
			Help: "Renderings done, each for one render key that was not known yet.",
		}),
		options: o,
		slots:   make(chan struct{}, o.Children),
	}
}

// Render is render.Render in a child. Its errors are those of render.Render, and an *render.Error with reason
// RenderTimeout, RenderMemoryLimit or RenderCrashed. It waits while all children are busy.
func (p *Pool) Render(ctx context.Context, in render.Input, caps *render.Capabilities) (*render.Output, error) {
	return p.render(ctx, request{Input: in, Capabilities: caps}, nil)
}

// RenderOn is render.RenderOn in a child, like Render. Lookups are made by this process: the child has no connection.
func (p *Pool) RenderOn(ctx context.Context, in render.Input, on render.Cluster) (*render.Output, error) {
	return p.render(ctx, request{Input: in, Capabilities: &on.Capabilities, OnCluster: true, Kept: on.Kept}, on.Lookup)
}

func (p *Pool) render(ctx context.Context, ask request, lookup lookupFunc) (*render.Output, error) {
	answer, err := p.exchange(ctx, ask, ask.Input.Bundle, lookup)
	switch {
	case err != nil:
		return nil, err
	case answer.Error != nil:
		return nil, answer.Error.err()
	}
	return answer.Output, nil
}

// exchange has a child answer. where is what an error is about; lookup is nil where there is no cluster.
func (p *Pool) exchange(ctx context.Context, ask request, where string, lookup lookupFunc) (*response, error) {
	select {
	case p.slots <- struct{}{}:
		defer func() { <-p.slots }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	framed, err := frame(ask)
	if err != nil {
		return nil, &render.Error{Reason: render.ReasonTooLarge, Where: where, Message: "its files: " + err.Error()}
	}
	o, large := p.optionsFor(ask.Input)
	c, err := p.take(o, large)
	if err != nil {
		return nil, fmt.Errorf("rendering %s: %w", where, err)
	}
	if ask.Fill == nil {
		p.Renderings.Inc()
	}
	limited, cancel := context.WithTimeout(ctx, o.Timeout)
	defer cancel()
	answer, err := c.ask(limited, framed, lookup)
	if err != nil {
		c.end()
		return nil, explain(ctx, limited, c, where, o)
	}
	if large {
		c.end()
	} else {
		p.give(c)
	}
	return answer, nil
}

func explain(ctx, limited context.Context, c *child, bundle string, o Options) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if limited.Err() != nil {
		return &render.Error{Reason: render.ReasonTimeout, Where: bundle, Message: fmt.Sprintf(
			"rendering took longer than %s; a template loops, or the bundle should be split", o.Timeout)}
	}
	return c.diagnose(bundle, o)
}

// What a rendering may take grows with what it reads, so that a bundle of 50 MB can be rendered and a bomb of a few lines cannot.
const (
	largeInput    = 4 << 20
	memoryPerByte = 16
	timePerMiB    = 2 * time.Second
)

// optionsFor are the options with the limits for an input. One that is large needs a child of its own.
func (p *Pool) optionsFor(in render.Input) (o Options, large bool) {
	size := 0
	for _, data := range in.Files {
		size += len(data)
	}
	o = p.options
	if size < largeInput {
		return o, false
	}
	o.Memory += int64(size) * memoryPerByte
	o.Timeout += time.Duration(size>>20) * timePerMiB
	return o, true
}

// take returns an idle child, or a new one with these options.
func (p *Pool) take(o Options, large bool) (*child, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil, errors.New("the pool of render workers is closed")
	}
	if large {
		return start(o)
	}
	for len(p.idle) > 0 {
		c := p.idle[len(p.idle)-1]
		p.idle = p.idle[:len(p.idle)-1]
		c.retire.Stop()
		if c.alive() {
			return c, nil
		}
	}
	return start(p.options)
}

// give keeps a child for the next rendering.
func (p *Pool) give(c *child) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		c.end()
		return
	}
	c.retire = time.AfterFunc(idleFor, func() { p.dismiss(c) })
	p.idle = append(p.idle, c)
}

// dismiss ends a child that is still idle.
func (p *Pool) dismiss(c *child) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if i := slices.Index(p.idle, c); i >= 0 {
		p.idle = slices.Delete(p.idle, i, i+1)
		c.end()
	}
}

// Close ends idle children; busy ones end with their rendering.
func (p *Pool) Close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	for _, c := range p.idle {
		c.retire.Stop()
		c.end()
	}
	p.idle = nil
}
