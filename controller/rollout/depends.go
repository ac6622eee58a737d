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

// Pending tells whether the dependency is to be waited for.
func (d Dependency) Pending(accepted []fleet.BundleState) bool { return d.pending(accepted) != "" }

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

// Cycle finds a way from a node (a bundle, or one on a cluster) back to itself, as "a → b → a"; "" when there is none. on tells what
// a node depends on, sorted.
func Cycle[Node comparable](start Node, on func(Node) []Node) string {
	seen := map[Node]bool{}
	var way func(at Node, path []string) []string
	way = func(at Node, path []string) []string {
		path = append(path, fmt.Sprint(at))
		for _, next := range on(at) {
			if next == start {
				return append(path, fmt.Sprint(next))
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
