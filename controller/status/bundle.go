package status

import (
	"context"
	"fmt"
	"strings"

	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	fleet "flotilla.io/flotilla/api/v1alpha1"
)

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
	all := &bundled{}
	for i := range deployments {
		all.add(&deployments[i], r.entry(clusterOf(&deployments[i]), &deployments[i]), plan)
	}
	all.addMissing(plan, deployments)
	now := b.DeepCopy()
	return conflictIsLater(Patch(ctx, r.Client, now, func() { all.write(now) }))
}

// bundled is what a Bundle came to on all clusters. Names of clusters are "namespace/name".
type bundled struct {
	tally       tally
	created     int // orders that no agent has taken up yet
	unavailable int // not what the order says, or not ready
	behind      int // unavailable, or without the newest order
}

func (a *bundled) add(bd *fleet.BundleDeployment, e entry, plan Plan) {
	if bd.Status.ObservedSequence == 0 && bd.Status.AppliedDeploymentID == "" {
		a.created++
	}
	if e.state == fleet.Unknown || bd.Status.Hold != nil || bd.Status.AppliedDeploymentID != bd.Spec.DeploymentID || !bd.Status.Ready {
		a.unavailable++
		a.behind++
	} else if e.state == fleet.OutOfSync || plan.Behind[e.name] != "" {
		a.behind++
	}
	if cause := plan.Errors[e.name]; cause != "" && e.state == fleet.Ready {
		e.message = cause // it runs what it had; the bundle says what is wrong
	}
	if cause := plan.Waiting[e.name]; cause != "" && fleet.StateRank[e.state] < fleet.StateRank[fleet.Pending] {
		e.state, e.message = fleet.Pending, cause // it runs what it had; its turn has not come
	}
	a.tally.add(e)
}

// addMissing counts the clusters that have no BundleDeployment yet as Pending.
func (a *bundled) addMissing(plan Plan, deployments []fleet.BundleDeployment) {
	have := map[string]bool{}
	for i := range deployments {
		have[clusterOf(&deployments[i])] = true
	}
	add := func(name, message string) {
		if !have[name] {
			a.behind++
			a.tally.add(entry{name: name, state: fleet.Pending, message: message})
		}
	}
	for _, name := range plan.Pending {
		add(name, plan.Waiting[name])
	}
	for name, cause := range plan.Errors {
		add(name, cause)
	}
}

func (a *bundled) write(b *fleet.Bundle) {
	st := &b.Status
	st.Summary = a.tally.result()
	st.NewlyCreated, st.Unavailable = a.created, a.unavailable
	a.partition(st)
	st.Display = fleet.BundleDisplay{
		ReadyClusters: fmt.Sprintf("%d/%d", st.Summary.Ready, st.Summary.DesiredReady), State: string(a.tally.state()),
	}
	setReady(&st.Conditions, strings.Join(nonEmpty(problems(st.Conditions), a.tally.message("Cluster")), "; "), a.tally.unverified("Cluster"))
}

// allClusters is Fleet's name of the partition that a bundle has when nothing cuts it into several.
const allClusters = "All"

// partition says how the bundle moves: to all clusters at once, whatever spec.rolloutStrategy asks for. Which clusters are
// not ready stands in the bundle's own summary, and once is enough.
func (a *bundled) partition(st *fleet.BundleStatus) {
	count := st.Summary.DesiredReady
	st.MaxUnavailable, st.MaxUnavailablePartitions, st.UnavailablePartitions = max(1, count), 0, 0
	summary := st.Summary
	summary.NonReadyResources = nil
	st.PartitionStatus = []fleet.PartitionStatus{{
		Name: allClusters, Count: count, MaxUnavailable: st.MaxUnavailable, Unavailable: a.behind, Summary: summary,
	}}
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

// waiting is what keeps some clusters of a bundle from its newest revision. The bundle itself names it cluster by cluster.
func waiting(conditions []fleet.GenericCondition) string {
	c := fleet.Condition(conditions, ConditionWaiting)
	if c == nil || c.Status != "True" {
		return ""
	}
	return fmt.Sprintf("%s: %s", c.Reason, c.Message)
}
