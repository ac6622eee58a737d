package reader

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"

	"flotilla.io/flotilla/bundle/fleetyaml"
)

// dependency is one that a chart names, with its place.
type dependency struct {
	file             string
	line, column     int
	name, repository string
	version          string
}

// local is the directory of a dependency that stands in the repository; ok is false for others.
func (d dependency) local() (dir string, ok bool) {
	rest, ok := strings.CutPrefix(d.repository, "file://")
	return path.Join(path.Dir(d.file), rest), ok
}

// dependencies of the chart in dir, by its Chart.yaml and, in charts of Helm 2, requirements.yaml. What cannot be read has none:
// rendering says what is wrong with it.
func (r *reading) dependenciesOf(dir string) (all []dependency) {
	for _, name := range []string{chartFile, "requirements.yaml"} {
		file := path.Join(dir, name)
		data, err := fs.ReadFile(r.tree, file)
		var chart struct {
			Dependencies []struct{ Name, Repository, Version yaml.Node }
		}
		if err != nil || yaml.Unmarshal(data, &chart) != nil {
			continue
		}
		for _, d := range chart.Dependencies {
			all = append(all, dependency{file, d.Name.Line, d.Name.Column, d.Name.Value, d.Repository.Value, d.Version.Value})
		}
	}
	return all
}

// dependencies takes up what charts depend on with file://, transitively.
func (r *reading) dependencies() error {
	var errs []error
	for i := 0; i < len(r.found.uses); i++ { // it grows on the way
		if r.updatesNone() {
			continue
		}
		for _, d := range r.dependenciesOf(r.found.uses[i]) {
			dir, local := d.local()
			switch {
			case !local || slices.Contains(r.found.uses, dir):
			case !fs.ValidPath(dir):
				errs = append(errs, d.fail("%q leaves the repository", d.repository))
			case !exists(r.tree, path.Join(dir, chartFile)):
				errs = append(errs, d.fail("there is no %s", path.Join(dir, chartFile)))
			default:
				r.found.uses = append(r.found.uses, dir)
				errs = append(errs, r.files.addOutside(dir))
			}
		}
	}
	return errors.Join(errs...)
}

func (d dependency) fail(format string, args ...any) error {
	return fleetyaml.Errors{{File: d.file, Line: d.line, Column: d.column, Message: "dependency " + d.name + ": " + fmt.Sprintf(format, args...)}}
}

// updatesNone tells whether charts are taken as they are, with what lies in their charts directory.
func (r *reading) updatesNone() bool {
	return r.spec.Helm != nil && r.spec.Helm.DisableDependencyUpdate
}
