package status

import (
	"context"
	"fmt"
	"sort"
	"strings"
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
	e := entryOf(name, bd)
	if r.Liveness.Lost(bd.Namespace) {
		return entry{name: name, state: fleet.Unknown, message: lostMessage(r.Liveness.LastSeen(bd.Namespace))}
	}
	return e
}

func lostMessage(since time.Time) string {
	return fmt.Sprintf("no report since %s", since.UTC().Format("2006-01-02T15:04Z"))
}

func clusterOf(bd *fleet.BundleDeployment) string {
	return bd.Labels[fleet.ClusterNamespaceLabel] + "/" + bd.Labels[fleet.ClusterLabel]
}

// bundle rolls up one Bundle.
func (r *Reconciler) bundle(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	b := &fleet.Bundle{}
	if err := r.Client.Get(ctx, req.NamespacedName, b); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	plan, planned := r.Plans.Of(req.NamespacedName)
	if !planned && b.DeletionTimestamp.IsZero() {
		return ctrl.Result{}, nil // the plan wakes this roll-up
	}
	deployments, err := r.deployments(ctx, BundleIndex, req.String())
	if err != nil {
		return ctrl.Result{}, err
	}
	t := &tally{}
	for i := range deployments {
		bd := &deployments[i]
		e := r.entry(clusterOf(bd), bd)
		if cause := plan.Errors[e.name]; cause != "" && e.state == fleet.Ready {
			e.message = cause // it runs what it had; the bundle says what is wrong
		}
		t.add(e)
	}
	addMissing(t, plan, deployments)
	now := b.DeepCopy()
	return conflictIsLater(Patch(ctx, r.Client, now, func() { writeBundle(now, t) }))
}

// addMissing counts the clusters that have no BundleDeployment yet as Pending.
func addMissing(t *tally, plan Plan, deployments []fleet.BundleDeployment) {
	have := map[string]bool{}
	for i := range deployments {
		have[clusterOf(&deployments[i])] = true
	}
	for _, name := range plan.Pending {
		if !have[name] {
			t.add(entry{name: name, state: fleet.Pending})
		}
	}
	for name, cause := range plan.Errors {
		if !have[name] {
			t.add(entry{name: name, state: fleet.Pending, message: cause})
		}
	}
}

func writeBundle(b *fleet.Bundle, t *tally) {
	st := &b.Status
	st.Summary = t.result()
	st.Unavailable = t.summary.DesiredReady - t.summary.Ready
	st.Display = fleet.BundleDisplay{
		ReadyClusters: fmt.Sprintf("%d/%d", t.summary.Ready, t.summary.DesiredReady), State: string(t.state()),
	}
	setReady(&st.Conditions, strings.Join(nonEmpty(problems(st.Conditions), t.message("Cluster")), "; "))
}

// problems are the sentences of the bundle's other conditions: what stands between a push and the clusters.
func problems(conditions []fleet.GenericCondition) string {
	var out []string
	for _, want := range []struct{ kind, bad string }{
		{fleet.ConditionAccepted, "False"}, {ConditionSource, "False"}, {ConditionNotServed, "True"}, {ConditionTargeted, "False"}, {ConditionRendered, "False"}, {ConditionHeld, "True"},
	} {
		c := fleet.Condition(conditions, want.kind)
		if c == nil || string(c.Status) != want.bad || want.kind == ConditionNotServed && c.Reason == "Ignored" {
			continue
		}
		out = append(out, fmt.Sprintf("%s: %s", c.Reason, c.Message))
	}
	return strings.Join(out, "; ")
}

// gitRepo rolls up one GitRepo over the BundleDeployments of its Bundles.
func (r *Reconciler) gitRepo(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	repo := &fleet.GitRepo{}
	if err := r.Client.Get(ctx, req.NamespacedName, repo); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	bundles := &fleet.BundleList{}
	if err := r.Client.List(ctx, bundles, client.InNamespace(req.Namespace), client.MatchingLabels{fleet.RepoLabel: req.Name}, client.UnsafeDisableDeepCopy); err != nil {
		return ctrl.Result{}, err
	}
	deployments, err := r.deployments(ctx, RepoIndex, req.String())
	if err != nil {
		return ctrl.Result{}, err
	}
	t, ready, clusters := &tally{}, 0, map[string]bool{}
	var counts fleet.ResourceCounts
	for i := range deployments {
		bd := &deployments[i]
		e := r.entry(bd.Name, bd)
		e.name = bd.Name
		t.add(e)
		addCounts(&counts, bd.Status.ResourceCounts)
		ok, seen := clusters[clusterOf(bd)]
		clusters[clusterOf(bd)] = (ok || !seen) && e.state == fleet.Ready
	}
	for _, ok := range clusters {
		if ok {
			ready++
		}
	}
	now := repo.DeepCopy()
	return conflictIsLater(Patch(ctx, r.Client, now, func() {
		st := &now.Status.StatusBase
		st.Summary, st.ResourceCounts = t.result(), counts
		st.ReadyClusters, st.DesiredReadyClusters = ready, len(clusters)
		message := strings.Join(nonEmpty(repoProblems(now), bundleProblems(bundles.Items), t.message("Bundle")), "; ")
		st.Display.ReadyBundleDeployments = fmt.Sprintf("%d/%d", t.summary.Ready, t.summary.DesiredReady)
		st.Display.State = string(t.state())
		if now.Status.GitJobStatus != "" && now.Status.GitJobStatus != "Current" {
			st.Display.State = fleet.DisplayGitUpdating
		}
		st.Display.Message, st.Display.Error = message, message != ""
		setRepoReady(&st.Conditions, message)
	}))
}

// setRepoReady writes the Ready condition. Where all is well it still tells of what lies below the paths and is not deployed:
// kubectl shows that message, and nobody would look further.
func setRepoReady(conditions *[]fleet.GenericCondition, message string) {
	if idle := fleet.Condition(*conditions, ConditionUnclaimed); message == "" && idle != nil && idle.Status == "True" {
		fleet.SetCondition(conditions, fleet.ConditionReady, corev1.ConditionTrue, ConditionUnclaimed, idle.Message)
		return
	}
	setReady(conditions, message)
}

// repoProblems are the GitRepo's own: a source that cannot be read, a bundle that cannot be parsed.
func repoProblems(repo *fleet.GitRepo) string {
	if c := fleet.Condition(repo.Status.Conditions, fleet.ConditionStalled); c != nil && c.Status == "True" {
		return fmt.Sprintf("%s: %s", c.Reason, c.Message)
	}
	return ""
}

// bundleProblems copies what is wrong with the first bundles, by name, that no BundleDeployment can tell.
func bundleProblems(bundles []fleet.Bundle) string {
	var out []string
	for i := range bundles {
		if p := problems(bundles[i].Status.Conditions); p != "" {
			out = append(out, fmt.Sprintf("[Bundle %s: %s]", bundles[i].Name, p))
		}
	}
	sort.Strings(out)
	if len(out) > 3 {
		out = append(out[:3], fmt.Sprintf("and %d more bundles", len(out)-3))
	}
	return strings.Join(out, "; ")
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
	t, repos := &tally{}, map[string]bool{}
	var counts fleet.ResourceCounts
	for i := range deployments {
		bd := &deployments[i]
		e := r.entry(bd.Labels[fleet.BundleLabel], bd)
		t.add(e)
		addCounts(&counts, bd.Status.ResourceCounts)
		if repo := bd.Labels[fleet.RepoLabel]; repo != "" {
			repos[repo] = repos[repo] || e.state == fleet.Ready
		}
	}
	now := c.DeepCopy()
	return conflictIsLater(Patch(ctx, r.Client, now, func() {
		writeCluster(now, t, repos, counts)
		if ns := now.Status.Namespace; !r.Liveness.Lost(ns) && !r.Liveness.LastSeen(ns).IsZero() {
			setReady(&now.Status.Conditions, t.message("Bundle"))
		}
		r.Liveness.Show(now)
	}))
}

func writeCluster(c *fleet.Cluster, t *tally, repos map[string]bool, counts fleet.ResourceCounts) {
	st := &c.Status
	st.Summary, st.ResourceCounts = t.result(), counts
	st.DesiredReadyGitRepos, st.ReadyGitRepos = len(repos), 0
	for _, ready := range repos {
		if ready {
			st.ReadyGitRepos++
		}
	}
	st.Display.ReadyBundles = fmt.Sprintf("%d/%d", t.summary.Ready, t.summary.DesiredReady)
	st.Display.State = string(t.state())
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

// setReady writes the Ready condition: True iff there is nothing to say.
func setReady(conditions *[]fleet.GenericCondition, message string) {
	value, reason := corev1.ConditionTrue, ""
	if message != "" {
		value, reason = corev1.ConditionFalse, fleet.ReasonError
	}
	fleet.SetCondition(conditions, fleet.ConditionReady, value, reason, message)
}

func addCounts(sum *fleet.ResourceCounts, c fleet.ResourceCounts) {
	sum.Ready += c.Ready
	sum.DesiredReady += c.DesiredReady
	sum.WaitApplied += c.WaitApplied
	sum.Modified += c.Modified
	sum.Orphaned += c.Orphaned
	sum.Missing += c.Missing
	sum.Unknown += c.Unknown
	sum.NotReady += c.NotReady
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
