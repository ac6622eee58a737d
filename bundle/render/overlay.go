package render

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	jsonpatch "github.com/evanphx/json-patch/v5"
	kjson "sigs.k8s.io/json"
	"sigs.k8s.io/kustomize/kyaml/yaml"
	"sigs.k8s.io/kustomize/kyaml/yaml/merge2"
)

const overlays = "overlays/"

// overlay lays overlays/<name>/ over the files, in the order of names: a file of the same path takes the place of the
// bundle's, one named x_patch.yaml patches x.yaml, others are added. overlays/ itself is left out. A bundle without any
// overlay ignores names: a target's overrides may reach bundles of every kind.
func overlay(files map[string][]byte, names []string) (map[string][]byte, error) {
	result := map[string][]byte{}
	layers := map[string]map[string][]byte{}
	for file, data := range files {
		rest, ok := strings.CutPrefix(file, overlays)
		if !ok {
			result[file] = data
			continue
		}
		if name, file, ok := strings.Cut(rest, "/"); ok {
			if layers[name] == nil {
				layers[name] = map[string][]byte{}
			}
			layers[name][file] = data
		}
	}
	for i, name := range names {
		layer, ok := layers[name]
		if !ok && len(layers) > 0 {
			there := strings.Join(slices.Sorted(maps.Keys(layers)), ", ")
			return nil, &Error{ReasonPathMissing, fmt.Sprintf("yaml.overlays[%d]", i), fmt.Sprintf("no directory overlays/%s in the bundle; there are %s", name, there)}
		}
		if err := lay(result, layer, overlays+name+"/"); err != nil {
			return nil, err
		}
	}
	return result, nil
}

// lay puts one overlay over files: whole files first, then patches.
func lay(files, layer map[string][]byte, prefix string) error {
	var patches []string
	for _, file := range slices.Sorted(maps.Keys(layer)) {
		if strings.Contains(path.Base(file), "_patch.") {
			patches = append(patches, file)
			continue
		}
		files[file] = layer[file]
	}
	for _, file := range patches {
		target := path.Join(path.Dir(file), strings.Replace(path.Base(file), "_patch.", ".", 1))
		base, ok := files[target]
		if !ok {
			return &Error{ReasonPathMissing, prefix + file, fmt.Sprintf("it patches %s, which is not in the bundle", target)}
		}
		patched, err := patchFile(manifest{file: target, data: base}, manifest{file: prefix + file, data: layer[file]})
		if err != nil {
			return err
		}
		files[target] = patched
	}
	return nil
}

// patchFile applies each document of a patch file to the object of the base file that it is meant for, and returns the
// objects as YAML documents.
func patchFile(base, patch manifest) ([]byte, error) {
	objects, err := base.objects()
	if err != nil {
		return nil, err
	}
	for _, d := range patch.documents() {
		data, err := patch.json(d)
		if err != nil {
			return nil, err
		}
		i, err := patch.target(d, data, base.file, objects)
		if err != nil {
			return nil, err
		}
		patched, err := applyPatch(objects[i].Object, data)
		if err != nil {
			return nil, &Error{ReasonRenderFailed, patch.where(d), fmt.Sprintf("patching %s in %s: %s", name(objects[i]), base.file, capped(err.Error()))}
		}
		objects[i].Object = patched
	}
	var out bytes.Buffer
	for _, o := range objects {
		data, err := json.Marshal(o.Object)
		if err != nil {
			return nil, &Error{ReasonInvalidObject, o.source, err.Error()}
		}
		fmt.Fprintf(&out, "---\n%s\n", data)
	}
	return out.Bytes(), nil
}

// target picks the object that a document of a patch is for: the only one, or the one of its kind and name.
func (m manifest) target(d document, patch []byte, file string, objects []object) (int, error) {
	if len(objects) == 1 {
		return 0, nil
	}
	var head struct {
		Kind     string
		Metadata struct{ Name string }
	}
	_ = json.Unmarshal(patch, &head) // a list of operations has no head
	for i, o := range objects {
		if o.GetKind() == head.Kind && o.GetName() == head.Metadata.Name {
			return i, nil
		}
	}
	return 0, &Error{ReasonRenderFailed, m.where(d), fmt.Sprintf("%s holds %d objects; the patch needs kind and metadata.name of one of them", file, len(objects))}
}

// applyPatch applies a list of operations (RFC 6902) or merges a map: strategically for kinds of Kubernetes, with lists
// replaced for all others.
func applyPatch(object map[string]any, patch []byte) (map[string]any, error) {
	data, err := json.Marshal(object)
	if err != nil {
		return nil, err
	}
	if bytes.HasPrefix(bytes.TrimSpace(patch), []byte("[")) {
		operations, err := jsonpatch.DecodePatch(patch)
		if err != nil {
			return nil, err
		}
		if data, err = operations.Apply(data); err != nil {
			return nil, err
		}
	} else if data, err = merge(data, patch); err != nil {
		return nil, err
	}
	var patched map[string]any
	err = kjson.UnmarshalCaseSensitivePreserveInts(data, &patched)
	return patched, err
}

func merge(object, patch []byte) ([]byte, error) {
	from, err := yaml.Parse(string(patch))
	if err != nil {
		return nil, err
	}
	to, err := yaml.Parse(string(object))
	if err != nil {
		return nil, err
	}
	merged, err := merge2.Merge(from, to, yaml.MergeOptions{ListIncreaseDirection: yaml.MergeOptionsListAppend})
	if err != nil {
		return nil, err
	}
	return merged.MarshalJSON()
}
