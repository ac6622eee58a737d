package agent

import (
	"context"
	"errors"
	"fmt"
	"net/url"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"flotilla.io/flotilla/agent/apply"
	"flotilla.io/flotilla/agent/health"
	"flotilla.io/flotilla/agent/inventory"
	"flotilla.io/flotilla/agent/once"
	"flotilla.io/flotilla/agent/plan"
	"flotilla.io/flotilla/api/v1alpha1"
	"flotilla.io/flotilla/bundle/layer"
)

// errVanished is why an object is not created by an apply that was to change it.
var errVanished = errors.New("it is gone")

// applyOnce applies an object that does its work when it is created: it is created if it never was with this spec. That it is about
// to be is stored before, and that it was as soon as the answer is there.
func (b *batch) applyOnce(ctx context.Context, w plan.Wanted, r apply.Request) error {
	r.Recreate = false
	live, err := r.Live(ctx)
	if err != nil {
		return err
	}
	d := b.deployment
	item, doubt, dropped := b.known(w.Key)
	told := false
	if live == nil && item.Once == "" && item.UID == "" && !dropped {
		if item, told, err = b.recall(ctx, w, item); err != nil {
			return err
		}
	}
	left := d.rules.Absent(r.Object)
	switch once.Decide(once.Case{
		Key: w.Key, Wanted: w.Once, Item: item, Live: onceLive(w.Key, live, r.Owner), Doubt: doubt || told,
		Stays: !told && !left && once.Stays(w.Key), Back: d.record.GivenUp != "",
	}) {
	case once.Leave:
		return nil
	case once.Refuse:
		return once.Refusal(w.Key)
	case once.Wait:
		return &waitError{once.Waiting(w.Key)}
	case once.Vanished:
		b.mu.Lock()
		defer b.mu.Unlock()
		d.inv[w.Key] = item
		b.vanished(w, left)
		return nil
	case once.InPlace:
		r.Begin = func(context.Context) error { return errVanished }
		err := b.send(ctx, w, r)
		if errors.Is(err, errVanished) {
			return &waitError{fmt.Sprintf("%s just went", w.Key)} // the next pass sees why
		}
		return err
	}
	return b.make(ctx, w, r, live)
}

// known is what the agent remembers of an object; doubt and dropped are as in deployment.
func (b *batch) known(key layer.Key) (item inventory.Item, doubt, dropped bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	d := b.deployment
	return d.inv[key], d.doubts[key], d.dropped[key]
}

func onceLive(key layer.Key, live *unstructured.Unstructured, owner string) *once.Live {
	if live == nil {
		return nil
	}
	end, _ := once.End(key, live, health.Verdict{})
	return &once.Live{
		UID: live.GetUID(), Ours: live.GetAnnotations()[v1alpha1.OwnerAnnotation] == owner, Going: live.GetDeletionTimestamp() != nil,
		Digest: live.GetAnnotations()[v1alpha1.SpecDigestAnnotation], Over: end != "",
	}
}

// send applies, and remembers the answer. What was seen of the object's end counts as long as it is the same object.
func (b *batch) send(ctx context.Context, w plan.Wanted, r apply.Request) error {
	result, err := apply.Apply(ctx, r)
	if err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	d := b.deployment
	was := d.inv[w.Key]
	b.answered(ctx, w, result)
	if item := d.inv[w.Key]; was.UID == item.UID && was.End != "" {
		item.End, item.Why = was.End, was.Why
		d.inv[w.Key] = item
	}
	return nil
}

// make creates the object, in place of live, which was made with another spec, if that is not nil.
func (b *batch) make(ctx context.Context, w plan.Wanted, r apply.Request, live *unstructured.Unstructured) error {
	d := b.deployment
	if live != nil && d.hold != nil {
		return &waitError{fmt.Sprintf("%s has a new spec; it is made anew when the hold ends", w.Key)}
	}
	if err := apply.Rehearse(ctx, r, live != nil); err != nil {
		return err
	}
	if live != nil {
		r.Known.UID = live.GetUID()
		if err := apply.Remove(ctx, r); err != nil {
			return err
		}
		r.Known = inventory.Item{}
	}
	r.Begin = func(ctx context.Context) error {
		return b.keep(ctx, inventory.Item{Key: w.Key, Version: w.Version, Once: w.Once})
	}
	err := b.send(ctx, w, r)
	if err != nil {
		if !isUnanswered(err) { // it was not created
			return errors.Join(err, b.keep(ctx, inventory.Item{Key: w.Key, Version: w.Version}))
		}
		return err
	}
	b.engine.log.Info("an object that is applied once was made", "bundle", d.name, "object", w.Key.String(), "again", live != nil)
	return b.keep(ctx, b.item(w.Key))
}

// isUnanswered tells whether an error leaves open what the API server did.
func isUnanswered(err error) bool {
	var dialled *url.Error
	return errors.As(err, &dialled) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) ||
		apierrors.IsTimeout(err) || apierrors.IsServerTimeout(err) || apierrors.IsInternalError(err) || apierrors.IsServiceUnavailable(err)
}

// keep stores what is remembered of an object at once.
func (b *batch) keep(ctx context.Context, item inventory.Item) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	d := b.deployment
	d.inv[item.Key] = item
	delete(d.doubts, item.Key)
	return b.engine.save(ctx, d)
}

// vanished remembers that an object which is applied once is gone; b.mu is held.
func (b *batch) vanished(w plan.Wanted, left bool) {
	d := b.deployment
	was := d.inv[w.Key]
	item := once.Vanish(was, w.Once, left)
	if item.Digest == "" {
		item.Digest = w.Digest
	}
	d.inv[w.Key] = item
	delete(d.drift, w.Key)
	delete(d.reads, w.Key)
	if was.End == "" {
		b.engine.log.Info("an object that is applied once is gone; it is not made again", "bundle", d.name, "object", w.Key.String(), "result", item.End)
	}
}

// recall asks the hub's copy of the last report about an object that the agent knows nothing of, since it may have lost its memory.
// told says that the object was made with the wanted spec.
func (b *batch) recall(ctx context.Context, w plan.Wanted, item inventory.Item) (_ inventory.Item, told bool, err error) {
	d := b.deployment
	if d.order == nil {
		return item, false, &waitError{fmt.Sprintf("%s is made only when the hub has said that it was not made before", w.Key)}
	}
	for _, o := range d.order.Status.Once {
		if o.Kind != w.Key.Kind || o.Namespace != w.Key.Namespace || o.Name != w.Key.Name || group(o.APIVersion) != w.Key.Group {
			continue
		}
		kek, err := b.engine.store.Key(ctx)
		if err != nil {
			return item, false, err
		}
		item.Once, item.End = o.Spec, o.Result // another spec, unless it is this one
		if once.Sealed(kek, w.Key, w.Once) == o.Spec {
			item.Once, told = w.Once, true
		}
	}
	return item, told, nil
}

func group(apiVersion string) string {
	gv, err := schema.ParseGroupVersion(apiVersion)
	if err != nil {
		return ""
	}
	return gv.Group
}

// ended remembers how an object that is applied once ended, as a read shows it.
func (d *deployment) ended(key layer.Key, live *unstructured.Unstructured) {
	item := d.inv[key]
	if live == nil || item.Once == "" || item.End != "" || item.UID != live.GetUID() {
		return
	}
	verdict := health.Verdict{State: health.Ready}
	if r := d.reads[key]; r != nil {
		verdict = r.verdict
	}
	if item.End, item.Why = once.End(key, live, verdict); item.End != "" {
		d.inv[key] = item
		d.newEnds = true
	}
}

// keepEnds stores what was seen of ends: the object may be gone when the agent starts the next time.
func (e *engine) keepEnds(ctx context.Context, d *deployment) {
	if !d.newEnds {
		return
	}
	if err := e.save(ctx, d); err != nil {
		e.log.Error("storing how an object ended", "bundle", d.name, "error", err)
		d.after(backoff(2))
		return
	}
	d.newEnds = false
}

// sealedSpec is what the hub is told of a spec.
type sealedSpec struct{ digest, sealed string }

// onceObjects are what the hub is told of objects that are applied once.
func (e *engine) onceObjects(ctx context.Context, d *deployment) []v1alpha1.OnceObject {
	var list []v1alpha1.OnceObject
	for _, item := range d.inv.Sorted() {
		if item.Once == "" || item.UID == "" && item.End == "" || len(list) == v1alpha1.MostOnce {
			continue
		}
		if d.sealed[item.Key].digest != item.Once {
			kek, err := e.store.Key(ctx)
			if err != nil {
				e.log.Error("reading the cluster's key", "bundle", d.name, "error", err)
				d.after(backoff(2))
				continue
			}
			d.sealed[item.Key] = sealedSpec{item.Once, once.Sealed(kek, item.Key, item.Once)}
		}
		list = append(list, v1alpha1.OnceObject{
			Kind: item.Key.Kind, APIVersion: schema.GroupVersion{Group: item.Key.Group, Version: item.Version}.String(),
			Namespace: item.Key.Namespace, Name: item.Key.Name, Spec: d.sealed[item.Key].sealed, Result: item.End,
		})
	}
	return list
}
