package target

import (
	"encoding/json"
	"fmt"
	"maps"
	"strings"

	"flotilla.io/flotilla/api/v1alpha1"
)

// Given are the inputs of a bundle on one cluster, by name: JSON-like values.
type Given struct {
	Open      map[string]any
	Sensitive map[string]any
	// Missing says which inputs are not there, "" when all are: the bundle waits for them.
	Missing string
}

// Waiting is the error of a cluster on which inputs are missing. It is no mistake: they may come.
type Waiting struct{ For string }

func (e *Waiting) Error() string { return e.For }

// Give has templates see inputs: given is asked for each cluster that the bundle goes to. It is called before the first match.
func (m *Matcher) Give(given func(*v1alpha1.Cluster) Given) { m.given = given }

// nothing is what a bundle is given where there is no hub to give it anything.
func nothing(b *v1alpha1.Bundle) func(*v1alpha1.Cluster) Given {
	var names []string
	for _, in := range b.Spec.Inputs {
		names = append(names, in.Name)
	}
	var given Given
	if len(names) > 0 {
		given.Missing = fmt.Sprintf("the values of its inputs (%s) come from clusters: only a hub knows them", strings.Join(names, ", "))
	}
	return func(*v1alpha1.Cluster) Given { return given }
}

// seen is what templates see; those whose text is shown see nothing that is sensitive.
func (g Given) seen(shown bool) map[string]any {
	all := maps.Clone(g.Open)
	if all == nil {
		all = map[string]any{}
	}
	if !shown {
		maps.Copy(all, g.Sensitive)
	}
	return all
}

// SourceOf names where an input comes from, in a sentence.
func SourceOf(in *v1alpha1.Input) string {
	if in.From.Fact != "" {
		return "fact " + in.From.Fact
	}
	return fmt.Sprintf("output %s of bundle %s", in.From.Output, in.From.Bundle)
}

// Otherwise is what an optional input is when there is nothing to take: its default, or nil.
func Otherwise(in *v1alpha1.Input) any {
	var value any
	if in.Default != nil {
		_ = json.Unmarshal(in.Default.Raw, &value) // whoever read the bundle has parsed it
	}
	return value
}

// IsSensitive tells whether the values of an output are sealed wherever they are kept.
func IsSensitive(o *v1alpha1.Output) bool { return o.Sensitive || o.Generate != nil }
