// Package health says whether one live object is ready, on its way, or failed.
//
// It is pure; the rules are those of kstatus. Most kinds (ConfigMap, Role, …) have no rule: they are ready once they are
// applied, and the agent never reads them for this.
package health

import (
	"fmt"
	"slices"
	"strings"

	"github.com/fluxcd/cli-utils/pkg/kstatus/status"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"flotilla.io/flotilla/bundle/layer"
)

// State is how an object is.
type State string

const (
	Ready       State = "ready"
	Progressing State = "progressing"
	Failed      State = "failed"
	Removing    State = "removing"
)

// Verdict is a state and, unless it is Ready, why in one line.
type Verdict struct {
	State   State
	Message string
}

// ruled lists the kinds of Kubernetes' own groups that have a rule.
var ruled = map[string][]string{
	"":                       {"Pod", "Service", "PersistentVolumeClaim", "ReplicationController"},
	"apps":                   {"Deployment", "StatefulSet", "DaemonSet", "ReplicaSet"},
	"batch":                  {"Job"},
	"policy":                 {"PodDisruptionBudget"},
	"apiextensions.k8s.io":   {"CustomResourceDefinition"},
	"apiregistration.k8s.io": {"APIService"},
}

// HasRule tells whether an object of this kind may be anything but ready once it is applied. Kinds that are not of
// Kubernetes itself may all have conditions.
func HasRule(key layer.Key) bool {
	if kinds, own := ruled[key.Group]; own {
		return slices.Contains(kinds, key.Kind)
	}
	return strings.Contains(key.Group, ".") && !strings.HasSuffix(key.Group, ".k8s.io")
}

// Assess says how a live object is. Conditions that match one of ignore (all its keys and values) do not count. The
// object is not modified.
func Assess(live *unstructured.Unstructured, ignore []map[string]string) Verdict {
	if len(ignore) > 0 {
		live = withoutConditions(live, ignore)
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

// Complete says whether a live object that is ready has also done its work: a Job that runs is ready, and has not.
func Complete(live *unstructured.Unstructured) Verdict {
	if gvk := live.GroupVersionKind(); gvk.Group != "batch" || gvk.Kind != "Job" {
		return Verdict{State: Ready}
	}
	conditions, _, _ := unstructured.NestedSlice(live.Object, "status", "conditions")
	for _, c := range conditions {
		if m, ok := c.(map[string]any); ok && m["type"] == "Complete" && m["status"] == "True" {
			return Verdict{State: Ready}
		}
	}
	return Verdict{Progressing, "is not complete"}
}

// apiService adds the one rule that kstatus lacks: an API that is registered and does not answer.
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
