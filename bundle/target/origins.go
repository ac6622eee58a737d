package target

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"flotilla.io/flotilla/api/v1alpha1"
)

// Bounds of what one BundleDeployment tells about origins.
const (
	maxOrigins = 100
	maxSegment = 63
)

// origin tells who set a value, or, for a map, each value in it. Children are keyed by the piece of path that leads to them.
type origin struct {
	from     string
	children map[string]*origin
}

// at is the origin at a piece of path such as ".helm.chart".
func (o *origin) at(path string) *origin {
	child := o.children[path]
	if child == nil {
		child = &origin{}
		if o.children == nil {
			o.children = map[string]*origin{}
		}
		o.children[path], o.from = child, ""
	}
	return child
}

// set says that from set the value here, and with it all that is in it; what was known of earlier values is forgotten.
func (o *origin) set(from string, value any) {
	o.from, o.children = from, nil
	if inner, ok := value.(map[string]any); ok {
		for key, value := range inner {
			o.at(segment(key)).set(from, value)
		}
	}
}

// list writes the origins out by path. When there are too many, those of the bundle itself are left out first: they are what
// holds where nothing else is said.
func (o *origin) list() []v1alpha1.ValueOrigin {
	var all []v1alpha1.ValueOrigin
	o.collect("", &all)
	byPath := func(a, b v1alpha1.ValueOrigin) int { return strings.Compare(a.Path, b.Path) }
	slices.SortFunc(all, func(a, b v1alpha1.ValueOrigin) int {
		return cmp.Or(cmp.Compare(rank(a), rank(b)), byPath(a, b))
	})
	cut := len(all) - maxOrigins
	if cut > 0 {
		all = all[:maxOrigins]
	}
	slices.SortFunc(all, byPath)
	if cut > 0 {
		all = append(all, v1alpha1.ValueOrigin{Path: "...", From: fmt.Sprintf("%d more values, not listed", cut)})
	}
	return all
}

func rank(o v1alpha1.ValueOrigin) int {
	if o.From == "bundle" {
		return 1
	}
	return 0
}

func (o *origin) collect(path string, into *[]v1alpha1.ValueOrigin) {
	if o.from != "" {
		*into = append(*into, v1alpha1.ValueOrigin{Path: strings.TrimPrefix(path, "."), From: o.from})
	}
	for piece, child := range o.children {
		child.collect(path+piece, into)
	}
}

var plainKey = regexp.MustCompile(`^[A-Za-z0-9_-]+$`)

// segment is the piece of path for a key: .key, or ["a.key"] when it could be read as something else.
func segment(key string) string {
	if len(key) > maxSegment {
		key = key[:maxSegment-3] + "..."
	}
	if plainKey.MatchString(key) {
		return "." + key
	}
	return fmt.Sprintf("[%q]", key)
}

func index(i int) string { return fmt.Sprintf("[%d]", i) }
