package fields

import (
	"slices"
	"strconv"
	"strings"
)

// Escape writes one step of a JSON pointer (RFC 6901).
func Escape(step string) string {
	return strings.NewReplacer("~", "~0", "/", "~1").Replace(step)
}

// steps reads a JSON pointer; nil for one that is none, or that means the whole object.
func steps(pointer string) []string {
	if !strings.HasPrefix(pointer, "/") {
		return nil
	}
	list := strings.Split(pointer[1:], "/")
	for i := range list {
		list[i] = strings.NewReplacer("~1", "/", "~0", "~").Replace(list[i])
	}
	return list
}

// At finds what a JSON pointer names in an object.
func At(object map[string]any, pointer string) (any, bool) {
	list := steps(pointer)
	var at any = object
	for _, step := range list {
		switch v := at.(type) {
		case map[string]any:
			next, ok := v[step]
			if !ok {
				return nil, false
			}
			at = next
		case []any:
			i, err := strconv.Atoi(step)
			if err != nil || i < 0 || i >= len(v) {
				return nil, false
			}
			at = v[i]
		default:
			return nil, false
		}
	}
	return at, len(list) > 0
}

// Edit puts in the place of what a JSON pointer names what change makes of it, or removes it if change says that nothing
// stays. A pointer to something that is not there changes nothing.
func Edit(object map[string]any, pointer string, change func(any) (any, bool)) {
	if _, found := At(object, pointer); found {
		edit(object, steps(pointer), change)
	}
}

func edit(at any, list []string, change func(any) (any, bool)) (any, bool) {
	if len(list) == 0 {
		return change(at)
	}
	switch v := at.(type) {
	case map[string]any:
		if value, stays := edit(v[list[0]], list[1:], change); stays {
			v[list[0]] = value
		} else {
			delete(v, list[0])
		}
	case []any:
		i, _ := strconv.Atoi(list[0])
		value, stays := edit(v[i], list[1:], change)
		if !stays {
			return slices.Delete(v, i, i+1), true
		}
		v[i] = value
	}
	return at, true
}
