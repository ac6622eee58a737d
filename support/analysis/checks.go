package analysis

import (
	"fmt"

	"flotilla.io/flotilla/support/snapshot"
)

// check is a kind of thing that stands out.
type check struct {
	name  string
	wrong bool // it keeps something from being deployed; others are worth a look
	count func(*snapshot.Diagnostics) int
	lines func(*snapshot.Snapshot) []string
}

// checks in the order in which they are told.
var checks = []check{
	deployments("Stuck BundleDeployments", func(d *snapshot.Diagnostics) []snapshot.BundleDeployment { return d.StuckBundleDeployments },
		func(d snapshot.BundleDeployment) string {
			if d.DeletionTimestamp != "" {
				return "being deleted since " + d.DeletionTimestamp
			}
			return fmt.Sprintf("wanted %s, applied %s", short(d.DeploymentID), short(d.AppliedDeploymentID))
		}),
	list("Clusters with Agent Issues", true, func(d *snapshot.Diagnostics) []snapshot.Cluster { return d.ClustersWithAgentIssues }, clusterLine),
	list("Held", false, func(d *snapshot.Diagnostics) []snapshot.Held { return d.Held }, func(h snapshot.Held) string {
		return fmt.Sprintf("%s %s/%s: %s", h.Kind, h.Namespace, h.Name, h.Reason)
	}),
	repos("GitRepos that cannot be asked", true, func(d *snapshot.Diagnostics) []snapshot.GitRepo { return d.GitReposUnpolled },
		func(r snapshot.GitRepo) string { return r.Unreachable }),
	repos("GitRepos with No Bundles", false, func(d *snapshot.Diagnostics) []snapshot.GitRepo { return d.GitReposWithNoBundles }, stateOfRepo),
	repos("GitRepos with Commit Mismatch", false, func(d *snapshot.Diagnostics) []snapshot.GitRepo { return d.GitReposWithCommitMismatch },
		func(r snapshot.GitRepo) string {
			return fmt.Sprintf("polling: %s, webhook: %s, status commit: %s", r.PollingCommit, r.WebhookCommit, r.Commit)
		}),
	repos("GitRepos with Generation Mismatch", false, func(d *snapshot.Diagnostics) []snapshot.GitRepo { return d.GitReposWithGenerationMismatch },
		func(r snapshot.GitRepo) string {
			return fmt.Sprintf("gen: %d, observed: %d", r.Generation, r.ObservedGeneration)
		}),
	bundles("Bundles with No Deployments", false, func(d *snapshot.Diagnostics) []snapshot.Bundle { return d.BundlesWithNoDeployments }, stateOfBundle),
	bundles("GitRepo/Bundle Mismatches", true, func(d *snapshot.Diagnostics) []snapshot.Bundle { return d.GitRepoBundleInconsistencies },
		func(b snapshot.Bundle) string { return fmt.Sprintf("forceSyncGeneration: %d", b.ForceSyncGeneration) }),
	bundles("Bundles with Generation Mismatch", false, func(d *snapshot.Diagnostics) []snapshot.Bundle { return d.BundlesWithGenerationMismatch },
		func(b snapshot.Bundle) string {
			return fmt.Sprintf("gen: %d, observed: %d", b.Generation, b.ObservedGeneration)
		}),
	bundles("Bundles with Missing Content", true, func(d *snapshot.Diagnostics) []snapshot.Bundle { return d.BundlesWithMissingContent },
		func(b snapshot.Bundle) string { return b.ContentLost }),
	bundles("Bundles waiting for their values", true, func(d *snapshot.Diagnostics) []snapshot.Bundle { return d.SecretsWithValuesHashMismatch }, stateOfBundle),
	bundles("Bundles with Missing GitRepo", false, func(d *snapshot.Diagnostics) []snapshot.Bundle { return d.BundlesWithMissingGitRepo },
		func(b snapshot.Bundle) string { return "GitRepo " + b.RepoName }),
	bundles("Large Bundles (>1MB)", false, func(d *snapshot.Diagnostics) []snapshot.Bundle { return d.LargeBundles },
		func(b snapshot.Bundle) string { return fmt.Sprintf("%dKB", b.SizeBytes/1024) }),
	deployments("BundleDeployments with Missing Bundle", func(d *snapshot.Diagnostics) []snapshot.BundleDeployment { return d.BundleDeploymentsWithMissingBundle },
		func(d snapshot.BundleDeployment) string { return "bundle " + d.BundleNamespace + "/" + d.BundleName }),
	deployments("BundleDeployments behind a forced sync",
		func(d *snapshot.Diagnostics) []snapshot.BundleDeployment {
			return d.BundleDeploymentsWithSyncGenerationMismatch
		},
		func(d snapshot.BundleDeployment) string { return fmt.Sprintf("wanted %d", d.ForceSyncGeneration) }),
	{"Content Issues", true, func(d *snapshot.Diagnostics) int { return d.ContentIssuesCount }, func(s *snapshot.Snapshot) (lines []string) {
		for _, i := range s.ContentIssues {
			lines = append(lines, fmt.Sprintf("%s/%s: %v are missing", i.Namespace, i.Name, i.Missing))
		}
		return lines
	}},
	{"Orphaned Secrets", false, func(d *snapshot.Diagnostics) int { return d.OrphanedSecretsCount }, func(s *snapshot.Snapshot) (lines []string) {
		for _, secret := range s.OrphanedSecrets {
			lines = append(lines, secret.Key())
		}
		return lines
	}},
	list("ClusterGroups with No Clusters", false, func(d *snapshot.Diagnostics) []snapshot.ClusterGroup { return d.ClusterGroupsWithNoClusters },
		func(g snapshot.ClusterGroup) string { return g.Key() + ": " + g.Selector }),
	list("Resources with Multiple Finalizers", false, func(d *snapshot.Diagnostics) []snapshot.Finalized { return d.ResourcesWithMultipleFinalizers },
		func(f snapshot.Finalized) string { return fmt.Sprintf("%s %s: %v", f.Kind, f.Key(), f.Finalizers) }),
}

// list is a check whose findings are a list.
func list[T any](name string, wrong bool, of func(*snapshot.Diagnostics) []T, line func(T) string) check {
	return check{name, wrong, func(d *snapshot.Diagnostics) int { return len(of(d)) }, func(s *snapshot.Snapshot) (lines []string) {
		for _, one := range of(s.Diagnostics) {
			lines = append(lines, line(one))
		}
		return lines
	}}
}

func repos(name string, wrong bool, of func(*snapshot.Diagnostics) []snapshot.GitRepo, why func(snapshot.GitRepo) string) check {
	return list(name, wrong, of, func(r snapshot.GitRepo) string { return r.Key() + ": " + why(r) })
}

func bundles(name string, wrong bool, of func(*snapshot.Diagnostics) []snapshot.Bundle, why func(snapshot.Bundle) string) check {
	return list(name, wrong, of, func(b snapshot.Bundle) string { return b.Key() + ": " + why(b) })
}

func deployments(name string, of func(*snapshot.Diagnostics) []snapshot.BundleDeployment, why func(snapshot.BundleDeployment) string) check {
	return list(name, true, of, func(d snapshot.BundleDeployment) string { return d.Key() + ": " + why(d) })
}

func clusterLine(c snapshot.Cluster) string {
	text := c.Key()
	switch {
	case c.AgentLastSeen == "":
		text += ": never seen"
	case c.ReadyMessage != "":
		text += ": " + c.ReadyMessage
	}
	if c.AgentLastSeenAge != "" {
		text += fmt.Sprintf(" (last seen to change %s ago)", c.AgentLastSeenAge)
	}
	return text
}

func stateOfRepo(r snapshot.GitRepo) string  { return state(r.State) }
func stateOfBundle(b snapshot.Bundle) string { return state(b.State) }

func state(s snapshot.State) string {
	if s.ReadyMessage != "" {
		return s.ReadyMessage
	}
	return fmt.Sprintf("ready: %t", s.Ready)
}

// short keeps of a deployment's ID what tells two apart.
func short(id string) string {
	if id == "" {
		return "nothing"
	}
	if len(id) > 14 {
		return id[:14]
	}
	return id
}

type counted struct {
	name string
	n    int
}

func counts(s *snapshot.Snapshot) []counted {
	return []counted{
		{"GitRepos", len(s.GitRepos)}, {"Bundles", len(s.Bundles)}, {"BundleDeployments", len(s.BundleDeployments)},
		{"Contents", len(s.Contents)}, {"Clusters", len(s.Clusters)}, {"ClusterGroups", len(s.ClusterGroups)},
	}
}

func totalSize(s *snapshot.Snapshot) (total int64) {
	for _, b := range s.Bundles {
		total += b.SizeBytes
	}
	return total
}
