package render

import (
	"bytes"
	"fmt"
	"path"
	"strings"

	"github.com/Masterminds/semver/v3"
	"helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/chartutil"
	"sigs.k8s.io/yaml"
)

// maxChartDepth bounds how deep charts may stand in charts: one that depends on itself has no end.
const maxChartDepth = 10

// chartFiles are the files of the chart in dir. Dependencies whose repository is file:// take the place of what lies in charts/
// under their names, as helm dependency update does it; disabled leaves charts/ as it is.
func chartFiles(files map[string][]byte, dir string, disabled bool, depth int) ([]*loader.BufferedFile, error) {
	found := below(files, dir)
	if disabled {
		return found, nil
	}
	for _, dependency := range localDependencies(found) {
		where := path.Join(dir, chartYAML)
		from := path.Join(dir, strings.TrimPrefix(dependency.Repository, "file://"))
		if !has(files, path.Join(from, chartYAML)) {
			return nil, &Error{ReasonPathMissing, where, fmt.Sprintf("dependency %s: there is no chart at %s", dependency.Name, from)}
		}
		if depth == maxChartDepth {
			return nil, &Error{ReasonChartInvalid, where, fmt.Sprintf("dependency %s: charts that depend on charts, more than %d deep", dependency.Name, maxChartDepth)}
		}
		inner, err := chartFiles(files, from, disabled, depth+1)
		if err != nil {
			return nil, err
		}
		if err := fits(dependency, inner, where); err != nil {
			return nil, err
		}
		found = replace(found, dependency.Name, inner)
	}
	return found, nil
}

const chartYAML = "Chart.yaml"

// localDependencies are those of a chart that stand beside it, by Chart.yaml or, in charts of Helm 2, requirements.yaml.
func localDependencies(files []*loader.BufferedFile) (local []*chart.Dependency) {
	for _, file := range files {
		if file.Name != chartYAML && file.Name != "requirements.yaml" {
			continue
		}
		var content struct {
			Dependencies []*chart.Dependency `json:"dependencies"`
		}
		if yaml.Unmarshal(file.Data, &content) != nil {
			continue // loading the chart says what is wrong with it
		}
		for _, d := range content.Dependencies {
			if d != nil && strings.HasPrefix(d.Repository, "file://") {
				local = append(local, d)
			}
		}
	}
	return local
}

// fits refuses a dependency of another version than is asked for: Helm would leave it out without a word.
func fits(wanted *chart.Dependency, files []*loader.BufferedFile, where string) error {
	for _, file := range files {
		var metadata struct{ Name, Version string }
		if file.Name != chartYAML || yaml.Unmarshal(file.Data, &metadata) != nil {
			continue
		}
		if metadata.Name != wanted.Name {
			return &Error{ReasonChartInvalid, where, fmt.Sprintf("dependency %s: the chart at %s is named %s", wanted.Name, wanted.Repository, metadata.Name)}
		}
		if _, err := semver.NewVersion(metadata.Version); err == nil && wanted.Version != "" && !chartutil.IsCompatibleRange(wanted.Version, metadata.Version) {
			return &Error{ReasonChartInvalid, where, fmt.Sprintf("dependency %s: the chart at %s has version %s, not %s", wanted.Name, wanted.Repository, metadata.Version, wanted.Version)}
		}
	}
	return nil
}

// replace puts a chart into charts/ in the place of whatever has its name there, unpacked or packed.
func replace(files []*loader.BufferedFile, name string, with []*loader.BufferedFile) []*loader.BufferedFile {
	dir := "charts/" + name
	var kept []*loader.BufferedFile
	for _, file := range files {
		packed := strings.HasPrefix(file.Name, dir+"-") && strings.HasSuffix(file.Name, ".tgz") && packs(file, name)
		if !strings.HasPrefix(file.Name, dir+"/") && !packed {
			kept = append(kept, file)
		}
	}
	for _, file := range with {
		kept = append(kept, &loader.BufferedFile{Name: path.Join(dir, file.Name), Data: file.Data})
	}
	return kept
}

// packs tells whether an archive holds the chart of that name: lib-extra-1.0.0.tgz is not lib.
func packs(file *loader.BufferedFile, name string) bool {
	packed, err := loader.LoadArchive(bytes.NewReader(file.Data))
	return err == nil && packed.Name() == name
}
