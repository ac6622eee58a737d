package target

import (
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/selection"

	"flotilla.io/flotilla/api/v1alpha1"
	"flotilla.io/flotilla/bundle/fleetyaml/nearest"
)

// maxMisses bounds how many targets NearestMiss speaks of.
const maxMisses = 3

// NearestMiss says why no cluster gets the bundle, and what comes closest: "no cluster has env=prodution; 2 have
// env=production". clusters are all that the bundle might go to. It is "" when some cluster does get it.
func (m *Matcher) NearestMiss(clusters []v1alpha1.Cluster) string {
	if len(clusters) == 0 {
		return "there is no cluster in this workspace"
	}
	for i := range clusters {
		if m.pick(&clusters[i]) != nil {
			return ""
		}
	}
	var misses []string
	for i := range m.targets {
		t := &m.targets[i]
		text := m.miss(t, clusters)
		if len(m.targets) > 1 {
			text = fmt.Sprintf("target %s: %s", t.name, text)
		}
		misses = append(misses, text)
	}
	if more := len(misses) - maxMisses; more > 0 {
		misses = append(misses[:maxMisses], fmt.Sprintf("and %d more targets", more))
	}
	return strings.Join(misses, ". ")
}

// miss says why one target deploys to no cluster.
func (m *Matcher) miss(t *rule, clusters []v1alpha1.Cluster) string {
	if t.empty() {
		return "it names no clusters; an empty clusterSelector would pick all"
	}
	picked := countIf(clusters, func(c *v1alpha1.Cluster) bool { return anyGroup(t, c, m.groupsOf(c, nil)) })
	switch {
	case picked > 0 && t.doNotDeploy:
		return fmt.Sprintf("it picks %s, and it has doNotDeploy", count(picked, "cluster"))
	case picked > 0:
		return fmt.Sprintf("it picks %s, but an earlier target, targetRestrictions or a doNotDeploy keeps the bundle off", count(picked, "cluster"))
	}
	if t.clusterName != "" && countIf(clusters, func(c *v1alpha1.Cluster) bool { return named(c, t.clusterName) }) == 0 {
		return fmt.Sprintf("no cluster is named %q%s", t.clusterName, nearest.Hint(t.clusterName, clusterNames(clusters)))
	}
	if text := m.missOfGroup(t, clusters); text != "" {
		return text
	}
	if text := missOfLabels(t.clusters, "cluster", clusterLabels(clusters)); text != "" {
		return text
	}
	return "no cluster meets all of its criteria at once"
}

// missOfGroup speaks of clusterGroup and clusterGroupSelector, "" when they can be met.
func (m *Matcher) missOfGroup(t *rule, clusters []v1alpha1.Cluster) string {
	var names []string
	var groupLabels []labels.Set
	for _, groups := range m.groups {
		for _, g := range groups {
			names, groupLabels = append(names, g.name), append(groupLabels, g.labels)
		}
	}
	if t.groups != nil {
		if text := missOfLabels(t.groups, "ClusterGroup", groupLabels); text != "" {
			return text
		}
	}
	switch {
	case t.clusterGroup == "":
		return ""
	case slices.Contains(names, t.clusterGroup):
		members := countIf(clusters, func(c *v1alpha1.Cluster) bool {
			return anyGroup(&rule{criteria: criteria{clusterGroup: t.clusterGroup}}, c, m.groupsOf(c, nil))
		})
		if members == 0 {
			return fmt.Sprintf("no cluster is in ClusterGroup %q", t.clusterGroup)
		}
		return ""
	case t.clusterGroup == v1alpha1.DefaultClusterGroup:
		return `there is no ClusterGroup "default", where a GitRepo without targets deploys to; make it, or set spec.targets`
	}
	return fmt.Sprintf("there is no ClusterGroup %q%s", t.clusterGroup, nearest.Hint(t.clusterGroup, names))
}

// missOfLabels says which requirement of a selector none of the label sets meets, and what comes closest. what is the kind that
// has the labels. It is "" when some set meets all.
func missOfLabels(selector labels.Selector, what string, all []labels.Set) string {
	if selector == nil || slices.ContainsFunc(all, func(l labels.Set) bool { return selector.Matches(l) }) {
		return ""
	}
	if len(all) == 0 {
		return "there is no " + what
	}
	requirements, _ := selector.Requirements()
	var met []string
	for _, r := range requirements {
		if slices.ContainsFunc(all, func(l labels.Set) bool { return r.Matches(l) }) {
			met = append(met, written(r))
			continue
		}
		return fmt.Sprintf("no %s has %s%s", what, written(r), closest(r, all))
	}
	return fmt.Sprintf("no %s has all of %s", what, strings.Join(met, ", "))
}

// written is a requirement as a person writes it.
func written(r labels.Requirement) string {
	switch r.Operator() {
	case selection.Exists:
		return "a label " + r.Key()
	case selection.Equals, selection.DoubleEquals, selection.In:
		if r.Values().Len() == 1 {
			return r.Key() + "=" + r.Values().List()[0]
		}
	}
	return r.String()
}

// closest names the label that was likely meant, with how many have it: the nearest value of the same key, else its most
// frequent one, else the nearest key.
func closest(r labels.Requirement, all []labels.Set) string {
	keys, values := map[string]int{}, map[string]int{}
	for _, l := range all {
		for key := range l {
			keys[key]++
		}
		if value, has := l[r.Key()]; has {
			values[value]++
		}
	}
	wanted := r.Values().List()
	if len(values) > 0 && len(wanted) > 0 {
		value, ok := nearest.Word(wanted[0], words(values))
		if !ok {
			value = slices.MaxFunc(words(values), func(a, b string) int { return values[a] - values[b] })
		}
		return fmt.Sprintf("; %s %s=%s", have(values[value]), r.Key(), value)
	}
	if key, ok := nearest.Word(r.Key(), words(keys)); ok && key != r.Key() {
		return fmt.Sprintf("; %s a label %s", have(keys[key]), key)
	}
	return ""
}

func words(counts map[string]int) []string {
	list := make([]string, 0, len(counts))
	for word := range counts {
		list = append(list, word)
	}
	slices.Sort(list)
	return list
}

func have(n int) string {
	if n == 1 {
		return "1 has"
	}
	return fmt.Sprintf("%d have", n)
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

func countIf(clusters []v1alpha1.Cluster, holds func(*v1alpha1.Cluster) bool) (n int) {
	for i := range clusters {
		if holds(&clusters[i]) {
			n++
		}
	}
	return n
}

func named(c *v1alpha1.Cluster, name string) bool {
	return c.Name == name || c.Labels[v1alpha1.ClusterDisplayNameLabel] == name
}

func clusterNames(clusters []v1alpha1.Cluster) (names []string) {
	for i := range clusters {
		names = append(names, clusters[i].Name)
		if display := clusters[i].Labels[v1alpha1.ClusterDisplayNameLabel]; display != "" {
			names = append(names, display)
		}
	}
	return names
}

func clusterLabels(clusters []v1alpha1.Cluster) (all []labels.Set) {
	for i := range clusters {
		all = append(all, clusters[i].Labels)
	}
	return all
}
