package bundle

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/controller-runtime/pkg/client"

	fleet "flotilla.io/flotilla/api/v1alpha1"
	"flotilla.io/flotilla/bundle/render"
	"flotilla.io/flotilla/bundle/target"
	"flotilla.io/flotilla/controller/policy"
	"flotilla.io/flotilla/controller/status"
)

// permit stops a bundle that the rules of its workspace do not allow, whoever wrote it.
func (r *Reconciler) permit(ctx context.Context, in *run) error {
	rules, err := policy.Load(ctx, r.Client, in.bundle.Namespace)
	if err != nil {
		return err
	}
	if err := rules.Bundle(in.bundle); err != nil {
		return &stop{fleet.ConditionAccepted, fleet.ReasonForbidden, err}
	}
	in.rules = rules
	return nil
}

// checkServed stops a bundle that asks for what this version does not do, where leaving it out could go wrong.
func (in *run) checkServed() error {
	for _, n := range target.NotServed(in.whole) {
		if n.Blocks {
			return &stop{status.ConditionNotServed, "NotServed", fmt.Errorf("%s is not served yet: %s", n.Field, n.Why)}
		}
		in.notes = append(in.notes, fmt.Sprintf("%s is not served yet: %s", n.Field, n.Why))
	}
	return nil
}

// match finds the options of each cluster. An error that concerns one cluster stays with it.
func (r *Reconciler) match(ctx context.Context, in *run) error {
	in.placeAt = map[string]*place{}
	have := map[string]*fleet.BundleDeployment{}
	for i := range in.have {
		have[in.have[i].Namespace] = &in.have[i]
	}
	for rest := in.clusters; len(rest) > 0; {
		some := sameWorkspace(rest)
		rest = rest[len(some):]
		m, err := target.New(in.whole, in.groups[some[0].Namespace])
		if err != nil {
			return &stop{status.ConditionTargeted, "InvalidTargets", err}
		}
		m.Give(in.givenOn)
		matches, errs := m.MatchAll(ctx, pointers(some), r.Renderer.Fill)
		if err := ctx.Err(); err != nil {
			return err
		}
		for i := range some {
			if matches[i] == nil && errs[i] == nil {
				continue
			}
			c := &some[i]
			p := &place{cluster: c, match: matches[i], err: errs[i], have: have[c.Status.Namespace], caps: in.capabilities(c)}
			in.await(p)
			in.places = append(in.places, p)
			in.placeAt[c.Status.Namespace] = p
		}
	}
	if len(in.places) > 0 {
		return nil
	}
	m, err := target.New(in.whole, in.groups[in.bundle.Namespace])
	if err != nil {
		return &stop{status.ConditionTargeted, "InvalidTargets", err}
	}
	in.nearest = m.NearestMiss(in.clusters)
	return nil
}

// sameWorkspace are the first of the clusters, which are sorted, as far as they are of one workspace: its groups are theirs.
func sameWorkspace(clusters []fleet.Cluster) []fleet.Cluster {
	for i := range clusters {
		if clusters[i].Namespace != clusters[0].Namespace {
			return clusters[:i]
		}
	}
	return clusters
}

func pointers(clusters []fleet.Cluster) []*fleet.Cluster {
	out := make([]*fleet.Cluster, len(clusters))
	for i := range clusters {
		out[i] = &clusters[i]
	}
	return out
}

// capabilities are what the cluster's agent reported; nil before its first report.
func (in *run) capabilities(c *fleet.Cluster) *render.Capabilities {
	a := in.agents[c.Status.Namespace]
	if a == nil || a.Status.KubernetesVersion == "" {
		return nil
	}
	return &render.Capabilities{KubernetesVersion: a.Status.KubernetesVersion, APIs: a.Status.APIs}
}

// Workspaces are those whose clusters a bundle may reach: its own and those that mappings open to it.
func Workspaces(ctx context.Context, c client.Reader, b *fleet.Bundle) ([]string, error) {
	out, seen := []string{b.Namespace}, map[string]bool{b.Namespace: true}
	mappings := &fleet.BundleNamespaceMappingList{}
	if err := c.List(ctx, mappings, client.InNamespace(b.Namespace)); err != nil {
		return nil, err
	}
	for i := range mappings.Items {
		m := &mappings.Items[i]
		if m.NamespaceSelector == nil || !selects(m.BundleSelector, b.Labels) {
			continue
		}
		selector, err := metav1.LabelSelectorAsSelector(m.NamespaceSelector)
		if err != nil {
			continue // an invalid mapping opens nothing
		}
		list := &corev1.NamespaceList{}
		if err := c.List(ctx, list, client.MatchingLabelsSelector{Selector: selector}); err != nil {
			return nil, err
		}
		for _, ns := range list.Items {
			if !seen[ns.Name] {
				seen[ns.Name] = true
				out = append(out, ns.Name)
			}
		}
	}
	return out, nil
}

// selects tells whether a selector of a mapping takes the labels; a missing one takes nothing, an empty one everything.
func selects(s *metav1.LabelSelector, set map[string]string) bool {
	if s == nil {
		return false
	}
	selector, err := metav1.LabelSelectorAsSelector(s)
	return err == nil && selector.Matches(labels.Set(set))
}
