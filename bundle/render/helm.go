package render

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"path"
	"reflect"
	"slices"
	"strings"

	"helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/engine"
	helmrelease "helm.sh/helm/v3/pkg/release"
)

// renderChart renders a chart twice and returns the objects of its crds/ directories and of its templates. That the two
// renderings are the same is what makes a Key name the result.
func renderChart(ctx context.Context, in Input, dir string, load loadFunc, rec *recorder) (crds, objects []object, err error) {
	first, err := execute(in, dir, load, rec)
	if err != nil {
		return nil, nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, nil, err
	}
	second, err := execute(in, dir, load, rec)
	if err != nil {
		return nil, nil, err
	}
	if objects, err = first.objects(); err != nil {
		return nil, nil, err
	}
	if err := sameObjects(first, second, objects); err != nil {
		return nil, nil, err
	}
	crds, err = first.crds()
	return crds, objects, err
}

// executed is what the templates of a chart gave, before it is read.
type executed struct {
	chart *chart.Chart
	dir   string
	texts map[string]string // by the template's file
}

// execute renders the templates of a chart. NOTES.txt is rendered for its errors (many charts check their values in it) and
// its text dropped; one that asks for what is not served is left out.
func execute(in Input, dir string, load loadFunc, rec *recorder) (*executed, error) {
	e, err := executeOnce(in, dir, load, rec)
	var notServed *NotServedError
	if errors.As(err, &notServed) && isNotes(notServed.entry) {
		e, err = executeOnce(in, dir, withoutNotes(load), rec)
	}
	return e, err
}

func isNotes(file string) bool { return path.Base(file) == "NOTES.txt" }

func executeOnce(in Input, dir string, load loadFunc, rec *recorder) (*executed, error) {
	c, err := load()
	if err != nil {
		return nil, err
	}
	values, err := prepare(c, dir, in, rec)
	if err != nil {
		return nil, err
	}
	markTime(c)
	texts, err := engine.RenderWithClientProvider(c, values, noCluster{})
	if err != nil {
		return nil, templateError(err, c.Name(), dir)
	}
	e := &executed{c, dir, map[string]string{}}
	for name, text := range texts {
		if !isNotes(name) {
			e.texts[templateFile(name, c.Name(), dir)] = text
		}
	}
	return e, nil
}

func withoutNotes(load loadFunc) loadFunc {
	return func() (*chart.Chart, error) {
		root, err := load()
		if err != nil {
			return nil, err
		}
		for c := range charts(root) {
			c.Templates = slices.DeleteFunc(c.Templates, func(t *chart.File) bool { return isNotes(t.Name) })
		}
		return root, nil
	}
}

// templateFile is the bundle's file for a template as the engine names it: chart name, then the path in the chart.
func templateFile(name, chartName, dir string) string {
	return path.Join(dir, strings.TrimPrefix(name, chartName+"/"))
}

// objects reads what the templates gave, test hooks left out.
func (e *executed) objects() ([]object, error) {
	var objects []object
	sources := e.sources()
	for _, file := range slices.Sorted(maps.Keys(e.texts)) {
		found, err := manifest{file, []byte(e.texts[file]), true, sources[file]}.objects()
		if err != nil {
			return nil, err
		}
		objects = append(objects, found...)
	}
	return withoutHooks(objects)
}

// sources are the templates themselves, helpers among them.
func (e *executed) sources() map[string]string {
	sources := map[string]string{}
	for c := range charts(e.chart) {
		for _, t := range c.Templates {
			sources[templateFile(path.Join(c.ChartFullPath(), t.Name), e.chart.Name(), e.dir)] = string(t.Data)
		}
	}
	return sources
}

// crds reads the crds/ directories. Charts of one parent often bring the same CRD: it counts once.
func (e *executed) crds() ([]object, error) {
	var crds []object
	for _, crd := range e.chart.CRDObjects() {
		found, err := manifest{file: templateFile(crd.Filename, e.chart.Name(), e.dir), data: crd.File.Data}.objects()
		if err != nil {
			return nil, err
		}
		for _, o := range found {
			if !slices.ContainsFunc(crds, func(have object) bool { return reflect.DeepEqual(have.Object, o.Object) }) {
				crds = append(crds, o)
			}
		}
	}
	return crds, nil
}

// sameObjects compares two renderings of a chart. Texts may differ in what makes no object differ, as the order of a map.
func sameObjects(first, second *executed, objects []object) error {
	if maps.Equal(first.texts, second.texts) {
		return nil
	}
	again, err := second.objects()
	if err != nil || len(again) != len(objects) {
		return first.unsteady(first.differing(second))
	}
	for i, o := range objects {
		if o.source != again[i].source || !reflect.DeepEqual(o.Object, again[i].Object) {
			file, _, _ := strings.Cut(o.source, " (")
			return first.unsteady(file)
		}
	}
	return nil
}

func (e *executed) differing(other *executed) string {
	for _, file := range slices.Sorted(maps.Keys(e.texts)) {
		if e.texts[file] != other.texts[file] {
			return file
		}
	}
	return e.dir
}

// withoutHooks drops test hooks and what Helm does not know as a hook, and refuses the others.
func withoutHooks(objects []object) ([]object, error) {
	var kept []object
	for _, o := range objects {
		events, ok := o.GetAnnotations()[helmrelease.HookAnnotation]
		if !ok {
			kept = append(kept, o)
			continue
		}
		for event := range strings.SplitSeq(events, ",") {
			event = strings.ToLower(strings.TrimSpace(event))
			if slices.Contains(hooks, helmrelease.HookEvent(event)) {
				return nil, &NotServedError{Template: o.source, What: fmt.Sprintf("the hook %s (%s)", event, name(o))}
			}
		}
	}
	return kept, nil
}

var hooks = []helmrelease.HookEvent{
	helmrelease.HookPreInstall, helmrelease.HookPostInstall, helmrelease.HookPreUpgrade, helmrelease.HookPostUpgrade,
	helmrelease.HookPreDelete, helmrelease.HookPostDelete, helmrelease.HookPreRollback, helmrelease.HookPostRollback,
}

// rawChart is the chart around the templates/ of a raw bundle.
func rawChart(in Input, templates []*chart.File) loadFunc {
	names := strings.Split(in.Bundle, "/")
	return func() (*chart.Chart, error) {
		c := &chart.Chart{Metadata: &chart.Metadata{
			APIVersion: chart.APIVersionV2,
			Name:       cmp.Or(names[len(names)-1], "bundle"),
			Version:    "v0.0.0+s-" + contentHash(in.Files)[:12],
		}}
		for _, t := range templates {
			c.Templates = append(c.Templates, &chart.File{Name: t.Name, Data: t.Data})
		}
		return c, nil
	}
}
