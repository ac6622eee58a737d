package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// GitRepo is a Git repository whose directories become bundles.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:categories=fleet,path=gitrepos
// +kubebuilder:metadata:annotations="helm.sh/resource-policy=keep"
// +kubebuilder:printcolumn:name="Repo",type=string,JSONPath=`.spec.repo`
// +kubebuilder:printcolumn:name="Commit",type=string,JSONPath=`.status.commit`
// +kubebuilder:printcolumn:name="BundleDeployments-Ready",type=string,JSONPath=`.status.display.readyBundleDeployments`
// +kubebuilder:printcolumn:name="Status",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].message`
type GitRepo struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec   GitRepoSpec   `json:"spec,omitempty"`
	Status GitRepoStatus `json:"status,omitempty"`
}

// GitRepoList is a list of GitRepos.
//
// +kubebuilder:object:root=true
type GitRepoList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []GitRepo `json:"items"`
}

// GitRepoSpec says which repository, which directories, and which clusters.
type GitRepoSpec struct {
	// Repo is the URL of the repository.
	// +required
	// +kubebuilder:validation:MinLength=1
	Repo string `json:"repo,omitempty"`

	// Branch to follow. Empty means master, or the repository's own default if it has no master.
	// +nullable
	Branch string `json:"branch,omitempty"`

	// Revision is a commit or tag to stay at, in place of a branch.
	// +nullable
	Revision string `json:"revision,omitempty"`

	// TargetNamespace forces every object into this namespace.
	// +nullable
	TargetNamespace string `json:"targetNamespace,omitempty"`

	// ClientSecretName is the Secret with the credentials for the repository. Empty means gitcredential, if there is one.
	// +nullable
	ClientSecretName string `json:"clientSecretName,omitempty"`

	// HelmSecretName is the Secret with the credentials for Helm repositories.
	// +nullable
	HelmSecretName string `json:"helmSecretName,omitempty"`

	// HelmSecretNameForPaths is the Secret with the credentials for Helm repositories, by path.
	// +nullable
	HelmSecretNameForPaths string `json:"helmSecretNameForPaths,omitempty"`

	// HelmRepoURLRegex says which Helm repositories get the credentials. Empty means none.
	// +nullable
	HelmRepoURLRegex string `json:"helmRepoURLRegex,omitempty"`

	// CABundle is PEM of the authorities to trust for the repository.
	// +nullable
	CABundle []byte `json:"caBundle,omitempty"`

	// InsecureSkipTLSverify does not verify the repository's certificate.
	InsecureSkipTLSverify bool `json:"insecureSkipTLSVerify,omitempty"`

	// Paths are the directories to look for bundles in, globs allowed. Empty means the whole repository.
	// +nullable
	Paths []string `json:"paths,omitempty"`

	// Paused keeps clusters at what they have; changes are staged only.
	Paused bool `json:"paused,omitempty"`

	// ServiceAccount that deploys on the clusters, by impersonation.
	// +nullable
	ServiceAccount string `json:"serviceAccount,omitempty"`

	// Targets pick the clusters. Empty means the group named default.
	Targets []GitTarget `json:"targets,omitempty"`

	// PollingInterval is how often the repository is asked for new commits. Unset or 0 means 15s.
	// +nullable
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:XValidation:rule="self == '0' || self.matches('^([0-9]+([.][0-9]+)?(ns|us|µs|ms|s|m|h))+$') && duration(self) <= duration('2562047h')",message="must be a Go duration such as 15s, 5m or 1h30m, at most 2562047h; days and weeks have no unit"
	PollingInterval *metav1.Duration `json:"pollingInterval,omitempty"`

	// ForceSyncGeneration is raised to deploy again although nothing changed.
	ForceSyncGeneration int64 `json:"forceSyncGeneration,omitempty"`

	// ImageSyncInterval is how often image tags are written back.
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:XValidation:rule="self == '0' || self.matches('^([0-9]+([.][0-9]+)?(ns|us|µs|ms|s|m|h))+$') && duration(self) <= duration('2562047h')",message="must be a Go duration such as 15s, 5m or 1h30m, at most 2562047h; days and weeks have no unit"
	ImageSyncInterval *metav1.Duration `json:"imageScanInterval,omitempty"`

	// ImageScanCommit says who commits image tags, and how.
	ImageScanCommit *CommitSpec `json:"imageScanCommit,omitempty"`

	// KeepResources leaves the objects on the clusters when the GitRepo goes away.
	KeepResources bool `json:"keepResources,omitempty"`

	// DeleteNamespace deletes the target namespace when the GitRepo goes away.
	DeleteNamespace bool `json:"deleteNamespace,omitempty"`

	// CorrectDrift says whether drift is put back.
	CorrectDrift *CorrectDrift `json:"correctDrift,omitempty"`

	// DisablePolling looks for new commits only when a webhook calls or the GitRepo changes.
	DisablePolling bool `json:"disablePolling,omitempty"`

	// OCIRegistrySecret names the registry to store contents in. Empty means ocistorage, if there is one.
	OCIRegistrySecret string `json:"ociRegistrySecret,omitempty"`

	// WebhookSecret is the Secret that webhook calls are checked with.
	WebhookSecret string `json:"webhookSecret,omitempty"`

	// Bundles are exactly these directories, each one bundle, in place of paths.
	Bundles []BundlePath `json:"bundles,omitempty"`
}

// BundlePath is a directory that is exactly one bundle.
type BundlePath struct {
	// Base is the directory.
	Base string `json:"base,omitempty"`
	// Options is the file to read in place of fleet.yaml, relative to base.
	// +nullable
	Options string `json:"options,omitempty"`
}

// GitTarget picks clusters for the bundles of a GitRepo. All criteria that are set must hold; with none set, it picks no
// cluster. Flotilla: it may say how the bundles vary there; only what suits a bundle counts for it.
type GitTarget struct {
	BundleDeploymentOptions `json:",inline"`

	// Name to show.
	// +nullable
	Name string `json:"name,omitempty"`
	// ClusterName picks one cluster.
	// +nullable
	ClusterName string `json:"clusterName,omitempty"`
	// ClusterSelector picks clusters by label. An empty selector picks all.
	// +nullable
	ClusterSelector *metav1.LabelSelector `json:"clusterSelector,omitempty"`
	// ClusterGroup picks the clusters of one group.
	// +nullable
	ClusterGroup string `json:"clusterGroup,omitempty"`
	// ClusterGroupSelector picks the clusters of groups by the groups' labels.
	// +nullable
	ClusterGroupSelector *metav1.LabelSelector `json:"clusterGroupSelector,omitempty"`
	// DoNotDeploy keeps the bundles off the clusters that match. Flotilla.
	DoNotDeploy bool `json:"doNotDeploy,omitempty"`
}

// CommitSpec says who commits image tags, and how.
type CommitSpec struct {
	// AuthorName of the commits.
	// +optional
	AuthorName string `json:"authorName"`
	// AuthorEmail of the commits.
	// +optional
	AuthorEmail string `json:"authorEmail"`
	// MessageTemplate of the commits.
	// +optional
	MessageTemplate string `json:"messageTemplate,omitempty"`
}

// GitRepoStatus is what is known of a GitRepo.
type GitRepoStatus struct {
	StatusBase `json:",inline"`

	// ObservedGeneration is the generation of the spec that this status is about.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration"`
	// UpdateGeneration is the forceSyncGeneration that was carried out last.
	UpdateGeneration int64 `json:"updateGeneration,omitempty"`
	// Commit that the bundles were read at.
	// +optional
	Commit string `json:"commit,omitempty"`
	// WebhookCommit is the commit that a webhook told last.
	// +optional
	WebhookCommit string `json:"webhookCommit,omitempty"`
	// LastWebhookTime is when a webhook called last.
	// +optional
	LastWebhookTime metav1.Time `json:"lastWebhookTime,omitempty"`
	// PollingCommit is the commit that polling found last.
	// +optional
	PollingCommit string `json:"pollingCommit,omitempty"`
	// GitJobStatus tells how reading the repository goes: Current, InProgress or Failed.
	GitJobStatus string `json:"gitJobStatus,omitempty"`
	// LastSyncedImageScanTime is when image tags were written back last.
	LastSyncedImageScanTime metav1.Time `json:"lastSyncedImageScanTime,omitempty"`
	// Walk counts the readings that wrote Bundles; a Bundle bears the number of the one that wrote it last. Flotilla.
	Walk int64 `json:"walk,omitempty"`
	// LastPollingTime is when polling found a new commit last.
	LastPollingTime metav1.Time `json:"lastPollingTriggered,omitempty"`
}
