package gitrepo

import (
	"context"
	"fmt"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	fleet "flotilla.io/flotilla/api/v1alpha1"
	"flotilla.io/flotilla/controller/status"
)

// slow is how long it may take to read a commit before the GitRepo says so.
const slow = 5 * time.Second

// sayWhenSlow has the GitRepo say that a commit is being read, if that is still going on a while later. One that failed before
// goes on saying why. The function that it returns ends that, and waits for a write that is under way.
func (r *Reconciler) sayWhenSlow(ctx context.Context, in *run) (end func()) {
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan struct{})
	commit := short(in.head)
	go func() {
		defer close(ended)
		select {
		case <-ctx.Done():
			return
		case <-time.After(slow):
		}
		now := &fleet.GitRepo{}
		if err := r.Reader.Get(ctx, client.ObjectKeyFromObject(in.repo), now); err != nil || now.Status.GitJobStatus == fleet.GitJobFailed {
			return
		}
		_ = status.Patch(ctx, r.Client, now, func() { // the report comes anyway
			now.Status.GitJobStatus = fleet.GitJobInProgress
			set(now, fleet.ConditionReconciling, "True", fleet.ReasonReading, fmt.Sprintf("reading commit %s", commit))
		})
	}()
	return func() {
		cancel()
		<-ended
	}
}
