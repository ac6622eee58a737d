package worker

import (
	"context"
	"errors"

	"flotilla.io/flotilla/bundle/render"
	"flotilla.io/flotilla/bundle/target"
)

// atOnce bounds how many clusters one request is for.
const atOnce = 500

// maxEnded bounds the children that one Fill may cost. It is enough to find the one cluster of atOnce whose labels or values make
// a template run away.
const maxEnded = 12

// Fill is target.Fill in children: a template that never ends, or eats all memory, is an error of the clusters it does so for, and
// the hub goes on.
func (p *Pool) Fill(ctx context.Context, job target.Job) []target.Filled {
	f := filling{p, job.Texts, maxEnded}
	filled := make([]target.Filled, 0, len(job.Contexts))
	for rest := job.Contexts; len(rest) > 0; {
		some := rest[:min(len(rest), atOnce)]
		filled, rest = append(filled, f.fill(ctx, target.Job{Texts: job.Texts, Contexts: some})...), rest[len(some):]
	}
	return filled
}

// filling is one Fill.
type filling struct {
	pool  *Pool
	texts []target.Text
	left  int // children that it may still cost
}

// fill fills in, and halves where a child was ended, down to the cluster that did it.
func (f *filling) fill(ctx context.Context, job target.Job) []target.Filled {
	answer, err := f.pool.exchange(ctx, request{Fill: &job}, "the templates", nil)
	if err == nil && len(answer.Filled) == len(job.Contexts) {
		return answer.Filled
	}
	if err == nil {
		err = errors.New("the program is no render worker")
	}
	var ended *render.Error
	if n := len(job.Contexts); n > 1 && f.left > 0 && errors.As(err, &ended) {
		f.left--
		first := f.fill(ctx, target.Job{Texts: f.texts, Contexts: job.Contexts[:n/2]})
		return append(first, f.fill(ctx, target.Job{Texts: f.texts, Contexts: job.Contexts[n/2:]})...)
	}
	filled := make([]target.Filled, len(job.Contexts))
	for i := range filled {
		filled[i].Error = err.Error()
	}
	return filled
}
