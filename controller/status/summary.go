package status

import (
	"fmt"
	"slices"
	"sort"
	"strings"

	fleet "flotilla.io/flotilla/api/v1alpha1"
)

// sampleSize bounds the non-ready resources that a summary names.
const sampleSize = 10

// StateOf reads the state of a BundleDeployment from its spec and the agent's report.
func StateOf(bd *fleet.BundleDeployment) fleet.BundleState {
	switch {
	case bd.Status.Health == fleet.HealthUnknown:
		return fleet.Unknown
	case bd.Status.Hold != nil:
		return fleet.WaitApplied // what it reports besides is not about what the hub wants
	case bd.Status.AppliedDeploymentID != bd.Spec.DeploymentID:
		if c := fleet.Condition(bd.Status.Conditions, fleet.ConditionDeployed); c != nil && c.Status == "False" && c.Reason == fleet.ReasonError {
			return fleet.ErrApplied
		}
		return fleet.WaitApplied
	case !bd.Status.Ready:
		return fleet.NotReady
	case bd.Spec.StagedDeploymentID != "" && bd.Spec.DeploymentID != bd.Spec.StagedDeploymentID:
		return fleet.OutOfSync
	case !bd.Status.NonModified:
		return fleet.Modified
	}
	return fleet.Ready
}

// MessageOf is what the agent says about a BundleDeployment that is not Ready.
func MessageOf(bd *fleet.BundleDeployment) string {
	if bd.Status.Hold != nil {
		return bd.Status.Hold.Message
	}
	types := []string{fleet.ConditionDeployed}
	if bd.Status.AppliedDeploymentID == bd.Spec.DeploymentID {
		types = append(types, fleet.ConditionInstalled)
	}
	for _, t := range append(types, fleet.ConditionMonitored) {
		if c := fleet.Condition(bd.Status.Conditions, t); c != nil && c.Status == "False" && c.Message != "" {
			return c.Message
		}
	}
	return ""
}

// entry is one deployment's contribution to a summary.
type entry struct {
	name     string // as the summary's reader knows it: cluster, bundle or BundleDeployment
	state    fleet.BundleState
	message  string
	modified []fleet.ModifiedStatus
	nonReady []fleet.NonReadyStatus
	detail   string // the agent's sentence about the first object that is not as it should be
}

func entryOf(name string, bd *fleet.BundleDeployment) entry {
	e := entry{name: name, state: StateOf(bd), message: MessageOf(bd), modified: bd.Status.ModifiedStatus, nonReady: bd.Status.NonReadyStatus}
	if c := fleet.Condition(bd.Status.Conditions, fleet.ConditionReady); c != nil && (e.state == fleet.Modified || e.state == fleet.NotReady) {
		e.detail = c.Message
	}
	return e
}

// tally counts entries; it keeps the first few of those that are not ready, by name, whatever order they come in.
type tally struct {
	summary fleet.BundleSummary
	sample  []entry
}

func (t *tally) add(e entry) {
	t.summary.DesiredReady++
	switch e.state {
	case fleet.Ready:
		t.summary.Ready++
		return
	case fleet.NotReady:
		t.summary.NotReady++
	case fleet.WaitApplied:
		t.summary.WaitApplied++
	case fleet.ErrApplied:
		t.summary.ErrApplied++
	case fleet.OutOfSync:
		t.summary.OutOfSync++
	case fleet.Modified:
		t.summary.Modified++
	case fleet.Pending:
		t.summary.Pending++
	case fleet.Unknown:
		t.summary.Unknown++
	}
	at, _ := slices.BinarySearchFunc(t.sample, e, func(a, b entry) int {
		return strings.Compare(a.name+"\x00"+string(a.state), b.name+"\x00"+string(b.state))
	})
	if at < sampleSize {
		t.sample = slices.Insert(t.sample, at, e)
		t.sample = t.sample[:min(len(t.sample), sampleSize)]
	}
}

// result is the summary with its bounded sample.
func (t *tally) result() fleet.BundleSummary {
	out := t.summary
	for _, e := range t.sample {
		out.NonReadyResources = append(out.NonReadyResources, fleet.NonReadyResource{
			Name: e.name, State: e.state, Message: e.message,
			ModifiedStatus: firstModified(e.modified, 4), NonReadyStatus: firstNonReady(e.nonReady, 4),
		})
	}
	return out
}

// state is the worst of the sample, empty when all are ready.
func (t *tally) state() fleet.BundleState {
	var worst fleet.BundleState
	for _, e := range t.sample {
		if fleet.StateRank[e.state] > fleet.StateRank[worst] {
			worst = e.state
		}
	}
	return worst
}

// message is the sentence of the Ready condition: for each state its count and the first that has it. Kind is what the
// names are of ("Cluster", "Bundle"). It is empty when all are ready.
func (t *tally) message(kind string) string {
	counts := map[fleet.BundleState]int{
		fleet.NotReady: t.summary.NotReady, fleet.WaitApplied: t.summary.WaitApplied, fleet.ErrApplied: t.summary.ErrApplied,
		fleet.OutOfSync: t.summary.OutOfSync, fleet.Modified: t.summary.Modified, fleet.Pending: t.summary.Pending, fleet.Unknown: t.summary.Unknown,
	}
	parts := map[string]bool{}
	for state, n := range counts {
		if n == 0 {
			continue
		}
		i := slices.IndexFunc(t.sample, func(e entry) bool { return e.state == state })
		if i < 0 {
			parts[fmt.Sprintf("%s(%d)", state, n)] = true
			continue
		}
		e := t.sample[i]
		head := fmt.Sprintf("%s(%d) [%s %s]", state, n, kind, e.name)
		if e.message != "" {
			head = fmt.Sprintf("%s(%d) [%s %s: %s]", state, n, kind, e.name, e.message)
		}
		parts[head] = true
		if e.detail != "" && e.detail != e.message {
			parts[e.detail] = true
		}
	}
	return joinSorted(parts)
}

func firstModified(in []fleet.ModifiedStatus, n int) []fleet.ModifiedStatus {
	return in[:min(len(in), n)]
}
func firstNonReady(in []fleet.NonReadyStatus, n int) []fleet.NonReadyStatus {
	return in[:min(len(in), n)]
}

func joinSorted(parts map[string]bool) string {
	out := make([]string, 0, len(parts))
	for p := range parts {
		out = append(out, p)
	}
	sort.Strings(out)
	return strings.Join(out, "; ")
}
