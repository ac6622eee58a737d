// Package pipeline is the way from a directory to a cluster that a person or a CI job takes step by step: read directories
// as Bundles, write them to a hub or print them, print what each cluster would get of one, and deploy that without an agent.
//
// What the steps hand to each other is Fleet's: YAML of Bundles, then of Contents and BundleDeployments. In a pipeline a
// Content holds a bundle's files, in gzip, and a BundleDeployment its whole options with their values, as the hub and the
// agents of Flotilla never see them.
package pipeline

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"sigs.k8s.io/yaml"

	fleet "flotilla.io/flotilla/api/v1alpha1"
	"flotilla.io/flotilla/bundle/reader"
	"flotilla.io/flotilla/bundle/source"
)

// Source says which directories are read, and as what.
type Source struct {
	Name      string   // of all of them: the first part of each bundle's name
	Paths     []string // none is the working directory
	Namespace string   // the workspace of the Bundles
	// Settings are what a GitRepo would say besides: overrides of each fleet.yaml. Its paths and targets are not read.
	Settings    fleet.GitRepoSpec
	TargetsFile string // YAML with targets and targetRestrictions; "" for none
	Labels      map[string]string
	// FleetYAML is a file of each path that is read in place of its fleet.yaml; each path is then one bundle.
	FleetYAML string
	// DrivenBy separates a path from such a file of its own; each path is then one bundle. "" looks for bundles below the paths.
	DrivenBy string
	Compress bool
	Charts   reader.Charts // fetches charts from elsewhere
}

// Bundles are what was found.
type Bundles struct {
	All    []*fleet.Bundle // sound ones, with their files, sorted by name
	Broken []error         // what is wrong with others
	Notes  []string        // what has no effect
	// Whole is false when a path could not be read: nothing may then be taken to be gone.
	Whole bool
}

// Read reads the Bundles of a source. What is wrong with one of them stops no other.
func Read(ctx context.Context, s Source) (*Bundles, error) {
	given := &reader.CommandLine{}
	if s.TargetsFile != "" {
		data, err := os.ReadFile(s.TargetsFile)
		if err != nil {
			return nil, fmt.Errorf("reading the targets: %w", err)
		}
		if err := yaml.UnmarshalStrict(data, given); err != nil {
			return nil, fmt.Errorf("reading the targets in %s: %w", s.TargetsFile, err)
		}
	}
	roots, err := s.roots()
	if err != nil {
		return nil, err
	}
	out := &Bundles{Whole: true}
	for _, r := range roots {
		if err := out.add(ctx, s, r, given); err != nil {
			return nil, err
		}
	}
	slices.SortFunc(out.All, func(a, b *fleet.Bundle) int { return strings.Compare(a.Name, b.Name) })
	for i := 1; i < len(out.All); i++ {
		if name := out.All[i].Name; name == out.All[i-1].Name {
			return nil, fmt.Errorf("two of the paths make bundle %q; give each its own name in its fleet.yaml", name)
		}
	}
	return out, nil
}

// add reads the paths below one directory.
func (b *Bundles) add(ctx context.Context, s Source, r root, given *reader.CommandLine) error {
	tree, err := source.Dir(r.dir)
	if err != nil {
		return err
	}
	repo := reader.Repo{Name: r.name, Namespace: s.Namespace, Spec: *s.Settings.DeepCopy(), Labels: s.Labels, CommandLine: given}
	repo.Spec.Paths, repo.Spec.Bundles, repo.Spec.Targets = r.paths, r.bundles, nil
	found, err := reader.Read(tree, repo)
	reader.Fetch(ctx, found, s.Charts)
	if err != nil {
		b.Whole = false
		b.Broken = append(b.Broken, err)
	}
	for i := range found {
		if err := b.take(&found[i], s.Compress); err != nil {
			b.Broken = append(b.Broken, err)
		}
	}
	if s.DrivenBy == "" && s.FleetYAML == "" {
		idle, err := reader.Unclaimed(tree, repo, found)
		if err != nil {
			return err
		}
		b.Notes = append(b.Notes, idle...)
	}
	return nil
}

// take makes a Bundle of what was found.
func (b *Bundles) take(f *reader.Found, compress bool) error {
	if f.Err != nil {
		return f.Err
	}
	for _, n := range f.NotServed {
		text := fmt.Sprintf("%s is not served yet: %s", n.Field, n.Why)
		if n.Blocks {
			return errors.New(text)
		}
		b.Notes = append(b.Notes, text)
	}
	f.Bundle.APIVersion, f.Bundle.Kind = fleet.GroupVersion.String(), "Bundle"
	if err := reader.Inline(f.Bundle, f.Files, compress); err != nil {
		return err
	}
	b.All = append(b.All, f.Bundle)
	return nil
}

// root is a directory, and the paths that are read in it.
type root struct {
	dir, name string // name begins the names of its bundles
	paths     []string
	bundles   []fleet.BundlePath
}

// roots sorts the paths by the directory that they are read in. That is the working directory as long as they lead nowhere
// else. A bundle's name is that of the source and its path, cleaned as a path, as in Fleet: `test ../web` is named web.
func (s Source) roots() ([]root, error) {
	byDir := map[string]*root{}
	paths := s.Paths
	if len(paths) == 0 {
		paths = []string{"."}
	}
	for _, p := range paths {
		p, options, err := s.split(p)
		if err != nil {
			return nil, err
		}
		dir, below := place(filepath.ToSlash(p))
		r := byDir[dir]
		if r == nil {
			r = &root{dir: dir, name: s.Name}
			if dir != "/" {
				r.name = path.Join(s.Name, dir)
			}
			byDir[dir] = r
		}
		if s.DrivenBy != "" || s.FleetYAML != "" {
			r.bundles = append(r.bundles, fleet.BundlePath{Base: below, Options: options})
		} else {
			r.paths = append(r.paths, below)
		}
	}
	var roots []root
	for _, dir := range slices.Sorted(maps.Keys(byDir)) {
		roots = append(roots, *byDir[dir])
	}
	return roots, nil
}

// split takes a path apart from the file that is read in place of its fleet.yaml.
func (s Source) split(p string) (dir, options string, err error) {
	if s.DrivenBy == "" {
		return p, s.FleetYAML, nil
	}
	dir, options, _ = strings.Cut(p, s.DrivenBy)
	if strings.Contains(options, s.DrivenBy) {
		return "", "", fmt.Errorf("path %q has more than one %q; give it as PATH%sFILE", p, s.DrivenBy, s.DrivenBy)
	}
	if options == "" {
		options = s.FleetYAML
	}
	return dir, options, nil
}

// place is the directory to read a path in, and the path there. An absolute path is looked for below the working directory
// first, as Fleet does.
func place(p string) (dir, below string) {
	clean := path.Clean(p)
	if path.IsAbs(clean) {
		below := strings.TrimPrefix(clean, "/")
		if below == "" {
			return "/", "."
		}
		if here, _ := filepath.Glob(filepath.FromSlash(below)); len(here) > 0 {
			return ".", below
		}
		return "/", below
	}
	dir = "."
	for clean == ".." || strings.HasPrefix(clean, "../") {
		dir = path.Join(dir, "..")
		clean = path.Clean("./" + strings.TrimPrefix(clean[len(".."):], "/"))
	}
	return dir, clean
}
