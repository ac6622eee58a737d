package group

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	fleet "flotilla.io/flotilla/api/v1alpha1"
	"flotilla.io/flotilla/controller/status"
)

const (
	sampleSize = 10  // names that a status lists
	wordsBytes = 512 // what the message repeats of one cluster's
)

// count writes into a group's status what its clusters say. The same clusters in another order count the same.
func count(group *fleet.ClusterGroup, clusters []fleet.Cluster) {
	st := &group.Status
	clusters = slices.Clone(clusters)
	slices.SortFunc(clusters, func(a, b fleet.Cluster) int { return strings.Compare(a.Name, b.Name) })
	st.ClusterCount, st.NonReadyClusterCount, st.NonReadyClusters = len(clusters), 0, nil
	st.Summary, st.ResourceCounts = fleet.BundleSummary{}, fleet.ResourceCounts{}
	worst, states := fleet.BundleState(""), map[string]*offender{}
	unverified := &offender{}
	for i := range clusters {
		c := &clusters[i]
		addSummary(&st.Summary, &c.Status.Summary)
		addCounts(&st.ResourceCounts, &c.Status.ResourceCounts)
		if fleet.ConditionIs(c.Status.Conditions, fleet.ConditionReady, corev1.ConditionTrue) {
			unverified.note(c)
			continue
		}
		st.NonReadyClusterCount++
		if len(st.NonReadyClusters) < sampleSize {
			st.NonReadyClusters = append(st.NonReadyClusters, c.Name)
		}
		state := stateOf(c)
		if states[state] == nil {
			states[state] = &offender{first: c}
		}
		states[state].count++
		if fleet.StateRank[fleet.BundleState(state)] > fleet.StateRank[worst] || worst == "" {
			worst = fleet.BundleState(state)
		}
	}
	st.Summary.NonReadyResources = status.Sample(st.Summary.NonReadyResources)
	st.Display = display(st, worst)
	ready, reason, message := corev1.ConditionFalse, "", messageOf(states)
	if message == "" {
		ready = corev1.ConditionTrue
	}
	if message == "" && unverified.count > 0 {
		reason, message = fleet.ReasonNotVerified, messageOf(map[string]*offender{fleet.ReasonNotVerified: unverified})
	}
	fleet.SetCondition(&st.Conditions, fleet.ConditionReady, ready, reason, message)
}

func display(st *fleet.ClusterGroupStatus, worst fleet.BundleState) fleet.ClusterGroupDisplay {
	out := fleet.ClusterGroupDisplay{
		ReadyClusters: fmt.Sprintf("%d/%d", st.ClusterCount-st.NonReadyClusterCount, st.ClusterCount),
		ReadyBundles:  fmt.Sprintf("%d/%d", st.Summary.Ready, st.Summary.DesiredReady),
		State:         string(worst),
	}
	if len(st.NonReadyClusters) > 0 {
		out.ReadyClusters += " (" + strings.Join(st.NonReadyClusters, ",") + ")"
	}
	return out
}

// offender is the first cluster in a state, and how many are in it.
type offender struct {
	first *fleet.Cluster
	count int
}

// note counts a cluster that is ready and not verified.
func (o *offender) note(c *fleet.Cluster) {
	if ready := fleet.Condition(c.Status.Conditions, fleet.ConditionReady); ready.Reason != fleet.ReasonNotVerified {
		return
	}
	if o.count++; o.first == nil {
		o.first = c
	}
}

// stateOf is the state of a cluster that is not ready.
func stateOf(c *fleet.Cluster) string {
	if c.Status.Display.State == "" {
		return fleet.DisplayWaitCheckIn // nothing was ever said about it
	}
	return c.Status.Display.State
}

// messageOf is Fleet's sentence: each state with its count and the first cluster that is in it.
func messageOf(states map[string]*offender) string {
	parts := make([]string, 0, len(states))
	for state, o := range states {
		name := o.first.Namespace + "/" + o.first.Name
		if ready := fleet.Condition(o.first.Status.Conditions, fleet.ConditionReady); ready != nil && ready.Message != "" {
			name += ": " + fleet.Clip(ready.Message, wordsBytes)
		}
		parts = append(parts, fmt.Sprintf("%s(%d) [Cluster %s]", state, o.count, name))
	}
	slices.Sort(parts)
	return strings.Join(parts, "; ")
}

func addSummary(to, from *fleet.BundleSummary) {
	to.NotReady += from.NotReady
	to.WaitApplied += from.WaitApplied
	to.ErrApplied += from.ErrApplied
	to.OutOfSync += from.OutOfSync
	to.Modified += from.Modified
	to.Ready += from.Ready
	to.Pending += from.Pending
	to.Unknown += from.Unknown
	to.Unverified += from.Unverified
	to.DesiredReady += from.DesiredReady
	room := sampleSize - len(to.NonReadyResources)
	to.NonReadyResources = append(to.NonReadyResources, from.NonReadyResources[:min(room, len(from.NonReadyResources))]...)
}

func addCounts(to, from *fleet.ResourceCounts) {
	to.Ready += from.Ready
	to.DesiredReady += from.DesiredReady
	to.WaitApplied += from.WaitApplied
	to.Modified += from.Modified
	to.Orphaned += from.Orphaned
	to.Missing += from.Missing
	to.Unknown += from.Unknown
	to.NotReady += from.NotReady
}
