package registration

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	fleet "flotilla.io/flotilla/api/v1alpha1"
	"flotilla.io/flotilla/bundle/seal"
	"flotilla.io/flotilla/controller/status"
)

// Credential is what a granted agent gets, as JSON sealed to its public key.
type Credential struct {
	Token                   string    `json:"token"`
	Expires                 time.Time `json:"expires"`
	ClusterNamespace        string    `json:"clusterNamespace"` // on the hub, with its BundleDeployments
	ClusterName             string    `json:"clusterName"`
	ServiceAccount          string    `json:"serviceAccount"`
	ServiceAccountNamespace string    `json:"serviceAccountNamespace"`
	HubUID                  string    `json:"hubUID"`
}

// grant lets the cluster in. Each step is safe to repeat; where one has to wait for controller/cluster/home, the walk ends
// and begins anew when the Agent object is there.
func (r *Reconciler) grant(ctx context.Context, in *run) error {
	for _, step := range []func(context.Context, *run) error{r.takeUse, r.ensureCluster} {
		if err := step(ctx, in); err != nil {
			return err
		}
	}
	if in.agent == nil {
		return nil
	}
	account, err := r.accounts().Grant(ctx, in.cluster, otherKey(in))
	if err != nil {
		return err
	}
	if err := r.rememberKey(ctx, in); err != nil {
		return err
	}
	sealed, err := r.credential(ctx, in, account)
	if err != nil {
		return err
	}
	err = status.Patch(ctx, r.Client, in.reg, func() {
		st := &in.reg.Status
		st.Granted, st.ClusterName, st.Credential = true, in.cluster.Name, sealed
		fleet.SetCondition(&st.Conditions, fleet.ConditionGranted, corev1.ConditionTrue, fleet.ReasonGranted, "joined as "+in.cluster.Name)
	})
	if err != nil {
		return err
	}
	r.Events.Eventf(in.reg, in.cluster, corev1.EventTypeNormal, fleet.ReasonGranted, "Join", "%s", "joined as "+in.cluster.Name)
	return errors.Join(r.tally(ctx, in), r.deleteOlder(ctx, in))
}

// takeUse takes one use of a token whose uses are limited, before anything is made. The token remembers who took them, so
// that a request that is handled again after a crash takes no second one.
func (r *Reconciler) takeUse(ctx context.Context, in *run) error {
	uid := string(in.reg.UID)
	if in.token.Spec.Uses == 0 || slices.Contains(in.token.Status.UsedBy, uid) {
		return nil
	}
	return status.Patch(ctx, r.Client, in.token, func() {
		in.token.Status.UsedBy = append(in.token.Status.UsedBy, uid)
		in.token.Status.Used = len(in.token.Status.UsedBy)
	})
}

// tally counts a join with a token of any number of uses, for people to see.
func (r *Reconciler) tally(ctx context.Context, in *run) error {
	if in.token.Spec.Uses > 0 {
		return nil
	}
	return status.Patch(ctx, r.Client, in.token, func() { in.token.Status.Used++ })
}

// ensureCluster makes the Cluster, or writes down whose it is. Labels are taken from the request only when it is made:
// an agent cannot change what is deployed to a cluster that exists.
func (r *Reconciler) ensureCluster(ctx context.Context, in *run) error {
	if in.cluster == nil {
		name := clusterName(in.reg)
		in.cluster = &fleet.Cluster{
			ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: in.reg.Namespace, Labels: r.labels(in.reg)},
			Spec:       fleet.ClusterSpec{ClientID: in.reg.Spec.ClientID},
		}
		if err := r.Client.Create(ctx, in.cluster); err != nil {
			return fmt.Errorf("making Cluster %s: %w", name, err)
		}
		return nil
	}
	if in.cluster.Spec.ClientID == in.reg.Spec.ClientID {
		return nil
	}
	before := in.cluster.DeepCopy()
	in.cluster.Spec.ClientID = in.reg.Spec.ClientID
	if err := r.Client.Patch(ctx, in.cluster, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{})); err != nil {
		return fmt.Errorf("writing spec.clientID of Cluster %s: %w", in.cluster.Name, err)
	}
	return nil
}

// labels are what a new Cluster has: those that the request asks for, unless the hub takes none from agents.
func (r *Reconciler) labels(reg *fleet.ClusterRegistration) map[string]string {
	labels := map[string]string{}
	if !r.IgnoreLabels {
		maps.Copy(labels, reg.Spec.ClusterLabels)
	}
	labels[fleet.ClusterLabel] = clusterName(reg)
	return labels
}

// otherKey tells whether the cluster was known by another key, whose holder must lose its access.
func otherKey(in *run) bool {
	known := in.agent.Spec.PublicKey
	return len(known) > 0 && !bytes.Equal(known, in.reg.Spec.PublicKey)
}

// rememberKey writes down the key that the cluster is known by from now on. It comes after the other key's holder has lost
// its access: were it first, a crash between the two would leave that access standing.
func (r *Reconciler) rememberKey(ctx context.Context, in *run) error {
	if bytes.Equal(in.agent.Spec.PublicKey, in.reg.Spec.PublicKey) {
		return nil
	}
	before := in.agent.DeepCopy()
	in.agent.Spec.PublicKey = in.reg.Spec.PublicKey
	if err := r.Client.Patch(ctx, in.agent, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{})); err != nil {
		return fmt.Errorf("writing the public key to agent %s/%s: %w", in.agent.Namespace, in.agent.Name, err)
	}
	return nil
}

// credential makes a token and seals it.
func (r *Reconciler) credential(ctx context.Context, in *run, account *corev1.ServiceAccount) ([]byte, error) {
	bound, err := r.accounts().Token(ctx, account, int64(r.CredentialTTL/time.Second))
	if err != nil {
		return nil, err
	}
	plain, err := json.Marshal(Credential{
		Token: bound.Status.Token, Expires: bound.Status.ExpirationTimestamp.Time,
		ClusterNamespace: in.agent.Namespace, ClusterName: in.cluster.Name,
		ServiceAccount: account.Name, ServiceAccountNamespace: account.Namespace, HubUID: r.HubUID,
	})
	if err != nil {
		return nil, fmt.Errorf("encoding the credential: %w", err)
	}
	sealed, err := seal.SealTo(in.reg.Spec.PublicKey, plain)
	if err != nil {
		return nil, fmt.Errorf("sealing the credential to spec.publicKey: %w", err)
	}
	return sealed, nil
}

// deleteOlder drops the requests that this one takes the place of. Those of Fleet's agents stay: Fleet's controller would take
// the loss of one for the end of that agent's account, and close the way back.
func (r *Reconciler) deleteOlder(ctx context.Context, in *run) error {
	list := &fleet.ClusterRegistrationList{}
	if err := r.Client.List(ctx, list, client.InNamespace(in.reg.Namespace), client.UnsafeDisableDeepCopy); err != nil {
		return fmt.Errorf("listing registrations: %w", err)
	}
	for i := range list.Items {
		o := list.Items[i].DeepCopy()
		if o.UID == in.reg.UID || len(o.Spec.PublicKey) == 0 || o.Spec.ClientID != in.reg.Spec.ClientID || !superseded(o, in.reg) {
			continue
		}
		if err := r.Client.Delete(ctx, o); client.IgnoreNotFound(err) != nil {
			return fmt.Errorf("deleting registration %s: %w", o.Name, err)
		}
	}
	return nil
}

// superseded tells whether the grant of reg is an answer to o too: an older request, or one that the same agent made in the
// same second, of which it may not be known here yet that it was granted. One of that second with another key may have come
// later: it is refused, and told why.
func superseded(o, reg *fleet.ClusterRegistration) bool {
	sameAgent := bytes.Equal(o.Spec.PublicKey, reg.Spec.PublicKey)
	sameSecond := o.CreationTimestamp.Equal(&reg.CreationTimestamp)
	return o.Status.Granted || o.CreationTimestamp.Before(&reg.CreationTimestamp) || sameAgent && sameSecond
}
