package bundle

import (
	"context"
	"time"

	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	fleet "flotilla.io/flotilla/api/v1alpha1"
	"flotilla.io/flotilla/controller/status"
)

// What Fleet left on a hub that is Flotilla's now.

// fleetAgent tells whether a Bundle is the one by which Fleet delivers its own agent to a cluster. Deploying it would start
// that agent again, beside ours.
func fleetAgent(b *fleet.Bundle) bool {
	return b.Labels[fleet.RepoLabel] == "" && b.Labels[fleet.HelmOpLabel] == "" && len(b.Spec.Targets) == 1 &&
		b.Spec.Targets[0].ClusterName != "" && b.Name == fleet.SafeConcatName(fleet.FleetAgentName, b.Spec.Targets[0].ClusterName)
}

const fleetAgentMessage = "this is Rancher Fleet's own agent, which Flotilla does not deploy; delete this Bundle once the cluster's agent is Flotilla's " +
	"(docs/migrate-from-fleet.md)"

// leaveFleetAgent says so, and leaves the Bundle and its BundleDeployments alone.
func (r *Reconciler) leaveFleetAgent(ctx context.Context, in *run) (ctrl.Result, error) {
	now := in.bundle.DeepCopy()
	err := status.Patch(ctx, r.Client, now, func() {
		now.Status.ObservedGeneration = now.Generation
		fleet.SetCondition(&now.Status.Conditions, fleet.ConditionNotServed, "True", "Ignored", fleetAgentMessage)
	})
	return ctrl.Result{}, client.IgnoreNotFound(err)
}

// ofFleet tells whether a BundleDeployment was last written by Fleet, which knows no sequence.
func ofFleet(bd *fleet.BundleDeployment) bool { return bd.Spec.Sequence == 0 }

// firstSequence of a BundleDeployment: later than any that an earlier one of the name can have had.
func firstSequence(seen int64) int64 { return max(time.Now().Unix(), seen+1) }

// dropFleetFinalizer takes away what only Fleet's controller would take away; absence deletes nothing here.
func (r *Reconciler) dropFleetFinalizer(ctx context.Context, in *run, bd *fleet.BundleDeployment) error {
	now := bd.DeepCopy()
	if !controllerutil.RemoveFinalizer(now, fleet.BundleDeploymentFinalizer) {
		return nil
	}
	return r.patch(ctx, in, bd, now)
}
