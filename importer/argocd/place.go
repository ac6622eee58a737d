package argocd

import (
	"cmp"
	"encoding/base64"
	"fmt"
	"maps"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// place says which clusters: all that have the name, if there is one, and meet all requirements.
type place struct {
	name  string
	needs []metav1.LabelSelectorRequirement // sorted
}

// placeOf is the place of a selector.
func placeOf(selector *metav1.LabelSelector) place {
	p := place{}
	for _, key := range slices.Sorted(maps.Keys(selector.MatchLabels)) {
		p.needs = append(p.needs, metav1.LabelSelectorRequirement{Key: key, Operator: metav1.LabelSelectorOpIn, Values: []string{selector.MatchLabels[key]}})
	}
	p.needs = append(p.needs, selector.MatchExpressions...)
	return p.sorted()
}

func (p place) sorted() place {
	needs := slices.Clone(p.needs)
	slices.SortFunc(needs, func(a, b metav1.LabelSelectorRequirement) int {
		return cmp.Or(cmp.Compare(a.Key, b.Key), cmp.Compare(a.Operator, b.Operator), slices.Compare(a.Values, b.Values))
	})
	p.needs = slices.CompactFunc(needs, sameNeed)
	return p
}

func sameNeed(a, b metav1.LabelSelectorRequirement) bool {
	return a.Key == b.Key && a.Operator == b.Operator && slices.Equal(a.Values, b.Values)
}

// and is the place where both hold; false when no cluster can be there.
func (p place) and(q place) (place, bool) {
	if p.name != "" && q.name != "" && p.name != q.name {
		return place{}, false
	}
	both := place{cmp.Or(p.name, q.name), slices.Concat(p.needs, q.needs)}.sorted()
	return both, !both.contradicts()
}

// contradicts tells of some places that no cluster is there; of others it does not know.
func (p place) contradicts() bool {
	one := map[string]string{}
	for _, n := range p.needs {
		if n.Operator != metav1.LabelSelectorOpIn || len(n.Values) != 1 {
			continue
		}
		if value, ok := one[n.Key]; ok && value != n.Values[0] {
			return true
		}
		one[n.Key] = n.Values[0]
	}
	for _, n := range p.needs {
		value, ok := one[n.Key]
		switch {
		case !ok:
		case n.Operator == metav1.LabelSelectorOpDoesNotExist,
			n.Operator == metav1.LabelSelectorOpIn && !slices.Contains(n.Values, value),
			n.Operator == metav1.LabelSelectorOpNotIn && slices.Contains(n.Values, value):
			return true
		}
	}
	return false
}

// within tells whether all clusters of p are in q, as far as that can be read from them.
func (p place) within(q place) bool {
	return (q.name == "" || q.name == p.name) && !slices.ContainsFunc(q.needs, func(n metav1.LabelSelectorRequirement) bool {
		return !slices.ContainsFunc(p.needs, func(m metav1.LabelSelectorRequirement) bool { return sameNeed(n, m) })
	})
}

// target are the criteria in a GitRepo or fleet.yaml.
func (p place) target() map[string]any {
	out := map[string]any{"name": p.String()}
	if p.name != "" {
		out["clusterName"] = p.name
	}
	if p.name != "" && len(p.needs) == 0 {
		return out
	}
	selector, matchLabels, expressions := map[string]any{}, map[string]any{}, []any{}
	for _, n := range p.needs {
		if _, taken := matchLabels[n.Key]; n.Operator == metav1.LabelSelectorOpIn && len(n.Values) == 1 && !taken {
			matchLabels[n.Key] = n.Values[0]
			continue
		}
		expression := map[string]any{"key": n.Key, "operator": string(n.Operator)}
		if len(n.Values) > 0 {
			expression["values"] = n.Values
		}
		expressions = append(expressions, expression)
	}
	if len(matchLabels) > 0 {
		selector["matchLabels"] = matchLabels
	}
	if len(expressions) > 0 {
		selector["matchExpressions"] = expressions
	}
	out["clusterSelector"] = selector
	return out
}

// String is the place's name in a target.
func (p place) String() string {
	var words []string
	if p.name != "" {
		words = append(words, p.name)
	}
	for _, n := range p.needs {
		switch n.Operator {
		case metav1.LabelSelectorOpIn:
			words = append(words, n.Key+"="+strings.Join(n.Values, "|"))
		case metav1.LabelSelectorOpNotIn:
			words = append(words, n.Key+"!="+strings.Join(n.Values, "|"))
		case metav1.LabelSelectorOpExists:
			words = append(words, n.Key)
		case metav1.LabelSelectorOpDoesNotExist:
			words = append(words, "!"+n.Key)
		}
	}
	if len(words) == 0 {
		return "all"
	}
	return strings.Join(words, ",")
}

// cluster is one that is known.
type cluster struct {
	name, server        string
	labels, annotations map[string]string
}

// clustersOf reads Argo CD's cluster Secrets and Cluster objects.
func clustersOf(data []byte) (all []cluster, err error) {
	if len(trimmed(data)) == 0 {
		return nil, nil
	}
	documents, err := documentsOf(data)
	if err != nil {
		return nil, err
	}
	for _, document := range documents {
		meta := asObject(document["metadata"])
		c := cluster{name: asText(meta["name"]), labels: textMap(meta["labels"]), annotations: textMap(meta["annotations"])}
		switch document["kind"] {
		case "Cluster":
		case "Secret":
			if c.labels[secretType] != "cluster" {
				continue
			}
			if c.name, c.server = secretText(document, "name"), secretText(document, "server"); c.name == "" {
				return nil, fmt.Errorf("the Secret %s has no name in its data", meta["name"])
			}
		default:
			continue
		}
		all = append(all, c)
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("there is neither a cluster Secret of Argo CD nor a Cluster in it")
	}
	slices.SortFunc(all, func(a, b cluster) int { return cmp.Compare(a.name, b.name) })
	return all, nil
}

func secretText(secret map[string]any, key string) string {
	if text := asText(asObject(secret["stringData"])[key]); text != "" {
		return text
	}
	text, err := base64.StdEncoding.DecodeString(asText(asObject(secret["data"])[key]))
	if err != nil {
		return ""
	}
	return string(text)
}

func textMap(value any) map[string]string {
	out := map[string]string{}
	for key, value := range asObject(value) {
		out[key] = asText(value)
	}
	return out
}

// at lists the known clusters of a place.
func at(known []cluster, p place) (found []cluster) {
	selector, err := metav1.LabelSelectorAsSelector(&metav1.LabelSelector{MatchExpressions: p.needs})
	if err != nil {
		return nil
	}
	for _, c := range known {
		if (p.name == "" || p.name == normalized(c.name)) && selector.Matches(labels.Set(c.labels)) {
			found = append(found, c)
		}
	}
	return found
}
