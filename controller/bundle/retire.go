package bundle

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	fleet "flotilla.io/flotilla/api/v1alpha1"
)

// retire takes the bundle away from clusters that are targets no more, in two writes: the order to delete, and, when
// the agent has done it, the end of the BundleDeployment.
func (r *Reconciler) retire(ctx context.Context, in *run) error {
	allowed := in.unTarget == nil || in.unTarget.Approved(in.bundle.Annotations)
	for i := range in.have {
		bd := &in.have[i]
		if in.placeOf(bd) != nil || !allowed && bd.Spec.Deletion == nil {
			continue
		}
		if err := r.takeAway(ctx, in, bd, "Untargeted"); err != nil {
			return err
		}
	}
	if in.unTarget == nil {
		return r.useUpApproval(ctx, in)
	}
	return nil
}

// useUpApproval takes a person's word back once nothing waits for it any more: the same clusters may be about to leave again
// some day, by mistake.
func (r *Reconciler) useUpApproval(ctx context.Context, in *run) error {
	if _, given := in.bundle.Annotations[fleet.ApproveAnnotation]; !given {
		return nil
	}
	before := in.bundle.DeepCopy()
	delete(in.bundle.Annotations, fleet.ApproveAnnotation)
	return client.IgnoreNotFound(r.Client.Patch(ctx, in.bundle, client.MergeFrom(before)))
}

// takeAway moves one BundleDeployment a step further towards its end.
func (r *Reconciler) takeAway(ctx context.Context, in *run, bd *fleet.BundleDeployment, reason string) error {
	gone, err := r.clusterGone(ctx, bd)
	if err != nil {
		return err
	}
	if gone || bd.Spec.Deletion != nil && bd.Status.Deletion == fleet.DeletionDone && bd.Status.ObservedSequence >= bd.Spec.Sequence {
		return r.remove(ctx, in, bd)
	}
	if bd.Spec.Deletion != nil {
		return nil // the agent's report comes back here
	}
	if _, held := in.held(bd.Namespace); held || in.wentBack(bd) {
		return nil
	}
	if in.closed[bd.Namespace] != "" {
		in.leaving = append(in.leaving, bd.Labels[fleet.ClusterNamespaceLabel]+"/"+bd.Labels[fleet.ClusterLabel])
		return nil
	}
	if in.siblingsBusy() {
		in.again = 200 * time.Millisecond
		return nil
	}
	now := bd.DeepCopy()
	now.Spec.Sequence++
	if ofFleet(bd) {
		now.Spec.Sequence = firstSequence(bd.Status.ObservedSequence)
	}
	controllerutil.RemoveFinalizer(now, fleet.BundleDeploymentFinalizer)
	now.Spec.Deletion = &fleet.Deletion{
		Revision: in.bundle.Labels[fleet.CommitLabel], Reason: reason, By: in.by(), Policy: in.policyOf(bd),
	}
	return client.IgnoreNotFound(r.patch(ctx, in, bd, now))
}

// remove ends a BundleDeployment that nothing is left to do about.
func (r *Reconciler) remove(ctx context.Context, in *run, bd *fleet.BundleDeployment) error {
	err := r.dropFleetFinalizer(ctx, in, bd)
	if err == nil {
		err = r.Client.Delete(ctx, bd, client.Preconditions{UID: &bd.UID})
	}
	if client.IgnoreNotFound(err) != nil {
		return err
	}
	r.written.noteGone(client.ObjectKeyFromObject(in.bundle), bd)
	return nil
}

// clusterGone: a deleted Cluster has no agent that could report. Its objects stay on it.
func (r *Reconciler) clusterGone(ctx context.Context, bd *fleet.BundleDeployment) (bool, error) {
	c := &fleet.Cluster{}
	err := r.Client.Get(ctx, client.ObjectKey{Namespace: bd.Labels[fleet.ClusterNamespaceLabel], Name: bd.Labels[fleet.ClusterLabel]}, c)
	if apierrors.IsNotFound(err) {
		return true, nil
	}
	return err == nil && !c.DeletionTimestamp.IsZero(), err
}

// policyOf says what becomes of the objects: of what is deployed, staged and asked for by now, the most protective counts.
func (in *run) policyOf(bd *fleet.BundleDeployment) fleet.DeletionPolicy {
	if bd.Spec.Options.KeepResources || bd.Spec.StagedOptions.KeepResources || in.bundle.Spec.KeepResources {
		return fleet.DeletionPolicyOrphan
	}
	return fleet.DeletionPolicyDelete
}

func (in *run) by() string {
	if repo := in.bundle.Labels[fleet.RepoLabel]; repo != "" {
		return fmt.Sprintf("GitRepo %s/%s", in.bundle.Namespace, repo)
	}
	return fmt.Sprintf("Bundle %s/%s", in.bundle.Namespace, in.bundle.Name)
}

// finalize takes a deleted Bundle away from all its clusters, and lets it go when they are done.
func (r *Reconciler) finalize(ctx context.Context, in *run) (ctrl.Result, error) {
	if !controllerutil.ContainsFinalizer(in.bundle, fleet.BundleFinalizer) {
		return ctrl.Result{}, nil
	}
	for _, step := range []func(context.Context, *run) error{r.observe, r.guard} {
		var w *wait
		switch err := step(ctx, in); {
		case errors.As(err, &w):
			return ctrl.Result{RequeueAfter: w.After}, nil
		case err != nil:
			return ctrl.Result{}, err
		}
	}
	for i := range in.have {
		if err := r.takeAway(ctx, in, &in.have[i], "BundleRemoved"); err != nil {
			return ctrl.Result{}, err
		}
	}
	if len(in.have) > 0 {
		return ctrl.Result{RequeueAfter: in.again}, nil
	}
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: in.bundle.Namespace, Name: in.bundle.Name}}
	if in.bundle.Spec.ValuesHash != "" {
		if err := client.IgnoreNotFound(r.Client.Delete(ctx, secret)); err != nil {
			return ctrl.Result{}, err
		}
	}
	before := in.bundle.DeepCopy()
	controllerutil.RemoveFinalizer(in.bundle, fleet.BundleFinalizer)
	return ctrl.Result{}, client.IgnoreNotFound(r.Client.Patch(ctx, in.bundle, client.MergeFrom(before)))
}

// accepted tells whether a person said that this hub counts although the agent has seen up to sequence seen.
func accepted(c *fleet.Cluster, seen int64) bool {
	n, err := strconv.ParseInt(c.Annotations[fleet.AcceptSequenceAnnotation], 10, 64)
	return err == nil && seen <= n
}
