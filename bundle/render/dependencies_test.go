package render

import (
	"strings"
	"testing"

	"flotilla.io/flotilla/api/v1alpha1"
)

func TestLocalDependencies(t *testing.T) {
	const lib = "{apiVersion: v2, name: lib, version: 1.2.0}"
	chartWith := func(dependencies string) string {
		return "{apiVersion: v2, name: web, version: 1.0.0, dependencies: [" + dependencies + "]}"
	}
	object := func(name string) string { return "{apiVersion: v1, kind: ConfigMap, metadata: {name: " + name + "}}" }
	for _, c := range []struct {
		rule    string
		files   map[string]string
		options v1alpha1.HelmOptions
		want    string // names of the objects, or the error
	}{
		{"a chart beside the chart is rendered with it", map[string]string{"Chart.yaml": chartWith("{name: lib, version: 1.x, repository: 'file://../lib'}"),
			"../lib/Chart.yaml": lib, "../lib/templates/a.yaml": object("lib")}, v1alpha1.HelmOptions{}, "lib"},
		{"it sees its part of the values", map[string]string{"Chart.yaml": chartWith("{name: lib, version: 1.x, repository: 'file://../lib'}"), "values.yaml": "lib: {name: chosen}",
			"../lib/Chart.yaml": lib, "../lib/templates/a.yaml": object("{{ .Values.name }}")}, v1alpha1.HelmOptions{}, "chosen"},
		{"a condition switches it off", map[string]string{"Chart.yaml": chartWith("{name: lib, version: 1.x, repository: 'file://../lib', condition: lib.enabled}"), "values.yaml": "lib: {enabled: false}",
			"../lib/Chart.yaml": lib, "../lib/templates/a.yaml": object("lib")}, v1alpha1.HelmOptions{}, ""},
		{"an alias renames it", map[string]string{"Chart.yaml": chartWith("{name: lib, alias: one, version: 1.x, repository: 'file://../lib'}"), "values.yaml": "one: {name: aliased}",
			"../lib/Chart.yaml": lib, "../lib/templates/a.yaml": object("{{ .Values.name }}")}, v1alpha1.HelmOptions{}, "aliased"},
		{"it wins over an old copy in charts/", map[string]string{"Chart.yaml": chartWith("{name: lib, version: 1.x, repository: 'file://lib'}"),
			"lib/Chart.yaml": lib, "lib/templates/a.yaml": object("new"), "charts/lib/Chart.yaml": lib, "charts/lib/templates/b.yaml": object("old")}, v1alpha1.HelmOptions{}, "new"},
		{"disableDependencyUpdate keeps the copy in charts/", map[string]string{"Chart.yaml": chartWith("{name: lib, version: 1.x, repository: 'file://lib'}"),
			"lib/Chart.yaml": lib, "lib/templates/a.yaml": object("new"), "charts/lib/Chart.yaml": lib, "charts/lib/templates/b.yaml": object("old")},
			v1alpha1.HelmOptions{DisableDependencyUpdate: true}, "old"},
		{"dependencies of dependencies come along", map[string]string{"Chart.yaml": chartWith("{name: lib, version: 1.x, repository: 'file://../lib'}"),
			"../lib/Chart.yaml":  "{apiVersion: v2, name: lib, version: 1.2.0, dependencies: [{name: base, version: 2.x, repository: 'file://../base'}]}",
			"../base/Chart.yaml": "{apiVersion: v2, name: base, version: 2.0.0}", "../base/templates/a.yaml": object("base")}, v1alpha1.HelmOptions{}, "base"},
		{"charts of Helm 2 name them in requirements.yaml", map[string]string{"Chart.yaml": "{apiVersion: v1, name: web, version: 1.0.0}",
			"requirements.yaml": "dependencies: [{name: lib, version: 1.x, repository: 'file://lib'}]", "lib/Chart.yaml": lib, "lib/templates/a.yaml": object("lib")}, v1alpha1.HelmOptions{}, "lib"},
		{"another version is told, not left out", map[string]string{"Chart.yaml": chartWith("{name: lib, version: 2.x, repository: 'file://../lib'}"), "../lib/Chart.yaml": lib},
			v1alpha1.HelmOptions{}, "Chart.yaml: dependency lib: the chart at file://../lib has version 1.2.0, not 2.x"},
		{"another name is told", map[string]string{"Chart.yaml": chartWith("{name: library, version: 1.x, repository: 'file://../lib'}"), "../lib/Chart.yaml": lib},
			v1alpha1.HelmOptions{}, "Chart.yaml: dependency library: the chart at file://../lib is named lib"},
		{"one that is not there is told", map[string]string{"Chart.yaml": chartWith("{name: lib, version: 1.x, repository: 'file://../lib'}")},
			v1alpha1.HelmOptions{}, "Chart.yaml: dependency lib: there is no chart at ../lib"},
		{"one that depends on itself ends", map[string]string{"Chart.yaml": chartWith("{name: web, version: 1.x, repository: 'file://.'}")},
			v1alpha1.HelmOptions{}, "Chart.yaml: dependency web: charts that depend on charts, more than 10 deep"},
	} {
		t.Run(c.rule, func(t *testing.T) {
			in := Input{Bundle: "shop", Files: map[string][]byte{}}
			for name, data := range c.files {
				in.Files[name] = []byte(data)
			}
			in.Options.Helm = &c.options
			out, err := Render(t.Context(), in, nil)
			var got []string
			if err != nil {
				got = []string{err.Error()}
			} else {
				for _, o := range out.Objects {
					got = append(got, o.GetName())
				}
			}
			if strings.Join(got, " ") != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}
