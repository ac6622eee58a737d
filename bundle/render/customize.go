package render

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/intstr"
	kjson "sigs.k8s.io/json"
	"sigs.k8s.io/kustomize/api/builtins"
	"sigs.k8s.io/kustomize/api/filters/imagetag"
	"sigs.k8s.io/kustomize/api/provider"
	"sigs.k8s.io/kustomize/api/resmap"
	"sigs.k8s.io/kustomize/api/resource"
	"sigs.k8s.io/kustomize/api/types"
	"sigs.k8s.io/yaml"

	"flotilla.io/flotilla/api/v1alpha1"
)

// customization is what the options ask of Kustomize besides a directory, nil for nothing.
func customization(o *v1alpha1.BundleDeploymentOptions) *v1alpha1.KustomizeOptions {
	k := o.Kustomize
	if k == nil || len(k.Patches)+len(k.Images)+len(k.Replicas) == 0 && k.NamePrefix == "" {
		return nil
	}
	custom := *k
	custom.Dir = ""
	return &custom
}

// customize does to objects, whatever made them, what a kustomization with these fields would.
func customize(objects []object, k *v1alpha1.KustomizeOptions) ([]object, []Warning, error) {
	if _, err := inOrder(slices.Clone(objects)); err != nil { // Kustomize says less of two objects that are one
		return nil, nil, err
	}
	patches, err := concernsOfPatches(k.Patches)
	if err != nil {
		return nil, nil, err
	}
	meant, others := anyOf([]concerns{patches, concernsOfImages(slices.DeleteFunc(slices.Clone(k.Images), hasNoSuffix))}).split(objects)
	kustomizing.Lock()
	meant, idle, err := patch(meant, k)
	kustomizing.Unlock()
	if err != nil {
		return nil, nil, err
	}
	var warnings []Warning
	for _, i := range idle {
		warnings = append(warnings, idleWarning(i, *k.Patches[i].Target, objects))
	}
	objects = append(meant, others...)
	if len(k.Images)+len(k.Replicas) == 0 && k.NamePrefix == "" {
		return objects, warnings, nil
	}
	if k.NamePrefix == "" { // a name stands in others, too
		meant, others = anyOf([]concerns{concernsOfImages(k.Images), concernsOfReplicas(k.Replicas)}).split(objects)
	} else {
		meant, others = objects, nil
	}
	meant, err = adjust(meant, k)
	return append(meant, others...), warnings, err
}

// patched is an object on its way through the patches.
type patched struct {
	object
	resource *resource.Resource
}

// patch applies patches in their order, then gives what they set the types that the fields have. It puts suffixes to tags, too: a
// build would put each there twice. idle are the patches that no object is for.
func patch(objects []object, k *v1alpha1.KustomizeOptions) (_ []object, idle []int, _ error) {
	if len(k.Patches) == 0 && !slices.ContainsFunc(k.Images, hasSuffix) {
		return objects, nil, nil
	}
	resources := provider.NewDefaultDepProvider().GetResourceFactory()
	all, tracked := resmap.New(), make([]patched, len(objects))
	for i, o := range objects {
		r, err := resources.FromMap(o.Object)
		if err == nil {
			err = all.Append(r)
		}
		if err != nil {
			return nil, nil, &Error{ReasonInvalidObject, o.source, fmt.Sprintf("%s: %s", name(o), capped(err.Error()))}
		}
		tracked[i] = patched{o, r}
	}
	helpers := resmap.NewPluginHelpers(nil, nil, resmap.NewFactory(resources), types.DisabledPluginConfig())
	for i, p := range k.Patches {
		if isIdle(p, all) {
			idle = append(idle, i)
		}
		if err := applyKustomizePatch(all, helpers, p); err != nil {
			return nil, nil, &Error{ReasonRenderFailed, fmt.Sprintf("kustomize.patches[%d]", i), err.Error()}
		}
	}
	for _, image := range k.Images {
		if !hasSuffix(image) {
			continue
		}
		if err := all.ApplyFilter(imagetag.LegacyFilter{ImageTag: types.Image(image)}); err != nil {
			return nil, nil, &Error{ReasonRenderFailed, "kustomize.images", fmt.Sprintf("%s: %s", image.Name, capped(err.Error()))}
		}
	}
	all.RemoveBuildAnnotations()
	objects, err := results(all, tracked)
	return objects, idle, err
}

func hasSuffix(image v1alpha1.KustomizeImage) bool   { return image.TagSuffix != "" }
func hasNoSuffix(image v1alpha1.KustomizeImage) bool { return image.TagSuffix == "" }

func applyKustomizePatch(all resmap.ResMap, helpers *resmap.PluginHelpers, p v1alpha1.KustomizePatch) error {
	text, err := readPatch(p)
	if err != nil {
		return err
	}
	p.Patch = text
	config, err := json.Marshal(p) // the fields are Kustomize's
	if err != nil {
		return err
	}
	plugin := builtins.NewPatchTransformerPlugin()
	if plugin.Config(helpers, config) != nil { // the message holds the patch
		return errors.New("patch: want a list of JSON patch operations or a part of an object")
	}
	if err := plugin.Transform(all); err != nil {
		return errors.New(capped(patchText.ReplaceAllString(err.Error(), "the patch")))
	}
	return nil
}

// patchText is a patch in a message.
var patchText = regexp.MustCompile(`(?s)\[patch: ".*"\]`)

// readPatch checks a patch, for Kustomize would show it in its messages, and returns it as Kustomize reads it: operations as JSON.
func readPatch(p v1alpha1.KustomizePatch) (string, error) {
	if p.Path != "" {
		return "", errors.New("path: files with patches are read from Git only; write the patch here")
	}
	documents := manifest{data: []byte(p.Patch)}.documents()
	if len(documents) == 0 {
		return "", errors.New("patch: there is none")
	}
	if len(documents) > 1 && p.Target != nil {
		return "", fmt.Errorf("patch: %d documents for one target; give each an entry of its own", len(documents))
	}
	text := p.Patch
	for _, d := range documents {
		data, err := yaml.YAMLToJSON(d.text)
		switch {
		case err != nil:
			return "", fmt.Errorf("patch: line %d and below are no YAML", d.line)
		case bytes.HasPrefix(data, []byte("{")):
		case !bytes.HasPrefix(data, []byte("[")):
			return "", errors.New("patch: want a list of JSON patch operations or a part of an object")
		case p.Target == nil:
			return "", errors.New("target: a list of operations needs one: kind and name of the object that they are for")
		default:
			text = string(data)
			if err := checkOperations(data); err != nil {
				return "", err
			}
		}
	}
	return text, nil
}

var operations = []string{"add", "remove", "replace", "move", "copy", "test"}

func checkOperations(data []byte) error {
	var list []struct{ Op, Path string }
	if err := json.Unmarshal(data, &list); err != nil {
		return errors.New("patch: an operation has op, path and value")
	}
	for i, operation := range list {
		if !slices.Contains(operations, operation.Op) {
			return fmt.Errorf("patch: operation %d: op is one of %s", i, strings.Join(operations, ", "))
		}
		if !strings.HasPrefix(operation.Path, "/") {
			return fmt.Errorf("patch: operation %d: path begins with a slash, as in /spec/replicas", i)
		}
	}
	return nil
}

// results are the objects that are left after the patches.
func results(all resmap.ResMap, tracked []patched) ([]object, error) {
	left := map[*resource.Resource]bool{}
	for _, r := range all.Resources() {
		left[r] = true
	}
	var objects []object
	for _, p := range tracked {
		if !left[p.resource] {
			continue
		}
		content, err := content(p.resource)
		if err == nil {
			content, err = retype(p.Object, content)
		}
		if err != nil {
			return nil, &Error{ReasonRenderFailed, "kustomize.patches", fmt.Sprintf("%s: %s", name(p.object), capped(err.Error()))}
		}
		result := &unstructured.Unstructured{Object: content}
		if problem := flaw(result); problem != "" {
			return nil, &Error{ReasonInvalidObject, "kustomize.patches", fmt.Sprintf("%s: it %s", name(p.object), problem)}
		}
		objects = append(objects, object{result, p.source})
	}
	return objects, nil
}

func content(r *resource.Resource) (map[string]any, error) {
	data, err := r.MarshalJSON()
	if err != nil {
		return nil, err
	}
	var content map[string]any
	err = kjson.UnmarshalCaseSensitivePreserveInts(data, &content)
	return content, err
}

// adjust builds a kustomization of images, replicas and namePrefix around the objects: only a build knows where the name of one
// object stands in others.
func adjust(objects []object, k *v1alpha1.KustomizeOptions) ([]object, error) {
	kustomization := types.Kustomization{Resources: []string{fromChart}, NamePrefix: k.NamePrefix}
	for _, image := range k.Images {
		if hasSuffix(image) {
			continue // it is there
		}
		kustomization.Images = append(kustomization.Images, types.Image(image))
	}
	for i, replica := range k.Replicas {
		if replica.Count.Type != intstr.Int {
			return nil, &Error{ReasonRenderFailed, fmt.Sprintf("kustomize.replicas[%d].count", i), "want a whole number"}
		}
		kustomization.Replicas = append(kustomization.Replicas, types.Replica{Name: replica.Name, Count: int64(replica.Count.IntVal)})
	}
	data, err := yaml.Marshal(kustomization)
	if err != nil {
		return nil, err
	}
	t := newTree(map[string][]byte{kustomizationNames[0]: data})
	text, err := written(objects)
	if err != nil {
		return nil, err
	}
	t.add(fromChart, text)
	built, err := t.build(".")
	if err != nil {
		return nil, &Error{ReasonRenderFailed, "kustomize", capped(missingReplica.ReplaceAllString(t.readable(err.Error()), "replicas: no workload is named $1"))}
	}
	adjusted := make([]object, len(built))
	for i, u := range built {
		source := "kustomize"
		if len(built) == len(objects) { // none was for Kustomize itself, and it keeps the order
			source = objects[i].source
		}
		adjusted[i] = object{u, source}
	}
	return adjusted, nil
}

var missingReplica = regexp.MustCompile(`resource with name (\S+) does not match a config with the following GVK .*`)

// written are objects as a file of YAML documents.
func written(objects []object) ([]byte, error) {
	var text strings.Builder
	for _, o := range objects {
		data, err := yaml.Marshal(o.Object)
		if err != nil {
			return nil, &Error{ReasonInvalidObject, o.source, err.Error()}
		}
		text.WriteString("---\n" + string(data))
	}
	return []byte(text.String()), nil
}
