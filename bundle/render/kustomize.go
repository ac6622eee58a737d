package render

import (
	"path"
	"regexp"
	"slices"
	"strings"
	"sync"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/api/types"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/yaml"
)

// fromChart is the file that holds a chart's objects for the kustomization over it. Its name is Fleet's: a kustomization may
// list it itself.
const fromChart = "fleet-manifests.yaml"

// kustomizing: the library keeps the schemas of the running build in package variables.
var kustomizing sync.Mutex

// kustomize builds the kustomization in dir. charted, the objects of a chart, are its first resource.
func kustomize(files map[string][]byte, dir string, charted []object) ([]object, error) {
	t := newTree(files)
	file := kustomizationFile(files, dir)
	if charted != nil {
		if err := t.addCharted(file, charted); err != nil {
			return nil, err
		}
	}
	if err := t.refuseRemote(dir); err != nil {
		return nil, err
	}
	built, err := t.build(dir)
	if err != nil {
		return nil, &Error{ReasonRenderFailed, file, capped(t.readable(err.Error()))}
	}
	objects := make([]object, len(built))
	for i, u := range built {
		objects[i] = object{u, file}
		if problem := flaw(u); problem != "" {
			return nil, &Error{ReasonInvalidObject, file, "a " + u.GetKind() + " " + problem}
		}
	}
	return objects, nil
}

// tree is a bundle's files as a file system in memory, deep enough that "../" stays inside.
type tree struct {
	files map[string][]byte
	root  string // the bundle's directory
	fs    filesys.FileSystem
}

func newTree(files map[string][]byte) *tree {
	depth := 0
	for name := range files {
		depth = max(depth, strings.Count(name, "../"))
	}
	t := &tree{map[string][]byte{}, "/" + strings.Repeat("up/", depth) + "bundle", filesys.MakeFsInMemory()}
	for name, data := range files {
		t.add(name, data)
	}
	return t
}

// add puts a file in. A name that Kustomize's file system does not take (spaces, say) is left out: it is an error only if
// a kustomization names it.
func (t *tree) add(name string, data []byte) {
	if t.fs.WriteFile(path.Join(t.root, name), data) == nil {
		t.files[name] = data
	}
}

// addCharted writes the objects of a chart beside the kustomization and lists them in it.
func (t *tree) addCharted(kustomization string, charted []object) error {
	text, err := written(charted)
	if err != nil {
		return err
	}
	t.add(path.Join(path.Dir(kustomization), fromChart), text)

	var content map[string]any
	if err := yaml.Unmarshal(t.files[kustomization], &content); err != nil {
		return manifest{file: kustomization}.syntaxError(document{line: 1}, err.Error())
	}
	if content == nil {
		content = map[string]any{}
	}
	field := "resources"
	for key := range content {
		if isOne([]string{field}, key) {
			field = key
		}
	}
	resources, ok := content[field].([]any)
	if !ok && content[field] != nil {
		return &Error{ReasonInvalidYAML, kustomization, field + ": want a list"}
	}
	if slices.Contains(resources, any(fromChart)) {
		return nil
	}
	content[field] = append([]any{fromChart}, resources...)
	data, err := yaml.Marshal(content)
	if err != nil {
		return &Error{ReasonInvalidYAML, kustomization, err.Error()}
	}
	t.add(kustomization, data)
	return nil
}

// build runs Kustomize with its default restrictions: a file must stand below the kustomization that names it, no plugin
// runs, no chart is inflated.
func (t *tree) build(dir string) ([]*unstructured.Unstructured, error) {
	kustomizing.Lock()
	defer kustomizing.Unlock()
	built, err := krusty.MakeKustomizer(&krusty.Options{
		Reorder:          krusty.ReorderOptionNone,
		LoadRestrictions: types.LoadRestrictionsRootOnly,
		PluginConfig:     types.DisabledPluginConfig(),
	}).Run(t.fs, path.Join(t.root, dir))
	if err != nil {
		return nil, err
	}
	var objects []*unstructured.Unstructured
	for _, resource := range built.Resources() {
		content, err := content(resource)
		if err != nil {
			return nil, err
		}
		objects = append(objects, &unstructured.Unstructured{Object: content})
	}
	return objects, nil
}

// readable puts the bundle's own paths into a message of Kustomize.
func (t *tree) readable(message string) string {
	for at, relative := t.root, "."; at != "/"; at, relative = path.Dir(at), path.Join("..", relative) {
		prefix := ""
		if relative != "." {
			prefix = relative + "/"
		}
		message = strings.ReplaceAll(message, at+"/", prefix)
		message = strings.ReplaceAll(message, at, relative)
	}
	return detour.ReplaceAllString(message, "$1")
}

// detour is what Kustomize says of its second try, a file as a directory or the other way round.
var detour = regexp.MustCompile(`accumulation err='accumulating resources from '[^']*': '[^']*' must resolve to a file': |accumulation err='(.*)': must build at directory: '[^']*': file is not directory`)
