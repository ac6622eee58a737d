package hooks

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/dynamic"

	"flotilla.io/flotilla/agent/apply"
	"flotilla.io/flotilla/agent/plan"
	"flotilla.io/flotilla/api/v1alpha1"
)

// step is one hook at one event of a run.
type step struct {
	*Runner
	run     *Run
	event   Event
	hook    Hook
	name    string
	wanted  *unstructured.Unstructured
	objects dynamic.ResourceInterface
}

func (r *Runner) step(ctx context.Context, run *Run, event Event, h Hook) (*step, error) {
	wanted, err := r.Object(ctx, h.Key)
	if err != nil {
		return nil, err
	}
	kind, err := r.Tenant.Kinds.Of(wanted.GroupVersionKind())
	if err != nil {
		return nil, err
	}
	return &step{r, run, event, h, name(event, h), wanted, r.Tenant.Object(kind, wanted.GetNamespace())}, nil
}

// mark is what tells this run's object from all others: whose it is, the run and the event.
func (s *step) mark() string { return s.Owner + " " + s.run.ID + " " + string(s.event) }

// isOurs tells whether a live object is the one of this step. Of the kinds that are never deleted any is.
func (s *step) isOurs(live *unstructured.Unstructured) bool {
	return live.GetAnnotations()[v1alpha1.HookAnnotation] == s.mark() || plan.Protected(s.hook.Key)
}

// start records that a hook is started, and creates it.
func (s *step) start(ctx context.Context) (*unstructured.Unstructured, error) {
	live, err := s.objects.Get(ctx, s.wanted.GetName(), metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		live = nil
	case err != nil:
		return nil, s.explain(err)
	case !s.isOurs(live):
		return nil, s.makeRoom(ctx, live)
	}
	s.run.Started = &Started{Hook: s.name, At: time.Now()}
	if err := s.Save(ctx, s.run.Copy()); err != nil {
		s.run.Started = nil
		return nil, err
	}
	if live != nil {
		return live, nil
	}
	s.Log.Info("starting a hook", "bundle", s.Owner, "hook", s.name)
	annotations := s.wanted.GetAnnotations()
	annotations[v1alpha1.HookAnnotation] = s.mark()
	s.wanted.SetAnnotations(annotations)
	outlive(s.wanted)
	if live, err = s.objects.Create(ctx, s.wanted, metav1.CreateOptions{FieldManager: v1alpha1.AgentFieldManager}); err == nil {
		return live, nil
	}
	return s.lost(ctx, s.explain(err))
}

// explain says what an answer of the API server means, and shows no value.
func (s *step) explain(err error) error {
	return fmt.Errorf("hook at %s: %w", s.event, apply.Explain(s.hook.Key, err))
}

// lost finds out whether a hook was created although the answer was an error, or none. If it was not, it never began.
func (s *step) lost(ctx context.Context, err error) (*unstructured.Unstructured, error) {
	live, getErr := s.objects.Get(ctx, s.wanted.GetName(), metav1.GetOptions{})
	switch {
	case getErr == nil && s.isOurs(live):
		return live, nil
	case getErr == nil, apierrors.IsNotFound(getErr), apierrors.ReasonForError(err) != metav1.StatusReasonUnknown:
		s.run.Started = nil
		return nil, errors.Join(err, s.Save(ctx, s.run.Copy()))
	}
	return nil, err
}

// makeRoom deletes what is left of an earlier run. What is no hook of this bundle is not touched.
func (s *step) makeRoom(ctx context.Context, live *unstructured.Unstructured) error {
	annotations := live.GetAnnotations()
	mark, marked := annotations[v1alpha1.HookAnnotation]
	_, helms := annotations[eventAnnotation]
	owner := annotations[v1alpha1.OwnerAnnotation]
	ours := strings.HasPrefix(mark, s.Owner+" ") || !marked && helms && owner == "" || owner == s.Owner
	switch {
	case !ours:
		return fmt.Errorf("hook %s: an object of that name is there and is no hook of this bundle; delete it, or rename one of the two", s.name)
	case !s.hook.has(beforeCreation):
		return fmt.Errorf("hook %s: the one of an earlier run is still there, and its delete policy keeps it; delete it, or add before-hook-creation", s.name)
	}
	if err := s.remove(ctx, live); err != nil {
		return s.explain(err)
	}
	return &RunningError{s.name, "waits until that of an earlier run is gone", 500 * time.Millisecond}
}

// remove deletes just the object that was read.
func (s *step) remove(ctx context.Context, live *unstructured.Unstructured) error {
	if live.GetDeletionTimestamp() != nil {
		return nil
	}
	uid, version, background := live.GetUID(), live.GetResourceVersion(), metav1.DeletePropagationBackground
	err := s.objects.Delete(ctx, live.GetName(), metav1.DeleteOptions{
		Preconditions: &metav1.Preconditions{UID: &uid, ResourceVersion: &version}, PropagationPolicy: &background,
	})
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}

// fail ends the run. What policies say to delete then is deleted; where that does not work it stays, for the failure counts.
func (s *step) fail(ctx context.Context, why string) error {
	s.run.Started, s.run.Failed = nil, fmt.Sprintf("hook %s failed: %s", s.name, why)
	if err := s.Save(ctx, s.run.Copy()); err != nil {
		return err
	}
	s.Log.Warn("a hook failed", "bundle", s.Owner, "hook", s.name, "reason", why)
	errs := []error{s.drop(ctx, s.run, s.event, s.hook, failed)}
	for _, h := range at(s.Hooks, s.event) {
		if name(s.event, h) != s.name {
			errs = append(errs, s.drop(ctx, s.run, s.event, h, succeeded))
		}
	}
	if err := errors.Join(errs...); err != nil {
		s.Log.Info("a hook could not be deleted", "bundle", s.Owner, "error", err)
	}
	return &FailedError{s.run.Failed}
}

// output says how to read what a hook printed, as long as it stays. It is never copied to a log or a status: it may hold
// anything, also what helm.sh/hook-output-log-policy asks to have printed.
func (s *step) output() string {
	key := s.hook.Key
	if key.Kind != "Job" && key.Kind != "Pod" || s.hook.has(failed) {
		return ""
	}
	return fmt.Sprintf("; `kubectl -n %s logs %s/%s` shows what it printed", s.wanted.GetNamespace(), strings.ToLower(key.Kind), key.Name)
}

// ended tells whether a hook is over, and if it failed, why. All but Jobs and Pods are over once they exist.
func ended(live *unstructured.Unstructured) (over bool, why string) {
	switch live.GroupVersionKind().GroupKind().String() {
	case "Job.batch":
		return jobEnded(live)
	case "Pod":
		phase, _, _ := unstructured.NestedString(live.Object, "status", "phase")
		switch phase {
		case "Succeeded":
			return true, ""
		case "Failed":
			message, _, _ := unstructured.NestedString(live.Object, "status", "message")
			return true, strings.TrimSuffix("the pod failed: "+message, ": ")
		}
		return false, ""
	}
	return true, ""
}

func jobEnded(live *unstructured.Unstructured) (over bool, why string) {
	conditions, _, _ := unstructured.NestedSlice(live.Object, "status", "conditions")
	for _, c := range conditions {
		m, _ := c.(map[string]any)
		if m["status"] != "True" {
			continue
		}
		switch m["type"] {
		case string(batchv1.JobComplete):
			return true, ""
		case string(batchv1.JobFailed):
			return true, strings.TrimSuffix(fmt.Sprintf("%v: %v", m["reason"], m["message"]), ": ")
		}
	}
	return false, ""
}

// stays is how long a Job that ended stays at least: one that is gone cannot tell how it ended.
const stays = 60

// outlive keeps a Job from being cleaned up before its end was seen.
func outlive(u *unstructured.Unstructured) {
	if u.GetKind() != "Job" {
		return
	}
	if ttl, found, err := unstructured.NestedInt64(u.Object, "spec", "ttlSecondsAfterFinished"); found && err == nil && ttl < stays {
		_ = unstructured.SetNestedField(u.Object, int64(stays), "spec", "ttlSecondsAfterFinished")
	}
}
