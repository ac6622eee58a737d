package reader

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"strings"

	"gopkg.in/yaml.v3"

	"flotilla.io/flotilla/bundle/fleetyaml"
	"flotilla.io/flotilla/bundle/fleetyaml/nearest"
)

// kustomizationFiles are the names that kustomize looks for.
var kustomizationFiles = []string{"kustomization.yaml", "kustomization.yml", "Kustomization"}

// kustomizations takes up what the bundle's kustomizations need from outside of its directory, transitively.
func (r *reading) kustomizations() error {
	bases := &bases{tree: r.tree, files: r.files, seen: map[string]bool{}}
	var errs []error
	var missing []layer
	for _, l := range r.layers {
		dir := r.place.dir
		if l.options.Kustomize != nil && l.options.Kustomize.Dir != "" {
			dir = path.Join(dir, l.options.Kustomize.Dir)
		} else if l.path != "" || l.gitRepo != "" {
			continue
		}
		switch {
		case !fs.ValidPath(dir):
			errs = append(errs, r.fail(l, "kustomize.dir", "%q leaves the repository", l.options.Kustomize.Dir))
		case kustomization(r.tree, dir) != "":
			errs = append(errs, bases.take(dir), r.files.addOutside(dir))
		case dir != r.place.dir:
			missing = append(missing, l)
		}
	}
	// A directory that a GitRepo's target names suits some of its bundles only: those without kustomizations have no use for it.
	for _, l := range missing {
		if l.gitRepo == "" || len(bases.seen) > 0 {
			name := l.options.Kustomize.Dir
			errs = append(errs, r.fail(l, "kustomize.dir", "there is no kustomization in %q%s", path.Join(r.place.dir, name), r.kustomizationBeside(name)))
		}
	}
	for dir := range bases.seen {
		r.found.uses = append(r.found.uses, dir)
	}
	return errors.Join(errs...)
}

func (r *reading) kustomizationBeside(name string) string {
	parent := path.Dir(path.Join(r.place.dir, name))
	entries, _ := fs.ReadDir(r.tree, parent)
	var names []string
	for _, entry := range entries {
		if kustomization(r.tree, path.Join(parent, entry.Name())) != "" {
			names = append(names, path.Join(path.Dir(name), entry.Name()))
		}
	}
	return nearest.Hint(path.Clean(name), names)
}

// kustomization is the kustomization file of a directory, "" when it has none.
func kustomization(tree Tree, dir string) string {
	for _, name := range kustomizationFiles {
		if file := path.Join(dir, name); exists(tree, file) {
			return file
		}
	}
	return ""
}

// bases follows kustomizations from one to the next.
type bases struct {
	tree  Tree
	files *files
	seen  map[string]bool // directories with a kustomization
}

// take reads the kustomization of a directory and takes up what it names: other kustomizations, and files outside of the bundle.
func (b *bases) take(dir string) error {
	file := kustomization(b.tree, dir)
	if file == "" || b.seen[dir] {
		return nil
	}
	b.seen[dir] = true
	data, err := fs.ReadFile(b.tree, file)
	if err != nil {
		return fmt.Errorf("reading %s: %w", file, err)
	}
	node, err := fleetyaml.Document(file, data)
	if err != nil || node == nil {
		return err
	}
	var errs []error
	for _, field := range references {
		for _, ref := range scalars(node, strings.Split(field, ".")) {
			errs = append(errs, b.takeReference(dir, file, field, ref))
		}
	}
	return errors.Join(errs...)
}

// references are the fields of a kustomization that name files and directories.
var references = []string{
	"resources", "bases", "components", "crds", "configurations", "generators", "transformers", "validators", "patchesStrategicMerge",
	"patches.path", "patchesJson6902.path", "replacements.path", "openapi.path",
	"configMapGenerator.files", "configMapGenerator.envs", "configMapGenerator.env",
	"secretGenerator.files", "secretGenerator.envs", "secretGenerator.env",
}

// scalars are the texts at a path of keys, through lists.
func scalars(node *yaml.Node, keys []string) (found []*yaml.Node) {
	for node.Kind == yaml.AliasNode {
		node = node.Alias
	}
	switch {
	case node.Kind == yaml.SequenceNode:
		for _, item := range node.Content {
			found = append(found, scalars(item, keys)...)
		}
	case node.Kind == yaml.ScalarNode && len(keys) == 0:
		return []*yaml.Node{node}
	case node.Kind == yaml.MappingNode && len(keys) > 0:
		for i := 0; i+1 < len(node.Content); i += 2 {
			if node.Content[i].Value == keys[0] {
				found = append(found, scalars(node.Content[i+1], keys[1:])...)
			}
		}
	}
	return found
}

// remote matches what kustomize would download: a URL, or a host with a path.
var remote = regexp.MustCompile(`://|^git@|\?ref=|\?version=|^[\w-]+(\.[\w-]+)*\.(com|org|io|net|dev)[:/]`)

func (b *bases) takeReference(dir, file, field string, ref *yaml.Node) error {
	name := ref.Value
	if strings.HasSuffix(field, ".files") { // key=path
		if _, value, named := strings.Cut(name, "="); named {
			name = value
		}
	}
	if name == "" || strings.Contains(name, "\n") || remote.MatchString(name) { // an inline patch, or for rendering to refuse
		return nil
	}
	at := path.Join(dir, name)
	fail := func(format string, args ...any) error {
		return fleetyaml.Errors{{File: file, Line: ref.Line, Column: ref.Column, Message: field + ": " + fmt.Sprintf(format, args...)}}
	}
	switch {
	case !fs.ValidPath(at) || path.IsAbs(name):
		return fail("%q leaves the repository", name)
	case isDir(b.tree, at):
		return errors.Join(b.take(at), b.files.addOutside(at))
	case exists(b.tree, at):
		return b.files.addOutside(at)
	}
	return fail("there is no file or directory %q", at)
}
