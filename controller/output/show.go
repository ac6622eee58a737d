package output

import (
	"cmp"
	"context"
	"encoding/json"
	"maps"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	agentapi "flotilla.io/flotilla/api/flotilla/v1alpha1"
	fleet "flotilla.io/flotilla/api/v1alpha1"
	"flotilla.io/flotilla/bundle/target"
)

// Shown is an output as people may see it.
type Shown struct {
	Bundle  string `json:"bundle"`
	Output  string `json:"output"`
	Cluster string `json:"cluster,omitempty"` // "" for a value that is made on the hub
	Each    string `json:"each,omitempty"`    // the cluster ("namespace/name") that the value is for
	// Value is absent where there is none, and where it is sensitive.
	Value     any      `json:"value,omitempty"`
	Sensitive bool     `json:"sensitive,omitempty"`
	Error     string   `json:"error,omitempty"`
	Left      string   `json:"leftOut,omitempty"` // why inputs that want healthy clusters take nothing from this one
	Takers    []string `json:"takers,omitempty"`  // bundles, as they are named here: those of other workspaces with theirs
}

// Show lists the outputs of the bundles of a workspace, or of one of them, sorted. It takes no key: sensitive values stay closed.
func Show(ctx context.Context, c client.Client, workspace, bundle string) ([]Shown, error) {
	all := &fleet.BundleList{}
	if err := c.List(ctx, all); err != nil {
		return nil, err
	}
	agents := &agentapi.AgentList{}
	if err := c.List(ctx, agents); err != nil {
		return nil, err
	}
	v := &viewer{Giver: Giver{Client: c}, all: all.Items, agents: map[string]*agentapi.Agent{}}
	for i := range agents.Items {
		v.agents[agents.Items[i].Namespace] = &agents.Items[i]
	}
	var out []Shown
	for i := range all.Items {
		b := &all.Items[i]
		if b.Namespace != workspace || bundle != "" && b.Name != bundle || len(b.Spec.Outputs) == 0 {
			continue
		}
		shown, err := v.of(ctx, b)
		if err != nil {
			return nil, err
		}
		out = append(out, shown...)
	}
	slices.SortStableFunc(out, func(a, b Shown) int {
		return cmp.Or(strings.Compare(a.Bundle, b.Bundle), strings.Compare(a.Output, b.Output), strings.Compare(a.Cluster, b.Cluster), strings.Compare(a.Each, b.Each))
	})
	return out, nil
}

type viewer struct {
	Giver
	all    []fleet.Bundle
	agents map[string]*agentapi.Agent
}

// of lists the outputs of one bundle.
func (v *viewer) of(ctx context.Context, b *fleet.Bundle) ([]Shown, error) {
	list := &fleet.BundleDeploymentList{}
	if err := v.Client.List(ctx, list, client.MatchingLabels{fleet.BundleLabel: b.Name, fleet.BundleNamespaceLabel: b.Namespace}); err != nil {
		return nil, err
	}
	var out []Shown
	for i := range b.Spec.Outputs {
		o := &b.Spec.Outputs[i]
		base := Shown{Bundle: b.Name, Output: o.Name, Sensitive: target.IsSensitive(o), Takers: v.takers(b, o)}
		if o.Generate != nil {
			out = append(out, base)
			continue
		}
		for j := range list.Items {
			shown, err := v.on(ctx, b, o, &list.Items[j], base)
			if err != nil {
				return nil, err
			}
			out = append(out, shown...)
		}
	}
	return out, nil
}

// on is one output on one cluster.
func (v *viewer) on(ctx context.Context, b *fleet.Bundle, o *fleet.Output, bd *fleet.BundleDeployment, base Shown) ([]Shown, error) {
	c := &fleet.Cluster{}
	key := client.ObjectKey{Namespace: bd.Labels[fleet.ClusterNamespaceLabel], Name: bd.Labels[fleet.ClusterLabel]}
	if err := v.Client.Get(ctx, key, c); apierrors.IsNotFound(err) || err == nil && bd.Spec.Deletion != nil {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	base.Cluster, base.Left = c.Name, v.unhealthy(c, bd)
	if o.Object != nil {
		return reportedBy(bd, o, base), nil
	}
	given := given{cluster: c, each: map[string]any{}}
	if err := v.evaluate(ctx, &given, o, b, v.agents[bd.Namespace]); err != nil {
		return nil, err
	}
	if base.Error = given.why; len(given.each) == 0 {
		base.set(given.value)
		return []Shown{base}, nil
	}
	var out []Shown
	for _, each := range slices.Sorted(maps.Keys(given.each)) {
		one := base
		one.Each = each
		one.set(given.each[each])
		out = append(out, one)
	}
	return out, nil
}

// reportedBy are the values of an output that stand in a BundleDeployment.
func reportedBy(bd *fleet.BundleDeployment, o *fleet.Output, base Shown) (out []Shown) {
	for _, reported := range bd.Status.Outputs {
		if reported.Name != o.Name {
			continue
		}
		one := base
		one.Each, one.Error = reported.Each, reported.Error
		one.Sensitive = one.Sensitive || reported.Sealed != nil
		var value any
		if reported.Value != nil && json.Unmarshal(reported.Value.Raw, &value) == nil {
			one.set(value)
		}
		out = append(out, one)
	}
	if len(out) == 0 {
		base.Error = "its agent has not reported it yet"
		out = append(out, base)
	}
	return out
}

func (s *Shown) set(value any) {
	if !s.Sensitive {
		s.Value = value
	}
}

// takers are the bundles that take an output.
func (v *viewer) takers(b *fleet.Bundle, o *fleet.Output) (names []string) {
	for i := range v.all {
		taker := &v.all[i]
		takes := func(in fleet.Input) bool {
			return in.From.Output == o.Name && Producer(taker, &in) == client.ObjectKeyFromObject(b)
		}
		if !slices.ContainsFunc(taker.Spec.Inputs, takes) || !granted(o, b, taker) {
			continue
		}
		name := taker.Name
		if taker.Namespace != b.Namespace {
			name = taker.Namespace + "/" + name
		}
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
