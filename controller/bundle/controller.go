// Package bundle turns Bundles and Clusters into BundleDeployments: match, render once per render key, split into
// layers, publish, and write what changed.
//
// The walk keeps no state of its own: what was rendered for whom stands in the BundleDeployments (render base, the
// questions about capabilities and their answers, layers), so a controller that restarts on a settled fleet compares,
// and renders and writes nothing.
package bundle

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/tools/events"
	"k8s.io/client-go/util/retry"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	fleet "flotilla.io/flotilla/api/v1alpha1"
	"flotilla.io/flotilla/bundle/render"
	"flotilla.io/flotilla/bundle/target"
	"flotilla.io/flotilla/controller/content"
	"flotilla.io/flotilla/controller/output"
	"flotilla.io/flotilla/controller/status"
	"flotilla.io/flotilla/controller/values"
)

// Renderer renders bundles and fills in their templates; the worker pool is one.
type Renderer interface {
	Render(ctx context.Context, in render.Input, caps *render.Capabilities) (*render.Output, error)
	Fill(ctx context.Context, job target.Job) []target.Filled
}

// Reconciler moves Bundles forward. All fields are set before Setup.
type Reconciler struct {
	Client   client.Client
	Reader   client.Reader // live reads, for Secrets and Content
	Store    *content.Store
	Renderer Renderer
	Plans    *status.Plans
	Events   events.EventRecorder
	Clock    clock.PassiveClock
	// SystemNamespace carries the hold on the whole fleet.
	SystemNamespace string

	// Outputs gives bundles the values that they take from others.
	Outputs *output.Giver

	originals *originals
	written   written
}

// wait ends a walk without an error: something else has to happen first, and its event (or After) starts a new walk.
type wait struct {
	Reason string
	After  time.Duration
}

func (w *wait) Error() string { return w.Reason }

// stop ends a walk with something that only a person or a push can change. What was deployed stays.
type stop struct {
	Condition, Reason string
	Err               error
}

func (s *stop) Error() string { return s.Err.Error() }
func (s *stop) Unwrap() error { return s.Err }

// Reconcile brings the BundleDeployments of one Bundle to what it asks for.
func (r *Reconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	b := &fleet.Bundle{}
	if err := r.Client.Get(ctx, req.NamespacedName, b); err != nil {
		if apierrors.IsNotFound(err) {
			r.Plans.Forget(req.NamespacedName)
			r.originals.want(req.NamespacedName, nil)
		}
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	in := &run{bundle: b.DeepCopy()}
	if !b.DeletionTimestamp.IsZero() {
		return r.finalize(ctx, in)
	}
	if fleetAgent(b) {
		return r.leaveFleetAgent(ctx, in)
	}
	if controllerutil.AddFinalizer(in.bundle, fleet.BundleFinalizer) {
		if err := r.Client.Patch(ctx, in.bundle, client.MergeFrom(b)); err != nil {
			return ctrl.Result{}, client.IgnoreNotFound(err)
		}
	}
	return r.finish(ctx, in, r.walk(ctx, in))
}

func (r *Reconciler) walk(ctx context.Context, in *run) error {
	for _, step := range []func(context.Context, *run) error{
		r.observe, // Clusters, Agents, BundleDeployments as they are
		r.permit,  // what the workspace's rules allow
		r.load,    // Bundle, Secret, Content -> files and options
		r.mend,    // layers that agents could not fetch
		r.inputs,  // what it takes from other bundles and clusters
		r.match,   // clusters -> the options of each
		r.copies,  // what they get copies of
		r.bases,   // options -> render bases
		r.depend,  // what waits for a window or for other bundles
		r.render,  // options -> objects, once per render key
		r.split,   // objects -> layers
		r.guard,   // holds, and steps too large to take unasked
		r.publish, // layers -> Content
		r.write,   // one write for each BundleDeployment that changed
		r.retire,  // clusters that are targets no more
	} {
		if err := step(ctx, in); err != nil {
			return err
		}
	}
	return nil
}

// finish records what the walk came to: conditions on the Bundle, and the plan that the roll-up counts by.
func (r *Reconciler) finish(ctx context.Context, in *run, err error) (ctrl.Result, error) {
	var w *wait
	var s *stop
	switch {
	case errors.As(err, &w):
		return ctrl.Result{RequeueAfter: w.After}, nil
	case apierrors.IsConflict(err):
		return ctrl.Result{RequeueAfter: 100 * time.Millisecond}, nil
	case errors.As(err, &s):
		r.Events.Eventf(in.bundle, nil, corev1.EventTypeWarning, s.Reason, "Deploy", "%s", s.Error())
	case err != nil:
		return ctrl.Result{}, err
	}
	plan := in.plan()
	if s != nil {
		plan.Stopped = s.Error()
	}
	r.Plans.Set(client.ObjectKeyFromObject(in.bundle), plan)
	if err := r.report(ctx, in, s); err != nil {
		if apierrors.IsConflict(err) || apierrors.IsNotFound(err) {
			return ctrl.Result{RequeueAfter: 50 * time.Millisecond}, nil
		}
		return ctrl.Result{}, err
	}
	return ctrl.Result{RequeueAfter: in.again}, nil
}

// report writes the conditions of this reconciler: one for each thing that can go wrong, so that one never hides another.
// What the walk learned dies with it, so a write that lost a race is made again on what is there now.
func (r *Reconciler) report(ctx context.Context, in *run, s *stop) error {
	read := client.Reader(r.Client)
	return retry.RetryOnConflict(retry.DefaultRetry, func() error {
		err := r.reportOn(ctx, read, in, s)
		read = r.Reader
		return err
	})
}

func (r *Reconciler) reportOn(ctx context.Context, read client.Reader, in *run, s *stop) error {
	b := &fleet.Bundle{}
	if err := read.Get(ctx, client.ObjectKeyFromObject(in.bundle), b); err != nil {
		return err
	}
	now := b.DeepCopy()
	return status.Patch(ctx, r.Client, now, func() {
		st := &now.Status
		st.ObservedGeneration, st.ResourcesSHA256Sum = in.bundle.Generation, resourcesSum(in.bundle.Spec.Resources)
		for _, kind := range []string{fleet.ConditionAccepted, status.ConditionNotServed, status.ConditionTargeted, status.ConditionRendered, status.ConditionHeld, status.ConditionWaiting} {
			value, reason, message := in.condition(kind, s)
			if value == "" {
				continue
			}
			fleet.SetCondition(&st.Conditions, kind, value, reason, message)
		}
		if s != nil {
			return
		}
		if in.sharedNow != nil {
			st.SharedLayers = in.sharedNow
		}
		st.RenderAliases, st.UnTarget = in.aliasesNow(), in.pendingUnTarget()
	})
}

// load gathers what the bundle consists of.
func (r *Reconciler) load(ctx context.Context, in *run) error {
	whole, err := values.Restore(ctx, r.Reader, in.bundle)
	if waiting := (values.ErrWaiting{}); errors.As(err, &waiting) {
		return &wait{Reason: waiting.Error(), After: 500 * time.Millisecond}
	}
	if err != nil {
		return err
	}
	in.rules.Bind(&whole.Spec)
	in.whole = whole
	if err := in.checkServed(); err != nil {
		return err
	}
	in.files, err = r.files(ctx, in)
	return err
}

// short is a commit as people write it.
func short(commit string) string { return commit[:min(len(commit), 7)] }

// running names the commit that stays deployed, for messages about one that does not make it.
func (in *run) running() string {
	commits := map[string]bool{}
	for i := range in.have {
		if c := in.have[i].Labels[fleet.CommitLabel]; c != "" {
			commits[short(c)] = true
		}
	}
	if len(commits) == 0 {
		return ""
	}
	return fmt.Sprintf("; %s stays deployed", joinKeys(commits))
}

// resourcesSum is Fleet's digest of inline files. Files of a source have none: whoever reads a Bundle could tell by it whether
// a guess at them is right.
func resourcesSum(resources []fleet.BundleResource) string {
	if len(resources) == 0 {
		return ""
	}
	sum := sha256.New()
	manifest := map[string]any{"resources": resources}
	if err := json.NewEncoder(sum).Encode(manifest); err != nil {
		panic(err) // API types can be encoded
	}
	return hex.EncodeToString(sum.Sum(nil))
}
