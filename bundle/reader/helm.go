package reader

import (
	"errors"
	"fmt"
	"io/fs"
	"path"

	"flotilla.io/flotilla/api/v1alpha1"
	"flotilla.io/flotilla/bundle/fleetyaml"
	"flotilla.io/flotilla/bundle/fleetyaml/nearest"
	"flotilla.io/flotilla/bundle/source/charts"
	"flotilla.io/flotilla/bundle/target"
)

const chartFile = "Chart.yaml"

// valuesFiles merges values files into the values beside them, as in Fleet the file over what stands inline. A file that
// is missing is a mistake where there is a chart; a bundle without one has no use for values.
func (r *reading) valuesFiles() error {
	var errs []error
	for _, l := range r.layers {
		helm := l.options.Helm
		if helm == nil {
			continue
		}
		for i, name := range helm.ValuesFiles {
			field := fmt.Sprintf("helm.valuesFiles[%d]", i)
			if err := r.mergeFile(l, field, name, helm); err != nil {
				errs = append(errs, err)
			}
		}
	}
	return errors.Join(errs...)
}

func (r *reading) mergeFile(l layer, field, name string, helm *v1alpha1.HelmOptions) error {
	file := path.Join(r.place.dir, name)
	if !fs.ValidPath(file) {
		return r.fail(l, field, "%q leaves the repository", name)
	}
	if !exists(r.tree, file) {
		if !r.hasChart() {
			return nil
		}
		return r.fail(l, field, "there is no file %q%s", file, r.yamlBeside(name))
	}
	data, err := fs.ReadFile(r.tree, file)
	if err != nil {
		return r.fail(l, field, "reading %s: %s", file, err)
	}
	values, err := fleetyaml.Values(file, data)
	if err != nil {
		return err
	}
	if helm.Values == nil {
		helm.Values = &v1alpha1.GenericMap{}
	}
	helm.Values.Data = target.MergeValues(helm.Values.Data, values)
	switch {
	case !r.files.within(file):
		r.files.outside = append(r.files.outside, file)
	case path.Base(file) != "values.yaml" || !exists(r.tree, path.Join(path.Dir(file), chartFile)): // a chart's own values stay with it
		r.files.skip[file] = true
	}
	return nil
}

// hasChart tells whether the bundle is deployed by Helm, on some cluster at least.
func (r *reading) hasChart() bool {
	for _, l := range r.layers {
		if helm := l.options.Helm; helm != nil && (helm.Chart != "" || helm.Repo != "") {
			return true
		}
	}
	return exists(r.tree, path.Join(r.place.dir, chartFile))
}

// yamlBeside proposes a YAML file of the directory where one was looked for.
func (r *reading) yamlBeside(name string) string {
	dir := path.Dir(path.Join(r.place.dir, name))
	entries, _ := fs.ReadDir(r.tree, dir)
	var names []string
	for _, entry := range entries {
		if ext := path.Ext(entry.Name()); ext == ".yaml" || ext == ".yml" {
			names = append(names, path.Join(path.Dir(name), entry.Name()))
		}
	}
	return nearest.Hint(path.Clean(name), names)
}

// charts checks that each chart in the repository is there, and takes up those outside of the bundle's directory.
func (r *reading) charts() error {
	var errs []error
	base := over(charts.Ref{}, r.layers[0].options.Helm)
	for _, l := range r.layers {
		helm := l.options.Helm
		if helm == nil || helm.Chart == "" || isElsewhere(over(base, helm)) {
			continue
		}
		dir := path.Join(r.place.dir, helm.Chart)
		switch {
		case !fs.ValidPath(dir):
			errs = append(errs, r.fail(l, "helm.chart", "%q leaves the repository", helm.Chart))
		case exists(r.tree, path.Join(dir, chartFile)):
			r.found.uses = append(r.found.uses, dir)
			errs = append(errs, r.files.addOutside(dir))
		case path.Ext(dir) == ".tgz" && exists(r.tree, dir):
			errs = append(errs, r.files.addOutside(dir))
		case exists(r.tree, dir):
			errs = append(errs, r.fail(l, "helm.chart", "%q is a file; a chart is a directory or a .tgz", dir))
		case l.gitRepo == "" || r.hasChart():
			errs = append(errs, r.fail(l, "helm.chart", "there is no %s%s; a chart from a Helm repository has helm.repo, too",
				path.Join(dir, chartFile), r.chartBeside(helm.Chart)))
		}
	}
	if r.usesRootChart() {
		r.found.uses = append(r.found.uses, r.place.dir)
	}
	return errors.Join(errs...)
}

// usesRootChart tells whether the chart in the bundle's own directory is what is deployed: it is where nothing else is named.
func (r *reading) usesRootChart() bool {
	helm := r.spec.Helm
	return (helm == nil || helm.Chart == "" && helm.Repo == "") && exists(r.tree, path.Join(r.place.dir, chartFile))
}

// chartBeside proposes a directory with a chart, in the bundle or beside it.
func (r *reading) chartBeside(name string) string {
	parent := path.Dir(path.Join(r.place.dir, name))
	entries, _ := fs.ReadDir(r.tree, parent)
	var names []string
	for _, entry := range entries {
		if exists(r.tree, path.Join(parent, entry.Name(), chartFile)) {
			names = append(names, path.Join(path.Dir(name), entry.Name()))
		}
	}
	return nearest.Hint(path.Clean(name), names)
}
