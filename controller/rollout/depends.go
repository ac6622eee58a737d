package rollout

import (
	"fmt"
	"slices"
	"strings"

	fleet "flotilla.io/flotilla/api/v1alpha1"
)

// Dependency is a bundle that another one depends on, as it is on one cluster.
type Dependency struct {
	Name     string // of the bundle
	Revision string // the commit that it is to have; "" for one without
	// Behind says why the cluster does not have the newest order for it yet; "" when it has.
	Behind string
	// State of the order on the cluster.
	State fleet.BundleState
	// WasReady: the cluster was Ready with this order once. What happened since is no reason to wait.
	WasReady bool
}

// pending says what is missing before the dependency is as it was asked for, "" when nothing is.
func (d Dependency) pending(accepted []fleet.BundleState) string {
	if len(accepted) == 0 {
		accepted = []fleet.BundleState{fleet.Ready}
	}
	at := ""
	if d.Revision != "" {
		at = " at " + d.Revision
	}
	switch {
	case d.Behind != "" && slices.Contains(accepted, fleet.Pending):
		return ""
	case d.Behind != "":
		return fmt.Sprintf("%s: %s", d.Name, d.Behind)
	case d.WasReady || slices.Contains(accepted, d.State):
		return ""
	}
	return fmt.Sprintf("%s: %s%s", d.Name, d.State, at)
}

// Need is one entry of dependsOn on one cluster, and what it came to.
type Need struct {
	Accepted []fleet.BundleState
	Found    []Dependency
	// Missing says that there is nothing to wait for yet, "" when something was found.
	Missing string
}

// Dependencies says what a bundle waits for on one cluster, "" when all that it depends on is there.
func Dependencies(needs []Need) string {
	var pending, missing []string
	for _, n := range needs {
		if n.Missing != "" {
			missing = append(missing, n.Missing)
		}
		for _, d := range n.Found {
			if p := d.pending(n.Accepted); p != "" && !slices.Contains(pending, p) {
				pending = append(pending, p)
			}
		}
	}
	slices.Sort(pending)
	if len(pending) > 0 {
		missing = append([]string{fmt.Sprintf("dependent bundle(s) are not ready: [%s]", strings.Join(pending, "; "))}, missing...)
	}
	return strings.Join(missing, "; ")
}

// Cycle finds a way from a bundle back to itself, as "a → b → a"; "" when there is none. on tells what a bundle depends on, sorted.
func Cycle(start string, on func(string) []string) string {
	seen := map[string]bool{}
	var way func(at string, path []string) []string
	way = func(at string, path []string) []string {
		path = append(path, at)
		for _, next := range on(at) {
			if next == start {
				return append(path, next)
			}
			if seen[next] {
				continue
			}
			seen[next] = true
			if found := way(next, path); found != nil {
				return found
			}
		}
		return nil
	}
	return strings.Join(way(start, nil), " → ")
}
