package render

import (
	"fmt"
	"regexp"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/kustomize/api/resmap"
	"sigs.k8s.io/kustomize/api/types"
	"sigs.k8s.io/kustomize/kyaml/resid"

	"flotilla.io/flotilla/api/v1alpha1"
)

// Warning tells what in an input has not the effect that it seems to have. It holds no values.
type Warning struct {
	Field   string // of the options
	Message string
}

func (w Warning) String() string { return w.Field + ": " + w.Message }

// isIdle tells whether a patch is for objects that are not there. Kustomize says nothing of it.
func isIdle(p v1alpha1.KustomizePatch, all resmap.ResMap) bool {
	t := p.Target
	if t == nil {
		return false
	}
	met, err := all.Select(types.Selector{
		ResId:              resid.ResId{Gvk: resid.Gvk{Group: t.Group, Version: t.Version, Kind: t.Kind}, Name: t.Name, Namespace: t.Namespace},
		AnnotationSelector: t.AnnotationSelector, LabelSelector: t.LabelSelector,
	})
	return err == nil && len(met) == 0
}

// idleWarning names the objects that may have been meant: those of the kind, or else of the name, or else all.
func idleWarning(i int, t v1alpha1.KustomizeSelector, objects []object) Warning {
	w := Warning{Field: fmt.Sprintf("kustomize.patches[%d].target", i)}
	for _, near := range []concerns{
		func(u *unstructured.Unstructured) bool { return t.Kind != "" && whole(t.Kind, u.GetKind()) },
		func(u *unstructured.Unstructured) bool { return t.Name != "" && whole(t.Name, u.GetName()) },
		func(*unstructured.Unstructured) bool { return true },
	} {
		if likely, _ := near.split(objects); len(likely) > 0 {
			w.Message = "no object matches, so the patch changes nothing; there is " + firstNames(likely)
			break
		}
	}
	return w
}

// whole matches as Kustomize does: the pattern is for all of the text.
func whole(pattern, text string) bool {
	matched, err := regexp.MatchString("^(?:"+pattern+")$", text)
	return err == nil && matched
}

// firstNames names three objects, and counts the rest.
func firstNames(objects []object) string {
	const shown = 3
	var names []string
	for _, o := range objects[:min(shown, len(objects))] {
		names = append(names, name(o))
	}
	text := strings.Join(names, ", ")
	if more := len(objects) - shown; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}
