package target

import (
	"fmt"

	"flotilla.io/flotilla/api/v1alpha1"
)

// Selection is the clusters that a Schedule picks: those that one of its targets picks.
type Selection struct{ matcher Matcher }

// NewSelection compiles targets. groups are all ClusterGroups of the Schedule's namespace. An error names the target whose
// selector is not valid.
func NewSelection(targets []v1alpha1.ScheduleTarget, groups []v1alpha1.ClusterGroup) (*Selection, error) {
	s := &Selection{}
	for i, t := range targets {
		compiled, err := compile(t.ClusterName, t.ClusterGroup, t.ClusterSelector, t.ClusterGroupSelector)
		if err != nil {
			return nil, fmt.Errorf("spec.targets.clusters[%d] (%s): %w", i, t.Name, err)
		}
		s.matcher.targets = append(s.matcher.targets, rule{criteria: compiled, name: t.Name})
		s.matcher.usesGroups = s.matcher.usesGroups || compiled.usesGroups()
	}
	s.matcher.groups = compileGroups(groups)
	return s, nil
}

// Picks tells whether the selection has the cluster.
func (s *Selection) Picks(c *v1alpha1.Cluster) bool {
	var few [8]*group
	return s.matcher.target(c, s.matcher.groupsOf(c, few[:0])) >= 0
}
