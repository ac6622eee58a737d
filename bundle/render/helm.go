package render

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"path"
	"reflect"
	"slices"
	"strings"
	"time"

	"helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/engine"
)

// templating is what the templates of a bundle see besides their values.
type templating struct {
	rec     *recorder
	cluster *lookups // what lookup finds
	kept    Kept     // nil: random values are drawn, and looked for in what comes of it
}

// renderChart renders a chart twice and returns the objects of its crds/ directories and of its templates. That the two
// renderings are the same is what makes a Key name the result.
func renderChart(ctx context.Context, in Input, dir string, load loadFunc, tpl templating) (crds, objects []object, err error) {
	first, err := execute(in, dir, load, tpl, 0)
	if err != nil {
		return nil, nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, nil, err
	}
	second, err := execute(in, dir, load, tpl, anotherDay)
	if err != nil {
		return nil, nil, err
	}
	if objects, err = first.objects(); err != nil {
		return nil, nil, err
	}
	if file := differing(first, second, objects); file != "" {
		return nil, nil, tpl.unsteady(file, first)
	}
	crds, err = first.crds()
	return crds, objects, err
}

// unsteady is the error for a file that comes out another way each time.
func (tpl templating) unsteady(file string, e *executed) error {
	if tpl.kept == nil {
		return &deferral{Template: file, What: "output that is another at each rendering" + e.drawn(file)}
	}
	return &Error{ReasonUnsteady, file, "it comes out another way at each rendering, also with random values kept; " +
		"sort what has no order, and take out what reads the time by itself (date of what is no time)"}
}

// executed is what the templates of a chart gave, before it is read.
type executed struct {
	chart *chart.Chart
	dir   string
	texts map[string]string // by the template's file
	calls map[string]string // by the template's file: the first function in it whose result is another each time
}

// drawn names the function that made a file unsteady, where it is known.
func (e *executed) drawn(file string) string {
	for name, function := range e.calls {
		if path.Join(e.dir, name) == file {
			return " (" + function + ")"
		}
	}
	return ""
}

// execute renders the templates of a chart. NOTES.txt is rendered for its errors (many charts check their values in it) and
// its text dropped; one that asks for what only a cluster knows is left out.
func execute(in Input, dir string, load loadFunc, tpl templating, later time.Duration) (*executed, error) {
	e, err := executeOnce(in, dir, load, tpl, later)
	var put *deferral
	if errors.As(err, &put) && isNotes(put.entry) {
		e, err = executeOnce(in, dir, withoutNotes(load), tpl, later)
	}
	return e, err
}

func isNotes(file string) bool { return path.Base(file) == "NOTES.txt" }

func executeOnce(in Input, dir string, load loadFunc, tpl templating, later time.Duration) (*executed, error) {
	c, err := load()
	if err != nil {
		return nil, err
	}
	values, err := prepare(c, dir, in, tpl.rec)
	if err != nil {
		return nil, err
	}
	e := &executed{c, dir, map[string]string{}, map[string]string{}}
	markFiles(c)
	var texts map[string]string
	during(&scope{later: later, kept: tpl.kept, calls: e.calls}, func() {
		texts, err = engine.RenderWithClientProvider(c, values, tpl.cluster)
	})
	if err != nil {
		return nil, templateError(err, c.Name(), dir)
	}
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

// objects reads what the templates gave, but for hooks that never run: what is random in a test is no matter.
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
	return withoutUnrun(objects), nil
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

// differing compares two renderings of a chart and names the first file in which they differ, "" when they do not. Texts may
// differ in what makes no object differ, as the order of a map.
func differing(first, second *executed, objects []object) string {
	if maps.Equal(first.texts, second.texts) {
		return ""
	}
	again, err := second.objects()
	if err != nil || len(again) != len(objects) {
		for _, file := range slices.Sorted(maps.Keys(first.texts)) {
			if first.texts[file] != second.texts[file] {
				return file
			}
		}
		return first.dir
	}
	for i, o := range objects {
		if o.source != again[i].source || !reflect.DeepEqual(o.Object, again[i].Object) {
			file, _, _ := strings.Cut(o.source, " (")
			return file
		}
	}
	return ""
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
