package render

import (
	"bytes"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/chartutil"
)

// loadFunc makes a chart anew: rendering modifies it.
type loadFunc func() (*chart.Chart, error)

// chartLoader loads the chart that st found in the files of in.
func (st style) chartLoader(in Input) loadFunc {
	return func() (*chart.Chart, error) {
		var c *chart.Chart
		var err error
		if strings.HasSuffix(st.chart, ".tgz") {
			c, err = loader.LoadArchive(bytes.NewReader(in.Files[st.chart]))
		} else {
			files, missing := chartFiles(in.Files, st.chart, in.Options.Helm != nil && in.Options.Helm.DisableDependencyUpdate, 0)
			if missing != nil {
				return nil, missing
			}
			c, err = loader.LoadFiles(files)
		}
		if err != nil {
			return nil, &Error{ReasonChartInvalid, path.Join(st.chart, "Chart.yaml"), capped(err.Error())}
		}
		return c, checkChart(c, path.Join(st.chart, "Chart.yaml"))
	}
}

// below returns the files in dir, sorted, by their name in it.
func below(files map[string][]byte, dir string) []*loader.BufferedFile {
	var found []*loader.BufferedFile
	for _, name := range slices.Sorted(maps.Keys(files)) {
		rest, ok := name, !strings.HasPrefix(name, "../")
		if dir != "." {
			rest, ok = strings.CutPrefix(name, dir+"/")
		}
		if ok {
			found = append(found, &loader.BufferedFile{Name: rest, Data: bytes.TrimPrefix(files[name], []byte("\ufeff"))})
		}
	}
	return found
}

// checkChart refuses what Helm would not install.
func checkChart(c *chart.Chart, file string) error {
	if c.Metadata.Type != "" && c.Metadata.Type != "application" {
		return &Error{ReasonChartInvalid, file, fmt.Sprintf("a chart of type %s cannot be deployed by itself", c.Metadata.Type)}
	}
	var missing []string
	for _, wanted := range c.Metadata.Dependencies {
		there := func(sub *chart.Chart) bool { return sub.Name() == wanted.Name }
		if !slices.ContainsFunc(c.Dependencies(), there) {
			missing = append(missing, wanted.Name)
		}
	}
	if len(missing) > 0 {
		return &Error{ReasonChartInvalid, file, fmt.Sprintf("dependencies that are not in charts/: %s; run helm dependency update and commit charts/", strings.Join(missing, ", "))}
	}
	return nil
}

// prepare resolves a chart's dependencies and makes what its templates see, as helm install does.
func prepare(c *chart.Chart, dir string, in Input, rec *recorder) (chartutil.Values, error) {
	rel, err := newRelease(in)
	if err != nil {
		return nil, err
	}
	if err := chartutil.ValidateReleaseName(rel.Name); err != nil {
		return nil, &Error{ReasonValuesMismatch, "helm.releaseName", fmt.Sprintf("%q: at most 53 lower case letters, digits, - and .", rel.Name)}
	}
	if err := checkKubeVersion(c, dir, rec); err != nil {
		return nil, err
	}
	if rel.Values == nil {
		rel.Values = map[string]any{}
	}
	if err := chartutil.ProcessDependenciesWithMerge(c, rel.Values); err != nil {
		return nil, &Error{ReasonChartInvalid, path.Join(dir, "Chart.yaml"), capped(err.Error())}
	}
	options := chartutil.ReleaseOptions{Name: rel.Name, Namespace: rel.Namespace, Revision: 1, IsInstall: true}
	const validatedByUs = true
	top, err := chartutil.ToRenderValuesWithSchemaValidation(c, rel.Values, options, nil, validatedByUs)
	if err != nil {
		return nil, &Error{ReasonValuesMismatch, path.Join(dir, "values.yaml"), capped(err.Error())}
	}
	top["Capabilities"] = rec
	if rel.SkipSchemaValidation {
		return top, nil
	}
	values, _ := top["Values"].(chartutil.Values)
	return top, validateValues(c, dir, values)
}

func checkKubeVersion(c *chart.Chart, dir string, rec *recorder) error {
	constraint := c.Metadata.KubeVersion
	if constraint == "" {
		return nil
	}
	fits, err := rec.answer(askConstraint + constraint)
	if err == nil && fits != "true" {
		err = &Error{ReasonChartInvalid, path.Join(dir, "Chart.yaml"), fmt.Sprintf("kubeVersion: the chart wants %s, the cluster has %s", constraint, rec.caps.KubernetesVersion)}
	}
	return err
}
