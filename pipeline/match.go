package pipeline

import (
	"context"
	"errors"
	"fmt"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	fleet "flotilla.io/flotilla/api/v1alpha1"
	"flotilla.io/flotilla/bundle/reader"
	"flotilla.io/flotilla/bundle/target"
)

// Probe is a cluster that a bundle is tried on, without a hub.
type Probe struct {
	Name        string
	Labels      map[string]string
	Group       string // of one group that it is in, with the group's labels
	GroupLabels map[string]string
	Target      string // the name of a target that is taken whatever the cluster is
}

// ReadOne reads a directory as one bundle, named test where its fleet.yaml gives no name. fleetYAML is a file of it that is
// read in place of its fleet.yaml, "" for none.
func ReadOne(ctx context.Context, dir, fleetYAML string, charts reader.Charts) (*fleet.Bundle, error) {
	out := &Bundles{}
	err := out.add(ctx, Source{Charts: charts, FleetYAML: fleetYAML, DrivenBy: ":", Namespace: fleet.LocalWorkspace}, root{
		dir: dir, name: "test", bundles: []fleet.BundlePath{{Base: ".", Options: fleetYAML}},
	}, &reader.CommandLine{})
	if err == nil {
		err = errors.Join(out.Broken...)
	}
	if err == nil && len(out.All) == 0 {
		err = fmt.Errorf("no resource found at the following paths to deploy: [%s]", dir)
	}
	if err != nil {
		return nil, err
	}
	return out.All[0], nil
}

// ErrNoMatch says that no target of a bundle picks the cluster.
var ErrNoMatch = errors.New("no match found")

// Match finds the target of a bundle for a cluster, and what would be deployed there.
func Match(b *fleet.Bundle, p Probe) (name string, d Deployment, err error) {
	if p.Target != "" {
		if b, err = only(b, p.Target); err != nil {
			return "", d, err
		}
	}
	var groups []fleet.ClusterGroup
	if p.Group != "" || len(p.GroupLabels) > 0 {
		groups = []fleet.ClusterGroup{{
			ObjectMeta: metav1.ObjectMeta{Name: p.Group, Namespace: b.Namespace, Labels: p.GroupLabels},
			Spec:       fleet.ClusterGroupSpec{Selector: &metav1.LabelSelector{}},
		}}
	}
	m, err := target.New(b, groups)
	if err != nil {
		return "", d, err
	}
	match, err := m.Match(&fleet.Cluster{ObjectMeta: metav1.ObjectMeta{Name: p.Name, Namespace: b.Namespace, Labels: p.Labels}})
	if err != nil {
		return "", d, err
	}
	if match == nil {
		return "", d, ErrNoMatch
	}
	files, err := reader.Resources(b)
	if err != nil {
		return "", d, err
	}
	bd := &fleet.BundleDeployment{ObjectMeta: metav1.ObjectMeta{Name: b.Name, Namespace: b.Namespace}}
	bd.Spec.Options = match.Options
	return match.Target, Deployment{bd, files}, nil
}

// only leaves a bundle one target, which picks every cluster.
func only(b *fleet.Bundle, name string) (*fleet.Bundle, error) {
	b = b.DeepCopy()
	i := slices.IndexFunc(b.Spec.Targets, func(t fleet.BundleTarget) bool { return t.Name == name })
	if i < 0 {
		return nil, fmt.Errorf("%w: bundle %s has no target named %q", ErrNoMatch, b.Name, name)
	}
	t := b.Spec.Targets[i]
	t.ClusterName, t.ClusterGroup, t.ClusterGroupSelector = "", "", nil
	t.ClusterSelector = &metav1.LabelSelector{}
	b.Spec.Targets, b.Spec.TargetRestrictions = []fleet.BundleTarget{t}, nil
	return b, nil
}
