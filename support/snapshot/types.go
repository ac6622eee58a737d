// Package snapshot takes a picture of a hub for those who look for what is wrong: which objects there are, how far each is,
// and which of them stand out. It holds names, revisions and states, and no values, files or objects.
//
// The keys of the JSON are those of Fleet's monitor, so that scripts and analyses go on working. What a check means here
// stands beside it in diagnose.go.
package snapshot

// Snapshot is a hub at one moment.
type Snapshot struct {
	Timestamp         string             `json:"timestamp"` // UTC, RFC 3339
	Controller        []Pod              `json:"controller,omitempty"`
	GitRepos          []GitRepo          `json:"gitrepos,omitempty"`
	Bundles           []Bundle           `json:"bundles,omitempty"`
	BundleDeployments []BundleDeployment `json:"bundledeployments,omitempty"`
	Contents          []Content          `json:"contents,omitempty"`
	Clusters          []Cluster          `json:"clusters,omitempty"`
	ClusterGroups     []ClusterGroup     `json:"clustergroups,omitempty"`
	BundleSecrets     []Secret           `json:"bundleSecrets,omitempty"`
	OrphanedSecrets   []Secret           `json:"orphanedSecrets,omitempty"`
	ContentIssues     []ContentIssue     `json:"contentIssues,omitempty"`
	APIConsistency    *APIConsistency    `json:"apiConsistency,omitempty"`
	RecentEvents      []Event            `json:"recentEvents,omitempty"`
	Diagnostics       *Diagnostics       `json:"diagnostics,omitempty"`
}

// Meta is what all objects have.
type Meta struct {
	Namespace         string   `json:"namespace,omitempty"`
	Name              string   `json:"name"`
	UID               string   `json:"uid,omitempty"`
	Generation        int64    `json:"generation,omitempty"`
	DeletionTimestamp string   `json:"deletionTimestamp,omitempty"`
	Finalizers        []string `json:"finalizers,omitempty"`
}

// Key names an object.
func (m Meta) Key() string {
	if m.Namespace == "" {
		return m.Name
	}
	return m.Namespace + "/" + m.Name
}

// State is what a Ready condition says.
type State struct {
	Ready        bool   `json:"ready"`
	ReadyMessage string `json:"readyMessage,omitempty"`
	Reason       string `json:"reason,omitempty"`
	Hold         string `json:"hold,omitempty"` // why a person keeps it as it is
}

// Pod is one of the controller's.
type Pod struct {
	Name      string `json:"name"`
	Restarts  int32  `json:"restarts"`
	Status    string `json:"status"`
	StartTime string `json:"startTime,omitempty"`
}

// GitRepo is a source.
type GitRepo struct {
	Meta
	State
	ObservedGeneration  int64  `json:"observedGeneration,omitempty"`
	Commit              string `json:"commit,omitempty"`
	PollingCommit       string `json:"pollingCommit,omitempty"`
	WebhookCommit       string `json:"webhookCommit,omitempty"`
	ForceSyncGeneration int64  `json:"forceSyncGeneration,omitempty"`
	Unreachable         string `json:"unreachable,omitempty"` // why the repository cannot be asked
}

// Bundle is what one directory deploys.
type Bundle struct {
	Meta
	State
	ObservedGeneration  int64             `json:"observedGeneration,omitempty"`
	Commit              string            `json:"commit,omitempty"`
	RepoName            string            `json:"repoName,omitempty"`
	Labels              map[string]string `json:"labels,omitempty"`
	ForceSyncGeneration int64             `json:"forceSyncGeneration,omitempty"`
	SizeBytes           int64             `json:"sizeBytes,omitempty"`
	ErrorMessage        string            `json:"errorMessage,omitempty"`
	ValuesHash          string            `json:"valuesHash,omitempty"`
	ContentLost         string            `json:"contentLost,omitempty"`
}

// BundleDeployment is one bundle on one cluster.
type BundleDeployment struct {
	Meta
	State
	Health              string            `json:"health,omitempty"`
	Commit              string            `json:"commit,omitempty"`
	ForceSyncGeneration int64             `json:"forceSyncGeneration,omitempty"`
	SyncGeneration      *int64            `json:"syncGeneration,omitempty"`
	DeploymentID        string            `json:"deploymentID,omitempty"`
	StagedDeploymentID  string            `json:"stagedDeploymentID,omitempty"`
	AppliedDeploymentID string            `json:"appliedDeploymentID,omitempty"`
	ErrorMessage        string            `json:"errorMessage,omitempty"`
	Labels              map[string]string `json:"labels,omitempty"`
	BundleName          string            `json:"bundleName,omitempty"`
	BundleNamespace     string            `json:"bundleNamespace,omitempty"`
	Contents            []string          `json:"contents,omitempty"`
}

// Content is a chunk of a sealed layer.
type Content struct {
	Meta
}

// Cluster is a cluster of the fleet.
type Cluster struct {
	Meta
	State
	AgentNamespace         string `json:"agentNamespace,omitempty"`
	AgentLastSeen          string `json:"agentLastSeen,omitempty"`
	AgentLastSeenAge       string `json:"agentLastSeenAge,omitempty"`
	DisplayState           string `json:"displayState,omitempty"`
	BundleDeployments      int    `json:"bundleDeployments,omitempty"`
	ReadyBundleDeployments int    `json:"readyBundleDeployments,omitempty"`
}

// ClusterGroup names clusters by a selector.
type ClusterGroup struct {
	Meta
	ClusterCount int    `json:"clusterCount"`
	Selector     string `json:"selector,omitempty"`
}

// Secret is one with a bundle's values; they are not read.
type Secret struct {
	Meta
	Type      string `json:"type"`
	OwnerKind string `json:"ownerKind,omitempty"`
	OwnerName string `json:"ownerName,omitempty"`
}

// ContentIssue is a BundleDeployment whose layers are not all there.
type ContentIssue struct {
	Namespace string   `json:"namespace"`
	Name      string   `json:"name"`
	Missing   []string `json:"missing"`
	Issues    []string `json:"issues"`
}

// APIConsistency tells whether an object read several times in a row is the same.
type APIConsistency struct {
	Consistent bool     `json:"consistent"`
	Versions   []string `json:"versions"`
}

// Event is something that happened to an object of the fleet.
type Event struct {
	Namespace     string `json:"namespace"`
	Type          string `json:"type"`
	Reason        string `json:"reason"`
	Message       string `json:"message"`
	InvolvedKind  string `json:"involvedKind"`
	InvolvedName  string `json:"involvedName"`
	Count         int32  `json:"count"`
	LastTimestamp string `json:"lastTimestamp,omitempty"`
}

// Finalized is an object with more than one finalizer.
type Finalized struct {
	Kind string `json:"kind"`
	Meta
	FinalizerCount int `json:"finalizerCount"`
}

// Diagnostics are the objects that stand out, by what is noticed about them.
type Diagnostics struct {
	StuckBundleDeployments                      []BundleDeployment `json:"stuckBundleDeployments,omitempty"`
	GitRepoBundleInconsistencies                []Bundle           `json:"gitRepoBundleInconsistencies,omitempty"`
	ResourcesWithMultipleFinalizers             []Finalized        `json:"resourcesWithMultipleFinalizers,omitempty"`
	LargeBundles                                []Bundle           `json:"largeBundles,omitempty"`
	BundlesWithMissingContent                   []Bundle           `json:"bundlesWithMissingContent,omitempty"`
	BundlesWithNoDeployments                    []Bundle           `json:"bundlesWithNoDeployments,omitempty"`
	GitReposWithNoBundles                       []GitRepo          `json:"gitReposWithNoBundles,omitempty"`
	ClustersWithAgentIssues                     []Cluster          `json:"clustersWithAgentIssues,omitempty"`
	ClusterGroupsWithNoClusters                 []ClusterGroup     `json:"clusterGroupsWithNoClusters,omitempty"`
	BundlesWithMissingGitRepo                   []Bundle           `json:"bundlesWithMissingGitRepo,omitempty"`
	BundleDeploymentsWithMissingBundle          []BundleDeployment `json:"bundleDeploymentsWithMissingBundle,omitempty"`
	GitReposWithCommitMismatch                  []GitRepo          `json:"gitReposWithCommitMismatch,omitempty"`
	GitReposWithGenerationMismatch              []GitRepo          `json:"gitReposWithGenerationMismatch,omitempty"`
	GitReposUnpolled                            []GitRepo          `json:"gitReposUnpolled,omitempty"`
	BundlesWithGenerationMismatch               []Bundle           `json:"bundlesWithGenerationMismatch,omitempty"`
	BundleDeploymentsWithSyncGenerationMismatch []BundleDeployment `json:"bundleDeploymentsWithSyncGenerationMismatch,omitempty"`
	SecretsWithValuesHashMismatch               []Bundle           `json:"secretsWithValuesHashMismatch,omitempty"`
	Held                                        []Held             `json:"held,omitempty"`
	OrphanedSecretsCount                        int                `json:"orphanedSecretsCount,omitempty"`
	ContentIssuesCount                          int                `json:"contentIssuesCount,omitempty"`
	BundlesWithDeletionTimestamp                int                `json:"bundlesWithDeletionTimestamp,omitempty"`
	BundleDeploymentsWithDeletionTimestamp      int                `json:"bundleDeploymentsWithDeletionTimestamp,omitempty"`
	ContentsWithDeletionTimestamp               int                `json:"contentsWithDeletionTimestamp,omitempty"`
}

// Held is an object that is kept as it is.
type Held struct {
	Kind      string `json:"kind"`
	Namespace string `json:"namespace,omitempty"`
	Name      string `json:"name"`
	Reason    string `json:"reason,omitempty"`
}
