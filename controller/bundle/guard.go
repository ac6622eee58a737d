package bundle

import (
	"context"
	"fmt"
	"sort"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	fleet "flotilla.io/flotilla/api/v1alpha1"
	"flotilla.io/flotilla/controller/rollout"
)

// guard finds what a person holds, and whether taking the bundle away from clusters needs a person's word.
func (r *Reconciler) guard(ctx context.Context, in *run) error {
	in.holds = map[string]rollout.Hold{}
	if hold, ok := rollout.HoldOf("bundle "+in.bundle.Name, in.bundle.Namespace, in.bundle.Annotations); ok {
		in.holds[""] = hold
	}
	for scope, ns := range map[string]string{"workspace " + in.bundle.Namespace: in.bundle.Namespace, "fleet": r.SystemNamespace} {
		hold, ok, err := r.holdOfNamespace(ctx, scope, ns)
		if err != nil {
			return err
		}
		if ok {
			in.holds[""] = hold
		}
	}
	for i := range in.clusters {
		c := &in.clusters[i]
		if hold, ok := rollout.HoldOf("cluster "+c.Name, c.Namespace, c.Annotations); ok {
			in.holds[c.Status.Namespace] = hold
		}
	}
	return r.planUnTarget(ctx, in)
}

func (r *Reconciler) holdOfNamespace(ctx context.Context, scope, name string) (rollout.Hold, bool, error) {
	ns := &corev1.Namespace{}
	err := r.Client.Get(ctx, client.ObjectKey{Name: name}, ns)
	if apierrors.IsNotFound(err) {
		return rollout.Hold{}, false, nil
	}
	if err != nil {
		return rollout.Hold{}, false, err
	}
	hold, ok := rollout.HoldOf(scope, "", ns.Annotations)
	return hold, ok, nil
}

// planUnTarget lists the clusters that have the bundle and should no longer: those that it does not match now, and those of
// workspaces that it may not reach any more. Clusters already on their way do not count, nor do deleted ones, which keep
// what they have.
func (r *Reconciler) planUnTarget(ctx context.Context, in *run) error {
	var leaving []string
	total := 0
	for i := range in.have {
		bd := &in.have[i]
		if bd.Spec.Deletion != nil {
			continue
		}
		total++
		if in.placeOf(bd) != nil {
			continue
		}
		gone, err := r.clusterGone(ctx, bd)
		if err != nil {
			return err
		}
		if !gone {
			leaving = append(leaving, bd.Labels[fleet.ClusterLabel])
		}
	}
	if len(leaving) > 0 {
		plan := rollout.NewUnTarget(leaving, total)
		in.unTarget = &plan
	}
	return nil
}

// pendingUnTarget is the plan that waits for a person, for status.unTarget.
func (in *run) pendingUnTarget() *fleet.UnTarget {
	if in.unTarget == nil || in.unTarget.Approved(in.bundle.Annotations) {
		return nil
	}
	return &fleet.UnTarget{Count: len(in.unTarget.Clusters), Total: in.unTarget.Total, Plan: in.unTarget.Plan()}
}

func (in *run) held(clusterNamespace string) (rollout.Hold, bool) {
	if h, ok := in.holds[""]; ok {
		return h, true
	}
	h, ok := in.holds[clusterNamespace]
	return h, ok
}

// holdMessage says all that is held, for the Held condition.
func (in *run) holdMessage() string {
	var parts []string
	if h, ok := in.holds[""]; ok {
		parts = append(parts, h.String())
	}
	for _, p := range in.places {
		if h, ok := in.holds[p.cluster.Status.Namespace]; ok {
			parts = append(parts, h.String())
		}
	}
	if in.unTarget != nil && !in.unTarget.Approved(in.bundle.Annotations) {
		parts = append(parts, in.unTarget.Message(in.bundle.Namespace, in.bundle.Name))
	}
	for i := range in.have {
		bd := &in.have[i]
		if in.wentBack(bd) {
			if c := in.clusterOf(bd); c != nil {
				parts = append(parts, fmt.Sprintf("cluster %s has seen a newer hub than this one; `flotilla resume cluster/%s -n %s` makes what this hub wants count",
					c.Name, c.Name, c.Namespace))
			}
		}
	}
	sort.Strings(parts)
	if len(parts) > 3 {
		return fmt.Sprintf("%s; and %d more", strings.Join(parts[:3], "; "), len(parts)-3)
	}
	return strings.Join(parts, "; ")
}

// wentBack: the agent has seen a newer hub, and no person has said that this one counts. Nothing is written until then.
func (in *run) wentBack(bd *fleet.BundleDeployment) bool {
	c := in.clusterOf(bd)
	return !ofFleet(bd) && bd.Status.ObservedSequence > bd.Spec.Sequence && c != nil && !accepted(c, bd.Status.ObservedSequence)
}

func (in *run) clusterOf(bd *fleet.BundleDeployment) *fleet.Cluster {
	return in.byNamespace[bd.Namespace]
}

func (in *run) placeOf(bd *fleet.BundleDeployment) *place { return in.placeAt[bd.Namespace] }
