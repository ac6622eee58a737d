package pull

import (
	"context"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"

	"flotilla.io/flotilla/api/v1alpha1"
)

// Receiver is told what the hub wants. Its methods are called one after the other.
type Receiver interface {
	// All brings the whole list: at the start, and when the watch had to begin anew.
	All([]*v1alpha1.BundleDeployment)
	// Changed brings one that is new or changed.
	Changed(*v1alpha1.BundleDeployment)
	// Gone names one that is not there any more.
	Gone(name string)
	// Trouble brings the hub's last answer to list or watch: an error, or nil after one.
	Trouble(error)
}

// Watch watches the cluster's BundleDeployments until ctx ends. It is one request that the hub answers for as long as it
// wants; list and watch are one where the hub can do that.
func Watch(ctx context.Context, deployments *cache.ListWatch, to Receiver) {
	told := &telling{lw: deployments, to: to}
	r := cache.NewReflectorWithOptions(told, &v1alpha1.BundleDeployment{}, &receiving{to},
		cache.ReflectorOptions{Name: "hub", TypeDescription: "BundleDeployment"})
	r.RunWithContext(ctx)
}

// telling tells the receiver how list and watch go. After a watch that could not be opened it has the reflector list
// anew: the hub may have been restored from an older state meanwhile, and a watch from a version that it has not reached
// yet would be silent about all that happens until it has. The reflector calls it from one goroutine.
type telling struct {
	lw   *cache.ListWatch
	to   Receiver
	away bool
}

func (t *telling) List(o metav1.ListOptions) (runtime.Object, error) {
	return t.ListWithContext(context.Background(), o)
}

func (t *telling) Watch(o metav1.ListOptions) (watch.Interface, error) {
	return t.WatchWithContext(context.Background(), o)
}

func (t *telling) ListWithContext(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
	list, err := t.lw.ListWithContext(ctx, o)
	t.away = t.away && err != nil
	t.to.Trouble(err)
	return list, err
}

func (t *telling) WatchWithContext(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
	streamsList := o.SendInitialEvents != nil && *o.SendInitialEvents
	if t.away && !streamsList {
		t.away = false
		return nil, apierrors.NewResourceExpired("the hub was away")
	}
	w, err := t.lw.WatchWithContext(ctx, o)
	t.away = err != nil
	t.to.Trouble(err)
	return w, err
}

// receiving is the reflector's store; it keeps nothing itself.
type receiving struct{ to Receiver }

func (r *receiving) Add(object any) error { return r.Update(object) }

func (r *receiving) Update(object any) error {
	if bd, ok := object.(*v1alpha1.BundleDeployment); ok {
		r.to.Changed(bd)
	}
	return nil
}

func (r *receiving) Delete(object any) error {
	if gone, ok := object.(cache.DeletedFinalStateUnknown); ok {
		object = gone.Obj
	}
	if bd, ok := object.(*v1alpha1.BundleDeployment); ok {
		r.to.Gone(bd.Name)
	}
	return nil
}

func (r *receiving) Replace(list []any, _ string) error {
	all := make([]*v1alpha1.BundleDeployment, 0, len(list))
	for _, object := range list {
		if bd, ok := object.(*v1alpha1.BundleDeployment); ok {
			all = append(all, bd)
		}
	}
	r.to.All(all)
	return nil
}

func (r *receiving) Resync() error { return nil }
