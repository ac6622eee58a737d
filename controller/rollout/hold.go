// Package rollout decides which BundleDeployments may move now: what a person holds, and what is too large a step to
// take without a person's word.
//
// It is pure: no client, no clock. controller/bundle asks it before every write.
package rollout

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"sort"
	"strings"

	fleet "flotilla.io/flotilla/api/v1alpha1"
)

// Hold is why something may not move, and what ends it.
type Hold struct {
	Scope     string // what is held: "fleet", "workspace fleet-default", "bundle web", "cluster edge-1"
	Namespace string // of the bundle or cluster
	Reason    string // the person's words
}

// String is the sentence for conditions: it names the command that ends the hold.
func (h Hold) String() string {
	command := "flotilla resume " + strings.ReplaceAll(h.Scope, " ", "/")
	if h.Namespace != "" {
		command += " -n " + h.Namespace
	}
	return fmt.Sprintf("%s is held (%s); `%s` ends it", h.Scope, h.Reason, command)
}

// HoldOf reads the hold from an object's annotations. namespace is the object's, empty for one without.
func HoldOf(scope, namespace string, annotations map[string]string) (Hold, bool) {
	reason, ok := annotations[fleet.HoldAnnotation]
	if reason == "" {
		reason = "no reason given"
	}
	return Hold{Scope: scope, Namespace: namespace, Reason: reason}, ok
}

// UnTarget is a plan to take a bundle away from clusters.
type UnTarget struct {
	Clusters []string // sorted names
	Total    int      // clusters that have the bundle now
}

// NewUnTarget plans to take a bundle away from leaving, of total clusters that have it now.
func NewUnTarget(leaving []string, total int) UnTarget {
	sorted := append([]string(nil), leaving...)
	sort.Strings(sorted)
	return UnTarget{Clusters: sorted, Total: total}
}

// Plan names the plan: it changes when the clusters do, so that an approval cannot be used for another one.
func (u UnTarget) Plan() string {
	sum := sha256.Sum256([]byte(strings.Join(u.Clusters, "\n")))
	return "untarget-" + hex.EncodeToString(sum[:6])
}

// NeedsWord tells whether the step is too large to take unasked: more than three clusters and more than a quarter.
func (u UnTarget) NeedsWord() bool {
	return len(u.Clusters) > 3 && len(u.Clusters)*4 > u.Total
}

// Approved tells whether a person agreed to just this plan.
func (u UnTarget) Approved(annotations map[string]string) bool {
	return !u.NeedsWord() || annotations[fleet.ApproveAnnotation] == u.Plan()
}

// Message says what is held and which command ends it.
func (u UnTarget) Message(namespace, bundle string) string {
	return fmt.Sprintf("this would take the bundle away from %d of %d clusters (%s); they keep what they have. "+
		"`flotilla approve bundle/%s -n %s` lets it happen", len(u.Clusters), u.Total, Sample(u.Clusters), bundle, namespace)
}

// Sample names the first three of sorted names and counts the rest.
func Sample(names []string) string {
	if len(names) <= 3 {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:3], ", "), len(names)-3)
}
