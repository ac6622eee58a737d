// Package report turns what the agent knows about one BundleDeployment into its status.
//
// It is pure. The same facts give the same status, byte by byte and in the same order, so that an agent that starts anew
// on a settled cluster finds nothing to write; a condition's times move only with what it says. Lists are sorted and
// bounded, counts are exact. The status holds no value of an object but those that package drift lets show, and the word
// for a deployment at its best stands in one field alone.
package report

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	jsonpatch "github.com/evanphx/json-patch/v5"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"flotilla.io/flotilla/agent/health"
	"flotilla.io/flotilla/api/v1alpha1"
	"flotilla.io/flotilla/bundle/layer"
)

// ConditionConflict is True on both BundleDeployments that want the same object.
const ConditionConflict = "Conflict"

// Reasons of conditions, besides v1alpha1.ReasonError.
const (
	ReasonWaiting     = "Waiting"
	ReasonWantedTwice = "ObjectWantedTwice"
	ReasonDrifted     = "Drifted"
	ReasonNotReady    = "NotReady"
	ReasonHeld        = "Held"
	ReasonDeleting    = "Deleting"
)

const (
	// most is how many entries a list of what is wrong has.
	most = 10
	// resourceBytes bounds the list of all objects: of a deployment of usual size it has every one.
	resourceBytes = 16 << 10
	// MinResourceBytes is what an entry of that list takes besides its names.
	MinResourceBytes = 88
	// MostResources is how many objects that list can have, and a caller has to give.
	MostResources = resourceBytes / MinResourceBytes
)

// Facts is all that a status is made of.
type Facts struct {
	Spec     v1alpha1.BundleDeploymentSpec // the order
	Sequence int64                         // the highest seen
	Applied  string                        // the deploymentID that was last applied in whole
	Running  string                        // how a person names the revision that runs
	Failure  string                        // why the order could not be carried out, "" if it was
	Waiting  string                        // what it waits for before it can be carried out
	Lost     string                        // what the hub does not have of its own order
	Hold     *v1alpha1.Hold
	Conflict string   // which objects another deployment wants too
	Watching []string // why some objects are not watched
	Objects  []Object // wanted objects that are not as they should be, sorted by key
	Unread   int      // objects whose readiness was not seen yet
	Total    int      // wanted objects
	Applies  []Object // the first objects of the deployment, sorted by key
	Kept     []string
	Deleting []layer.Key // objects that are still there while the deployment is taken away
	Deletion string
	Synced   int64 // forceSyncGeneration
	Outputs  []v1alpha1.OutputValue
	Once     []v1alpha1.OnceObject
	Probes   []string // what probes do not find as it should be
}

// Object is how one object is.
type Object struct {
	Key      layer.Key
	Version  string
	UID      types.UID
	Health   health.Verdict
	Created  int64 // in seconds of Unix time; 0 if it does not exist
	Missing  bool
	Replaced bool
	Fields   []v1alpha1.DriftedField
	Fight    string // who changes it again each time it is put back
}

func (o Object) modified() bool { return o.Missing || len(o.Fields) > 0 }

// Compose makes the status that follows before, which is not modified.
func Compose(before v1alpha1.BundleDeploymentStatus, f Facts) v1alpha1.BundleDeploymentStatus {
	s := *before.DeepCopy()
	s.AppliedDeploymentID = f.Applied
	s.ObservedSequence = f.Sequence
	s.Hold = f.Hold
	s.Deletion = f.Deletion
	s.Kept = cut(f.Kept)
	if f.Applied == f.Spec.DeploymentID {
		s.DownstreamResourcesGeneration = f.Spec.DownstreamResourcesGeneration
	}
	s.Outputs, s.Once = f.Outputs, f.Once
	s.SyncGeneration = nil
	if f.Synced != 0 {
		s.SyncGeneration = &f.Synced
	}
	f.objects(&s)
	f.conditions(&s)
	s.Health = f.Health()
	if f.AsWanted() {
		s.ReadyDeploymentID = f.Applied
	}
	s.Display = display(f, s)
	return s
}

// Health is the one word.
func (f Facts) Health() v1alpha1.Health {
	if word := f.readiness(); word != v1alpha1.HealthHealthy || f.unverified() == "" {
		return word
	}
	return v1alpha1.HealthProgressing
}

// AsWanted tells whether all is there, ready and unchanged; it need not be verified.
func (f Facts) AsWanted() bool { return f.readiness() == v1alpha1.HealthHealthy }

// unverified names what is ready and does not do its work yet, "" if there is nothing.
func (f Facts) unverified() string {
	var lines []string
	for _, o := range f.Objects {
		if o.Health.State == health.Joined {
			lines = append(lines, o.nonReadyStatus().String())
		}
	}
	return firstThree(append(lines, f.Probes...))
}

func firstThree(lines []string) string {
	if more := len(lines) - 3; more > 0 {
		lines = append(lines[:3], fmt.Sprintf("and %d more", more))
	}
	return strings.Join(lines, "; ")
}

// readiness is the word without what only has to be verified.
func (f Facts) readiness() v1alpha1.Health {
	modified, failed, progressing := false, false, f.Unread > 0
	for _, o := range f.Objects {
		modified = modified || o.modified()
		failed = failed || o.Health.State == health.Failed
		progressing = progressing || o.Health.State == health.Progressing || o.Health.State == health.Removing
	}
	switch {
	case f.Hold != nil:
		return v1alpha1.HealthHeld
	case f.Spec.Deletion != nil:
		return v1alpha1.HealthDeleting
	case f.Failure != "":
		return v1alpha1.HealthFailed
	case f.Waiting != "":
		return v1alpha1.HealthWaiting
	case f.Applied != f.Spec.DeploymentID:
		return v1alpha1.HealthProgressing
	case modified:
		return v1alpha1.HealthDrifted
	case failed:
		return v1alpha1.HealthFailed
	case progressing:
		return v1alpha1.HealthProgressing
	}
	return v1alpha1.HealthHealthy
}

// Ready tells whether all that was ordered is there and ready.
func (f Facts) Ready() bool {
	return f.Failure == "" && f.Waiting == "" && f.Applied == f.Spec.DeploymentID && f.Spec.DeploymentID != "" && f.Behind() == ""
}

// Behind says what is not there or not ready: the first three objects, sorted, or what keeps the order from being carried out.
func (f Facts) Behind() string {
	if text := cmp.Or(f.Failure, f.Waiting); text != "" {
		return text
	}
	var lines []string
	for _, o := range f.Objects {
		switch {
		case o.Missing:
			lines = append(lines, o.modifiedStatus().String())
		case o.Health.Behind():
			lines = append(lines, o.nonReadyStatus().String())
		}
	}
	if f.Unread > 0 {
		lines = append(lines, fmt.Sprintf("%d of %d objects were not looked at yet", f.Unread, f.Total))
	}
	return firstThree(lines)
}

// objects fills lists and counts.
func (f Facts) objects(s *v1alpha1.BundleDeploymentStatus) {
	s.NonReadyStatus, s.ModifiedStatus, s.Drift, s.Resources = nil, nil, nil, nil
	counts := v1alpha1.ResourceCounts{DesiredReady: f.Total}
	for _, o := range f.Objects {
		switch {
		case o.Missing:
			counts.Missing++
		case len(o.Fields) > 0:
			counts.Modified++
		case o.Health.Behind():
			counts.NotReady++
		}
		if o.modified() {
			s.ModifiedStatus = append(s.ModifiedStatus, o.modifiedStatus())
			s.Drift = append(s.Drift, o.drifted()...)
		}
		if o.Health.Behind() && !o.Missing {
			s.NonReadyStatus = append(s.NonReadyStatus, o.nonReadyStatus())
		}
	}
	if f.Applied == f.Spec.DeploymentID {
		counts.NotReady += f.Unread
		counts.Ready = max(0, f.Total-counts.Missing-counts.Modified-counts.NotReady)
	} else {
		counts.WaitApplied = max(0, f.Total-counts.Missing-counts.Modified-counts.NotReady)
	}
	s.ResourceCounts = counts
	s.Resources = f.resources()
	s.IncompleteState = len(s.NonReadyStatus) > most || len(s.ModifiedStatus) > most || len(s.Resources) < f.Total
	s.NonReadyStatus, s.ModifiedStatus, s.Drift = cut(s.NonReadyStatus), cut(s.ModifiedStatus), cut(s.Drift)
	s.Ready = f.Unread == 0 && len(s.NonReadyStatus) == 0 && counts.Missing == 0 &&
		f.Applied == f.Spec.DeploymentID && f.Spec.DeploymentID != ""
	s.NonModified = len(s.ModifiedStatus) == 0
}

// resources lists the objects of the deployment, as many as there is room for.
func (f Facts) resources() []v1alpha1.BundleDeploymentResource {
	var list []v1alpha1.BundleDeploymentResource
	room := resourceBytes
	for _, o := range f.Applies {
		r := v1alpha1.BundleDeploymentResource{Kind: o.Key.Kind, APIVersion: o.apiVersion(), Namespace: o.Key.Namespace, Name: o.Key.Name}
		if o.Created != 0 {
			r.CreatedAt = metav1.Unix(o.Created, 0)
		}
		if room -= MinResourceBytes + len(r.Kind) + len(r.APIVersion) + len(r.Namespace) + len(r.Name); room < 0 {
			break
		}
		list = append(list, r)
	}
	return slices.Clip(list)
}

func cut[T any](list []T) []T {
	return slices.Clip(list[:min(len(list), most)])
}

// conditions sets Deployed, Installed, Monitored and Ready, in Fleet's order.
func (f Facts) conditions(s *v1alpha1.BundleDeploymentStatus) {
	set := func(kind string, ok bool, reason, message string) {
		status := corev1.ConditionTrue
		if !ok {
			status = corev1.ConditionFalse
		}
		v1alpha1.SetCondition(&s.Conditions, kind, status, reason, message)
	}
	reason, message := f.undeployed()
	set(v1alpha1.ConditionDeployed, message == "", reason, message)
	set(v1alpha1.ConditionInstalled, f.Applied == f.Spec.DeploymentID, "", "")
	if len(f.Watching) > 0 {
		set(v1alpha1.ConditionMonitored, false, v1alpha1.ReasonError, strings.Join(f.Watching[:min(3, len(f.Watching))], "; "))
	} else {
		set(v1alpha1.ConditionMonitored, true, "", "")
	}
	if f.Lost != "" {
		set(v1alpha1.ConditionPulled, false, v1alpha1.ReasonContentMissing, f.Lost)
	} else {
		v1alpha1.RemoveCondition(&s.Conditions, v1alpha1.ConditionPulled)
	}
	if f.Conflict != "" {
		v1alpha1.SetCondition(&s.Conditions, ConditionConflict, corev1.ConditionTrue, ReasonWantedTwice, f.Conflict)
	} else {
		v1alpha1.RemoveCondition(&s.Conditions, ConditionConflict)
	}
	reason, message = f.unready(s)
	if unverified := f.unverified(); message == "" && unverified != "" {
		set(v1alpha1.ConditionReady, true, v1alpha1.ReasonNotVerified, unverified)
	} else {
		set(v1alpha1.ConditionReady, message == "", reason, message)
	}
}

// undeployed says why the order is not carried out, and what runs instead.
func (f Facts) undeployed() (reason, message string) {
	switch {
	case f.Failure != "":
		reason, message = v1alpha1.ReasonError, f.Failure
	case f.Waiting != "":
		reason, message = ReasonWaiting, f.Waiting
	case f.Hold != nil:
		return ReasonHeld, f.Hold.Message
	case f.Applied != f.Spec.DeploymentID:
		return v1alpha1.ReasonApplying, "is being applied"
	default:
		return "", ""
	}
	if f.Running != "" && f.Applied != f.Spec.DeploymentID {
		message += "; revision " + f.Running + " stays"
	}
	return reason, message
}

// unready is the line that a person reads first.
func (f Facts) unready(s *v1alpha1.BundleDeploymentStatus) (reason, message string) {
	reason, message = f.undeployed()
	switch {
	case f.Hold != nil:
		return ReasonHeld, f.Hold.Message
	case f.Spec.Deletion != nil:
		return ReasonDeleting, f.deleting()
	case message != "":
		return reason, message
	case len(s.ModifiedStatus) > 0: // before what is not ready, which may well be for that reason
		return ReasonDrifted, s.ModifiedStatus[0].String()
	case len(s.NonReadyStatus) > 0:
		return ReasonNotReady, s.NonReadyStatus[0].String()
	case f.Unread > 0:
		return ReasonNotReady, fmt.Sprintf("%d of %d objects were not looked at yet", f.Unread, f.Total)
	}
	return "", ""
}

func (f Facts) deleting() string {
	if f.Deletion == v1alpha1.DeletionDone {
		return "was taken away: " + f.Spec.Deletion.Reason
	}
	if f.Failure != "" {
		return fmt.Sprintf("cannot be taken away (%s): %s", f.Spec.Deletion.Reason, f.Failure)
	}
	if len(f.Deleting) > 0 {
		var names []string
		for _, key := range f.Deleting[:min(3, len(f.Deleting))] {
			names = append(names, name(key))
		}
		return fmt.Sprintf("is being taken away (%s); %d left: %s", f.Spec.Deletion.Reason, len(f.Deleting), strings.Join(names, ", "))
	}
	if f.Waiting != "" {
		return fmt.Sprintf("is being taken away (%s): %s", f.Spec.Deletion.Reason, f.Waiting)
	}
	return "is being taken away: " + f.Spec.Deletion.Reason
}

func display(f Facts, s v1alpha1.BundleDeploymentStatus) v1alpha1.BundleDeploymentDisplay {
	return v1alpha1.BundleDeploymentDisplay{
		Deployed:  shown(s.Conditions, v1alpha1.ConditionDeployed),
		Monitored: shown(s.Conditions, v1alpha1.ConditionMonitored),
		State:     string(f.state(s)),
	}
}

func shown(conditions []v1alpha1.GenericCondition, kind string) string {
	c := v1alpha1.Condition(conditions, kind)
	if c.Reason == v1alpha1.ReasonError {
		return "Error: " + c.Message
	}
	return string(c.Status)
}

// state is Fleet's word.
func (f Facts) state(s v1alpha1.BundleDeploymentStatus) v1alpha1.BundleState {
	switch {
	case f.Applied != f.Spec.DeploymentID && f.Failure != "":
		return v1alpha1.ErrApplied
	case f.Applied != f.Spec.DeploymentID:
		return v1alpha1.WaitApplied
	case !s.Ready:
		return v1alpha1.NotReady
	case f.Spec.StagedDeploymentID != "" && f.Spec.StagedDeploymentID != f.Spec.DeploymentID:
		return v1alpha1.OutOfSync
	case !s.NonModified:
		return v1alpha1.Modified
	}
	return v1alpha1.Ready
}

// Patch is the merge patch from one status to the other; nil if they are equal.
func Patch(before, after v1alpha1.BundleDeploymentStatus) ([]byte, error) {
	type status struct {
		Status v1alpha1.BundleDeploymentStatus `json:"status"`
	}
	a, err := json.Marshal(status{before})
	if err != nil {
		return nil, fmt.Errorf("encoding a status: %w", err)
	}
	b, err := json.Marshal(status{after})
	if err != nil {
		return nil, fmt.Errorf("encoding a status: %w", err)
	}
	patch, err := jsonpatch.CreateMergePatch(a, b)
	if err != nil {
		return nil, fmt.Errorf("comparing two statuses: %w", err)
	}
	if string(patch) == "{}" {
		return nil, nil
	}
	return patch, nil
}
