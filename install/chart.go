// Package install puts Flotilla's own charts on a cluster, for `flotilla join`, the embedded hub, the demo and the tests:
// what they run under is what a user gets with Helm, service accounts and rules included.
package install

import (
	"context"
	"fmt"
	"io/fs"
	"path"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/rest"

	fleet "flotilla.io/flotilla/api/v1alpha1"
	"flotilla.io/flotilla/bundle/render"
	"flotilla.io/flotilla/charts"
)

// Names of the charts.
const (
	HubChart   = "flotilla"
	AgentChart = "flotilla-agent"
)

// Chart renders one of our charts as a release of the same name in a namespace.
func Chart(ctx context.Context, name, namespace string, values map[string]any, kubernetesVersion string) ([]*unstructured.Unstructured, error) {
	files, err := chartFiles(name)
	if err != nil {
		return nil, err
	}
	out, err := render.Render(ctx, render.Input{
		Bundle: name, Files: files,
		Options: fleet.BundleDeploymentOptions{
			DefaultNamespace: namespace,
			Helm:             &fleet.HelmOptions{ReleaseName: name, Values: &fleet.GenericMap{Data: values}},
		},
	}, &render.Capabilities{KubernetesVersion: kubernetesVersion})
	if err != nil {
		return nil, fmt.Errorf("rendering chart %s: %w", name, err)
	}
	return out.Objects, nil
}

func chartFiles(name string) (map[string][]byte, error) {
	files := map[string][]byte{}
	err := fs.WalkDir(charts.Files, name, func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := fs.ReadFile(charts.Files, p)
		files[p[len(name)+1:]] = data
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("reading chart %s: %w", path.Base(name), err)
	}
	return files, nil
}

// Version is the Kubernetes version of a cluster.
func Version(cfg *rest.Config) (string, error) {
	d, err := discovery.NewDiscoveryClientForConfig(cfg)
	if err != nil {
		return "", err
	}
	v, err := d.ServerVersion()
	if err != nil {
		return "", fmt.Errorf("asking %s for its version: %w", cfg.Host, err)
	}
	return v.GitVersion, nil
}

// without drops the objects of a kind: an embedded hub and a local agent are processes, not Deployments.
func without(objects []*unstructured.Unstructured, kind string) []*unstructured.Unstructured {
	var out []*unstructured.Unstructured
	for _, o := range objects {
		if o.GetKind() != kind {
			out = append(out, o)
		}
	}
	return out
}
