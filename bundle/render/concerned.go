package render

import (
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/kustomize/api/types"
	"sigs.k8s.io/kustomize/kyaml/resid"
	"sigs.k8s.io/yaml"

	"flotilla.io/flotilla/api/v1alpha1"
)

// Kustomize holds many times the size of an object in memory. So it gets the objects that something may change, and of a bundle of
// thousands these are a few.

// concerns tells whether an object may be meant. It says no only where the answer is no for sure.
type concerns func(u *unstructured.Unstructured) bool

func anyOf(all []concerns) concerns {
	return func(u *unstructured.Unstructured) bool {
		for _, c := range all {
			if c(u) {
				return true
			}
		}
		return false
	}
}

// split divides objects, in their order, into those that are meant and those that are not.
func (c concerns) split(objects []object) (meant, others []object) {
	for _, o := range objects {
		if c(o.Unstructured) {
			meant = append(meant, o)
		} else {
			others = append(others, o)
		}
	}
	return meant, others
}

// concernsOfPatches compiles the targets of patches; a patch without one names its objects itself.
func concernsOfPatches(patches []v1alpha1.KustomizePatch) (concerns, error) {
	var all []concerns
	for i, p := range patches {
		if p.Target == nil {
			all = append(all, concernsOfPart(p.Patch))
			continue
		}
		selector, err := types.NewSelectorRegex(&types.Selector{ResId: resid.ResId{
			Gvk: resid.Gvk{Group: p.Target.Group, Version: p.Target.Version, Kind: p.Target.Kind}, Name: p.Target.Name,
		}})
		if err != nil {
			return nil, &Error{ReasonRenderFailed, fmt.Sprintf("kustomize.patches[%d].target", i), capped(err.Error())}
		}
		all = append(all, func(u *unstructured.Unstructured) bool {
			gvk := u.GroupVersionKind()
			return selector.MatchName(u.GetName()) && selector.MatchGvk(resid.Gvk{Group: gvk.Group, Version: gvk.Version, Kind: gvk.Kind})
		})
	}
	return anyOf(all), nil
}

// concernsOfPart knows the objects whose names stand in the parts to merge.
func concernsOfPart(patch string) concerns {
	names := map[string]bool{}
	for _, d := range (manifest{data: []byte(patch)}).documents() {
		var head struct{ Metadata struct{ Name string } }
		if yaml.Unmarshal(d.text, &head) == nil {
			names[head.Metadata.Name] = true
		}
	}
	return func(u *unstructured.Unstructured) bool { return names[u.GetName()] }
}

// concernsOfImages knows the objects in which some text begins with the name of one of the images.
func concernsOfImages(images []v1alpha1.KustomizeImage) concerns {
	return func(u *unstructured.Unstructured) bool {
		return someText(u.Object, func(text string) bool {
			for _, image := range images {
				if strings.HasPrefix(text, image.Name) {
					return true
				}
			}
			return false
		})
	}
}

func someText(value any, holds func(string) bool) bool {
	switch value := value.(type) {
	case string:
		return holds(value)
	case []any:
		for _, item := range value {
			if someText(item, holds) {
				return true
			}
		}
	case map[string]any:
		for _, item := range value {
			if someText(item, holds) {
				return true
			}
		}
	}
	return false
}

func concernsOfReplicas(replicas []v1alpha1.KustomizeReplica) concerns {
	return func(u *unstructured.Unstructured) bool {
		for _, r := range replicas {
			if r.Name == u.GetName() {
				return true
			}
		}
		return false
	}
}
