package policy

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	fleet "flotilla.io/flotilla/api/v1alpha1"
)

// entry is a value and the object that it is from.
type entry struct {
	value, from string
	whole       bool // of a pattern: it must match all of what it is held against
}

// defaultTo sets what is not set yet.
func (e *entry) defaultTo(value, from string) {
	if e.value == "" && value != "" {
		*e = entry{value: value, from: from}
	}
}

// list is what is allowed. An empty one allows everything.
type list []entry

func (l *list) add(from string, values []string) {
	for _, v := range values {
		*l = append(*l, entry{value: v, from: from})
	}
}

// addWhole adds patterns that must match the whole.
func (l *list) addWhole(from string, patterns []string) {
	for _, p := range patterns {
		*l = append(*l, entry{value: p, from: from, whole: true})
	}
}

func (l list) has(value string) bool {
	return len(l) == 0 || slices.ContainsFunc(l, func(e entry) bool { return e.value == value })
}

// matches holds patterns against a value. A pattern that is no regular expression still allows what it says letter by letter.
func (l list) matches(value string) bool {
	return l.has(value) || slices.ContainsFunc(l, func(e entry) bool {
		pattern, err := e.compile()
		return err == nil && pattern.MatchString(value)
	})
}

func (e entry) compile() (*regexp.Regexp, error) {
	if e.whole {
		return regexp.Compile("^(?:" + e.value + ")$")
	}
	return regexp.Compile(e.value)
}

// broken says which patterns are no regular expressions.
func (l list) broken() string {
	var out []string
	for _, e := range l {
		if _, err := e.compile(); err != nil {
			out = append(out, fmt.Sprintf("; pattern %q of %s is no regular expression", e.value, e.from))
		}
	}
	return strings.Join(out, "")
}

// String says what is allowed and by whom: "a, b (Policy base), c (Policy team)".
func (l list) String() string {
	var parts []string
	for i, e := range l {
		if i+1 < len(l) && l[i+1].from == e.from {
			parts = append(parts, e.value)
			continue
		}
		parts = append(parts, fmt.Sprintf("%s (%s)", e.value, e.from))
	}
	return strings.Join(parts, ", ")
}

// orElse is what is allowed after some words, "" when everything is.
func (l list) orElse(words string) string {
	if len(l) == 0 {
		return ""
	}
	return words + l.String()
}

// mergeSelectors joins two selectors as Fleet does: both must hold, and of a label that both give a value the later one counts.
func mergeSelectors(a, b *metav1.LabelSelector) *metav1.LabelSelector {
	if a == nil {
		return b.DeepCopy()
	}
	out := a.DeepCopy()
	for k, v := range b.MatchLabels {
		metav1.AddLabelToSelector(out, k, v)
	}
	for _, e := range b.MatchExpressions {
		same := func(o metav1.LabelSelectorRequirement) bool {
			return o.Key == e.Key && o.Operator == e.Operator && slices.Equal(o.Values, e.Values)
		}
		if !slices.ContainsFunc(out.MatchExpressions, same) {
			out.MatchExpressions = append(out.MatchExpressions, *e.DeepCopy())
		}
	}
	return out
}

// set is one set of options of a bundle, and where it stands in the spec.
type set struct {
	path    string
	options *fleet.BundleDeploymentOptions
}

// sets are the bundle's own options, then those of its targets.
func sets(spec *fleet.BundleSpec) []set {
	out := []set{{"spec", &spec.BundleDeploymentOptions}}
	for i := range spec.Targets {
		t := &spec.Targets[i]
		out = append(out, set{fmt.Sprintf("spec.targets[%d] (%s)", i, t.Name), &t.BundleDeploymentOptions})
	}
	return out
}
