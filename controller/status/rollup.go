package status

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	fleet "flotilla.io/flotilla/api/v1alpha1"
)

func isConflict(err error) bool { return apierrors.IsConflict(err) }

func (r *Reconciler) deployments(ctx context.Context, index, key string) ([]fleet.BundleDeployment, error) {
	list := &fleet.BundleDeploymentList{}
	err := r.Client.List(ctx, list, client.MatchingFields{index: key}, client.UnsafeDisableDeepCopy)
	return list.Items, err
}

// entry is a deployment's contribution; that of a lost cluster is Unknown, whatever it last said.
func (r *Reconciler) entry(name string, bd *fleet.BundleDeployment) entry {
	if r.Liveness.Lost(bd.Namespace) {
		return entry{name: name, among: clusterOf(bd), state: fleet.Unknown, message: lostMessage(r.Liveness.LastSeen(bd.Namespace))}
	}
	return entryOf(name, bd)
}

func lostMessage(since time.Time) string {
	return fmt.Sprintf("no report since %s", since.UTC().Format("2006-01-02T15:04Z"))
}

func clusterOf(bd *fleet.BundleDeployment) string {
	return bd.Labels[fleet.ClusterNamespaceLabel] + "/" + bd.Labels[fleet.ClusterLabel]
}

// cluster rolls up one Cluster over the BundleDeployments in its namespace.
func (r *Reconciler) cluster(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	c := &fleet.Cluster{}
	if err := r.Client.Get(ctx, req.NamespacedName, c); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	deployments, err := r.deployments(ctx, ClusterIndex, req.String())
	if err != nil {
		return ctrl.Result{}, err
	}
	if err := r.markLost(ctx, c.Status.Namespace, deployments); err != nil {
		return conflictIsLater(err)
	}
	t, of := &tally{}, sources{}
	var counts fleet.ResourceCounts
	for i := range deployments {
		bd := &deployments[i]
		e := r.entry(bd.Labels[fleet.BundleLabel], bd)
		t.add(e)
		addCounts(&counts, countsOf(bd, e.state))
		of.add(bd, e.state == fleet.Ready)
	}
	now := c.DeepCopy()
	err = Patch(ctx, r.Client, now, func() {
		st := &now.Status
		st.Summary, st.ResourceCounts = t.result(), counts
		st.ReadyGitRepos, st.DesiredReadyGitRepos = of.count(ctx, r.Client, &fleet.GitRepo{})
		st.ReadyHelmOps, st.DesiredReadyHelmOps = of.count(ctx, r.Client, &fleet.HelmOp{})
		st.Display.ReadyBundles = fmt.Sprintf("%d/%d", t.summary.Ready, t.summary.DesiredReady)
		st.Display.State = string(t.state())
		if ns := now.Status.Namespace; !r.Liveness.Lost(ns) && !r.Liveness.LastSeen(ns).IsZero() {
			setReady(&now.Status.Conditions, t.message("Bundle"), t.unverified("Bundle"))
		}
		r.Liveness.Show(now)
	})
	if err == nil {
		r.Liveness.Turned(c, now)
	}
	return conflictIsLater(err)
}

// sources are the GitRepos and HelmOps that a cluster has deployments of, and whether one of those is ready.
type sources map[sourceKey]bool

type sourceKey struct {
	helmOp bool
	key    client.ObjectKey
}

func (s sources) add(bd *fleet.BundleDeployment, ready bool) {
	k := sourceKey{key: client.ObjectKey{Namespace: bd.Labels[fleet.BundleNamespaceLabel], Name: bd.Labels[fleet.RepoLabel]}}
	if k.key.Name == "" {
		k.helmOp, k.key.Name = true, bd.Labels[fleet.HelmOpLabel]
	}
	if k.key.Name != "" {
		s[k] = s[k] || ready
	}
}

// count counts those of obj's kind that exist.
func (s sources) count(ctx context.Context, c client.Reader, obj client.Object) (ready, all int) {
	_, helmOps := obj.(*fleet.HelmOp)
	for k, ok := range s {
		if k.helmOp != helmOps || c.Get(ctx, k.key, obj) != nil {
			continue
		}
		all++
		if ok {
			ready++
		}
	}
	return ready, all
}

// markLost writes Unknown into the health of a lost cluster's BundleDeployments. The agent takes it back with its next
// report: it reports anew when it finds a health that it did not write.
func (r *Reconciler) markLost(ctx context.Context, clusterNamespace string, deployments []fleet.BundleDeployment) error {
	if !r.Liveness.Lost(clusterNamespace) {
		return nil
	}
	since := r.Liveness.LastSeen(clusterNamespace)
	for i := range deployments {
		if deployments[i].Status.Health == fleet.HealthUnknown {
			continue
		}
		now := deployments[i].DeepCopy()
		err := Patch(ctx, r.Client, now, func() {
			now.Status.Health = fleet.HealthUnknown
			fleet.SetCondition(&now.Status.Conditions, fleet.ConditionReady, "Unknown", "Lost", lostMessage(since))
		})
		if client.IgnoreNotFound(err) != nil {
			return err
		}
	}
	return nil
}

// setReady writes the Ready condition: True iff there is no message. What is not verified is told besides.
func setReady(conditions *[]fleet.GenericCondition, message, unverified string) {
	value, reason := corev1.ConditionTrue, ""
	switch {
	case message != "":
		value, reason = corev1.ConditionFalse, fleet.ReasonError
	case unverified != "":
		reason, message = fleet.ReasonNotVerified, unverified
	}
	fleet.SetCondition(conditions, fleet.ConditionReady, value, reason, message)
}

func nonEmpty(in ...string) []string {
	var out []string
	for _, s := range in {
		if s != "" {
			out = append(out, s)
		}
	}
	return out
}
