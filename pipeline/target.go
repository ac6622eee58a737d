package pipeline

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/controller-runtime/pkg/client"

	fleet "flotilla.io/flotilla/api/v1alpha1"
	"flotilla.io/flotilla/bundle/target"
	"flotilla.io/flotilla/controller/bundle"
	"flotilla.io/flotilla/controller/policy"
	"flotilla.io/flotilla/controller/values"
)

// Targeted is a Bundle for the clusters of a hub.
type Targeted struct {
	Content     *fleet.Content
	Deployments []*fleet.BundleDeployment // sorted by cluster
	Inputs      []Input                   // what each of them was made from
	Failed      []error                   // clusters for which it cannot be made
	Nearest     string                    // where no cluster matches: which one nearly does
}

// Input is what decided about one cluster, under the names that Fleet dumps it with.
type Input struct {
	ClusterGroups []fleet.ClusterGroup          `json:"ClusterGroups"`
	Cluster       fleet.Cluster                 `json:"Cluster"`
	Options       fleet.BundleDeploymentOptions `json:"Options"`
	DeploymentID  string                        `json:"DeploymentID"`
}

// Target matches a Bundle with the clusters that a hub has now. Nothing is written.
func Target(ctx context.Context, hub client.Client, b *fleet.Bundle) (*Targeted, error) {
	if b.Spec.ContentsID != "" {
		return nil, fmt.Errorf("bundle %s: its files are sealed on the hub (contentsId); take what `flotilla apply -o -` prints", b.Name)
	}
	content, err := contentOf(b)
	if err != nil {
		return nil, err
	}
	whole, err := values.Restore(ctx, hub, b)
	if err != nil {
		return nil, fmt.Errorf("bundle %s: %w", b.Name, err)
	}
	rules, err := policy.Load(ctx, hub, b.Namespace)
	if err == nil {
		err = rules.Bundle(whole)
	}
	if err != nil {
		return nil, fmt.Errorf("bundle %s: %w", b.Name, err)
	}
	whole = whole.DeepCopy()
	rules.Bind(&whole.Spec)
	out := &Targeted{Content: content}
	workspaces, err := bundle.Workspaces(ctx, hub, b)
	if err != nil {
		return nil, err
	}
	var seen []fleet.Cluster
	for _, ns := range workspaces {
		clusters, groups := &fleet.ClusterList{}, &fleet.ClusterGroupList{}
		if err := errors.Join(hub.List(ctx, clusters, client.InNamespace(ns)), hub.List(ctx, groups, client.InNamespace(ns))); err != nil {
			return nil, err
		}
		m, err := target.New(whole, groups.Items)
		if err != nil {
			return nil, err
		}
		seen = append(seen, clusters.Items...)
		for i := range clusters.Items {
			out.match(m, whole, &clusters.Items[i], groups.Items)
		}
	}
	slices.SortFunc(out.Deployments, func(a, b *fleet.BundleDeployment) int {
		return strings.Compare(a.Labels[fleet.ClusterLabel], b.Labels[fleet.ClusterLabel])
	})
	if len(out.Deployments)+len(out.Failed) == 0 {
		m, err := target.New(whole, nil)
		if err != nil {
			return nil, err
		}
		out.Nearest = m.NearestMiss(seen)
	}
	return out, nil
}

func (t *Targeted) match(m *target.Matcher, b *fleet.Bundle, c *fleet.Cluster, groups []fleet.ClusterGroup) {
	match, err := m.Match(c)
	if err != nil {
		t.Failed = append(t.Failed, fmt.Errorf("bundle %s: %w", b.Name, err))
	}
	if err != nil || match == nil {
		return
	}
	bd := deployment(b, c, match.Options, t.Content.Name)
	t.Deployments = append(t.Deployments, bd)
	cluster := *c.DeepCopy()
	cluster.ManagedFields = nil
	t.Inputs = append(t.Inputs, Input{groupsOf(c, groups), cluster, match.Options, bd.Spec.StagedDeploymentID})
}

func groupsOf(c *fleet.Cluster, groups []fleet.ClusterGroup) (in []fleet.ClusterGroup) {
	for _, g := range groups {
		selector, err := metav1.LabelSelectorAsSelector(g.Spec.Selector)
		if err == nil && g.Spec.Selector != nil && selector.Matches(labels.Set(c.Labels)) {
			g.ManagedFields = nil
			in = append(in, g)
		}
	}
	return in
}

// deployment is Fleet's: with values, and staged alone while bundle or cluster are paused.
func deployment(b *fleet.Bundle, c *fleet.Cluster, options fleet.BundleDeploymentOptions, manifest string) *fleet.BundleDeployment {
	bd := &fleet.BundleDeployment{
		TypeMeta: metav1.TypeMeta{APIVersion: fleet.GroupVersion.String(), Kind: "BundleDeployment"},
		ObjectMeta: metav1.ObjectMeta{
			Name: b.Name, Namespace: c.Status.Namespace, Labels: bundle.DeploymentLabels(b, c),
		},
	}
	spec := &bd.Spec
	spec.StagedOptions = *options.DeepCopy()
	spec.StagedDeploymentID = bundle.DeploymentID(manifest, options)
	spec.DependsOn, spec.CorrectDrift = b.Spec.DependsOn, options.CorrectDrift
	if spec.Paused = b.Spec.Paused || c.Spec.Paused; !spec.Paused {
		spec.Options, spec.DeploymentID = *options.DeepCopy(), spec.StagedDeploymentID
	}
	return bd
}

// Print writes the Content and the BundleDeployments as YAML documents, in Fleet's form.
func (t *Targeted) Print(w io.Writer) error {
	if err := printDocument(w, t.Content); err != nil {
		return err
	}
	for _, bd := range t.Deployments {
		if err := printDocument(w, bd); err != nil {
			return err
		}
	}
	return nil
}
