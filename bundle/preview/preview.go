// Package preview shows what clusters would get of a tree, without a hub: it reads the bundles as for a GitRepo, matches
// them to clusters and renders them.
package preview

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"flotilla.io/flotilla/api/v1alpha1"
	"flotilla.io/flotilla/bundle/reader"
	"flotilla.io/flotilla/bundle/render"
	"flotilla.io/flotilla/bundle/target"
)

// Fleet is who there is to deploy to.
type Fleet struct {
	Clusters []v1alpha1.Cluster
	Groups   []v1alpha1.ClusterGroup
	// Capabilities are what charts see of each cluster.
	Capabilities render.Capabilities
	// Inputs are what bundles get that take values from other clusters.
	Inputs target.Assumed
}

// Outcome is one bundle on one cluster.
type Outcome struct {
	Cluster, Bundle string
	Spec            *v1alpha1.BundleSpec // of the bundle, as it was read
	// Target is the name of the target that picked the cluster, "" where the bundle is not for it.
	Target  string
	Options v1alpha1.BundleDeploymentOptions // merged and filled in for the cluster
	Objects []*unstructured.Unstructured
	// Notes tell what the cluster may get otherwise, and what has no effect.
	Notes   []string
	Origins []v1alpha1.ValueOrigin
	Err     error
}

// Show gives an outcome for each cluster and bundle, in the order of the clusters and then of the bundles' paths. The error is
// what concerns all of them, or a bundle for every cluster; the rest is shown nevertheless. charts fetches charts from elsewhere. What several clusters would get
// alike is rendered once.
func Show(ctx context.Context, tree reader.Tree, repo reader.Repo, charts reader.Charts, fleet Fleet) ([]Outcome, error) {
	found, err := reader.Read(tree, repo)
	reader.Fetch(ctx, found, charts)
	errs := []error{err}
	inputs, err := Inputs(found, err == nil, fleet.Inputs)
	if err != nil {
		return nil, err
	}
	var shown []*shown
	for i := range found {
		if found[i].Err != nil {
			errs = append(errs, found[i].Err)
			continue
		}
		s, err := newShown(&found[i], fleet.Groups, inputs)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		shown = append(shown, s)
	}
	var all []Outcome
	for i := range fleet.Clusters {
		for _, s := range shown {
			all = append(all, s.on(ctx, &fleet.Clusters[i], &fleet.Capabilities))
		}
	}
	return all, errors.Join(errs...)
}

// Inputs prepares what bundles of a tree take from other clusters. whole says that the tree could be read.
func Inputs(found []reader.Found, whole bool, assumed target.Assumed) (*target.Assumptions, error) {
	var bundles []*v1alpha1.Bundle
	for i := range found {
		whole = whole && found[i].Err == nil
		if found[i].Bundle != nil {
			bundles = append(bundles, found[i].Bundle)
		}
	}
	inputs, err := assumed.Among(bundles, whole)
	if err != nil {
		return nil, fmt.Errorf("inputs: %w", err)
	}
	return inputs, nil
}

// shown is a bundle with what was rendered of it.
type shown struct {
	found    *reader.Found
	matcher  *target.Matcher
	given    func(*v1alpha1.Cluster) target.Given
	rendered map[string]*render.Output // by what it was rendered from
}

func newShown(f *reader.Found, groups []v1alpha1.ClusterGroup, inputs *target.Assumptions) (*shown, error) {
	m, err := target.New(f.Bundle, groups)
	if err != nil {
		return nil, err
	}
	s := &shown{f, m, inputs.For(f.Bundle), map[string]*render.Output{}}
	m.Give(s.given)
	return s, nil
}

func (s *shown) on(ctx context.Context, c *v1alpha1.Cluster, caps *render.Capabilities) Outcome {
	out := Outcome{Cluster: c.Name, Bundle: s.found.Bundle.Name, Spec: &s.found.Bundle.Spec}
	match, err := s.matcher.Match(c)
	if err != nil || match == nil {
		if err != nil {
			out.Err = fmt.Errorf("bundle %s: %w", out.Bundle, err)
		}
		return out
	}
	out.Target, out.Options, out.Origins = match.Target, match.Options, match.Origins
	in := render.Input{Bundle: out.Bundle, Files: s.found.Files, Options: match.Options}
	rendered, err := s.render(ctx, in, caps)
	var unshown *render.UnshownError
	switch {
	case errors.As(err, &unshown):
		out.Notes = []string{fmt.Sprintf("bundle %s: %s", out.Bundle, unshown)}
	case err != nil:
		out.Err = fmt.Errorf("bundle %s: %w", out.Bundle, err)
	default:
		out.Notes = Notes(out.Bundle, rendered)
		var made []*unstructured.Unstructured
		if made, err = s.given(c).Objects(s.found.Bundle); err != nil {
			out.Err = fmt.Errorf("bundle %s: %w", out.Bundle, err)
		}
		out.Objects = append(slices.Clone(rendered.Objects), made...)
	}
	return out
}

func (s *shown) render(ctx context.Context, in render.Input, caps *render.Capabilities) (*render.Output, error) {
	base, err := render.Base(in)
	if err != nil {
		return nil, err
	}
	if out, ok := s.rendered[base]; ok {
		return out, nil
	}
	out, err := render.Sketch(ctx, in, caps)
	if err != nil {
		return nil, err
	}
	s.rendered[base] = out
	return out, nil
}

// Notes tell what a cluster may get otherwise than render.Sketch shows, and what has no effect.
func Notes(bundle string, sketch *render.Output) (notes []string) {
	if why := sketch.OnCluster; why != "" {
		notes = append(notes, fmt.Sprintf("bundle %s: is rendered on the cluster, for its %s; shown as where lookup finds nothing, "+
			"valuesFrom has no values, and random values are new", bundle, why))
	}
	for _, w := range sketch.Warnings {
		notes = append(notes, fmt.Sprintf("bundle %s: %s", bundle, w))
	}
	return notes
}

// Name of an object, as kubectl prints them: configmap/web, deployment.apps/web.
func Name(u *unstructured.Unstructured) string {
	kind := strings.ToLower(u.GetKind())
	if group := u.GroupVersionKind().Group; group != "" {
		kind += "." + group
	}
	return kind + "/" + u.GetName()
}
