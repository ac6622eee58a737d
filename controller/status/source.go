package status

import (
	"context"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	fleet "flotilla.io/flotilla/api/v1alpha1"
)

// gitRepo rolls up one GitRepo over the BundleDeployments of its Bundles.
func (r *Reconciler) gitRepo(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	repo := &fleet.GitRepo{}
	if err := r.Client.Get(ctx, req.NamespacedName, repo); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	all, broken, err := r.ofSource(ctx, RepoIndex, fleet.RepoLabel, req.NamespacedName)
	if err != nil {
		return ctrl.Result{}, err
	}
	now := repo.DeepCopy()
	return conflictIsLater(Patch(ctx, r.Client, now, func() {
		st := &now.Status
		wrong := nonEmpty(condition(st.Conditions, fleet.ConditionStalled, "True"), broken)
		all.write(&st.StatusBase, wrong)
		if st.GitJobStatus != fleet.GitJobCurrent {
			st.Display.State = fleet.DisplayGitUpdating
		}
		setRepoReady(&st.Conditions, all.message(wrong), all.tally.unverified("Bundle"))
	}))
}

// helmOp rolls up one HelmOp, as a GitRepo is.
func (r *Reconciler) helmOp(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	op := &fleet.HelmOp{}
	if err := r.Client.Get(ctx, req.NamespacedName, op); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	all, broken, err := r.ofSource(ctx, HelmOpIndex, fleet.HelmOpLabel, req.NamespacedName)
	if err != nil {
		return ctrl.Result{}, err
	}
	now := op.DeepCopy()
	return conflictIsLater(Patch(ctx, r.Client, now, func() {
		st := &now.Status
		wrong := nonEmpty(condition(st.Conditions, fleet.ConditionAccepted, "False"), condition(st.Conditions, fleet.ConditionPolled, "False"), broken)
		all.write(&st.StatusBase, wrong)
		setReady(&st.Conditions, all.message(wrong), all.tally.unverified("Bundle"))
	}))
}

// condition is what a condition says if it has that status.
func condition(conditions []fleet.GenericCondition, kind string, status corev1.ConditionStatus) string {
	if c := fleet.Condition(conditions, kind); c != nil && c.Status == status {
		return fmt.Sprintf("%s: %s", c.Reason, c.Message)
	}
	return ""
}

// setRepoReady writes the Ready condition. Where all is well it still tells of what lies below the paths and is not deployed:
// kubectl shows that message, and nobody would look further.
func setRepoReady(conditions *[]fleet.GenericCondition, message, unverified string) {
	if idle := fleet.Condition(*conditions, ConditionUnclaimed); message == "" && unverified == "" && idle != nil && idle.Status == "True" {
		fleet.SetCondition(conditions, fleet.ConditionReady, corev1.ConditionTrue, ConditionUnclaimed, idle.Message)
		return
	}
	setReady(conditions, message, unverified)
}

// ofSource counts what a GitRepo or HelmOp came to, and says what is wrong with Bundles that no BundleDeployment can tell.
func (r *Reconciler) ofSource(ctx context.Context, index, label string, source client.ObjectKey) (*deployed, string, error) {
	bundles := &fleet.BundleList{}
	if err := r.Client.List(ctx, bundles, client.InNamespace(source.Namespace), client.MatchingLabels{label: source.Name}, client.UnsafeDisableDeepCopy); err != nil {
		return nil, "", err
	}
	deployments, err := r.deployments(ctx, index, source.String())
	if err != nil {
		return nil, "", err
	}
	all := &deployed{ready: map[string]bool{}, counts: map[string]*fleet.ResourceCounts{}, objects: objects{}}
	for i := range deployments {
		bd := &deployments[i]
		all.add(bd, r.entry(bd.Name, bd))
	}
	return all, bundleProblems(bundles.Items), nil
}

// bundleProblems copies what is wrong with the first bundles, by name.
func bundleProblems(bundles []fleet.Bundle) string {
	var out []string
	for i := range bundles {
		p := nonEmpty(problems(bundles[i].Status.Conditions), waiting(bundles[i].Status.Conditions))
		if len(p) > 0 {
			out = append(out, fmt.Sprintf("[Bundle %s: %s]", bundles[i].Name, strings.Join(p, "; ")))
		}
	}
	slices.Sort(out)
	if len(out) > 3 {
		out = append(out[:3], fmt.Sprintf("and %d more bundles", len(out)-3))
	}
	return strings.Join(out, "; ")
}

// deployed is what a GitRepo or HelmOp came to on all clusters. Names of clusters are "namespace/name".
type deployed struct {
	tally   tally
	ready   map[string]bool // whether all that a cluster has is ready
	counts  map[string]*fleet.ResourceCounts
	objects objects
}

func (d *deployed) add(bd *fleet.BundleDeployment, e entry) {
	d.tally.add(e)
	cluster := clusterOf(bd)
	ok, seen := d.ready[cluster]
	d.ready[cluster] = (ok || !seen) && e.state == fleet.Ready
	if d.counts[cluster] == nil {
		d.counts[cluster] = &fleet.ResourceCounts{}
	}
	addCounts(d.counts[cluster], countsOf(bd, e.state))
	d.objects.add(bd, e.state, cluster)
}

// message is the Ready condition's: what is wrong with the source, and then Fleet's sentence.
func (d *deployed) message(wrong []string) string {
	return strings.Join(append(wrong, nonEmpty(d.tally.message("Bundle"))...), "; ")
}

// write fills in what GitRepos and HelmOps have in common, but the conditions.
func (d *deployed) write(st *fleet.StatusBase, wrong []string) {
	st.Summary = d.tally.result()
	st.ReadyClusters, st.DesiredReadyClusters = 0, len(d.ready)
	for _, ok := range d.ready {
		if ok {
			st.ReadyClusters++
		}
	}
	st.Resources = d.objects.list()
	st.ResourceCounts = fleet.ResourceCounts{}
	for _, c := range d.counts {
		addCounts(&st.ResourceCounts, *c)
	}
	st.PerClusterResourceCounts = boundCounts(d.counts)
	worst, _ := d.tally.worst()
	message := fleet.Clip(strings.Join(append(wrong, nonEmpty(worst.message)...), "; "), fleet.MessageBytes)
	st.Display = fleet.StatusDisplay{
		ReadyBundleDeployments: fmt.Sprintf("%d/%d", st.Summary.Ready, st.Summary.DesiredReady),
		State:                  string(worst.state), Message: message, Error: message != "",
	}
}
