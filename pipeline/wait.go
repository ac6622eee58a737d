package pipeline

import (
	"context"
	"fmt"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"flotilla.io/flotilla/agent/health"
	"flotilla.io/flotilla/bundle/layer"
)

// lookAgain is how often objects that are not ready are looked at.
const lookAgain = 500 * time.Millisecond

// ready waits, where helm.timeoutSeconds asks for it, until the objects are ready, and with waitForJobs until Jobs are done.
func (r *run) ready(ctx context.Context) error {
	h := r.Object.Spec.Options.Helm
	if h == nil || h.TimeoutSeconds <= 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, time.Duration(h.TimeoutSeconds)*time.Second)
	defer cancel()
	for {
		waits, err := r.waits(ctx, h.WaitForJobs)
		if len(waits) == 0 && err == nil {
			return nil
		}
		if err != nil && ctx.Err() == nil {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("not ready within %d s (helm.timeoutSeconds): %s", h.TimeoutSeconds, first(waits, 3))
		case <-time.After(lookAgain):
		}
	}
}

// first joins the first few of a list, and counts the rest.
func first(list []string, few int) string {
	if len(list) <= few {
		return strings.Join(list, "; ")
	}
	return fmt.Sprintf("%s; and %d more", strings.Join(list[:few], "; "), len(list)-few)
}

// waits names the objects that are not ready, and why.
func (r *run) waits(ctx context.Context, jobs bool) (waits []string, err error) {
	rules := health.New(r.Object.Spec.Options)
	for _, u := range r.objects {
		gvk := u.GroupVersionKind()
		key := layer.Key{Group: gvk.Group, Kind: gvk.Kind, Namespace: u.GetNamespace(), Name: u.GetName()}
		if !rules.Judges(gvk.GroupKind(), func() *unstructured.Unstructured { return u }) {
			continue
		}
		kind, err := r.tenant.Kinds.Of(gvk)
		if err != nil {
			return waits, err
		}
		live, err := r.tenant.Object(kind, key.Namespace).Get(ctx, key.Name, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			waits = append(waits, fmt.Sprintf("%s is gone", key))
			continue
		}
		if err != nil {
			return append(waits, err.Error()), err
		}
		verdict := rules.Assess(ctx, live)
		if verdict.State == health.Ready && jobs {
			verdict = health.Complete(live)
		}
		if verdict.Behind() {
			waits = append(waits, fmt.Sprintf("%s: %s", key, verdict.Message))
		}
	}
	return waits, nil
}

// Unheeded tells what of a deployment's options only an agent does.
func Unheeded(d Deployment) (notes []string) {
	o := d.Object.Spec.Options
	if o.Helm != nil && o.Helm.Atomic {
		notes = append(notes, fmt.Sprintf("bundle %s: helm.atomic: without an agent nothing is rolled back; deploy the earlier input again", d.Object.Name))
	}
	if o.CorrectDrift != nil && o.CorrectDrift.Enabled {
		notes = append(notes, fmt.Sprintf("bundle %s: correctDrift: without an agent, what somebody changes is put back by the next deploy only", d.Object.Name))
	}
	if len(o.DownstreamResources) > 0 {
		notes = append(notes, fmt.Sprintf("bundle %s: downstreamResources: without an agent they are not copied, and have to be on the cluster", d.Object.Name))
	}
	if len(d.Object.Spec.DependsOn) > 0 {
		notes = append(notes, fmt.Sprintf("bundle %s: dependsOn: without an agent nothing is waited for", d.Object.Name))
	}
	return notes
}
