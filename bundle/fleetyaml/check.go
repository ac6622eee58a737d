package fleetyaml

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"sync"

	"gopkg.in/yaml.v3"
	sigsyaml "sigs.k8s.io/yaml"

	"flotilla.io/flotilla/bundle/fleetyaml/nearest"
)

// checker compares a parsed file with the Go type it is to be decoded into: the JSON names of the API are the keys that
// exist, so that a new field of the API is known here at once. What it lets through is what the decoder takes as Fleet does:
// keys in any case, a number or true where text is wanted, null for anything.
type checker struct {
	file   string
	errs   Errors
	places map[string]place // of each value, by its path
	quoted bool             // a plain scalar was put in quotes; the tree must be decoded in place of the file
}

type place struct{ line, column int }

func (c *checker) fail(node *yaml.Node, format string, args ...any) {
	c.errs = append(c.errs, Error{c.file, node.Line, node.Column, fmt.Sprintf(format, args...)})
}

// value checks one node at a path such as "targets[0].helm.values".
func (c *checker) value(node *yaml.Node, t reflect.Type, path string) {
	if path != "" {
		c.places[path] = place{node.Line, node.Column}
	}
	written := node
	for node.Kind == yaml.AliasNode {
		node = node.Alias
	}
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if isNull(node) || t.Kind() == reflect.Interface || t == anything {
		return
	}
	if !c.shapeFits(node, t) {
		hint := ""
		if t.Kind() == reflect.String && node.Kind == yaml.ScalarNode {
			hint = "; put it in quotes"
		}
		c.fail(node, "%s: want %s, found %s%s", path, wants(t), found(node), hint)
		return
	}
	switch {
	case t.Kind() == reflect.String && node.ShortTag() != "!!str":
		c.quote(written, node, path)
	case decodesItself(t) || node.Kind == yaml.ScalarNode:
	case t.Kind() == reflect.Struct:
		c.object(node, t, path, map[string]int{})
	case t.Kind() == reflect.Map:
		for i := 0; i+1 < len(node.Content); i += 2 {
			c.value(node.Content[i+1], t.Elem(), join(path, node.Content[i].Value))
		}
	case t.Kind() == reflect.Slice:
		for i, item := range node.Content {
			c.value(item, t.Elem(), fmt.Sprintf("%s[%d]", path, i))
		}
	}
}

// object checks the keys of a mapping against the fields of a struct. seen holds the lines of the fields met so far.
func (c *checker) object(node *yaml.Node, t reflect.Type, path string, seen map[string]int) {
	known := fields(t)
	for i := 0; i+1 < len(node.Content); i += 2 {
		key, value := node.Content[i], node.Content[i+1]
		if key.ShortTag() == "!!merge" {
			c.merged(value, t, path)
			continue
		}
		name, ok := fieldName(known, key.Value)
		if !ok {
			c.unknownKey(key, t, path)
			continue
		}
		if line, twice := seen[name]; twice && name != key.Value {
			c.fail(key, "duplicate key %q: %q stands at line %d already; keep one", clip(key.Value), name, line)
		}
		seen[name] = key.Line
		c.value(value, known[name], join(path, name))
	}
}

// merged checks what `<<` brings in: keys of one mapping or of several.
func (c *checker) merged(node *yaml.Node, t reflect.Type, path string) {
	for node.Kind == yaml.AliasNode {
		node = node.Alias
	}
	switch node.Kind {
	case yaml.MappingNode:
		c.object(node, t, path, map[string]int{})
	case yaml.SequenceNode:
		for _, item := range node.Content {
			c.merged(item, t, path)
		}
	}
}

// unknownKey proposes the key that was likely meant: a field here, or the same word one level down (`chart` in `helm`).
func (c *checker) unknownKey(key *yaml.Node, t reflect.Type, path string) {
	known := slices.Sorted(maps.Keys(fields(t)))
	if t == topLevel { // what is of no effect is not proposed
		known = slices.DeleteFunc(known, func(name string) bool { return fields(metadata)[name] != nil && !slices.Contains(effective, name) })
	}
	where := "at the top level"
	if path != "" {
		where = "in " + path
	}
	hint := nearest.Hint(key.Value, known)
	for _, name := range known {
		inner := fields(t)[name]
		for inner.Kind() == reflect.Pointer {
			inner = inner.Elem()
		}
		if inner.Kind() != reflect.Struct || decodesItself(inner) {
			continue
		}
		if _, there := fields(inner)[key.Value]; there {
			hint = fmt.Sprintf("; did you mean %q?", name+"."+key.Value)
		}
	}
	if hint == "" && len(known) < 10 {
		hint = "; the keys here are " + strings.Join(known, ", ")
	}
	c.fail(key, "unknown key %q %s%s", clip(key.Value), where, hint)
}

func (c *checker) shapeFits(node *yaml.Node, t reflect.Type) bool {
	switch {
	case t == genericMap || t.Kind() == reflect.Map:
		return node.Kind == yaml.MappingNode
	case t.Kind() == reflect.Struct && !decodesItself(t):
		return node.Kind == yaml.MappingNode
	case t.Kind() == reflect.Slice && t.Elem().Kind() != reflect.Uint8:
		return node.Kind == yaml.SequenceNode
	}
	return node.Kind == yaml.ScalarNode && scalarFits(node, t)
}

// scalarFits asks the decoder itself, so that both agree on what is a number and what is true. A number where text is wanted
// is taken only if it reads the same as text: 3 does, 1.10 would become 1.1.
func scalarFits(node *yaml.Node, t reflect.Type) bool {
	text := []byte(node.Value)
	quoted := yaml.SingleQuotedStyle | yaml.DoubleQuotedStyle | yaml.LiteralStyle | yaml.FoldedStyle
	if node.Style&quoted != 0 || node.Style&yaml.TaggedStyle != 0 && node.ShortTag() == "!!str" {
		text, _ = json.Marshal(node.Value)
	}
	into := reflect.New(t)
	if sigsyaml.Unmarshal(text, into.Interface()) != nil {
		return false
	}
	return t.Kind() != reflect.String || into.Elem().String() == node.Value
}

// quote makes text of a number or boolean that stands where text is wanted. The decoder does so itself at some places only. An
// alias is replaced; what carries an anchor is refused, since an alias may want it as it is.
func (c *checker) quote(written, node *yaml.Node, path string) {
	if written == node && node.Anchor != "" {
		c.fail(node, "%s: want text, found %s; put it in quotes", path, found(node))
		return
	}
	line, column := written.Line, written.Column
	*written = yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Style: yaml.DoubleQuotedStyle, Value: node.Value, Line: line, Column: column}
	c.quoted = true
}

// effective are the names of an object's metadata that mean something in a fleet.yaml.
var effective = []string{"name", "namespace", "labels", "annotations"}

var unmarshaler = reflect.TypeFor[json.Unmarshaler]()

func decodesItself(t reflect.Type) bool { return reflect.PointerTo(t).Implements(unmarshaler) }

// wants says in words what a type is written as.
func wants(t reflect.Type) string {
	switch t {
	case intOrString:
		return `a whole number or a percentage such as "25%"`
	case duration:
		return "a duration such as 30s or 5m"
	}
	switch t.Kind() {
	case reflect.Bool:
		return "true or false"
	case reflect.String:
		return "text"
	case reflect.Int, reflect.Int32, reflect.Int64:
		return "a whole number"
	case reflect.Slice:
		return "a list"
	}
	return "a mapping of keys to values"
}

// found says what stands in the file, never the value itself.
func found(node *yaml.Node) string {
	switch node.Kind {
	case yaml.MappingNode:
		return "a mapping"
	case yaml.SequenceNode:
		return "a list"
	}
	switch tag := node.ShortTag(); {
	case tag == "!!bool", tag == "!!str" && scalarFits(node, reflect.TypeFor[bool]()): // yes and on, too
		return "true or false"
	case tag == "!!int", tag == "!!float":
		return "a number"
	}
	return "text"
}

var fieldsOf sync.Map // reflect.Type -> map[string]reflect.Type

// fields are the JSON names of a struct with their types; a field of an embedded struct gives way to an outer one. Fleet
// decodes the metadata of a Kubernetes object from the top level of fleet.yaml, too, so its names are known there; annotations
// and labels alone have an effect.
func fields(t reflect.Type) map[string]reflect.Type {
	if known, ok := fieldsOf.Load(t); ok {
		return known.(map[string]reflect.Type)
	}
	known := map[string]reflect.Type{}
	for i := range t.NumField() {
		field := t.Field(i)
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		switch {
		case name == "-" || !field.IsExported() && !field.Anonymous:
		case name != "":
			known[name] = field.Type
		case field.Anonymous:
			for inner, innerType := range fields(field.Type) {
				if _, outer := known[inner]; !outer {
					known[inner] = innerType
				}
			}
		default:
			known[field.Name] = field.Type
		}
	}
	if t == topLevel {
		for name, metadataType := range fields(metadata) {
			if _, ours := known[name]; !ours {
				known[name] = metadataType
			}
		}
	}
	fieldsOf.Store(t, known)
	return known
}

// fieldName finds the field that the decoder would take a key for: the same name, else one that differs in case only.
func fieldName(known map[string]reflect.Type, key string) (string, bool) {
	if _, ok := known[key]; ok {
		return key, true
	}
	for name := range known {
		if strings.EqualFold(name, key) {
			return name, true
		}
	}
	return "", false
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}
