package liveness

import (
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	fleet "flotilla.io/flotilla/api/v1alpha1"
)

// Reasons of a Cluster's Ready condition that Show sets.
const (
	ReasonAgentLost   = "AgentLost"
	ReasonWaitCheckIn = "WaitCheckIn"
)

// Reasons of events, besides ReasonAgentLost.
const (
	ReasonAgentBack = "AgentBack"
	ReasonCheckedIn = "CheckedIn"
)

// Turned makes an event of what a write of a Cluster's status said first: that its agent reported for the first time, is lost,
// or is back. Whoever writes Ready calls it with the status before and after, once it is written: the write that loses a race
// says nothing.
func (l *Liveness) Turned(before, after *fleet.Cluster) {
	was, is, recorder := readyReason(before), readyReason(after), l.Events
	if recorder == nil {
		return
	}
	switch {
	case was == is:
	case is == ReasonAgentLost:
		recorder.Eventf(after, nil, corev1.EventTypeWarning, is, "Watch", "%s", fleet.Condition(after.Status.Conditions, fleet.ConditionReady).Message)
	case was == ReasonAgentLost:
		recorder.Eventf(after, nil, corev1.EventTypeNormal, ReasonAgentBack, "Watch", "the agent renews its lease again")
	case was == ReasonWaitCheckIn:
		recorder.Eventf(after, nil, corev1.EventTypeNormal, ReasonCheckedIn, "Watch", "the agent reports for the first time")
	}
}

func readyReason(c *fleet.Cluster) string {
	if ready := fleet.Condition(c.Status.Conditions, fleet.ConditionReady); ready != nil {
		return ready.Reason
	}
	return ""
}

// Show puts what is known of a cluster's agent over what its deployments say: for a lost one, and for one that was never
// seen, condition Ready is Unknown and display.state says which; agent.lastSeen moves with those turns only. Whoever
// writes a Cluster's Ready calls it last, so that all write the same.
func (l *Liveness) Show(c *fleet.Cluster) {
	seen, back, lost := l.look(c.Status.Namespace)
	ready := fleet.Condition(c.Status.Conditions, fleet.ConditionReady)
	covered := ready != nil && (ready.Reason == ReasonAgentLost || ready.Reason == ReasonWaitCheckIn)
	switch {
	case seen.IsZero():
		c.Status.Agent.LastSeen = metav1.Time{} // one that is there is of Fleet's agent
		cover(c, fleet.DisplayWaitCheckIn, ReasonWaitCheckIn, "the agent has not reported yet")
	case lost:
		c.Status.Agent.LastSeen = metav1.NewTime(seen)
		cover(c, string(fleet.Unknown), ReasonAgentLost,
			fmt.Sprintf("lost: the agent's lease ran out, it was last renewed at %s", seen.UTC().Format(time.RFC3339)))
	default:
		if last := c.Status.Agent.LastSeen; last.IsZero() || last.Time.Before(back) {
			c.Status.Agent.LastSeen = metav1.NewTime(seen)
		}
		if covered {
			uncover(c)
		}
	}
}

func cover(c *fleet.Cluster, state, reason, message string) {
	c.Status.Display.State = state
	fleet.SetCondition(&c.Status.Conditions, fleet.ConditionReady, corev1.ConditionUnknown, reason, message)
}

// uncover lets the counts of the last roll-up speak again, until the next one says more.
func uncover(c *fleet.Cluster) {
	summary, state := c.Status.Summary, fleet.BundleState("")
	for _, r := range summary.NonReadyResources {
		if fleet.StateRank[r.State] > fleet.StateRank[state] {
			state = r.State
		}
	}
	c.Status.Display.State = string(state)
	if summary.Ready == summary.DesiredReady {
		fleet.SetCondition(&c.Status.Conditions, fleet.ConditionReady, corev1.ConditionTrue, "", "")
		return
	}
	fleet.SetCondition(&c.Status.Conditions, fleet.ConditionReady, corev1.ConditionFalse, "",
		fmt.Sprintf("%d of %d bundles ready", summary.Ready, summary.DesiredReady))
}
