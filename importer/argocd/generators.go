package argocd

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/yaml"
)

// notHere are the generators that have no counterpart, and what to do.
var notHere = map[string]string{
	"pullRequest":             "environments for pull requests have no counterpart",
	"scmProvider":             "repositories are not looked for; make a GitRepo for each",
	"clusterDecisionResource": "label the clusters that are chosen, and select the label",
	"plugin":                  "programs are not asked; label the clusters, and select the label",
}

// generate gives the sets of a generator. outer is a set of a matrix's first generator, which the second may ask for.
func (i *importing) generate(g *node, outer *set) ([]set, error) {
	var sets []set
	var err error
	switch {
	case g.has("clusters") || g.value["clusters"] != nil:
		sets, err = i.clusters(g.child("clusters"), outer)
	case g.has("list"):
		sets, err = i.list(g.child("list"), outer)
	case g.has("git"):
		sets, err = i.git(g.child("git"), outer)
	case g.has("matrix"):
		sets, err = i.matrix(g.child("matrix"), outer)
	case g.has("merge"):
		sets, err = i.merge(g.child("merge"), outer)
	default:
		for key := range g.value {
			if reason, ok := notHere[key]; ok {
				return nil, &problem{g.at(key), reason}
			}
		}
		return nil, &problem{g.path, "there is no such generator"}
	}
	if err != nil {
		return nil, err
	}
	if sets, err = filtered(sets, g.object("selector")); err != nil {
		return nil, &problem{g.at("selector"), err.Error()}
	}
	g.rest(i.report)
	return sets, nil
}

// secretType is the label by which Argo CD knows the Secrets of its clusters.
const secretType = "argocd.argoproj.io/secret-type"

// clusters is one set for all clusters of a selector.
func (i *importing) clusters(g *node, outer *set) ([]set, error) {
	selector, err := i.deep(g.object("selector"), outer)
	if err != nil {
		return nil, &problem{g.at("selector"), err.Error()}
	}
	var read metav1.LabelSelector
	data, _ := json.Marshal(selector) // made of what YAML gave
	if err := json.Unmarshal(data, &read); err != nil {
		return nil, &problem{g.at("selector"), err.Error()}
	}
	where := placeOf(&read)
	where.needs = slices.DeleteFunc(where.needs, func(n metav1.LabelSelectorRequirement) bool { return n.Key == secretType }) // of all of them
	s := set{cluster: true, place: where, template: g.object("template"), at: g.path}.clone()
	s.params = params{
		"name": input{kind: "name"}, "nameNormalized": input{kind: "name"}, "server": input{kind: "server"},
		"metadata": map[string]any{"labels": attributes("label"), "annotations": attributes("annotation")},
	}
	g.take("flatList") // a list of clusters in one Application has no use here; what asks for it is told
	if err := i.values(g, &s, outer); err != nil {
		return nil, err
	}
	g.rest(i.report)
	return []set{s}, nil
}

// list is a set for each element.
func (i *importing) list(g *node, outer *set) (sets []set, err error) {
	elements := g.list("elements")
	if text := g.plain("elementsYaml"); text != "" {
		whole, err := i.evaluate(text, orEmpty(outer))
		if err != nil || whole.varies() {
			return nil, &problem{g.at("elementsYaml"), fmt.Sprintf("it depends on the cluster, or %v", err)}
		}
		var more []any
		if err := yaml.Unmarshal([]byte(whole.fixed()), &more); err != nil {
			return nil, &problem{g.at("elementsYaml"), err.Error()}
		}
		elements = append(slices.Clone(elements), more...)
	}
	for index, element := range elements {
		evaluated, err := i.deep(asObject(element), outer)
		if err != nil {
			return nil, &problem{fmt.Sprintf("%s[%d]", g.at("elements"), index), err.Error()}
		}
		s := set{template: g.object("template"), at: g.path, params: params(evaluated)}
		if !i.goTemplate {
			s.params = params{}
			flattened("", evaluated, s.params)
		}
		sets = append(sets, s.clone())
	}
	g.take("template")
	g.rest(i.report)
	return sets, nil
}

// values adds a generator's own values, which may ask for its parameters.
func (i *importing) values(g *node, s *set, outer *set) error {
	all := params{}
	for _, key := range sortedKeys(g.object("values")) {
		from := *s
		if outer != nil {
			from = combined(*outer, *s)
		}
		value, err := i.evaluate(asText(g.object("values")[key]), from)
		if err != nil {
			return &problem{g.at("values." + key), err.Error()}
		}
		var kept any = value
		if !value.varies() {
			kept = value.fixed()
		}
		all[key] = kept
	}
	for key, value := range all {
		if !i.goTemplate {
			s.params["values."+key] = value
		}
	}
	if i.goTemplate && len(all) > 0 {
		s.params["values"] = map[string]any(all)
	}
	return nil
}

// deep fills in the templates of an object of a generator; without an outer set there is nothing to fill in with.
func (i *importing) deep(object map[string]any, outer *set) (map[string]any, error) {
	if outer == nil {
		return object, nil
	}
	out, err := i.deepValue(object, *outer)
	return asObject(out), err
}

func (i *importing) deepValue(value any, s set) (any, error) {
	switch value := value.(type) {
	case map[string]any:
		out := map[string]any{}
		for key, item := range value {
			var err error
			if out[key], err = i.deepValue(item, s); err != nil {
				return nil, err
			}
		}
		return out, nil
	case []any:
		out := make([]any, len(value))
		for index, item := range value {
			var err error
			if out[index], err = i.deepValue(item, s); err != nil {
				return nil, err
			}
		}
		return out, nil
	case string:
		filled, err := i.evaluate(value, s)
		if err != nil {
			return nil, err
		}
		if filled.varies() {
			return nil, fmt.Errorf("%s depends on the cluster, which is known only when a bundle is deployed; put the clusters generator last", value)
		}
		return filled.fixed(), nil
	}
	return value, nil
}

// filtered keeps the sets that a generator's selector picks by their parameters. What it says of a cluster's labels narrows the place.
func filtered(sets []set, selector map[string]any) (kept []set, err error) {
	if len(selector) == 0 {
		return sets, nil
	}
	var read metav1.LabelSelector
	data, _ := json.Marshal(selector) // made of what YAML gave
	if err := json.Unmarshal(data, &read); err != nil {
		return nil, err
	}
	for _, s := range sets {
		picked := true
		for _, need := range placeOf(&read).needs {
			label, ofCluster := strings.CutPrefix(need.Key, "metadata.labels.")
			value, ok := s.flat(need.Key)
			if !ok {
				value, ok = s.lookup(strings.Split(need.Key, "."))
			}
			switch value.(type) {
			case input, text, attributes:
				if !ofCluster {
					return nil, fmt.Errorf("%s depends on the cluster and is no label of it", need.Key)
				}
				need.Key = label
				var fits bool
				if s.place, fits = s.place.and(place{needs: []metav1.LabelSelectorRequirement{need}}); !fits {
					picked = false
				}
				continue
			}
			picked = picked && meets(need, value, ok)
		}
		if picked {
			kept = append(kept, s)
		}
	}
	return kept, nil
}

func meets(need metav1.LabelSelectorRequirement, value any, ok bool) bool {
	selector, err := metav1.LabelSelectorAsSelector(&metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{need}})
	has := labels.Set{}
	if ok {
		has[need.Key] = asText(value)
	}
	return err == nil && selector.Matches(has)
}

func orEmpty(s *set) set {
	if s == nil {
		return set{}
	}
	return *s
}
