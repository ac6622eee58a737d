package lint

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"flotilla.io/flotilla/api/v1alpha1"
	"flotilla.io/flotilla/bundle/reader"
	"flotilla.io/flotilla/bundle/render"
	"flotilla.io/flotilla/bundle/target"
)

// idle finds patches that change nothing for any cluster that they are for. Of one that was not rendered for some cluster
// nothing is known.
type idle struct {
	warnings map[string]string // by field of the Bundle's spec
	met      map[string]bool
}

// note takes up what came of a rendering; out is nil where nothing did.
func (i *idle) note(b *v1alpha1.Bundle, m *target.Match, out *render.Output) {
	if m.Options.Kustomize == nil {
		return
	}
	fields := patchFields(b, m)
	for n, field := range fields {
		at := -1
		if out != nil {
			own := fmt.Sprintf("kustomize.patches[%d].target", n)
			at = slices.IndexFunc(out.Warnings, func(w render.Warning) bool { return w.Field == own })
		}
		if at < 0 {
			i.met[field] = true
		} else {
			i.warnings[field] = out.Warnings[at].Message
		}
	}
}

// tell adds the patches that met nothing to the problems.
func (i *idle) tell(l *linter, f *reader.Found) {
	settings := l.settings(f)
	for _, field := range slices.Sorted(maps.Keys(i.warnings)) {
		if i.met[field] {
			continue
		}
		p := settings.Errorf(settingsPath(settings, field), "%s", i.warnings[field])
		l.add(Problem{File: p.File, Line: p.Line, Column: p.Column, Warning: true, Message: p.Message})
	}
}

// patchFields are the fields of a Bundle's spec in which the targets of a match's patches stand: they are those of the
// bundle and of each target that takes part, one list after the other.
func patchFields(b *v1alpha1.Bundle, m *target.Match) []string {
	origins := map[string]string{}
	for _, o := range m.Origins {
		origins[o.Path] = o.From
	}
	fields := make([]string, len(m.Options.Kustomize.Patches))
	first := map[string]int{} // by origin
	for n := range fields {
		from := origins[fmt.Sprintf("kustomize.patches[%d]", n)]
		if _, known := first[from]; !known {
			first[from] = n
		}
		fields[n] = fmt.Sprintf("%skustomize.patches[%d].target", prefixOf(b, from), n-first[from])
	}
	return fields
}

// prefixOf is the path of the target that an origin names, "" for the bundle itself.
func prefixOf(b *v1alpha1.Bundle, origin string) string {
	_, name, _ := strings.Cut(origin, " ")
	i := slices.IndexFunc(b.Spec.Targets, func(t v1alpha1.BundleTarget) bool { return t.Name == name })
	if name == "" || i < 0 {
		return ""
	}
	return fmt.Sprintf("targets[%d].", i)
}
