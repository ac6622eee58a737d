package main

import (
	"fmt"
	"io/fs"

	"sigs.k8s.io/yaml"

	"flotilla.io/flotilla/charts"
)

// product is an image as a chart names it.
type product struct {
	Chart      string // folder of the chart that runs it
	Program    string // also the image's title
	Registry   string // where the published one is
	Repository string // the same in every registry
	Version    string // its tag
	About      string // one sentence
}

// Name is what the chart runs when nobody says otherwise.
func (p product) Name() string { return p.in(p.Registry) }

// in is the image's name in a registry.
func (p product) in(registry string) string {
	return fmt.Sprintf("%s/%s:%s", registry, p.Repository, p.Version)
}

// productsOfCharts reads from the charts what images there are: so that what is built is what is run.
func productsOfCharts() (products []product, err error) {
	for _, its := range []struct{ chart, program string }{{"flotilla", "flotilla-controller"}, {"flotilla-agent", "flotilla-agent"}} {
		p, err := productOf(its.chart)
		if err != nil {
			return nil, err
		}
		p.Program = its.program
		products = append(products, p)
	}
	return products, nil
}

func productOf(chart string) (product, error) {
	var about struct{ Description, AppVersion string }
	var values struct {
		Image struct{ Registry, Repository string }
	}
	for file, into := range map[string]any{"Chart.yaml": &about, "values.yaml": &values} {
		data, err := fs.ReadFile(charts.Files, chart+"/"+file)
		if err != nil {
			return product{}, fmt.Errorf("reading chart %s: %w", chart, err)
		}
		if err := yaml.Unmarshal(data, into); err != nil {
			return product{}, fmt.Errorf("reading %s of chart %s: %w", file, chart, err)
		}
	}
	return product{
		Chart: chart, About: about.Description, Version: about.AppVersion,
		Registry: values.Image.Registry, Repository: values.Image.Repository,
	}, nil
}
