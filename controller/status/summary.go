package status

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	fleet "flotilla.io/flotilla/api/v1alpha1"
)

// Bounds of what a status shows, so that none comes near the size that an API server takes, whatever the fleet's size:
// counts are exact, and what is shown besides is cut, always in the same way.
const (
	sampleSize   = 10       // deployments that are not ready
	sampleBytes  = 12 << 10 // all of them together
	objectsShown = 4        // of one deployment, of those with drift and of those not ready
	wordsBytes   = 512      // what one of them says
)

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

// MessageOf is what the agent says about a BundleDeployment that is not Ready. That it is at work is no message, in Fleet
// neither: the state says so.
func MessageOf(bd *fleet.BundleDeployment) string {
	if bd.Status.Hold != nil {
		return bd.Status.Hold.Message
	}
	types := []string{fleet.ConditionDeployed}
	if bd.Status.AppliedDeploymentID == bd.Spec.DeploymentID {
		types = append(types, fleet.ConditionInstalled)
	}
	for _, t := range append(types, fleet.ConditionMonitored) {
		c := fleet.Condition(bd.Status.Conditions, t)
		if c != nil && c.Status == "False" && c.Message != "" && c.Reason != fleet.ReasonApplying {
			return c.Message
		}
	}
	return ""
}

// entry is one deployment's contribution to a summary.
type entry struct {
	name     string // as the summary's reader knows it: cluster, bundle or BundleDeployment
	among    string // tells entries of one name apart
	state    fleet.BundleState
	message  string
	modified []fleet.ModifiedStatus
	nonReady []fleet.NonReadyStatus
	// unverified is what does not do its work yet although all is ready, "" for nothing. It counts for what is Ready alone.
	unverified string
}

func entryOf(name string, bd *fleet.BundleDeployment) entry {
	return entry{
		name: name, among: clusterOf(bd), state: StateOf(bd), message: MessageOf(bd),
		modified: bd.Status.ModifiedStatus, nonReady: bd.Status.NonReadyStatus, unverified: unverifiedOf(bd.Status.Conditions),
	}
}

// unverifiedOf is what a Ready condition says that is True and has something to say about what is not verified.
func unverifiedOf(conditions []fleet.GenericCondition) string {
	c := fleet.Condition(conditions, fleet.ConditionReady)
	if c == nil || c.Status != "True" || c.Reason != fleet.ReasonNotVerified {
		return ""
	}
	return c.Message
}

// compare orders entries: the worst first, and those of one state by name.
func (e entry) compare(other entry) int {
	if by := fleet.StateRank[other.state] - fleet.StateRank[e.state]; by != 0 {
		return by
	}
	if by := strings.Compare(e.name, other.name); by != 0 {
		return by
	}
	return strings.Compare(e.among, other.among)
}

// shown is the entry as a summary shows it, cut to its bounds. What the entry refers to stays as it is: it is the cache's.
func (e entry) shown() fleet.NonReadyResource {
	out := fleet.NonReadyResource{Name: e.name, State: e.state, Message: fleet.Clip(e.message, wordsBytes)}
	for _, m := range e.modified[:min(len(e.modified), objectsShown)] {
		m.Patch = fleet.Clip(m.Patch, wordsBytes)
		out.ModifiedStatus = append(out.ModifiedStatus, m)
	}
	for _, n := range e.nonReady[:min(len(e.nonReady), objectsShown)] {
		if words := strings.Join(n.Summary.Message, ", "); len(words) > wordsBytes {
			n.Summary.Message = []string{fleet.Clip(words, wordsBytes)}
		}
		out.NonReadyStatus = append(out.NonReadyStatus, n)
	}
	return out
}

// tally counts entries. Whatever order they come in, it keeps the first few of those that are not ready, the worst before
// the others, and the first of each state.
type tally struct {
	summary fleet.BundleSummary
	sample  []entry
	first   map[fleet.BundleState]entry
	waits   *entry // the first that is Ready and not verified
}

func (t *tally) add(e entry) {
	t.summary.DesiredReady++
	*counter(&t.summary, e.state)++
	if e.state == fleet.Ready {
		t.addUnverified(e)
		return
	}
	if t.first == nil {
		t.first = map[fleet.BundleState]entry{}
	}
	if have, ok := t.first[e.state]; !ok || e.compare(have) < 0 {
		t.first[e.state] = e
	}
	at, _ := slices.BinarySearchFunc(t.sample, e, entry.compare)
	if at < sampleSize {
		t.sample = slices.Insert(t.sample, at, e)
		t.sample = t.sample[:min(len(t.sample), sampleSize)]
	}
}

func (t *tally) addUnverified(e entry) {
	if e.unverified == "" {
		return
	}
	t.summary.Unverified++
	if t.waits == nil || e.compare(*t.waits) < 0 {
		t.waits = &e
	}
}

// unverified says how many are Ready and not verified, and what is with the first.
func (t *tally) unverified(kind string) string {
	if t.waits == nil {
		return ""
	}
	return fmt.Sprintf("%s(%d) [%s %s: %s]", fleet.ReasonNotVerified, t.summary.Unverified, kind, t.waits.name, fleet.Clip(t.waits.unverified, wordsBytes))
}

// counter is where a summary counts a state.
func counter(s *fleet.BundleSummary, state fleet.BundleState) *int {
	switch state {
	case fleet.Ready:
		return &s.Ready
	case fleet.NotReady:
		return &s.NotReady
	case fleet.WaitApplied:
		return &s.WaitApplied
	case fleet.ErrApplied:
		return &s.ErrApplied
	case fleet.OutOfSync:
		return &s.OutOfSync
	case fleet.Modified:
		return &s.Modified
	case fleet.Pending:
		return &s.Pending
	}
	return &s.Unknown
}

// result is the summary with its bounded sample.
func (t *tally) result() fleet.BundleSummary {
	out := t.summary
	for _, e := range t.sample {
		out.NonReadyResources = append(out.NonReadyResources, e.shown())
	}
	out.NonReadyResources = Sample(out.NonReadyResources)
	return out
}

// Sample cuts a list of what is not ready to the number and the bytes that a status has room for.
func Sample(list []fleet.NonReadyResource) []fleet.NonReadyResource {
	room := sampleBytes
	for i := range list {
		if room -= encodedSize(list[i]); i == sampleSize || room < 0 {
			return slices.Clip(list[:i])
		}
	}
	return list
}

// encodedSize is what a value takes in a status.
func encodedSize(value any) int {
	data, err := json.Marshal(value)
	if err != nil {
		panic(err) // API types can be encoded
	}
	return len(data)
}

// worst is the entry that a person looks at first; false when all are ready. Unlike Fleet's, which looks at the sample, it
// is the worst of all.
func (t *tally) worst() (entry, bool) {
	if len(t.sample) == 0 {
		return entry{}, false
	}
	return t.sample[0], true
}

// state is the worst state, empty when all are ready.
func (t *tally) state() fleet.BundleState {
	e, _ := t.worst()
	return e.state
}

// message is Fleet's sentence for the Ready condition: for each state its count and the first that has it, with what is
// wrong with its objects, all sorted. Kind is what the names are of ("Cluster", "Bundle"). It is empty when all are ready.
func (t *tally) message(kind string) string {
	var parts []string
	for state, e := range t.first {
		e := e.shown()
		head := fmt.Sprintf("%s(%d) [%s %s]", state, *counter(&t.summary, state), kind, e.Name)
		if e.Message != "" {
			head = fmt.Sprintf("%s(%d) [%s %s: %s]", state, *counter(&t.summary, state), kind, e.Name, e.Message)
		}
		parts = append(parts, head)
		for _, m := range e.ModifiedStatus {
			parts = append(parts, m.String())
		}
		for _, n := range e.NonReadyStatus {
			parts = append(parts, n.String())
		}
	}
	slices.Sort(parts)
	return strings.Join(parts, "; ")
}
