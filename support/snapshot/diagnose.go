package snapshot

import "slices"

// large is the size of a Bundle, as JSON, that is worth a look; the hub can store about 1.5 MiB.
const large = 1 << 20

// Diagnose finds what stands out in a snapshot. Nothing is asked of the hub.
func Diagnose(s *Snapshot) *Diagnostics {
	repos, bundles := keys(s.GitRepos, GitRepo.key), keys(s.Bundles, Bundle.key)
	secrets := keys(s.BundleSecrets, Secret.key)
	deployed, read := map[string]bool{}, map[string]bool{}
	for _, d := range s.BundleDeployments {
		deployed[d.BundleNamespace+"/"+d.BundleName] = true
	}
	sync := map[string]int64{}
	for _, r := range s.GitRepos {
		sync[r.Key()] = r.ForceSyncGeneration
	}
	for _, b := range s.Bundles {
		read[b.repo()] = true
	}
	d := &Diagnostics{
		// Not yet at what the hub wants, or ordered to be deleted and still there.
		StuckBundleDeployments: filter(s.BundleDeployments, BundleDeployment.stuck),
		// An unchanged bundle keeps the commit that last changed it, so only the forced sync has to be the same.
		GitRepoBundleInconsistencies: filter(s.Bundles, func(b Bundle) bool {
			wanted, known := sync[b.repo()]
			return known && b.ForceSyncGeneration != wanted
		}),
		ResourcesWithMultipleFinalizers: finalized(s),
		LargeBundles:                    filter(s.Bundles, func(b Bundle) bool { return b.SizeBytes > large }),
		BundlesWithMissingContent:       filter(s.Bundles, func(b Bundle) bool { return b.ContentLost != "" }),
		BundlesWithNoDeployments:        filter(s.Bundles, func(b Bundle) bool { return !deployed[b.Key()] }),
		GitReposWithNoBundles:           filter(s.GitRepos, func(r GitRepo) bool { return !read[r.Key()] }),
		// Lost, never seen, held, or with deployments that are not ready.
		ClustersWithAgentIssues:     filter(s.Clusters, func(c Cluster) bool { return !c.Ready || c.AgentLastSeen == "" }),
		ClusterGroupsWithNoClusters: filter(s.ClusterGroups, func(g ClusterGroup) bool { return g.ClusterCount == 0 }),
		BundlesWithMissingGitRepo:   filter(s.Bundles, func(b Bundle) bool { return b.RepoName != "" && !repos[b.repo()] }),
		BundleDeploymentsWithMissingBundle: filter(s.BundleDeployments, func(d BundleDeployment) bool {
			return d.BundleName != "" && !bundles[d.BundleNamespace+"/"+d.BundleName]
		}),
		GitReposWithCommitMismatch: filter(s.GitRepos, func(r GitRepo) bool {
			return r.Commit != r.PollingCommit && r.Commit != r.WebhookCommit
		}),
		GitReposWithGenerationMismatch: filter(s.GitRepos, func(r GitRepo) bool { return r.Generation != r.ObservedGeneration }),
		// The repository cannot be asked for its commits: a poll that finds nothing new leaves no trace to go by.
		GitReposUnpolled:              filter(s.GitRepos, func(r GitRepo) bool { return r.Unreachable != "" }),
		BundlesWithGenerationMismatch: filter(s.Bundles, func(b Bundle) bool { return b.Generation != b.ObservedGeneration }),
		BundleDeploymentsWithSyncGenerationMismatch: filter(s.BundleDeployments, func(d BundleDeployment) bool {
			return d.ForceSyncGeneration > 0 && (d.SyncGeneration == nil || *d.SyncGeneration != d.ForceSyncGeneration)
		}),
		// The Secret with the values that the Bundle was written with is not there; it then waits.
		SecretsWithValuesHashMismatch:          filter(s.Bundles, func(b Bundle) bool { return b.ValuesHash != "" && !secrets[b.Key()] }),
		Held:                                   held(s),
		OrphanedSecretsCount:                   len(s.OrphanedSecrets),
		ContentIssuesCount:                     len(s.ContentIssues),
		BundlesWithDeletionTimestamp:           len(filter(s.Bundles, func(b Bundle) bool { return b.DeletionTimestamp != "" })),
		BundleDeploymentsWithDeletionTimestamp: len(filter(s.BundleDeployments, func(d BundleDeployment) bool { return d.DeletionTimestamp != "" })),
		ContentsWithDeletionTimestamp:          len(filter(s.Contents, func(c Content) bool { return c.DeletionTimestamp != "" })),
	}
	return d
}

func (r GitRepo) key() string { return r.Key() }
func (b Bundle) key() string  { return b.Key() }
func (s Secret) key() string  { return s.Key() }
func (b Bundle) repo() string { return b.Namespace + "/" + b.RepoName }

func (d BundleDeployment) stuck() bool {
	return d.DeletionTimestamp != "" || d.DeploymentID != d.AppliedDeploymentID
}

func keys[T any](all []T, key func(T) string) map[string]bool {
	known := make(map[string]bool, len(all))
	for _, one := range all {
		known[key(one)] = true
	}
	return known
}

func filter[T any](all []T, keep func(T) bool) (kept []T) {
	for _, one := range all {
		if keep(one) {
			kept = append(kept, one)
		}
	}
	return kept
}

func finalized(s *Snapshot) (found []Finalized) {
	add := func(kind string, m Meta) {
		if len(m.Finalizers) > 1 {
			found = append(found, Finalized{kind, m, len(m.Finalizers)})
		}
	}
	for _, r := range s.GitRepos {
		add("GitRepo", r.Meta)
	}
	for _, b := range s.Bundles {
		add("Bundle", b.Meta)
	}
	for _, d := range s.BundleDeployments {
		add("BundleDeployment", d.Meta)
	}
	return found
}

func held(s *Snapshot) (found []Held) {
	add := func(kind string, m Meta, reason string) {
		if reason != "" {
			found = append(found, Held{kind, m.Namespace, m.Name, reason})
		}
	}
	for _, b := range s.Bundles {
		add("Bundle", b.Meta, b.Hold)
	}
	for _, c := range s.Clusters {
		add("Cluster", c.Meta, c.Hold)
	}
	for _, d := range s.BundleDeployments {
		add("BundleDeployment", d.Meta, d.Hold)
	}
	return found
}

// lost names the Contents that BundleDeployments need and that are not there.
func lost(s *Snapshot) (issues []ContentIssue) {
	have := keys(s.Contents, func(c Content) string { return c.Name })
	for _, d := range s.BundleDeployments {
		missing := slices.DeleteFunc(slices.Clone(d.Contents), func(name string) bool { return have[name] })
		if len(missing) > 0 {
			issues = append(issues, ContentIssue{d.Namespace, d.Name, missing, []string{"content_not_found"}})
		}
	}
	return issues
}

// orphaned are Secrets with values of a Bundle that is not there.
func orphaned(s *Snapshot) []Secret {
	bundles := keys(s.Bundles, Bundle.key)
	return filter(s.BundleSecrets, func(secret Secret) bool {
		return secret.DeletionTimestamp != "" || !bundles[secret.Namespace+"/"+secret.OwnerName]
	})
}
