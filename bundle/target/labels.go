package target

import (
	"errors"
	"strings"

	"flotilla.io/flotilla/api/v1alpha1"
)

// labelPrefix begins a value that is replaced by a label of the cluster: Fleet's way before templates.
const labelPrefix = "global.fleet.clusterLabels."

// maxDepth bounds the nesting of values that labels are filled into, as in Fleet.
const maxDepth = 50

// labelsOf are the labels that values may use: all but those of kubectl and Rancher, with Fleet's and Rancher's management
// labels among them nevertheless.
func labelsOf(c *v1alpha1.Cluster) map[string]any {
	labels := exported(c.Labels)
	for key, value := range c.Labels {
		if strings.HasPrefix(key, v1alpha1.LabelPrefix) || strings.HasPrefix(key, v1alpha1.ManagementLabelPrefix) {
			labels[key] = value
		}
	}
	return labels
}

func exported(all map[string]string) map[string]any {
	kept := make(map[string]any, len(all))
	for key, value := range all {
		if !strings.HasPrefix(key, "kubectl.kubernetes.io/") && !strings.Contains(key, "cattle.io/") {
			kept[key] = value
		}
	}
	return kept
}

// contextOf is what templates see of a cluster; one whose text is shown does not see what is sensitive.
func contextOf(c place, shown bool) map[string]any {
	values := map[string]any{}
	if c.Spec.TemplateValues != nil && c.Spec.TemplateValues.Data != nil {
		values = c.Spec.TemplateValues.Data
	}
	return map[string]any{
		"ClusterNamespace":   c.Namespace,
		"ClusterName":        c.Name,
		"ClusterLabels":      labelsOf(c.Cluster),
		"ClusterAnnotations": exported(c.Annotations),
		"ClusterValues":      values,
		"Inputs":             c.given.seen(shown),
	}
}

// asksForLabels tells whether a value begins with labelPrefix anywhere.
func asksForLabels(value any) bool {
	switch value := value.(type) {
	case string:
		return strings.HasPrefix(value, labelPrefix)
	case []any:
		for _, item := range value {
			if asksForLabels(item) {
				return true
			}
		}
	case map[string]any:
		for _, item := range value {
			if asksForLabels(item) {
				return true
			}
		}
	}
	return false
}

// withLabels is a copy of values with labels filled in, a label that the cluster lacks as "". As in Fleet, a list's own texts
// are left alone, while maps in a list are not.
func withLabels(values map[string]any, labels map[string]any, depth int) (map[string]any, error) {
	if depth > maxDepth {
		return nil, errors.New("helm.values: they nest more than 50 levels deep")
	}
	filled := make(map[string]any, len(values))
	for key, value := range values {
		switch inner := value.(type) {
		case string:
			if name, asks := strings.CutPrefix(inner, labelPrefix); asks {
				value = ""
				if label, has := labels[name]; has {
					value = label
				}
			}
		case map[string]any:
			nested, err := withLabels(inner, labels, depth+1)
			if err != nil {
				return nil, err
			}
			value = nested
		case []any:
			list := append([]any(nil), inner...)
			for i, item := range list {
				if nested, isMap := item.(map[string]any); isMap {
					var err error
					if list[i], err = withLabels(nested, labels, depth+1); err != nil {
						return nil, err
					}
				}
			}
			value = list
		}
		filled[key] = value
	}
	return filled, nil
}
