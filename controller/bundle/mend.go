package bundle

import (
	"context"
	"fmt"
	"time"

	ctrl "sigs.k8s.io/controller-runtime"

	fleet "flotilla.io/flotilla/api/v1alpha1"
	"flotilla.io/flotilla/controller/status"
)

// lostAgain is how soon a walk looks again for files that its GitRepo was asked for.
const lostAgain = 2 * time.Second

// mend looks after the layers that agents could not fetch. One that was deleted or damaged is written again where it is
// still known; where it is not, no deployment that names it can serve as a twin, and so its objects are rendered and
// published again. An agent's word starts this and decides nothing: the hub looks itself.
func (r *Reconciler) mend(ctx context.Context, in *run) error {
	in.lost = map[string]bool{}
	seen := map[string]bool{}
	for i := range in.have {
		if !unfetched(&in.have[i]) {
			continue
		}
		for _, ref := range in.have[i].Spec.Layers {
			if seen[ref.ID] {
				continue
			}
			seen[ref.ID] = true
			whole, err := r.Store.Mend(ctx, ref.ID, int(ref.Chunks))
			if err != nil {
				return fmt.Errorf("mending layer %s: %w", ref.ID, err)
			}
			if !whole {
				in.lost[ref.ID] = true
				ctrl.LoggerFrom(ctx).Info("a layer is lost; its objects are rendered again", "layer", ref.ID)
			}
		}
	}
	return nil
}

// unfetched tells whether the agent reports that the hub does not have a layer.
func unfetched(bd *fleet.BundleDeployment) bool {
	c := fleet.Condition(bd.Status.Conditions, fleet.ConditionPulled)
	return c != nil && c.Status == "False" && bd.Spec.Deletion == nil
}

// lacks tells whether a layer of a deployment is lost.
func (in *run) lacks(bd *fleet.BundleDeployment) bool {
	for _, ref := range bd.Spec.Layers {
		if in.lost[ref.ID] {
			return true
		}
	}
	return false
}

// loseFiles ends a walk whose bundle's files are not on the hub any more. The GitRepo hears of it by the condition, reads
// its commit anew and writes them again.
func (r *Reconciler) loseFiles(ctx context.Context, in *run, id string, chunks int, lost error) error {
	if err := r.Store.Clear(ctx, id, chunks, lost); err != nil {
		return err
	}
	in.again = lostAgain
	next := "write the Bundle's files to the hub again"
	if repo := in.bundle.Labels[fleet.RepoLabel]; repo != "" {
		next = fmt.Sprintf("GitRepo %s reads them again", repo)
	}
	return &stop{status.ConditionRendered, fleet.ReasonContentMissing, fmt.Errorf("the bundle's files, Content %s, are not on the hub; %s", id, next)}
}
