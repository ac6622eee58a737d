package render

import (
	"context"
	"maps"
	"path"
	"slices"
	"strings"

	"helm.sh/helm/v3/pkg/chart"
)

// renderRaw reads plain manifests, and renders those below templates/ as the templates of a chart.
func renderRaw(ctx context.Context, in Input, tpl templating) ([]object, error) {
	var overlays []string
	if in.Options.YAML != nil {
		overlays = in.Options.YAML.Overlays
	}
	files, err := overlay(in.Files, overlays)
	if err != nil {
		return nil, err
	}
	files = manifests(files)
	var objects []object
	var templates []*chart.File
	for _, file := range slices.Sorted(maps.Keys(files)) {
		if strings.HasPrefix(file, "templates/") {
			templates = append(templates, &chart.File{Name: file, Data: files[file]})
			continue
		}
		found, err := manifest{file: file, data: files[file]}.objects()
		if err != nil {
			return nil, err
		}
		objects = append(objects, found...)
	}
	if templates == nil {
		return objects, nil
	}
	_, rendered, err := renderChart(ctx, in, ".", rawChart(in, templates), tpl)
	return append(objects, rendered...), err
}

// Faults are all mistakes in the plain manifests of a bundle, of which Render tells the first. Of charts and kustomizations it
// knows nothing.
func Faults(in Input) []error {
	files, err := clean(in.Files)
	if err != nil {
		return []error{err}
	}
	in.Files = files
	if st, err := detect(in); err != nil || !st.raw() {
		return nil
	}
	files = manifests(files)
	var faults []error
	for _, file := range slices.Sorted(maps.Keys(files)) {
		if strings.HasPrefix(file, "templates/") || strings.HasPrefix(file, "overlays/") {
			continue
		}
		m := manifest{file: file, data: files[file]}
		for _, d := range m.documents() {
			content, err := m.decode(d)
			if err == nil && content != nil {
				_, err = m.unpack(d, content)
			}
			if err != nil {
				faults = append(faults, err)
			}
		}
	}
	return faults
}

// manifests leaves what a raw bundle deploys: YAML and JSON files (and helpers of templates), but no directory that is a
// bundle or a chart by itself.
func manifests(files map[string][]byte) map[string][]byte {
	var others []string
	for file := range files {
		switch dir, base := path.Split(file); base {
		case "fleet.yaml", "fleet.yml", "Chart.yaml":
			others = append(others, dir)
		}
	}
	kept := map[string][]byte{}
	for file, data := range files {
		switch path.Ext(file) {
		case ".yaml", ".yml", ".json":
		case ".tpl":
			if !strings.HasPrefix(file, "templates/") {
				continue
			}
		default:
			continue
		}
		inside := func(dir string) bool { return strings.HasPrefix(file, dir) }
		if !strings.HasPrefix(file, "../") && !slices.ContainsFunc(others, inside) {
			kept[file] = data
		}
	}
	return kept
}
