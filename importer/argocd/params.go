package argocd

import (
	"fmt"
	"maps"
	"regexp"
	"strings"
)

// params are what a generator gives: by the whole key for plain templates ("path.basename"), nested for Go templates.
// A value is a JSON value, a text that varies, an input, or attributes.
type params map[string]any

// attributes are the labels or the annotations of a cluster.
type attributes string

// of is the piece of template that gives an input on a cluster.
func (in input) expression(inPipeline bool) string {
	collection := map[string]string{"label": ".ClusterLabels", "annotation": ".ClusterAnnotations"}[in.kind]
	switch {
	case in.kind == "name":
		return ".ClusterName"
	case in.kind == "server":
		return "" // nobody knows it on the hub
	case in.key == "":
		return collection
	case !inPipeline && identifier.MatchString(in.key):
		return collection + "." + in.key
	}
	return fmt.Sprintf("index %s %q", collection, in.key)
}

var identifier = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// set is parameters, and the clusters that they are for.
type set struct {
	params   params
	place    place
	cluster  bool             // a clusters generator gave the place
	bound    map[input]string // inputs that are known in this place
	template map[string]any   // a generator's own template, laid over that of the ApplicationSet
	family   int              // sets of one merge generator; the first that fits a cluster counts. 0: none
	at       string           // the generator
}

// clone copies a set, to change it.
func (s set) clone() set {
	s.params, s.bound = maps.Clone(s.params), maps.Clone(s.bound)
	if s.bound == nil {
		s.bound = map[input]string{}
	}
	return s
}

// lookup finds a parameter in a set: a JSON value, a text that varies, an input that is not bound, or attributes.
func (s set) lookup(path []string) (any, bool) {
	var at any = map[string]any(s.params)
	for i, key := range path {
		switch value := at.(type) {
		case map[string]any:
			next, ok := value[key]
			if !ok {
				return nil, false
			}
			at = next
		case params:
			next, ok := value[key]
			if !ok {
				return nil, false
			}
			at = next
		case attributes:
			return s.resolve(input{string(value), strings.Join(path[i:], ".")}), true
		default:
			return nil, false
		}
	}
	switch value := at.(type) {
	case input:
		return s.resolve(value), true
	case attributes:
		if _, all := s.bound[input{kind: string(value)}]; all {
			return s.known(value), true
		}
	}
	return at, true
}

// resolve gives an input's value where it is bound.
func (s set) resolve(in input) any {
	if value, ok := s.bound[in]; ok {
		return value
	}
	return in
}

// flat finds a parameter by its whole key, as plain templates name it.
func (s set) flat(key string) (any, bool) {
	for prefix, kind := range map[string]string{"metadata.labels.": "label", "metadata.annotations.": "annotation"} {
		if rest, ok := strings.CutPrefix(key, prefix); ok && s.cluster {
			return s.resolve(input{kind, rest}), true
		}
	}
	return s.lookup([]string{key})
}

// data is the set's parameters for a Go template that asks for nothing that varies.
func (s set) data() map[string]any {
	out, _ := s.known(map[string]any(s.params)).(map[string]any)
	return out
}

func (s set) known(value any) any {
	switch value := value.(type) {
	case params:
		return s.known(map[string]any(value))
	case map[string]any:
		out := map[string]any{}
		for key, item := range value {
			out[key] = s.known(item)
		}
		return out
	case []any:
		out := make([]any, len(value))
		for i, item := range value {
			out[i] = s.known(item)
		}
		return out
	case input:
		return s.known(s.orNothing(value))
	case attributes:
		out := map[string]any{}
		for in, text := range s.bound {
			if in.kind == string(value) && in.key != "" {
				out[in.key] = text
			}
		}
		return out
	case text:
		return value.fixed()
	}
	return value
}

// orNothing is resolve with nothing for what is not bound.
func (s set) orNothing(in input) any { return s.bound[in] }

// flattened are nested parameters by their whole keys, as plain templates see them: all values are texts.
func flattened(prefix string, value any, into params) {
	switch value := value.(type) {
	case map[string]any:
		for key, item := range value {
			flattened(strings.TrimPrefix(prefix+"."+key, "."), item, into)
		}
	case []any:
		for i, item := range value {
			flattened(fmt.Sprintf("%s.%d", prefix, i), item, into)
		}
	case nil:
	default:
		into[prefix] = asText(value)
	}
}
