package target

import (
	"fmt"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/util/intstr"

	"flotilla.io/flotilla/api/v1alpha1"
)

// kustomizeSlots are the templates among the options of Kustomize: every text of patches, images, replicas and namePrefix, each a
// template by itself. What a patch is filled in with is YAML, and rendering gives it the type that its field has.
func kustomizeSlots(k *v1alpha1.KustomizeOptions) (slots []slot) {
	for i, text := range kustomizeTexts(k) {
		if !strings.Contains(text.get(), leftDelimiter) {
			continue
		}
		shown := !strings.HasPrefix(text.path, "kustomize.patches") // patches are sealed with the objects
		slots = append(slots, slot{Text{text.path, text.get()}, shown, func(o *options, filled string) error {
			return kustomizeTexts(o.kustomize)[i].set(filled)
		}})
	}
	return slots
}

// kustomizeText is a text of the options of Kustomize.
type kustomizeText struct {
	path string
	get  func() string
	set  func(string) error
}

// kustomizeTexts lists all texts that may be templates, for equal options in the same order.
func kustomizeTexts(k *v1alpha1.KustomizeOptions) (texts []kustomizeText) {
	if k == nil {
		return nil
	}
	add := func(path string, text *string) {
		texts = append(texts, kustomizeText{path, func() string { return *text }, func(filled string) error { *text = filled; return nil }})
	}
	for i := range k.Patches {
		p, path := &k.Patches[i], fmt.Sprintf("kustomize.patches[%d]", i)
		add(path+".patch", &p.Patch)
		if t := p.Target; t != nil {
			for _, field := range []struct {
				name string
				text *string
			}{
				{"group", &t.Group}, {"version", &t.Version}, {"kind", &t.Kind}, {"name", &t.Name}, {"namespace", &t.Namespace},
				{"annotationSelector", &t.AnnotationSelector}, {"labelSelector", &t.LabelSelector},
			} {
				add(path+".target."+field.name, field.text)
			}
		}
	}
	for i := range k.Images {
		image, path := &k.Images[i], fmt.Sprintf("kustomize.images[%d]", i)
		add(path+".name", &image.Name)
		add(path+".newName", &image.NewName)
		add(path+".tagSuffix", &image.TagSuffix)
		add(path+".newTag", &image.NewTag)
		add(path+".digest", &image.Digest)
	}
	for i := range k.Replicas {
		replica, path := &k.Replicas[i], fmt.Sprintf("kustomize.replicas[%d]", i)
		add(path+".name", &replica.Name)
		texts = append(texts, countText(path+".count", &replica.Count))
	}
	add("kustomize.namePrefix", &k.NamePrefix)
	return texts
}

// countText is a count as text; a count that is written as a number is no template.
func countText(path string, count *intstr.IntOrString) kustomizeText {
	return kustomizeText{path, func() string { return count.StrVal }, func(filled string) error {
		n, err := strconv.ParseInt(strings.TrimSpace(filled), 10, 32)
		if err != nil || n < 0 {
			return fmt.Errorf("%s: filled in for this cluster it is no whole number", path)
		}
		*count = intstr.FromInt32(int32(n))
		return nil
	}}
}
