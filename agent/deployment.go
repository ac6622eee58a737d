package agent

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"flotilla.io/flotilla/agent/health"
	"flotilla.io/flotilla/agent/hooks"
	"flotilla.io/flotilla/agent/inventory"
	"flotilla.io/flotilla/agent/others"
	"flotilla.io/flotilla/agent/plan"
	"flotilla.io/flotilla/agent/record"
	"flotilla.io/flotilla/agent/report"
	"flotilla.io/flotilla/agent/store"
	"flotilla.io/flotilla/agent/tenant"
	"flotilla.io/flotilla/api/v1alpha1"
	"flotilla.io/flotilla/bundle/layer"
)

// deployment is one BundleDeployment as the agent sees it. Only inbox may be touched outside of a pass.
type deployment struct {
	name string

	mu    sync.Mutex
	inbox inbox

	// What the hub says.
	order *v1alpha1.BundleDeployment // nil: not heard of, or missing
	gone  bool

	// What the agent remembers; record and inv are as stored.
	record store.Record
	inv    inventory.Inventory
	opened bool                    // wanted is known
	wanted []plan.Wanted           // sorted by key
	origin map[layer.Key]layer.Key // of wanted objects, where the layer has them under another namespace
	misfit []error                 // objects that cannot be placed on this cluster, so far
	rules  others.Rules            // what of the wanted objects is left to others
	judge  *health.Rules           // how they are
	hooks  []hooks.Hook

	carried []layer.Entry      // the opened layers, within one pass
	defined bool               // kinds were defined in this pass: what could not be placed may be now
	placed  bool               // the namespace is as the accepted options want it
	resent  map[layer.Key]bool // objects that were applied anew because a person asked for it
	doubts  map[layer.Key]bool // objects that are applied once: the agent was stopped while it made them, or just before
	newEnds bool               // ends of such objects were seen that are not stored yet
	sealed  map[layer.Key]sealedSpec
	dropped map[layer.Key]bool // objects that are applied once and left the bundle, whatever the hub still says of them

	// What came of it.
	account  *tenant.Tenant
	hold     *v1alpha1.Hold
	frozen   string // why nothing is applied or compared: paused, and the like
	failure  string
	waiting  string
	hooking  bool   // a hook is waited for
	lost     string // what the hub does not have of its own order
	failures int    // passes in a row that failed
	applied  bool   // record.Spec is applied in whole
	staged   time.Time
	deleting []layer.Key

	// What is seen of its objects.
	fresh  map[layer.Key]fresh
	looked map[layer.Key]string
	drift  map[layer.Key]drifted
	reads  map[layer.Key]*reading

	outputs []v1alpha1.OutputValue // what other bundles get from here
	yielded int64                  // the sequence whose outputs these are

	seen    bool                       // the watches have seen its objects once
	blind   time.Time                  // since when that is waited for
	written *v1alpha1.BundleDeployment // the hub's answer to the last status write
	pace    report.Pace
	next    time.Time // when to pass again, zero for not before an event
}

// inbox is what came since the last pass.
type inbox struct {
	anew  bool // what came before is of another hub
	whole bool // the order is from a list: a hub that was restored has lost what was written before
	order *v1alpha1.BundleDeployment
	gone  bool
}

func newDeployment(name string) *deployment {
	return &deployment{
		name: name, record: store.Record{Name: name}, inv: inventory.Inventory{}, judge: &health.Rules{},
		fresh: map[layer.Key]fresh{}, looked: map[layer.Key]string{}, resent: map[layer.Key]bool{},
		doubts: map[layer.Key]bool{}, dropped: map[layer.Key]bool{}, sealed: map[layer.Key]sealedSpec{},
		drift: map[layer.Key]drifted{}, reads: map[layer.Key]*reading{},
	}
}

// wants finds what is wanted of a key.
func (d *deployment) wants(key layer.Key) (plan.Wanted, bool) {
	i, ok := slices.BinarySearchFunc(d.wanted, key, func(w plan.Wanted, k layer.Key) int { return w.Key.Compare(k) })
	if !ok {
		return plan.Wanted{}, false
	}
	return d.wanted[i], true
}

// cause is what is written down of a change, besides the change.
func (d *deployment) cause(reason string) record.Cause {
	revision := d.record.Revision
	if d.record.GivenUp != "" {
		revision = d.record.GoodRevision
	}
	return record.Cause{ClusterNamespace: d.record.Namespace, Bundle: d.name, Revision: revision, Reason: reason}
}

func (d *deployment) post(change func(*inbox)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	change(&d.inbox)
}

func (d *deployment) collect() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.inbox.anew {
		d.order, d.gone, d.written = nil, false, nil
		d.sealed = map[layer.Key]sealedSpec{} // it may be with another key
	}
	if d.inbox.whole {
		d.written = nil
	}
	if d.inbox.order != nil {
		d.order, d.gone = newer(d.inbox.order, d.written), false
	}
	if d.inbox.gone {
		d.order, d.gone = nil, true
	}
	d.inbox = inbox{gone: d.inbox.gone}
}

// isMissing tells whether the hub lost it; it may be called outside of a pass.
func (d *deployment) isMissing() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.inbox.gone
}

// again tells whether a person asked for all to be applied once more, whatever is known of it, and that is not done yet.
func (d *deployment) again() bool {
	return d.record.Target().Options.ForceSyncGeneration != d.record.Synced
}

// synced is the forceSyncGeneration that was carried out.
func (d *deployment) synced() int64 {
	if d.applied {
		return d.record.Target().Options.ForceSyncGeneration
	}
	return d.record.Synced
}

// at makes the next pass happen no later than then.
func (d *deployment) at(then time.Time) {
	if d.next.IsZero() || then.Before(d.next) {
		d.next = then
	}
}

func (d *deployment) after(wait time.Duration) { d.at(time.Now().Add(wait)) }

// accounts finds the service account that a deployment acts as.
type accounts struct {
	namespace string
	get       func(ctx context.Context, name string) (*corev1.ServiceAccount, error)
}

// resolve picks the account: the named one, else fleet-default where it exists, else flotilla-admin. One that does not
// exist is an error, and never replaced by another.
func (a *accounts) resolve(ctx context.Context, named string) (string, error) {
	if named != "" {
		if err := a.exists(ctx, named); err != nil {
			return "", fmt.Errorf("service account %s/%s: %w; create it, or change the option serviceAccount", a.namespace, named, err)
		}
		return named, nil
	}
	err := a.exists(ctx, v1alpha1.DefaultServiceAccount)
	if err == nil {
		return v1alpha1.DefaultServiceAccount, nil
	}
	if !apierrors.IsNotFound(err) {
		return "", fmt.Errorf("service account %s/%s: %w", a.namespace, v1alpha1.DefaultServiceAccount, err)
	}
	if err := a.exists(ctx, v1alpha1.AdminServiceAccount); err != nil {
		return "", fmt.Errorf("the bundle names no service account, and there is neither %s nor %s in %s (%w); name one, or create one of the two",
			v1alpha1.DefaultServiceAccount, v1alpha1.AdminServiceAccount, a.namespace, err)
	}
	return v1alpha1.AdminServiceAccount, nil
}

func (a *accounts) exists(ctx context.Context, name string) error {
	_, err := a.get(ctx, name)
	return err
}

func accountsOf(namespace string, get func(context.Context, string, metav1.GetOptions) (*corev1.ServiceAccount, error)) *accounts {
	return &accounts{namespace, func(ctx context.Context, name string) (*corev1.ServiceAccount, error) {
		return get(ctx, name, metav1.GetOptions{})
	}}
}
