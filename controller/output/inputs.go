package output

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"sigs.k8s.io/controller-runtime/pkg/client"

	fleet "flotilla.io/flotilla/api/v1alpha1"
	"flotilla.io/flotilla/bundle/target"
	"flotilla.io/flotilla/controller/rollout"
)

// On are the inputs on one cluster.
func (in *Inputs) On(c *fleet.Cluster) target.Given {
	if in == nil {
		return target.Given{}
	}
	out := target.Given{Open: map[string]any{}, Sensitive: map[string]any{}}
	var missing []string
	for _, s := range in.sources {
		value, why, from := s.on(c)
		if why != "" && !s.Optional {
			missing = append(missing, fmt.Sprintf("input %s: %s", s.Name, why))
			in.circles.add(in.node(c), from)
			continue
		}
		if why != "" {
			value = target.Otherwise(&s.Input)
		}
		if s.sensitive {
			out.Sensitive[s.Name] = value
		} else {
			out.Open[s.Name] = value
		}
	}
	if len(missing) > 0 {
		out.Missing = "waits for " + strings.Join(missing, "; ")
	}
	return out
}

// on is the input on one cluster, or why it is not there and from whom it is awaited.
func (s *source) on(c *fleet.Cluster) (value any, why string, from []node) {
	switch {
	case s.missing != "":
		return nil, s.missing, nil
	case s.made:
		return s.value, "", nil
	case s.Clusters == fleet.InputClustersAll:
		return s.all(c)
	case s.Clusters == fleet.InputClustersSame:
		return s.same(c)
	}
	return s.one(c)
}

// of is what a cluster gives to a consumer.
func (v *given) of(consumer *fleet.Cluster) (any, string) {
	if own, ok := v.each[nameOf(consumer)]; ok {
		return own, ""
	}
	if v.why == "" && len(v.each) > 0 {
		return nil, "it makes none for this cluster: its forEach does not pick it"
	}
	return v.value, v.why
}

func (s *source) same(c *fleet.Cluster) (any, string, []node) {
	for i := range s.from {
		if v := &s.from[i]; v.cluster.UID == c.UID {
			value, why := v.of(c)
			if why != "" {
				why = fmt.Sprintf("%s of this cluster: %s", s.what(), why)
			}
			return value, why, s.nodes(v)
		}
	}
	return nil, fmt.Sprintf("%s: it is not on this cluster", s.what()), []node{s.node(nameOf(c))}
}

// one is the value of the only cluster that has one.
func (s *source) one(c *fleet.Cluster) (any, string, []node) {
	var have []*given
	var lacks []string
	var value any
	for i := range s.from {
		v := &s.from[i]
		found, why := v.of(c)
		if why == "" {
			value, have = found, append(have, v)
		} else {
			lacks = append(lacks, fmt.Sprintf("cluster %s: %s", v.cluster.Name, why))
		}
	}
	switch {
	case len(have) == 1:
		return value, "", nil
	case len(have) > 1:
		return nil, fmt.Sprintf("%s: clusters %s give one each; pick one by clusterSelector, or take all", s.what(), names(have)), nil
	case len(lacks) == 0:
		return nil, fmt.Sprintf("%s: it is on no cluster%s yet", s.what(), s.picked()), []node{s.node("")}
	}
	return nil, fmt.Sprintf("%s: %s", s.what(), rollout.Sample(lacks)), s.nodes(pointers(s.from)...)
}

// all is the map of what is there. Who is not there yet comes into it later. One of healthy clusters is never empty: whoever
// waits keeps the last that was not.
func (s *source) all(c *fleet.Cluster) (any, string, []node) {
	out := map[string]any{}
	var lacks []string
	owner := map[string]string{}
	for i := range s.from {
		v := &s.from[i]
		value, why := v.of(c)
		if why != "" {
			lacks = append(lacks, fmt.Sprintf("cluster %s: %s", v.cluster.Name, why))
			continue
		}
		if twin, twice := owner[v.cluster.Name]; twice {
			return nil, fmt.Sprintf("%s: clusters %s and %s bear one name; leave one of them out by clusterSelector", s.what(), twin, nameOf(v.cluster)), nil
		}
		owner[v.cluster.Name], out[v.cluster.Name] = nameOf(v.cluster), value
	}
	switch {
	case !s.Healthy || len(out) > 0:
		return out, "", nil
	case len(lacks) == 0:
		return nil, fmt.Sprintf("%s: it is on no cluster%s; the last values are kept", s.what(), s.picked()), []node{s.node("")}
	}
	return nil, fmt.Sprintf("%s: no cluster is left, the last values are kept: %s", s.what(), rollout.Sample(lacks)), s.nodes(pointers(s.from)...)
}

// what names the source in a sentence.
func (s *source) what() string { return target.SourceOf(&s.Input) }

func (s *source) picked() string {
	if s.ClusterSelector == nil {
		return ""
	}
	return " that clusterSelector picks"
}

func (s *source) node(cluster string) node { return node{s.producer, cluster} }

func (s *source) nodes(from ...*given) []node {
	var out []node
	for _, v := range from {
		out = append(out, s.node(nameOf(v.cluster)))
	}
	return out
}

func pointers(list []given) []*given {
	out := make([]*given, len(list))
	for i := range list {
		out[i] = &list[i]
	}
	return out
}

func names(list []*given) string {
	var out []string
	for _, v := range list {
		out = append(out, v.cluster.Name)
	}
	return rollout.Sample(out)
}

// Producer is the bundle that an input comes from; without a name for a fact.
func Producer(b *fleet.Bundle, in *fleet.Input) client.ObjectKey {
	return client.ObjectKey{Namespace: cmp.Or(in.From.Workspace, b.Namespace), Name: in.From.Bundle}
}

// Bundles are those that a bundle takes inputs from.
func Bundles(b *fleet.Bundle) []client.ObjectKey {
	var out []client.ObjectKey
	for i := range b.Spec.Inputs {
		if key := Producer(b, &b.Spec.Inputs[i]); key.Name != "" && !slices.Contains(out, key) {
			out = append(out, key)
		}
	}
	return out
}
