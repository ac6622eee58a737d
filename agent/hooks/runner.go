package hooks

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"flotilla.io/flotilla/agent/plan"
	"flotilla.io/flotilla/agent/tenant"
	"flotilla.io/flotilla/api/v1alpha1"
	"flotilla.io/flotilla/bundle/layer"
)

// defaultTimeout is Helm's.
const defaultTimeout = 5 * time.Minute

// Timeout is how long the options give each hook.
func Timeout(o v1alpha1.BundleDeploymentOptions) time.Duration {
	if o.Helm != nil && o.Helm.TimeoutSeconds > 0 {
		return time.Duration(o.Helm.TimeoutSeconds) * time.Second
	}
	return defaultTimeout
}

// Object makes the object of a hook: in its namespace, but with nothing that would have it watched or pruned.
func Object(e layer.Entry, namespace string) (*unstructured.Unstructured, error) {
	u := &unstructured.Unstructured{}
	if err := u.UnmarshalJSON(e.Object); err != nil {
		return nil, fmt.Errorf("reading %s: it is no Kubernetes object", e.Key)
	}
	u.SetNamespace(namespace)
	return u, nil
}

// releaseAnnotation is what Helm puts on each object of a release.
const releaseAnnotation = "meta.helm.sh/release-name"

// judgedMost bounds how many objects are looked at to find out who installed a bundle.
const judgedMost = 20

// IsReleased tells whether Helm or Fleet installed the bundle with these objects before: then its hooks are those of an
// upgrade.
func IsReleased(ctx context.Context, t *tenant.Tenant, wanted []plan.Wanted) (bool, error) {
	for _, w := range wanted[:min(judgedMost, len(wanted))] {
		kind, err := t.Kinds.Of(schema.GroupVersionKind{Group: w.Key.Group, Version: w.Version, Kind: w.Key.Kind})
		if err != nil {
			return false, err
		}
		live, err := t.Meta(kind, w.Key.Namespace).Get(ctx, w.Key.Name, metav1.GetOptions{})
		if err == nil && live.Annotations[releaseAnnotation] != "" {
			return true, nil
		}
	}
	return false, nil
}

// Runner runs hooks of one revision, as the tenant.
type Runner struct {
	Tenant  *tenant.Tenant
	Owner   string        // the deployment that they belong to
	Timeout time.Duration // of each hook
	Hooks   []Hook
	// Object gives a hook's object, in the namespace that it goes to.
	Object func(context.Context, layer.Key) (*unstructured.Unstructured, error)
	// Save stores a Run. What is started counts only when it was stored.
	Save func(context.Context, *Run) error
	Log  *slog.Logger
}

// Do brings the hooks of an event on: one after the other, as far as it goes without waiting. Nil means that all succeeded;
// a *RunningError that one runs; a *FailedError that one failed for good. After any other error it is tried again.
func (r *Runner) Do(ctx context.Context, run *Run, event Event) error {
	if run.Over(event) {
		return nil
	}
	if run.Failed != "" {
		return &FailedError{run.Failed}
	}
	due := at(r.Hooks, event)
	for _, h := range due {
		if slices.Contains(run.Past, name(event, h)) {
			continue
		}
		if err := r.one(ctx, run, event, h); err != nil {
			return err
		}
	}
	for _, h := range slices.Backward(due) {
		if err := r.drop(ctx, run, event, h, succeeded); err != nil {
			return err
		}
	}
	run.Done = append(run.Done, event)
	return r.Save(ctx, run.Copy())
}

func name(event Event, h Hook) string { return string(event) + " " + h.Key.String() }

// one starts a hook, or looks how the started one is.
func (r *Runner) one(ctx context.Context, run *Run, event Event, h Hook) error {
	s, err := r.step(ctx, run, event, h)
	if err != nil {
		return fmt.Errorf("hook %s: %w", name(event, h), err)
	}
	var live *unstructured.Unstructured
	if run.Started == nil || run.Started.Hook != s.name {
		live, err = s.start(ctx)
	} else if live, err = s.objects.Get(ctx, s.wanted.GetName(), metav1.GetOptions{}); apierrors.IsNotFound(err) {
		return s.fail(ctx, "it is not there any more, and whether it ended well is not known; it is not run again")
	} else if err != nil {
		err = s.explain(err)
	}
	if err != nil {
		return err
	}
	over, why := ended(live)
	age := time.Since(run.Started.At)
	switch {
	case !s.isOurs(live):
		return s.fail(ctx, "another object has its name now")
	case over && why == "":
		r.Log.Info("a hook succeeded", "bundle", r.Owner, "hook", s.name)
		run.Past, run.Started = append(run.Past, s.name), nil
		return r.Save(ctx, run.Copy())
	case over:
		return s.fail(ctx, why+s.output())
	case age > r.Timeout:
		return s.fail(ctx, fmt.Sprintf("it did not end within %s", r.Timeout)+s.output())
	}
	return &RunningError{s.name, "runs", min(max(time.Second, age/10), 10*time.Second)}
}

// drop deletes a hook that has a policy.
func (r *Runner) drop(ctx context.Context, run *Run, event Event, h Hook, p policy) error {
	if !h.has(p) || plan.Protected(h.Key) {
		return nil
	}
	s, err := r.step(ctx, run, event, h)
	if err != nil {
		return err
	}
	live, err := s.objects.Get(ctx, s.wanted.GetName(), metav1.GetOptions{})
	if apierrors.IsNotFound(err) || err == nil && !s.isOurs(live) {
		return nil
	}
	if err == nil {
		err = s.remove(ctx, live)
	}
	if err != nil {
		return s.explain(err)
	}
	return nil
}
