// Package health says whether one live object does its work, is on its way, or failed.
//
// It is pure. The rules of the bundle win over the built-in ones, and those over kstatus. Two things are told apart: an object that is
// ready need not be waited for, and one that is verified does its work; most kinds know no difference. Most kinds (ConfigMap, Role, …)
// have no rule at all: they are ready once they are applied, and the agent never reads them for this.
package health

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/fluxcd/cli-utils/pkg/kstatus/status"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// State is how an object is.
type State string

const (
	// Ready and verified; or there is nothing to verify.
	Ready State = "ready"
	// Joined is ready, and not verified yet: others need not wait for it.
	Joined      State = "joined"
	Progressing State = "progressing"
	Failed      State = "failed"
	Removing    State = "removing"
)

// Verdict is a state and, unless it is Ready, why in one line.
type Verdict struct {
	State   State
	Message string
}

// Behind tells whether there is something to wait for.
func (v Verdict) Behind() bool { return v.State != Ready && v.State != Joined && v.State != "" }

// Assess says how a live object is. It is not modified.
func (r *Rules) Assess(ctx context.Context, live *unstructured.Unstructured) Verdict {
	if len(r.ignore) > 0 {
		live = withoutConditions(live, r.ignore)
	}
	v := r.assess(ctx, live)
	// The word for what is all right stands in one column alone, so that people can look for lines without it.
	v.Message = strings.ReplaceAll(v.Message, "Healthy", "healthy")
	return v
}

func (r *Rules) assess(ctx context.Context, live *unstructured.Unstructured) Verdict {
	rule := r.of(live)
	if rule != nil && live.GetDeletionTimestamp() == nil && !unobserved(live) {
		return rule.assess(ctx, live)
	}
	result, err := status.Compute(live)
	if err != nil {
		return Verdict{Progressing, fmt.Sprintf("its status cannot be read: %v", err)}
	}
	switch result.Status {
	case status.CurrentStatus:
		return apiService(live)
	case status.FailedStatus:
		return Verdict{Failed, result.Message}
	case status.TerminatingStatus:
		return Verdict{Removing, "is being deleted"}
	}
	return Verdict{Progressing, result.Message}
}

// unobserved tells that the object's controller says itself that it has not come to the newest spec: its status is about another one.
func unobserved(live *unstructured.Unstructured) bool {
	observed, found, err := unstructured.NestedInt64(live.Object, "status", "observedGeneration")
	return found && err == nil && observed < live.GetGeneration()
}

// Complete says whether a live object that is ready has also done its work: a Job that runs is ready, and has not.
func Complete(live *unstructured.Unstructured) Verdict {
	if gvk := live.GroupVersionKind(); gvk.Group != "batch" || gvk.Kind != "Job" {
		return Verdict{State: Ready}
	}
	if hasCondition(live, "Complete") {
		return Verdict{State: Ready}
	}
	return Verdict{Progressing, "is not complete"}
}

func hasCondition(live *unstructured.Unstructured, kind string) bool {
	conditions, _, _ := unstructured.NestedSlice(live.Object, "status", "conditions")
	return slices.ContainsFunc(conditions, func(c any) bool {
		m, ok := c.(map[string]any)
		return ok && m["type"] == kind && m["status"] == "True"
	})
}

// apiService adds a rule that kstatus lacks: an API that is registered and does not answer.
func apiService(live *unstructured.Unstructured) Verdict {
	if live.GetKind() != "APIService" {
		return Verdict{State: Ready}
	}
	conditions, _, _ := unstructured.NestedSlice(live.Object, "status", "conditions")
	for _, c := range conditions {
		if m, ok := c.(map[string]any); ok && m["type"] == "Available" && m["status"] != "True" {
			return Verdict{Progressing, fmt.Sprintf("%v", m["message"])}
		}
	}
	return Verdict{State: Ready}
}

func withoutConditions(live *unstructured.Unstructured, ignore []map[string]string) *unstructured.Unstructured {
	conditions, found, err := unstructured.NestedSlice(live.Object, "status", "conditions")
	if !found || err != nil {
		return live
	}
	left := slices.DeleteFunc(conditions, func(c any) bool {
		m, ok := c.(map[string]any)
		return ok && slices.ContainsFunc(ignore, func(pattern map[string]string) bool { return matches(m, pattern) })
	})
	live = live.DeepCopy()
	if err := unstructured.SetNestedSlice(live.Object, left, "status", "conditions"); err != nil {
		return live
	}
	return live
}

func matches(condition map[string]any, pattern map[string]string) bool {
	for k, v := range pattern {
		if fmt.Sprint(condition[k]) != v {
			return false
		}
	}
	return len(pattern) > 0
}
