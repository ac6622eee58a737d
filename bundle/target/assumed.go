package target

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"sigs.k8s.io/yaml"

	"flotilla.io/flotilla/api/v1alpha1"
	"flotilla.io/flotilla/bundle/fleetyaml/nearest"
)

// Assumed are values of inputs as a person gives them where no hub finds them: by bundle, then by name. The key "" is for every bundle
// with an input of that name, and CLUSTER/BUNDLE for one cluster; the closest one counts.
type Assumed map[string]map[string]any

// ParseAssumed reads values from YAML.
func ParseAssumed(data []byte) (Assumed, error) {
	out := Assumed{}
	if err := yaml.UnmarshalStrict(data, &out); err != nil {
		return nil, fmt.Errorf("want BUNDLE: {INPUT: value}, or CLUSTER/BUNDLE for one cluster: %w", err)
	}
	return out, nil
}

// Assumptions give the bundles of a tree what is assumed.
type Assumptions struct {
	values  Assumed
	bundles map[string]*v1alpha1.Bundle
}

// Among prepares values for the bundles of a tree. An error names a value that no bundle takes; whole says that all bundles are there, so
// that one which is not has been mistyped.
func (a Assumed) Among(bundles []*v1alpha1.Bundle, whole bool) (*Assumptions, error) {
	out := &Assumptions{a, map[string]*v1alpha1.Bundle{}}
	all := map[string]bool{}
	for _, b := range bundles {
		out.bundles[b.Name] = b
		for _, in := range b.Spec.Inputs {
			all[in.Name] = true
		}
	}
	for _, key := range slices.Sorted(maps.Keys(a)) {
		name := key[strings.LastIndex(key, "/")+1:]
		b := out.bundles[name]
		takes, who := all, "no bundle"
		switch {
		case key != "" && b == nil && whole:
			return nil, fmt.Errorf("there is no bundle %q%s", name, nearest.Hint(name, slices.Collect(maps.Keys(out.bundles))))
		case key != "" && b == nil || key == "" && !whole:
			continue
		case key != "":
			takes, who = map[string]bool{}, "bundle "+name+" has no input"
			for _, in := range b.Spec.Inputs {
				takes[in.Name] = true
			}
		default:
			who += " has an input"
		}
		for _, input := range slices.Sorted(maps.Keys(a[key])) {
			if !takes[input] {
				return nil, fmt.Errorf("%s %q%s", who, input, nearest.Hint(input, slices.Collect(maps.Keys(takes))))
			}
		}
	}
	return out, nil
}

// For gives a bundle its inputs, for Matcher.Give. A value is sensitive where a bundle of the tree says so.
func (a *Assumptions) For(b *v1alpha1.Bundle) func(*v1alpha1.Cluster) Given {
	return func(c *v1alpha1.Cluster) Given {
		out := Given{Open: map[string]any{}, Sensitive: map[string]any{}}
		var missing []string
		for i := range b.Spec.Inputs {
			in := &b.Spec.Inputs[i]
			value, known := a.value(c.Name, b.Name, in.Name)
			switch {
			case !known && !in.Optional:
				missing = append(missing, fmt.Sprintf("input %s (%s)", in.Name, SourceOf(in)))
				continue
			case !known:
				value = Otherwise(in)
			}
			if a.sensitive(&in.From) {
				out.Sensitive[in.Name] = value
			} else {
				out.Open[in.Name] = value
			}
		}
		if len(missing) > 0 {
			out.Missing = "only a hub knows " + strings.Join(missing, ", ") + ": give values by --input NAME=VALUE, or by --inputs FILE"
		}
		return out
	}
}

func (a *Assumptions) value(cluster, bundle, input string) (any, bool) {
	for _, key := range []string{cluster + "/" + bundle, bundle, ""} {
		if value, known := a.values[key][input]; known {
			return clone(value), true
		}
	}
	return nil, false
}

// clone keeps what templates do to a value from the next cluster.
func clone(value any) any {
	data, err := json.Marshal(value)
	if err != nil {
		return value
	}
	var out any
	_ = json.Unmarshal(data, &out)
	return out
}

func (a *Assumptions) sensitive(from *v1alpha1.InputFrom) bool {
	o, _ := a.output(from)
	return o != nil && IsSensitive(o)
}

// Source tells that an input asks a bundle of the tree for an output that it does not have.
func (a *Assumptions) Source(in *v1alpha1.Input) error {
	_, err := a.output(&in.From)
	return err
}

// output is what an input comes from; nil if it is of another tree, or a fact.
func (a *Assumptions) output(from *v1alpha1.InputFrom) (*v1alpha1.Output, error) {
	b := a.bundles[from.Bundle]
	if b == nil || from.Workspace != "" {
		return nil, nil
	}
	var names []string
	for i := range b.Spec.Outputs {
		if b.Spec.Outputs[i].Name == from.Output {
			return &b.Spec.Outputs[i], nil
		}
		names = append(names, b.Spec.Outputs[i].Name)
	}
	return nil, fmt.Errorf("bundle %s has no output %q%s", b.Name, from.Output, nearest.Hint(from.Output, names))
}
