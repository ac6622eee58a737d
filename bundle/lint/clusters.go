package lint

import (
	"fmt"
	"maps"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"flotilla.io/flotilla/api/v1alpha1"
)

// madeUp are clusters that the targets of a bundle pick: for each of them one that is as it asks, and one that is as no target
// in particular asks.
func madeUp(b *v1alpha1.Bundle) []candidate {
	all := []candidate{clusterFor(v1alpha1.BundleTarget{}, b.Namespace)}
	for _, t := range b.Spec.Targets {
		all = append(all, clusterFor(t, b.Namespace))
	}
	return all
}

func clusterFor(t v1alpha1.BundleTarget, namespace string) candidate {
	c := candidate{Cluster: v1alpha1.Cluster{ObjectMeta: metav1.ObjectMeta{Name: t.ClusterName, Namespace: namespace}}}
	if c.Name == "" {
		c.Name = "cluster"
	}
	c.Labels = asking(t.ClusterSelector)
	c.Labels["name"] = c.Name
	if t.ClusterGroup == "" && t.ClusterGroupSelector == nil {
		return c
	}
	c.groups = []v1alpha1.ClusterGroup{{
		ObjectMeta: metav1.ObjectMeta{Name: t.ClusterGroup, Namespace: namespace, Labels: asking(t.ClusterGroupSelector)},
		Spec:       v1alpha1.ClusterGroupSpec{Selector: &metav1.LabelSelector{}},
	}}
	return c
}

// asking are labels that a selector is content with.
func asking(s *metav1.LabelSelector) map[string]string {
	labels := map[string]string{}
	if s == nil {
		return labels
	}
	maps.Copy(labels, s.MatchLabels)
	for i, e := range s.MatchExpressions {
		switch e.Operator {
		case metav1.LabelSelectorOpIn:
			if len(e.Values) > 0 {
				labels[e.Key] = e.Values[0]
			}
		case metav1.LabelSelectorOpExists, metav1.LabelSelectorOpNotIn:
			if labels[e.Key] == "" {
				labels[e.Key] = fmt.Sprintf("value-%d", i)
			}
		}
	}
	return labels
}
