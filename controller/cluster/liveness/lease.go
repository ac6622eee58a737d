package liveness

import (
	"strings"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	fleet "flotilla.io/flotilla/api/v1alpha1"
)

// defaultLease is taken for a lease that names no duration.
const defaultLease = 3 * time.Minute

// renewedField is how managedFields name the field that a renewal moves.
const renewedField = `"f:renewTime"`

// renewedAt is when the API server took in the last renewal; zero for never. Only where somebody cleared managedFields,
// the agent's own clock has to do.
func renewedAt(lease *coordinationv1.Lease) time.Time {
	var latest time.Time
	for _, entry := range lease.ManagedFields {
		if entry.Time != nil && entry.Time.After(latest) && ownsRenewal(entry) {
			latest = entry.Time.Time
		}
	}
	if latest.IsZero() && lease.Spec.RenewTime != nil {
		latest = lease.Spec.RenewTime.Truncate(time.Second)
	}
	return latest
}

func ownsRenewal(entry metav1.ManagedFieldsEntry) bool {
	return entry.FieldsV1 != nil && strings.Contains(entry.FieldsV1.GetRawString(), renewedField)
}

func duration(lease *coordinationv1.Lease) time.Duration {
	if s := lease.Spec.LeaseDurationSeconds; s != nil && *s > 0 {
		return time.Duration(*s) * time.Second
	}
	return defaultLease
}

// clusterOf names the cluster that a lease belongs to; false for leases of others.
func clusterOf(lease *coordinationv1.Lease) (*fleet.Cluster, bool) {
	name, namespace := lease.Annotations[fleet.ClusterAnnotation], lease.Annotations[fleet.ClusterNamespaceAnnotation]
	if name == "" || namespace == "" {
		return nil, false
	}
	return &fleet.Cluster{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: namespace},
		Status:     fleet.ClusterStatus{Namespace: lease.Namespace},
	}, true
}

// Trim is a cache transform: it keeps of a lease's managedFields only what tells of renewals.
func Trim(obj any) (any, error) {
	lease, ok := obj.(*coordinationv1.Lease)
	if !ok {
		return obj, nil
	}
	kept := lease.ManagedFields[:0]
	for _, entry := range lease.ManagedFields {
		if ownsRenewal(entry) {
			kept = append(kept, entry)
		}
	}
	lease.ManagedFields = kept
	return lease, nil
}
