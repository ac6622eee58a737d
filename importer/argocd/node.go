package argocd

import (
	"bufio"
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// node is an object of the input that remembers which of its keys were read, so that what nobody read is reported.
type node struct {
	path  string
	value map[string]any
	read  map[string]bool
}

func newNode(path string, value map[string]any) *node {
	return &node{path: path, value: value, read: map[string]bool{}}
}

func (n *node) at(key string) string { return strings.TrimPrefix(n.path+"."+key, ".") }

// take marks keys as read.
func (n *node) take(keys ...string) {
	for _, key := range keys {
		n.read[key] = true
	}
}

func (n *node) get(key string) any {
	n.read[key] = true
	return n.value[key]
}

func (n *node) child(key string) *node { return newNode(n.at(key), asObject(n.get(key))) }

func (n *node) object(key string) map[string]any { return asObject(n.get(key)) }

func (n *node) list(key string) []any {
	list, _ := n.get(key).([]any)
	return list
}

// plain is a text, a number or a flag, as it is written.
func (n *node) plain(key string) string { return asText(n.get(key)) }

func (n *node) flag(key string) bool { return n.plain(key) == "true" }

func (n *node) has(key string) bool { return !empty(n.value[key]) }

// rest reports what nobody read.
func (n *node) rest(r report) {
	for _, key := range sortedKeys(n.value) {
		if !n.read[key] && !empty(n.value[key]) {
			r.unread(n.at(key))
		}
	}
}

func asObject(value any) map[string]any {
	object, _ := value.(map[string]any)
	return object
}

func asText(value any) string {
	switch value := value.(type) {
	case nil:
		return ""
	case string:
		return value
	default:
		return fmt.Sprint(value)
	}
}

func empty(value any) bool {
	switch value := value.(type) {
	case nil:
		return true
	case string:
		return value == ""
	case bool:
		return !value
	case []any:
		return len(value) == 0
	case map[string]any:
		return len(value) == 0
	}
	return false
}

// merged is base with over laid over it, key by key; lists are replaced.
func merged(base, over map[string]any) map[string]any {
	out := maps.Clone(base)
	if out == nil {
		out = map[string]any{}
	}
	for key, value := range over {
		if object, ok := value.(map[string]any); ok && len(asObject(out[key])) > 0 {
			out[key] = merged(asObject(out[key]), object)
			continue
		}
		out[key] = value
	}
	return out
}

// strings are the texts of a list.
func texts(list []any) (all []string) {
	for _, item := range list {
		all = append(all, asText(item))
	}
	return all
}

func newReader(data []byte) *bufio.Reader { return bufio.NewReader(bytes.NewReader(data)) }

func unique(all []string) []string {
	slices.Sort(all)
	return slices.Compact(all)
}
