package argocd

import (
	"cmp"
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// matrix combines each set of the first generator with each of the second, which may ask for the first's parameters.
func (i *importing) matrix(g *node, outer *set) (sets []set, err error) {
	generators := g.list("generators")
	if len(generators) != 2 {
		return nil, &problem{g.at("generators"), fmt.Sprintf("a matrix has two generators, this one has %d", len(generators))}
	}
	first, err := i.generate(newNode(g.at("generators[0]"), asObject(generators[0])), outer)
	if err != nil {
		return nil, err
	}
	for _, a := range first {
		second, err := i.generate(newNode(g.at("generators[1]"), asObject(generators[1])), &a)
		if err != nil {
			return nil, err
		}
		for _, b := range second {
			if both := combined(a, b); !both.nowhere() {
				both.template = merged(merged(a.template, b.template), g.object("template"))
				sets = append(sets, both)
			}
		}
	}
	g.take("template")
	g.rest(i.report)
	return sets, nil
}

// combined is two sets in one; what both have, the second gives.
func combined(a, b set) set {
	out := a.clone()
	out.params = params(mergedParams(a.params, b.params))
	out.cluster = a.cluster || b.cluster
	out.at, out.family = cmp.Or(b.at, a.at), cmp.Or(a.family, b.family)
	both, fits := a.place.and(b.place)
	if out.place = both; !fits {
		out.place.name = nowhere
	}
	for in, value := range b.bound {
		out.bound[in] = value
	}
	return out
}

// nowhere is the name of no cluster.
const nowhere = "\x00"

func (s set) nowhere() bool { return s.place.name == nowhere }

func mergedParams(base, over map[string]any) map[string]any {
	return merged(base, over)
}

// merge lays the sets of later generators over those of the first, where the merge keys have equal values.
//
// A set of clusters has no values for its keys yet. Two such sets meet where both selectors pick a cluster, if the keys tell
// clusters apart; and since the sets of one merge are asked in order, the narrower one goes before the wider.
func (i *importing) merge(g *node, outer *set) ([]set, error) {
	keys := texts(g.list("mergeKeys"))
	generators := g.list("generators")
	if len(keys) == 0 || len(generators) < 2 {
		return nil, &problem{g.path, "a merge has mergeKeys and at least two generators"}
	}
	i.families++
	var sets []set
	for index, one := range generators {
		next, err := i.generate(newNode(g.at(fmt.Sprintf("generators[%d]", index)), asObject(one)), outer)
		if err != nil {
			return nil, err
		}
		if index == 0 {
			sets = next
			continue
		}
		if sets, err = i.overlaid(sets, next, keys); err != nil {
			return nil, &problem{g.at(fmt.Sprintf("generators[%d]", index)), err.Error()}
		}
	}
	for n := range sets {
		sets[n].family = i.families
		sets[n].template = merged(sets[n].template, g.object("template"))
	}
	g.take("template")
	g.rest(i.report)
	return sets, nil
}

// overlaid is base with each of over laid over it where they meet.
func (i *importing) overlaid(base, over []set, keys []string) (out []set, err error) {
	for _, b := range base {
		narrower := []set{b}
		for _, o := range over {
			narrower, err = i.overlay(narrower, o, keys)
			if err != nil {
				return nil, err
			}
		}
		out = append(out, narrower...)
	}
	return out, nil
}

// overlay lays a set over those that it meets. Where it meets a part of the clusters only, the narrower comes first.
func (i *importing) overlay(base []set, over set, keys []string) (out []set, err error) {
	for _, b := range base {
		if !b.cluster && !over.cluster {
			same := !slices.ContainsFunc(keys, func(k string) bool { equal, err := i.sameValue(b, over, k); return !equal || err != nil })
			if same {
				b = combined(b, over)
			}
			out = append(out, b)
			continue
		}
		where, err := i.meeting(b, over, keys)
		if err != nil {
			return nil, err
		}
		o := over
		o.place, o.params = where, withoutInputs(over.params)
		both := combined(b, o)
		switch {
		case both.nowhere():
			out = append(out, b)
		case b.place.within(both.place):
			out = append(out, both)
		default:
			out = append(out, both, b)
		}
	}
	return out, nil
}

// meeting is the place where a set lies over one of clusters; nowhere when their keys differ.
func (i *importing) meeting(base, over set, keys []string) (place, error) {
	if !base.cluster {
		return place{}, fmt.Errorf("a list or Git comes first and clusters are laid over it; turn them round")
	}
	where, told := over.place, false
	for _, key := range keys {
		if !slices.Contains(identities, key) {
			same, err := i.sameValue(base, over, key)
			if err != nil || !same {
				return place{name: nowhere}, err
			}
			continue
		}
		told = true
		if over.cluster {
			continue // where both selectors pick a cluster it is the same one
		}
		value, ok := i.parameter(over, key)
		if !ok {
			return place{name: nowhere}, nil // as in Argo CD, a set without the key meets nothing
		}
		name := asText(value)
		if key == "server" {
			var err error
			if name, err = i.nameOf(name); err != nil {
				return place{}, err
			}
		}
		where.name = normalized(name)
	}
	if over.cluster && !told {
		return place{}, fmt.Errorf("mergeKeys %v do not tell clusters apart; with name or server among them they would", keys)
	}
	return where, nil
}

// identities are the parameters that tell clusters apart.
var identities = []string{"name", "nameNormalized", "server"}

// sameValue compares a merge key that does not tell clusters apart.
func (i *importing) sameValue(a, b set, key string) (bool, error) {
	left, _ := i.parameter(a, key)
	right, _ := i.parameter(b, key)
	for _, value := range []any{left, right} {
		switch value.(type) {
		case input, text, attributes:
			return false, fmt.Errorf("mergeKey %s depends on the cluster and is no name or server", key)
		}
	}
	return reflect.DeepEqual(left, right), nil
}

// parameter is a parameter by its whole name.
func (i *importing) parameter(s set, name string) (any, bool) {
	if i.goTemplate {
		return s.lookup(strings.Split(name, "."))
	}
	return s.flat(name)
}

// withoutInputs are parameters less those that a cluster has by itself.
func withoutInputs(all params) params {
	out := params{}
	for key, value := range all {
		if _, ok := value.(input); !ok && key != "metadata" {
			out[key] = value
		}
	}
	for _, key := range identities {
		delete(out, key)
	}
	return out
}

// nameOf is the name of the cluster at an address.
func (i *importing) nameOf(server string) (string, error) {
	for _, c := range i.known {
		if c.server == server {
			return normalized(c.name), nil
		}
	}
	if server == "https://kubernetes.default.svc" {
		i.report.note("in-cluster is the cluster that Argo CD is on: its Cluster is to have that name, or put another into the targets")
		return "in-cluster", nil
	}
	return "", fmt.Errorf("which cluster is at %s? give --clusters with Argo CD's cluster Secrets", server)
}
