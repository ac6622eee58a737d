package snapshot

import (
	"reflect"
	"strings"
	"testing"
)

func meta(namespace, name string) Meta { return Meta{Namespace: namespace, Name: name} }

// settled is a hub where nothing stands out.
func settled() *Snapshot {
	return &Snapshot{
		GitRepos: []GitRepo{{Meta: meta("ws", "repo"), Commit: "c2", PollingCommit: "c2", ForceSyncGeneration: 1}},
		Bundles: []Bundle{{Meta: meta("ws", "web"), RepoName: "repo", Commit: "c1", ForceSyncGeneration: 1, ValuesHash: "h", SizeBytes: 10,
			State: State{Ready: true}}},
		BundleDeployments: []BundleDeployment{{Meta: meta("cluster-a", "web"), BundleNamespace: "ws", BundleName: "web",
			DeploymentID: "s-1:2", AppliedDeploymentID: "s-1:2", Contents: []string{"l-1"}}},
		Contents:      []Content{{meta("", "l-1")}},
		Clusters:      []Cluster{{Meta: meta("ws", "a"), State: State{Ready: true}, AgentLastSeen: "2026-08-01T09:00:00Z"}},
		ClusterGroups: []ClusterGroup{{Meta: meta("ws", "all"), ClusterCount: 1}},
		BundleSecrets: []Secret{{Meta: meta("ws", "web"), OwnerName: "web"}},
	}
}

func TestDiagnose(t *testing.T) {
	one := int64(1)
	for _, c := range []struct {
		rule  string
		spoil func(*Snapshot)
		want  string // the checks that find something
	}{
		{"nothing stands out in a settled fleet, whose unchanged bundle keeps its commit", func(*Snapshot) {}, ""},
		{"a deployment that is not at what is wanted is stuck", func(s *Snapshot) { s.BundleDeployments[0].AppliedDeploymentID = "s-0:2" }, "StuckBundleDeployments"},
		{"a deployment that is being deleted is stuck", func(s *Snapshot) { s.BundleDeployments[0].DeletionTimestamp = "t" },
			"StuckBundleDeployments BundleDeploymentsWithDeletionTimestamp"},
		{"a forced sync that has not reached a bundle is told", func(s *Snapshot) { s.GitRepos[0].ForceSyncGeneration = 2 }, "GitRepoBundleInconsistencies"},
		{"a forced sync that has not reached a deployment is told", func(s *Snapshot) { s.BundleDeployments[0].ForceSyncGeneration = 2 },
			"BundleDeploymentsWithSyncGenerationMismatch"},
		{"a forced sync that has reached it is not", func(s *Snapshot) {
			s.BundleDeployments[0].ForceSyncGeneration, s.BundleDeployments[0].SyncGeneration = 1, &one
		}, ""},
		{"two finalizers are told", func(s *Snapshot) { s.Bundles[0].Finalizers = []string{"a", "b"} }, "ResourcesWithMultipleFinalizers"},
		{"a large bundle is told", func(s *Snapshot) { s.Bundles[0].SizeBytes = large + 1 }, "LargeBundles"},
		{"a bundle whose files are lost is told", func(s *Snapshot) { s.Bundles[0].ContentLost = "x" }, "BundlesWithMissingContent"},
		{"a bundle for no cluster is told, and a deployment of no bundle", func(s *Snapshot) { s.BundleDeployments[0].BundleName = "db" },
			"BundlesWithNoDeployments BundleDeploymentsWithMissingBundle"},
		{"a GitRepo without bundles is told, and a bundle of no GitRepo", func(s *Snapshot) { s.Bundles[0].RepoName = "gone" },
			"GitReposWithNoBundles BundlesWithMissingGitRepo"},
		{"a bundle of no repository misses none", func(s *Snapshot) { s.Bundles[0].RepoName, s.GitRepos = "", nil }, ""},
		{"a cluster that is not ready is told", func(s *Snapshot) { s.Clusters[0].Ready = false }, "ClustersWithAgentIssues"},
		{"a cluster that was never seen is told", func(s *Snapshot) { s.Clusters[0].AgentLastSeen = "" }, "ClustersWithAgentIssues"},
		{"a group of no clusters is told", func(s *Snapshot) { s.ClusterGroups[0].ClusterCount = 0 }, "ClusterGroupsWithNoClusters"},
		{"a commit that was seen and not read is told", func(s *Snapshot) { s.GitRepos[0].PollingCommit = "c3" }, "GitReposWithCommitMismatch"},
		{"a GitRepo whose change was not observed is told", func(s *Snapshot) { s.GitRepos[0].Generation = 2 }, "GitReposWithGenerationMismatch"},
		{"a Bundle whose change was not observed is told", func(s *Snapshot) { s.Bundles[0].Generation = 2 }, "BundlesWithGenerationMismatch"},
		{"a repository that cannot be asked is told", func(s *Snapshot) { s.GitRepos[0].Unreachable = "no route" }, "GitReposUnpolled"},
		{"a bundle whose values are not there is told", func(s *Snapshot) { s.BundleSecrets = nil }, "SecretsWithValuesHashMismatch"},
		{"values of no bundle are told", func(s *Snapshot) {
			s.BundleSecrets = append(s.BundleSecrets, Secret{Meta: meta("ws", "x"), OwnerName: "x"})
		},
			"OrphanedSecretsCount"},
		{"a Content that is not there is told", func(s *Snapshot) { s.Contents = nil }, "ContentIssuesCount"},
		{"what is held is told", func(s *Snapshot) { s.Bundles[0].Hold = "looking" }, "Held"},
	} {
		t.Run(c.rule, func(t *testing.T) {
			s := settled()
			c.spoil(s)
			s.OrphanedSecrets, s.ContentIssues = orphaned(s), lost(s)
			var found []string
			v := reflect.ValueOf(*Diagnose(s))
			for i := range v.NumField() {
				if !v.Field(i).IsZero() {
					found = append(found, v.Type().Field(i).Name)
				}
			}
			if got := strings.Join(found, " "); got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
}
