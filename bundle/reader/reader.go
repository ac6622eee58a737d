// Package reader turns a tree of files into bundles, as a GitRepo asks: which directories are bundles, how they are named, which
// files they have, and whom they are for.
//
// Reading is pure: a tree and a spec in, bundles out; Fetch then asks for the charts that they need from elsewhere. Discovery and names are Fleet's, byte for byte. What stands wrongly in a file is
// an error of that one bundle; only what concerns all bundles is an error of Read.
package reader

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"

	"flotilla.io/flotilla/api/v1alpha1"
	"flotilla.io/flotilla/bundle/fleetyaml"
	"flotilla.io/flotilla/bundle/target"
)

// Tree is the files of one revision, as bundle/source gives them. Reading follows symbolic links inside the tree.
type Tree interface {
	fs.FS
	// Hash changes whenever anything below path changes.
	Hash(path string) (string, error)
}

// Repo is the GitRepo to read for.
type Repo struct {
	Name, Namespace string
	Spec            v1alpha1.GitRepoSpec
	Labels          map[string]string // copied to each bundle
	// CommandLine is set for bundles of no GitRepo: its targets take the place of Spec.Targets.
	CommandLine *CommandLine
}

// CommandLine is what a targets file adds to bundles that are read for a command line. As in Fleet it alone decides about
// restrictions: with none, what stands under targetCustomizations are targets like any other.
type CommandLine struct {
	Targets            []v1alpha1.BundleTarget            `json:"targets,omitempty"`
	TargetRestrictions []v1alpha1.BundleTargetRestriction `json:"targetRestrictions,omitempty"`
}

// Found is one bundle of the tree, or what is left of it when it is broken.
type Found struct {
	// Bundle has its name, labels, annotations and spec, with values inline and values files merged into them. It has no
	// resources, contentsId and commit label: those are the caller's. Of a broken bundle only the name is to be relied on.
	Bundle *v1alpha1.Bundle
	// Path is the bundle's directory in the tree, "." for its root.
	Path string
	// Files are the bundle's files by their path from its directory. Kustomize bases and charts outside of it have keys that
	// begin with "../".
	Files map[string][]byte
	// TreeHash changes whenever a file changes that the bundle was made from. The GitRepo's spec is not in it.
	TreeHash string
	// NotServed are settings of the bundle's files that a Bundle has no field for and that have no effect yet.
	NotServed []target.Unserved
	// Wanted are charts from elsewhere; they are among Files once Fetch brought them, and Resolved are the versions that it found.
	Wanted   []Wanted
	Resolved []string
	// Err says why this bundle cannot be deployed, with file and line. Other bundles are not concerned.
	Err error

	uses []string // directories of charts and kustomizations that it takes up
}

// Read finds the bundles that a GitRepo asks for, sorted by path.
//
// An error means that not all of them are in the result: a path of the spec leads nowhere, or a directory cannot be read. It says
// nothing against those that were found, which may go on; but while there is an error, no bundle may be taken to be gone. No
// bundle and no error is a tree that has nothing to deploy.
func Read(tree Tree, repo Repo) ([]Found, error) {
	dirs, rootsErr := roots(tree, &repo.Spec)
	all, open, placesErr := places(tree, dirs, &repo.Spec)
	taken := map[string]bool{}
	var readings []*reading
	begin := func(p place) {
		r := begin(tree, &repo, p)
		for _, name := range r.files.outside {
			taken[name] = true
		}
		readings = append(readings, r)
	}
	for _, p := range all {
		begin(p)
	}
	for _, root := range open {
		if ownYAML(tree, root, taken) {
			begin(place{dir: root})
		}
	}
	var found []Found
	for _, r := range readings {
		if r.end(taken); r.found.Err != nil || len(r.found.Files) > 0 || len(r.found.Wanted) > 0 {
			found = append(found, *r.found)
		}
	}
	slices.SortStableFunc(found, func(a, b Found) int { return strings.Compare(a.Path, b.Path) })
	refuseNamesakes(found)
	return found, errors.Join(rootsErr, placesErr)
}

// reading is the way from a place to a bundle.
type reading struct {
	tree  Tree
	repo  *Repo
	place place

	file   string // of the settings; "" when there is none
	yaml   *fleetyaml.FleetYAML
	spec   *v1alpha1.BundleSpec
	layers []layer // the bundle itself, then its targets in order
	files  *files
	found  *Found
}

// begin reads what a bundle's settings say and follows what they name, as far as that is outside of its directory: only when that is
// known of all bundles is it known what belongs to which.
func begin(tree Tree, repo *Repo, p place) *reading {
	r := &reading{tree: tree, repo: repo, place: p, found: &Found{Path: p.dir, Bundle: &v1alpha1.Bundle{}}}
	r.files = &files{tree: tree, dir: p.dir, skip: map[string]bool{}, size: map[string]int64{}}
	r.found.Bundle.Name, r.found.Bundle.Namespace = r.pathName(), repo.Namespace
	r.walk(r.settings, r.targets, r.valuesFiles, r.charts, r.elsewhere, r.dependencies, r.kustomizations, r.patches)
	return r
}

// end reads the files and writes the bundle. taken is what bundles use from outside of their directories. What they take from here
// is not deployed a second time as plain YAML; a chart or kustomization here may well need it, too.
func (r *reading) end(taken map[string]bool) {
	if len(r.found.uses) == 0 {
		r.files.leave = taken
	}
	r.walk(r.content, r.finish)
}

// walk takes the steps up to the first that fails, and none after an earlier failure.
func (r *reading) walk(steps ...func() error) {
	for _, step := range steps {
		if r.found.Err == nil {
			r.found.Err = step()
		}
	}
}

// pathName is the bundle's name where its settings give none.
func (r *reading) pathName() string {
	id := path.Join(r.repo.Name, r.place.dir)
	if options := r.place.options; options != "" {
		id = path.Join(id, strings.TrimSuffix(options, path.Ext(options)))
	}
	return v1alpha1.HelmReleaseName(id)
}

// settings reads fleet.yaml, or the file that spec.bundles names.
func (r *reading) settings() error {
	for _, name := range settingsFiles {
		r.files.skip[path.Join(r.place.dir, name)] = true
	}
	names := settingsFiles
	if r.place.options != "" {
		names = []string{r.place.options}
	}
	for _, name := range names {
		file := path.Join(r.place.dir, name)
		if r.file == "" && exists(r.tree, file) {
			r.file, r.files.skip[file] = file, true
		}
	}
	var data []byte
	switch {
	case r.file != "":
		var err error
		if data, err = fs.ReadFile(r.tree, r.file); err != nil {
			return fmt.Errorf("reading %s: %w", r.file, err)
		}
	case r.place.options != "":
		return fmt.Errorf("spec.bundles: %s has no file %q%s", r.place.dir, r.place.options, r.yamlBeside(r.place.options))
	}
	parsed, err := fleetyaml.Parse(r.file, data)
	if parsed.Name != "" {
		r.found.Bundle.Name = parsed.Name
	}
	r.yaml, r.spec = parsed, &parsed.BundleSpec
	if err == nil && len(parsed.ImageScans) > 0 {
		at := parsed.Errorf("imageScans", "").Error()
		r.found.NotServed = append(r.found.NotServed, target.Unserved{Field: strings.TrimSuffix(at, ": "), Why: "image tags are not yet written back"})
	}
	return err
}

// content collects the directory's files, without what are settings.
func (r *reading) content() error { return r.files.add(r.place.dir) }

// finish reads what was collected and writes the bundle.
func (r *reading) finish() error {
	var err error
	if r.found.Files, err = r.files.read(); err != nil {
		return err
	}
	if r.found.TreeHash, err = r.hash(); err != nil {
		return err
	}
	r.vendored()
	r.override()
	b := r.found.Bundle
	b.Labels, b.Annotations = map[string]string{}, map[string]string{}
	maps.Copy(b.Annotations, r.yaml.Annotations)
	maps.Copy(b.Labels, r.repo.Labels)
	maps.Copy(b.Labels, r.yaml.Labels)
	if r.repo.CommandLine == nil {
		b.Labels[v1alpha1.RepoLabel] = r.repo.Name
	}
	b.Spec = *r.spec
	return nil
}

// override lets the GitRepo's settings take their place over those of the files, as Fleet does, and drops what only the hub sets.
func (r *reading) override() {
	repo, spec := &r.repo.Spec, r.spec
	spec.Resources, spec.ContentsID, spec.ValuesHash, spec.HelmOpOptions = nil, "", "", nil
	spec.ForceSyncGeneration = repo.ForceSyncGeneration
	if repo.ServiceAccount != "" {
		spec.ServiceAccount = repo.ServiceAccount
	}
	if repo.TargetNamespace != "" {
		spec.TargetNamespace = repo.TargetNamespace
		for i := range spec.Targets {
			spec.Targets[i].TargetNamespace = repo.TargetNamespace
		}
	}
	spec.Paused = spec.Paused || repo.Paused
	spec.KeepResources = spec.KeepResources || repo.KeepResources
	spec.DeleteNamespace = spec.DeleteNamespace || repo.DeleteNamespace
	if repo.CorrectDrift != nil && repo.CorrectDrift.Enabled {
		spec.CorrectDrift = repo.CorrectDrift.DeepCopy()
	}
}

// refuseNamesakes fails all bundles that would be written under one name.
func refuseNamesakes(found []Found) {
	dirs := map[string][]string{}
	for _, f := range found {
		dirs[f.Bundle.Name] = append(dirs[f.Bundle.Name], f.Path)
	}
	for i := range found {
		name := found[i].Bundle.Name
		if len(dirs[name]) > 1 {
			same := slices.Clone(dirs[name])
			found[i].Err = errors.Join(found[i].Err, fmt.Errorf("%s make one bundle, %q; give each its own name in %s",
				strings.Join(same, " and "), name, fleetyaml.Name))
		}
	}
}
