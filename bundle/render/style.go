package render

import (
	"crypto/sha256"
	"fmt"
	"path"
	"slices"
	"strings"
)

// style is how a bundle is rendered, told from its files as Fleet does: a chart, a kustomization, both, or neither.
type style struct {
	chart         string // directory or .tgz of the chart, "" when there is none
	kustomization string // directory of the kustomization file, "" when there is none
	templated     bool   // values and release reach some template
}

// raw: plain manifests, of which those below templates/ are templates.
func (st style) raw() bool { return st.chart == "" && st.kustomization == "" }

// kustomizationNames are the files that make a directory a kustomization.
var kustomizationNames = []string{"kustomization.yaml", "kustomization.yml", "Kustomization"}

func detect(in Input) (style, error) {
	chart, err := findChart(in)
	if err != nil {
		return style{}, err
	}
	dir, err := findKustomization(in)
	if err != nil {
		return style{}, err
	}
	st := style{chart: chart, kustomization: dir}
	st.templated = chart != ""
	for name := range in.Files {
		st.templated = st.templated || st.raw() && strings.HasPrefix(name, "templates/")
	}
	return st, nil
}

// findChart looks where Fleet does: the chart that was downloaded for the helm options, helm.chart (or helm.repo) as a directory of
// the bundle, the bundle's root.
func findChart(in Input) (string, error) {
	helm := in.Options.Helm
	if helm == nil || helm.Chart == "" && helm.Repo == "" {
		if has(in.Files, "Chart.yaml") {
			return ".", nil
		}
		return "", nil
	}
	field, at := "helm.chart", helm.Chart
	if at == "" {
		field, at = "helm.repo", helm.Repo
	}
	asked := helm.Chart + ":" + helm.Repo + ":" + helm.Version
	if dir := downloadedChart(in.Files, asked); dir != "" {
		return dir, nil
	}
	if dir := path.Clean(strings.TrimPrefix(at, "/")); has(in.Files, path.Join(dir, "Chart.yaml")) || strings.HasSuffix(dir, ".tgz") && has(in.Files, dir) {
		return dir, nil
	}
	if helm.Repo != "" {
		return "", &Error{ReasonPathMissing, field, fmt.Sprintf("the chart %s of %s is not among the bundle's files; charts are fetched for GitRepos, HelmOps and flotilla apply", strings.TrimSpace(helm.Chart+" "+helm.Version), helm.Repo)}
	}
	return "", &Error{ReasonPathMissing, field, fmt.Sprintf("no chart at %q in the bundle%s", at, candidates(in.Files, "Chart.yaml"))}
}

// downloadedChart finds a chart that was put into the bundle below .chart/<hash of what was asked for>/, or one directory
// further down.
func downloadedChart(files map[string][]byte, asked string) string {
	dir := fmt.Sprintf(".chart/%x", sha256.Sum256([]byte(asked)))
	if has(files, dir+"/Chart.yaml") {
		return dir
	}
	for _, chart := range directoriesOf(files, "Chart.yaml") {
		if path.Dir(chart) == dir {
			return chart
		}
	}
	return ""
}

// findKustomization returns the directory that kustomize.dir names, or the root when it holds a kustomization. A bundle
// without any kustomization ignores kustomize.dir: a target's overrides may reach bundles of every style.
func findKustomization(in Input) (string, error) {
	dir := "."
	if k := in.Options.Kustomize; k != nil && k.Dir != "" {
		dir = path.Clean(strings.TrimPrefix(k.Dir, "/"))
	}
	if kustomizationFile(in.Files, dir) != "" {
		return dir, nil
	}
	found := candidates(in.Files, kustomizationNames...)
	if dir == "." || found == "" {
		return "", nil
	}
	return "", &Error{ReasonPathMissing, "kustomize.dir", fmt.Sprintf("no kustomization.yaml in %q of the bundle%s", dir, found)}
}

// kustomizationFile returns the path of the kustomization file in dir, "" when there is none.
func kustomizationFile(files map[string][]byte, dir string) string {
	for _, name := range kustomizationNames {
		if file := path.Join(dir, name); has(files, file) {
			return file
		}
	}
	return ""
}

// candidates tells where files of these names do stand, as the end of an error message; "" when nowhere.
func candidates(files map[string][]byte, names ...string) string {
	dirs := directoriesOf(files, names...)
	if len(dirs) == 0 {
		return ""
	}
	const shown = 3
	more := ""
	if len(dirs) > shown {
		more = fmt.Sprintf(" and %d more", len(dirs)-shown)
		dirs = dirs[:shown]
	}
	return "; there is one in " + strings.Join(dirs, ", ") + more
}

func directoriesOf(files map[string][]byte, names ...string) []string {
	var dirs []string
	for file := range files {
		if slices.Contains(names, path.Base(file)) {
			dirs = append(dirs, path.Dir(file))
		}
	}
	slices.Sort(dirs)
	return slices.Compact(dirs)
}

func has(files map[string][]byte, name string) bool {
	_, ok := files[name]
	return ok
}
