package metrics

import (
	"context"
	"net/url"
	"strconv"
	"strings"

	"sigs.k8s.io/controller-runtime/pkg/client"

	fleet "flotilla.io/flotilla/api/v1alpha1"
	"flotilla.io/flotilla/controller/status"
)

// Labels of Rancher on Clusters.
const clusterNameLabel = "management.cattle.io/cluster-name"

// deploymentStates are Fleet's, and ours for lost clusters.
var deploymentStates = []string{
	string(fleet.Ready), string(fleet.NotReady), string(fleet.Pending), string(fleet.OutOfSync), string(fleet.Modified),
	string(fleet.WaitApplied), string(fleet.ErrApplied), string(fleet.Unknown),
}

// clusterStates are those that clusters and groups can be in. Fleet shows three of them, so that a cluster may be in none.
var clusterStates = append([]string{fleet.DisplayWaitCheckIn}, deploymentStates...)

var kinds = []kind{
	family[fleet.Bundle]{
		name:   "bundle",
		labels: []string{"name", "namespace", "commit", "repo", "generation", "state"},
		gauges: []gauge[fleet.Bundle]{
			{"ready", "Deployments that are ready.", func(b *fleet.Bundle) int { return b.Status.Summary.Ready }},
			{"not_ready", "Deployments whose objects are not all ready.", func(b *fleet.Bundle) int { return b.Status.Summary.NotReady }},
			{"wait_applied", "Deployments that the cluster has not applied yet.", func(b *fleet.Bundle) int { return b.Status.Summary.WaitApplied }},
			{"err_applied", "Deployments that failed.", func(b *fleet.Bundle) int { return b.Status.Summary.ErrApplied }},
			{"out_of_sync", "Deployments whose change is staged only.", func(b *fleet.Bundle) int { return b.Status.Summary.OutOfSync }},
			{"modified", "Deployments with drift.", func(b *fleet.Bundle) int { return b.Status.Summary.Modified }},
			{"pending", "Deployments whose turn in the rollout has not come.", func(b *fleet.Bundle) int { return b.Status.Summary.Pending }},
			{"desired_ready", "All deployments.", func(b *fleet.Bundle) int { return b.Status.Summary.DesiredReady }},
		},
		states: deploymentStates,
		list: func(ctx context.Context, c client.Reader) ([]fleet.Bundle, error) {
			list := &fleet.BundleList{}
			err := c.List(ctx, list, client.UnsafeDisableDeepCopy)
			return list.Items, err
		},
		of: func(b *fleet.Bundle) ([]string, string) {
			state := b.Status.Display.State
			return []string{b.Name, b.Namespace, b.Labels[fleet.CommitLabel], b.Labels[fleet.RepoLabel], generation(b), state}, orReady(state)
		},
	},

	family[fleet.BundleDeployment]{
		name: "bundledeployment",
		labels: []string{"name", "namespace", "cluster_name", "cluster_namespace", "repo", "commit", "bundle", "bundle_namespace",
			"generation", "state"},
		states: deploymentStates,
		list: func(ctx context.Context, c client.Reader) ([]fleet.BundleDeployment, error) {
			list := &fleet.BundleDeploymentList{}
			err := c.List(ctx, list, client.UnsafeDisableDeepCopy)
			return list.Items, err
		},
		of: func(bd *fleet.BundleDeployment) ([]string, string) {
			l := bd.Labels
			return []string{bd.Name, bd.Namespace, l[fleet.ClusterLabel], l[fleet.ClusterNamespaceLabel], l[fleet.RepoLabel],
				l[fleet.CommitLabel], l[fleet.BundleLabel], l[fleet.BundleNamespaceLabel], generation(bd), ""}, string(status.StateOf(bd))
		},
	},

	family[fleet.Cluster]{
		name:   "cluster",
		labels: []string{"name", "namespace", "cluster_name", "cluster_display_name", "generation", "state"},
		gauges: append([]gauge[fleet.Cluster]{
			{"desired_ready_git_repos", "GitRepos with any deployment on the cluster.", func(c *fleet.Cluster) int { return c.Status.DesiredReadyGitRepos }},
			{"ready_git_repos", "GitRepos with a ready deployment on the cluster.", func(c *fleet.Cluster) int { return c.Status.ReadyGitRepos }},
			{"desired_ready_helm_ops", "HelmOps with any deployment on the cluster.", func(c *fleet.Cluster) int { return c.Status.DesiredReadyHelmOps }},
			{"ready_helm_ops", "HelmOps with a ready deployment on the cluster.", func(c *fleet.Cluster) int { return c.Status.ReadyHelmOps }},
		}, counts("resources_count_", "desiredready", "notready", "waitapplied", func(c *fleet.Cluster) *fleet.ResourceCounts { return &c.Status.ResourceCounts })...),
		states: clusterStates,
		list: func(ctx context.Context, c client.Reader) ([]fleet.Cluster, error) {
			list := &fleet.ClusterList{}
			err := c.List(ctx, list, client.UnsafeDisableDeepCopy)
			return list.Items, err
		},
		of: func(c *fleet.Cluster) ([]string, string) {
			state := c.Status.Display.State
			return []string{c.Name, c.Namespace, c.Labels[clusterNameLabel], c.Labels[fleet.ClusterDisplayNameLabel], generation(c), state}, orReady(state)
		},
	},

	family[fleet.ClusterGroup]{
		name:   "cluster_group",
		labels: []string{"name", "namespace", "generation", "state"},
		gauges: append([]gauge[fleet.ClusterGroup]{
			{"cluster_count", "Clusters in the group.", func(g *fleet.ClusterGroup) int { return g.Status.ClusterCount }},
			{"non_ready_cluster_count", "Clusters in the group that are not ready.", func(g *fleet.ClusterGroup) int { return g.Status.NonReadyClusterCount }},
			{"bundle_desired_ready", "Deployments on the group's clusters.", func(g *fleet.ClusterGroup) int { return g.Status.Summary.DesiredReady }},
			{"bundle_ready", "Deployments on the group's clusters that are ready.", func(g *fleet.ClusterGroup) int { return g.Status.Summary.Ready }},
		}, counts("resource_count_", "desired_ready", "notready", "waitapplied", func(g *fleet.ClusterGroup) *fleet.ResourceCounts { return &g.Status.ResourceCounts })...),
		states: clusterStates,
		list: func(ctx context.Context, c client.Reader) ([]fleet.ClusterGroup, error) {
			list := &fleet.ClusterGroupList{}
			err := c.List(ctx, list, client.UnsafeDisableDeepCopy)
			return list.Items, err
		},
		of: func(g *fleet.ClusterGroup) ([]string, string) {
			return []string{g.Name, g.Namespace, generation(g), g.Status.Display.State}, orReady(g.Status.Display.State)
		},
	},

	family[fleet.GitRepo]{
		name:   "gitrepo",
		labels: []string{"name", "namespace", "repo", "branch", "paths"},
		gauges: source(func(r *fleet.GitRepo) *fleet.StatusBase { return &r.Status.StatusBase }),
		list: func(ctx context.Context, c client.Reader) ([]fleet.GitRepo, error) {
			list := &fleet.GitRepoList{}
			err := c.List(ctx, list, client.UnsafeDisableDeepCopy)
			return list.Items, err
		},
		of: func(r *fleet.GitRepo) ([]string, string) {
			return []string{r.Name, r.Namespace, public(r.Spec.Repo), r.Spec.Branch, strings.Join(r.Spec.Paths, ";")}, ""
		},
	},

	family[fleet.HelmOp]{
		name:   "helmop",
		labels: []string{"name", "namespace", "repo", "chart", "version"},
		gauges: source(func(h *fleet.HelmOp) *fleet.StatusBase { return &h.Status.StatusBase }),
		list: func(ctx context.Context, c client.Reader) ([]fleet.HelmOp, error) {
			list := &fleet.HelmOpList{}
			err := c.List(ctx, list, client.UnsafeDisableDeepCopy)
			return list.Items, err
		},
		of: func(h *fleet.HelmOp) ([]string, string) {
			repo, chart := "", ""
			if h.Spec.Helm != nil {
				repo, chart = public(h.Spec.Helm.Repo), public(h.Spec.Helm.Chart)
			}
			return []string{h.Name, h.Namespace, repo, chart, h.Status.Version}, ""
		},
	},

	outputs{},
}

// counts are the gauges of a kind's objects. Fleet writes three of them differently from kind to kind.
func counts[T any](before, desiredReady, notReady, waitApplied string, of func(*T) *fleet.ResourceCounts) []gauge[T] {
	return []gauge[T]{
		{before + desiredReady, "All objects.", func(t *T) int { return of(t).DesiredReady }},
		{before + "missing", "Objects that are missing.", func(t *T) int { return of(t).Missing }},
		{before + "modified", "Objects with drift.", func(t *T) int { return of(t).Modified }},
		{before + notReady, "Objects that are not ready.", func(t *T) int { return of(t).NotReady }},
		{before + "orphaned", "Objects that should not be there.", func(t *T) int { return of(t).Orphaned }},
		{before + "ready", "Objects that are ready.", func(t *T) int { return of(t).Ready }},
		{before + "unknown", "Objects on lost clusters.", func(t *T) int { return of(t).Unknown }},
		{before + waitApplied, "Objects that are not applied yet.", func(t *T) int { return of(t).WaitApplied }},
	}
}

// source are the gauges of GitRepos and HelmOps.
func source[T any](of func(*T) *fleet.StatusBase) []gauge[T] {
	return append([]gauge[T]{
		{"desired_ready_clusters", "Clusters with any deployment.", func(t *T) int { return of(t).DesiredReadyClusters }},
		{"ready_clusters", "Clusters on which all is ready.", func(t *T) int { return of(t).ReadyClusters }},
	}, counts("resources_", "desired_ready", "not_ready", "wait_applied", func(t *T) *fleet.ResourceCounts { return &of(t).ResourceCounts })...)
}

func generation(obj client.Object) string { return strconv.FormatInt(obj.GetGeneration(), 10) }

// public is an address without the password that somebody wrote into it.
func public(address string) string {
	u, err := url.Parse(address)
	if err != nil || u.User == nil {
		return address
	}
	u.User = nil
	return u.String()
}
