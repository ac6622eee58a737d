package target

import (
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"flotilla.io/flotilla/api/v1alpha1"
)

// criteria is the compiled form of what picks clusters. What is set must all hold; with nothing set, nothing is picked. An empty
// selector is set, and picks everything.
type criteria struct {
	clusterName  string
	clusterGroup string
	clusters     labels.Selector // nil: not set
	groups       labels.Selector // nil: not set
}

func compile(clusterName, clusterGroup string, clusters, groups *metav1.LabelSelector) (criteria, error) {
	c := criteria{clusterName: clusterName, clusterGroup: clusterGroup}
	var err error
	if clusters != nil {
		if c.clusters, err = metav1.LabelSelectorAsSelector(clusters); err != nil {
			return c, fmt.Errorf("clusterSelector: %w", err)
		}
	}
	if groups != nil {
		if c.groups, err = metav1.LabelSelectorAsSelector(groups); err != nil {
			return c, fmt.Errorf("clusterGroupSelector: %w", err)
		}
	}
	return c, nil
}

func (c *criteria) empty() bool {
	return c.clusterName == "" && c.clusterGroup == "" && c.clusters == nil && c.groups == nil
}

// usesGroups tells whether the groups of a cluster make a difference.
func (c *criteria) usesGroups() bool { return c.clusterGroup != "" || c.groups != nil }

// matches judges a cluster as a member of one group; g is nil for a cluster in no group. As in Fleet, a group selector that asks
// for no label then holds.
func (c *criteria) matches(cluster *v1alpha1.Cluster, g *group) bool {
	if c.empty() {
		return false
	}
	if c.clusterName != "" && c.clusterName != cluster.Name && c.clusterName != cluster.Labels[v1alpha1.ClusterDisplayNameLabel] {
		return false
	}
	var name string
	var groupLabels labels.Set
	if g != nil {
		name, groupLabels = g.name, g.labels
	}
	if c.clusterGroup != "" && c.clusterGroup != name {
		return false
	}
	if c.groups != nil && !c.groups.Matches(groupLabels) {
		return false
	}
	return c.clusters == nil || c.clusters.Matches(labels.Set(cluster.Labels))
}

// group is a ClusterGroup in its compiled form.
type group struct {
	name     string
	labels   labels.Set
	clusters labels.Selector
}

// compileGroups sorts groups by namespace. One without selector, or with one that is not valid, has no clusters: its own
// condition says so, and no bundle fails for it.
func compileGroups(groups []v1alpha1.ClusterGroup) map[string][]*group {
	compiled := map[string][]*group{}
	for _, g := range groups {
		if g.Spec.Selector == nil {
			continue
		}
		selector, err := metav1.LabelSelectorAsSelector(g.Spec.Selector)
		if err != nil {
			continue
		}
		compiled[g.Namespace] = append(compiled[g.Namespace], &group{g.Name, g.Labels, selector})
	}
	return compiled
}
