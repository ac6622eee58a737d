package gitrepo

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	fleet "flotilla.io/flotilla/api/v1alpha1"
	gitsource "flotilla.io/flotilla/bundle/source"
	"flotilla.io/flotilla/controller/origin"
)

const (
	defaultPolling = 15 * time.Second
	// longestPolling is how far apart looks at a server that does not answer come, where the interval is not longer.
	longestPolling = 2 * time.Minute
)

func polling(repo *fleet.GitRepo) time.Duration {
	if p := repo.Spec.PollingInterval; p != nil && p.Duration > 0 {
		return p.Duration
	}
	return defaultPolling
}

// nextLook is the time to the next look: the interval, doubled for each time in a row that the server did not answer, and a tenth
// more or less, so that GitRepos that were made together do not ask together.
func nextLook(interval time.Duration, misses int) time.Duration {
	wait := interval << min(misses, 4)
	wait = max(interval, min(wait, longestPolling))
	return wait + time.Duration((rand.Float64()-0.5)*0.2*float64(wait))
}

// missed counts on when err says that the server did not answer. What a person can mend is looked at as ever: it is mended elsewhere,
// and nothing tells us when.
func (r *Reconciler) missed(key client.ObjectKey, err error) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	var failure *origin.Failure
	if errors.As(err, &failure) && (failure.Reason == gitsource.Timeout || failure.Reason == gitsource.Unreachable) {
		r.failed[key]++
	} else {
		delete(r.failed, key)
	}
	return r.failed[key]
}

type step = func(context.Context, *run) error

// inTime bounds a step that waits for a server.
func inTime(do step) step {
	return func(ctx context.Context, in *run) error {
		ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
		defer cancel()
		return do(ctx, in)
	}
}

// turns are as many as steps of a kind go on at once.
type turns chan struct{}

func (t turns) inTurn(do step) step {
	return func(ctx context.Context, in *run) error {
		select {
		case t <- struct{}{}:
		case <-ctx.Done():
			return ctx.Err()
		}
		defer func() { <-t }()
		return do(ctx, in)
	}
}
