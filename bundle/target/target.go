// Package target decides, for a bundle and a cluster, whether the one goes to the other, and with which options.
//
// It is pure: no client, no clock. Which targets match is Fleet's contract; how options merge is ours: bundle, then the target
// that matched, then the customizations that match. What a cluster gets wrong (a label that a value asks for is missing) is an
// error of that cluster alone.
package target

import (
	"context"
	"fmt"
	"sync"

	"k8s.io/apimachinery/pkg/labels"

	"flotilla.io/flotilla/api/v1alpha1"
)

// Match is a bundle on a cluster.
type Match struct {
	// Target is the name of the target that matched.
	Target string
	// Options are the bundle's, merged with those of all that matched, their values templated for the cluster. They are shared
	// with other clusters and must not be modified.
	Options v1alpha1.BundleDeploymentOptions
	// Origins tell for each value in Options what set it: "bundle", "target NAME" or "customization NAME". Paths only, no
	// values; bounded.
	Origins []v1alpha1.ValueOrigin
}

// Matcher matches one bundle, as it was when New was called, against clusters. It is safe for concurrent use.
//
// All work that does not depend on the cluster is done once: selectors are compiled by New, and options merged for each
// combination of target and customizations that occurs.
type Matcher struct {
	bundle       *v1alpha1.Bundle
	targets      []rule // deploy
	customize    []rule // vary what a target deploys
	restrictions []rule // allow; none: all clusters are allowed
	groups       map[string][]*group
	usesGroups   bool
	given        func(*v1alpha1.Cluster) Given

	mu    sync.RWMutex
	plans map[string]*plan // by the indexes of the target and of the customizations
}

// rule is an entry of spec.targets or spec.targetRestrictions.
type rule struct {
	criteria
	name        string
	doNotDeploy bool
	options     *v1alpha1.BundleDeploymentOptions
}

// New compiles a bundle, which must have its values in it, and is not to be modified while the Matcher is used. groups are all
// ClusterGroups of the namespaces whose clusters are to be matched. An error names the target whose selector is not valid.
func New(b *v1alpha1.Bundle, groups []v1alpha1.ClusterGroup) (*Matcher, error) {
	m := &Matcher{bundle: b, plans: map[string]*plan{}}
	// As in Fleet, position alone tells customizations from targets: all restrictions are copies of the targets at the end. With
	// no restrictions, as in a bundle that a person wrote, there are no customizations.
	customizations := len(b.Spec.Targets) - len(b.Spec.TargetRestrictions)
	if len(b.Spec.TargetRestrictions) == 0 {
		customizations = 0
	}
	for i := range b.Spec.Targets {
		t := &b.Spec.Targets[i]
		compiled, err := compile(t.ClusterName, t.ClusterGroup, t.ClusterSelector, t.ClusterGroupSelector)
		if err != nil {
			return nil, fmt.Errorf("bundle %s: spec.targets[%d] (%s): %w", b.Name, i, t.Name, err)
		}
		list := &m.targets
		if i < customizations {
			list = &m.customize
		}
		*list = append(*list, rule{compiled, t.Name, t.DoNotDeploy, &t.BundleDeploymentOptions})
		m.usesGroups = m.usesGroups || compiled.usesGroups()
	}
	for i, r := range b.Spec.TargetRestrictions {
		compiled, err := compile(r.ClusterName, r.ClusterGroup, r.ClusterSelector, r.ClusterGroupSelector)
		if err != nil {
			return nil, fmt.Errorf("bundle %s: spec.targetRestrictions[%d] (%s): %w", b.Name, i, r.Name, err)
		}
		m.restrictions = append(m.restrictions, rule{criteria: compiled, name: r.Name})
		m.usesGroups = m.usesGroups || compiled.usesGroups()
	}
	m.groups = compileGroups(groups)
	m.given = nothing(b)
	return m, nil
}

// Match finds what the bundle is on a cluster. Nil without an error means that it is not deployed there: no target picks the
// cluster, or doNotDeploy is set where it counts. An error concerns this cluster alone, and names it.
func (m *Matcher) Match(c *v1alpha1.Cluster) (*Match, error) {
	matches, errs := m.MatchAll(context.Background(), []*v1alpha1.Cluster{c}, Fill)
	return matches[0], errs[0]
}

// MatchAll is Match for several clusters, in their order, with the templates left to fill.
func (m *Matcher) MatchAll(ctx context.Context, clusters []*v1alpha1.Cluster, fill Filler) ([]*Match, []error) {
	matches, errs := make([]*Match, len(clusters)), make([]error, len(clusters))
	members, inputs := map[*plan][]int{}, make([]Given, len(clusters))
	for i, c := range clusters {
		p := m.pick(c)
		if p == nil {
			continue
		}
		if inputs[i] = m.given(c); inputs[i].Missing != "" {
			errs[i] = &Waiting{inputs[i].Missing}
			continue
		}
		members[p] = append(members[p], i)
	}
	for p, indexes := range members {
		some := make([]place, len(indexes))
		for j, i := range indexes {
			some[j] = place{clusters[i], inputs[i]}
		}
		found, failed := p.on(ctx, some, fill)
		for j, i := range indexes {
			if matches[i] = found[j]; failed[j] != nil {
				errs[i] = fmt.Errorf("cluster %s/%s: %w", clusters[i].Namespace, clusters[i].Name, failed[j])
			}
		}
	}
	return matches, errs
}

// pick finds the target and customizations for a cluster, and the plan they make together.
func (m *Matcher) pick(c *v1alpha1.Cluster) *plan {
	var few [8]*group
	groups := m.groupsOf(c, few[:0])
	target := m.target(c, groups)
	if target < 0 || m.targets[target].doNotDeploy {
		return nil
	}
	var bytes [32]byte
	key := appendIndex(bytes[:0], target)
	for i := range m.customize {
		r := &m.customize[i]
		if !anyGroup(r, c, groups) {
			continue
		}
		if r.doNotDeploy {
			return nil
		}
		key = appendIndex(key, i)
		if m.bundle.Spec.TargetCustomizationMode != v1alpha1.TargetCustomizationModeAllMatches {
			break
		}
	}
	return m.plan(key)
}

// target is the index of the first target that picks the cluster, -1 if none does. Restriction and target must hold for the
// same group.
func (m *Matcher) target(c *v1alpha1.Cluster, groups []*group) int {
	for i := range m.targets {
		for _, g := range groups {
			if m.targets[i].matches(c, g) && m.allowed(c, g) {
				return i
			}
		}
	}
	return -1
}

func (m *Matcher) allowed(c *v1alpha1.Cluster, g *group) bool {
	for i := range m.restrictions {
		if m.restrictions[i].matches(c, g) {
			return true
		}
	}
	return len(m.restrictions) == 0
}

func anyGroup(r *rule, c *v1alpha1.Cluster, groups []*group) bool {
	for _, g := range groups {
		if r.matches(c, g) {
			return true
		}
	}
	return false
}

// groupsOf are the groups of the cluster's namespace that it is in; one nil group stands for none.
func (m *Matcher) groupsOf(c *v1alpha1.Cluster, groups []*group) []*group {
	if m.usesGroups {
		for _, g := range m.groups[c.Namespace] {
			if g.clusters.Matches(labels.Set(c.Labels)) {
				groups = append(groups, g)
			}
		}
	}
	if len(groups) == 0 {
		return append(groups, nil)
	}
	return groups
}

// appendIndex writes an index into the key of a plan.
func appendIndex(key []byte, index int) []byte { return append(key, byte(index>>8), byte(index)) }

// plan gives the one plan of a combination, made at its first use.
func (m *Matcher) plan(key []byte) *plan {
	m.mu.RLock()
	p := m.plans[string(key)]
	m.mu.RUnlock()
	if p != nil {
		return p
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if p = m.plans[string(key)]; p == nil {
		p = m.newPlan(key)
		m.plans[string(key)] = p
	}
	return p
}

// newPlan merges the options of a combination: bundle, target, customizations in their order.
func (m *Matcher) newPlan(key []byte) *plan {
	index := func(i int) int { return int(key[2*i])<<8 | int(key[2*i+1]) }
	target := &m.targets[index(0)]
	merged := newMerge(&m.bundle.Spec.BundleDeploymentOptions)
	merged.add("target "+target.name, target.options)
	for i := 1; i < len(key)/2; i++ {
		r := &m.customize[index(i)]
		merged.add("customization "+r.name, r.options)
	}
	return newPlan(Match{Target: target.name, Options: merged.options, Origins: merged.origins.list()})
}
