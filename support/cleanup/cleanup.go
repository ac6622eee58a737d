// Package cleanup finds what is left over on a hub and has no effect any more.
package cleanup

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"

	fleet "flotilla.io/flotilla/api/v1alpha1"
)

// Outdated is a ClusterRegistration that has no effect any more.
type Outdated struct {
	*fleet.ClusterRegistration
	Why string
}

// Registrations finds, among all that there are, those of clusters that are gone, and those that were answered before the
// latest one that was granted. What has no answer yet stays: it may be under way, or wait for a person.
func Registrations(clusters []fleet.Cluster, registrations []fleet.ClusterRegistration) (all []Outdated) {
	known := map[string]bool{}
	for i := range clusters {
		known[clusters[i].Namespace+"/"+clusters[i].Name] = true
	}
	latest := map[string]*fleet.ClusterRegistration{}
	for i := range registrations {
		r := &registrations[i]
		key := r.Namespace + "/" + r.Status.ClusterName
		if have := latest[key]; r.Status.Granted && (have == nil || have.CreationTimestamp.Before(&r.CreationTimestamp)) {
			latest[key] = r
		}
	}
	for i := range registrations {
		r := &registrations[i]
		key := r.Namespace + "/" + r.Status.ClusterName
		switch granted := latest[key]; {
		case r.Status.ClusterName == "":
		case !known[key]:
			all = append(all, Outdated{r, "there is no cluster " + key})
		case granted != nil && r.CreationTimestamp.Before(&granted.CreationTimestamp):
			all = append(all, Outdated{r, "registration " + granted.Name + " took its place"})
		}
	}
	slices.SortFunc(all, func(a, b Outdated) int { return strings.Compare(a.Namespace+"/"+a.Name, b.Namespace+"/"+b.Name) })
	return all
}

// Pace is how long to wait between two deletions: from Min on, Factor times more after each, up to Max.
type Pace struct {
	Min, Max time.Duration
	Factor   float64
}

// Delete deletes the registrations that are outdated now, at a pace, and says so. One that cannot be deleted holds up no other.
func Delete(ctx context.Context, c client.Client, out io.Writer, p Pace) (failed []error, err error) {
	clusters, registrations := &fleet.ClusterList{}, &fleet.ClusterRegistrationList{}
	if err := c.List(ctx, clusters); err != nil {
		return nil, fmt.Errorf("listing clusters: %w", err)
	}
	if err := c.List(ctx, registrations); err != nil {
		return nil, fmt.Errorf("listing cluster registrations: %w", err)
	}
	outdated := Registrations(clusters.Items, registrations.Items)
	pause := wait.Backoff{Duration: p.Min, Factor: p.Factor, Cap: p.Max, Steps: len(outdated), Jitter: 0.1}
	for i, o := range outdated {
		if i > 0 {
			select {
			case <-ctx.Done():
				return failed, ctx.Err()
			case <-time.After(min(pause.Step(), p.Max)):
			}
		}
		if err := c.Delete(ctx, o.ClusterRegistration, client.Preconditions{UID: &o.UID}); client.IgnoreNotFound(err) != nil {
			failed = append(failed, fmt.Errorf("clusterregistration %s/%s: %w", o.Namespace, o.Name, err))
			continue
		}
		fmt.Fprintf(out, "deleted (clusterregistration): %s/%s: %s\n", o.Namespace, o.Name, o.Why)
	}
	fmt.Fprintf(out, "%d of %d cluster registrations deleted\n", len(outdated)-len(failed), len(registrations.Items))
	return failed, nil
}
