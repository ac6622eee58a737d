package home

import (
	"context"
	"crypto/rand"
	"fmt"
	"strconv"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	flotilla "flotilla.io/flotilla/api/flotilla/v1alpha1"
	fleet "flotilla.io/flotilla/api/v1alpha1"
)

const keySize = 32

// mark names the cluster on what is made for it.
func (in *run) mark(name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{
		Name: name, Namespace: in.namespace,
		Labels: map[string]string{fleet.ManagedLabel: "true"},
		Annotations: map[string]string{
			fleet.ClusterAnnotation: in.cluster.Name, fleet.ClusterNamespaceAnnotation: in.cluster.Namespace,
		},
	}
}

// ensureNamespace makes the cluster namespace, or takes up the one that an earlier Cluster of this name left. One that
// does not say that it is this cluster's is not touched: names are cut to a length, so two clusters could come to one.
func (r *Reconciler) ensureNamespace(ctx context.Context, in *run) error {
	want := &corev1.Namespace{ObjectMeta: in.mark(in.namespace)}
	want.Namespace = ""
	have := &corev1.Namespace{}
	err := r.Client.Get(ctx, client.ObjectKeyFromObject(want), have)
	if apierrors.IsNotFound(err) {
		return r.Client.Create(ctx, want)
	}
	if err != nil {
		return fmt.Errorf("reading namespace %s: %w", in.namespace, err)
	}
	name, workspace := have.Annotations[fleet.ClusterAnnotation], have.Annotations[fleet.ClusterNamespaceAnnotation]
	switch {
	case name != in.cluster.Name || workspace != in.cluster.Namespace:
		return fmt.Errorf("namespace %s is there already and not marked as this cluster's (%s=%q, %s=%q); rename the cluster, or delete the namespace",
			in.namespace, fleet.ClusterAnnotation, name, fleet.ClusterNamespaceAnnotation, workspace)
	case !have.DeletionTimestamp.IsZero():
		return fmt.Errorf("namespace %s is being deleted; waiting for it to go", in.namespace)
	case have.Annotations[OrphanedAnnotation] == "":
		return nil
	}
	before := have.DeepCopy()
	delete(have.Annotations, OrphanedAnnotation)
	return r.Client.Patch(ctx, have, client.MergeFrom(before))
}

// ensureKey makes the key that wraps the keys of the cluster's layers. One that is there is never changed.
func (r *Reconciler) ensureKey(ctx context.Context, in *run) error {
	have := &corev1.Secret{}
	key := client.ObjectKey{Namespace: in.namespace, Name: fleet.ClusterKeySecret}
	err := r.Live.Get(ctx, key, have)
	switch {
	case apierrors.IsNotFound(err):
		kek := make([]byte, keySize)
		rand.Read(kek) // never fails
		return r.Client.Create(ctx, &corev1.Secret{
			ObjectMeta: in.mark(fleet.ClusterKeySecret), Immutable: ptr.To(true), Data: map[string][]byte{fleet.ClusterKeyKey: kek},
		})
	case err != nil:
		return fmt.Errorf("reading secret %s: %w", key, err)
	case len(have.Data[fleet.ClusterKeyKey]) != keySize:
		return fmt.Errorf("secret %s: key %q holds %d bytes, want %d; delete it and a new one is made",
			key, fleet.ClusterKeyKey, len(have.Data[fleet.ClusterKeyKey]), keySize)
	}
	return nil
}

// ensureAgent makes the Agent object and keeps its settings; the public key in it is the registration's.
func (r *Reconciler) ensureAgent(ctx context.Context, in *run) error {
	want := &flotilla.Agent{
		ObjectMeta: in.mark(fleet.AgentName),
		Spec:       flotilla.AgentSpec{HubUID: r.HubUID, LeaseSeconds: r.LeaseSeconds},
	}
	have := &flotilla.Agent{}
	err := r.Client.Get(ctx, client.ObjectKeyFromObject(want), have)
	switch {
	case apierrors.IsNotFound(err):
		in.agent = want
		return r.Client.Create(ctx, want)
	case err != nil:
		return fmt.Errorf("reading agent %s/%s: %w", in.namespace, fleet.AgentName, err)
	}
	before := have.DeepCopy()
	have.Spec.HubUID, have.Spec.LeaseSeconds = want.Spec.HubUID, want.Spec.LeaseSeconds
	in.agent = have
	if before.Spec.HubUID == have.Spec.HubUID && before.Spec.LeaseSeconds == have.Spec.LeaseSeconds {
		return nil
	}
	return r.Client.Patch(ctx, have, client.MergeFrom(before))
}

// ensureLease makes the lease that the agent renews, and tells it there of the Agent's generation.
func (r *Reconciler) ensureLease(ctx context.Context, in *run) error {
	want := &coordinationv1.Lease{ObjectMeta: in.mark(fleet.AgentName)}
	r.furnishLease(want, in)
	have := &coordinationv1.Lease{}
	err := r.Client.Get(ctx, client.ObjectKeyFromObject(want), have)
	switch {
	case apierrors.IsNotFound(err):
		return r.Client.Create(ctx, want)
	case err != nil:
		return fmt.Errorf("reading lease %s/%s: %w", in.namespace, fleet.AgentName, err)
	case have.Annotations[GenerationAnnotation] == want.Annotations[GenerationAnnotation] &&
		ptr.Equal(have.Spec.LeaseDurationSeconds, want.Spec.LeaseDurationSeconds):
		return nil
	}
	before := have.DeepCopy()
	r.furnishLease(have, in)
	return r.Client.Patch(ctx, have, client.MergeFrom(before)) // renewals go on meanwhile: no lock
}

func (r *Reconciler) furnishLease(lease *coordinationv1.Lease, in *run) {
	metav1.SetMetaDataAnnotation(&lease.ObjectMeta, GenerationAnnotation, strconv.FormatInt(in.agent.Generation, 10))
	lease.Spec.LeaseDurationSeconds = ptr.To(missedRenewals * r.LeaseSeconds)
}

// orphan marks the namespace of a deleted Cluster, and lets whoever registers under its name next come with a new key.
func (r *Reconciler) orphan(ctx context.Context, in *run) error {
	agent := &flotilla.Agent{}
	err := r.Live.Get(ctx, client.ObjectKey{Namespace: in.namespace, Name: fleet.AgentName}, agent)
	if err == nil && len(agent.Spec.PublicKey) > 0 {
		before := agent.DeepCopy()
		agent.Spec.PublicKey = nil
		err = r.Client.Patch(ctx, agent, client.MergeFrom(before))
	}
	if client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("clearing the public key of agent %s/%s: %w", in.namespace, fleet.AgentName, err)
	}
	namespace := &corev1.Namespace{}
	if err := r.Live.Get(ctx, client.ObjectKey{Name: in.namespace}, namespace); err != nil {
		return client.IgnoreNotFound(err)
	}
	if namespace.Annotations[fleet.ClusterAnnotation] != in.cluster.Name ||
		namespace.Annotations[fleet.ClusterNamespaceAnnotation] != in.cluster.Namespace {
		return nil // never was this cluster's
	}
	before := namespace.DeepCopy()
	namespace.Annotations[OrphanedAnnotation] = "true"
	return client.IgnoreNotFound(r.Client.Patch(ctx, namespace, client.MergeFrom(before)))
}

// forgetRegistrations deletes the requests that led to the cluster: they speak of an access that is no more.
func (r *Reconciler) forgetRegistrations(ctx context.Context, in *run) error {
	registrations := &fleet.ClusterRegistrationList{}
	if err := r.Client.List(ctx, registrations, client.InNamespace(in.cluster.Namespace)); err != nil {
		return fmt.Errorf("listing registrations: %w", err)
	}
	for i := range registrations.Items {
		if registrations.Items[i].Status.ClusterName != in.cluster.Name {
			continue
		}
		if err := r.Client.Delete(ctx, &registrations.Items[i]); client.IgnoreNotFound(err) != nil {
			return fmt.Errorf("deleting registration %s: %w", registrations.Items[i].Name, err)
		}
	}
	return nil
}
