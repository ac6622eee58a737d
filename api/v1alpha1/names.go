package v1alpha1

// Namespaces.
const (
	// SystemNamespace is where the controller runs on the hub, and the agent on a cluster.
	SystemNamespace = "cattle-fleet-system"
	// RegistrationNamespace holds, on the hub, the service accounts of all agents.
	RegistrationNamespace = "cattle-fleet-clusters-system"
	// LocalWorkspace is the workspace of the hub's own cluster.
	LocalWorkspace = "fleet-local"
	// DefaultWorkspace is the workspace that clusters join if nothing else is said.
	DefaultWorkspace = "fleet-default"
)

// Names of objects.
const (
	// LocalClusterName is the hub's own cluster.
	LocalClusterName = "local"
	// DefaultClusterGroup is the group that a GitRepo without targets deploys to.
	DefaultClusterGroup = "default"
	// GitCredentialSecret is used by GitRepos that name no clientSecretName.
	GitCredentialSecret = "gitcredential"
	// KnownHostsConfigMap lies in SystemNamespace: servers that GitRepos over SSH may be read from, in its key known_hosts.
	KnownHostsConfigMap = "known-hosts"
	// OCIStorageSecret is used by GitRepos that name no ociRegistrySecret.
	OCIStorageSecret = "ocistorage"
	// DefaultServiceAccount deploys on a cluster where a bundle names none, if it exists there.
	DefaultServiceAccount = "fleet-default"
	// AdminServiceAccount deploys on a cluster where a bundle names none and DefaultServiceAccount does not exist. Flotilla.
	AdminServiceAccount = "flotilla-admin"
	// HubSecretName is the Secret in SystemNamespace on the hub whose key HubSecretKey all layers are sealed with. Flotilla.
	HubSecretName = "flotilla-hub"
	// HubSecretKey is the key of 32 random bytes in HubSecretName. Flotilla.
	HubSecretKey = "secret"
	// ClusterKeySecret is the Secret in a cluster namespace whose key ClusterKeyKey wraps the cluster's layer keys. Flotilla.
	ClusterKeySecret = "flotilla-key"
	// ClusterKeyKey is the key of 32 random bytes in ClusterKeySecret. Flotilla.
	ClusterKeyKey = "kek"
	// FleetAgentName is the name of Fleet's agent, of what it is installed with, and the beginning of that of its Bundles.
	FleetAgentName = "fleet-agent"
	// AgentName is the name of the agent's Lease and Agent object in a cluster namespace. Flotilla.
	AgentName = "agent"
)

// Field managers.
const (
	// AgentFieldManager applies objects on clusters.
	AgentFieldManager = "flotilla-agent"
	// FleetFieldManager is what Fleet's agent writes objects on clusters as: the name of its program.
	FleetFieldManager = "fleetagent"
	// ControllerFieldManager writes objects on the hub.
	ControllerFieldManager = "flotilla-controller"
)

// Labels and annotations of Fleet on objects on the hub.
const (
	// LabelPrefix of Fleet's own labels.
	LabelPrefix = "fleet.cattle.io/"
	// ManagementLabelPrefix of Rancher's labels on clusters.
	ManagementLabelPrefix = "management.cattle.io/"
	// ClusterDisplayNameLabel holds the name that Rancher shows for a cluster; targets match it as clusterName.
	ClusterDisplayNameLabel = "management.cattle.io/cluster-display-name"

	// CommitLabel holds the commit that last changed a bundle.
	CommitLabel = "fleet.cattle.io/commit"
	// RepoLabel holds the GitRepo that a bundle is from.
	RepoLabel = "fleet.cattle.io/repo-name"
	// HelmOpLabel holds the HelmOp that a bundle is from.
	HelmOpLabel = "fleet.cattle.io/fleet-helm-name"
	// BundleLabel holds a BundleDeployment's bundle.
	BundleLabel = "fleet.cattle.io/bundle-name"
	// BundleNamespaceLabel holds the namespace of a BundleDeployment's bundle.
	BundleNamespaceLabel = "fleet.cattle.io/bundle-namespace"
	// BundleDeploymentOwnershipLabel holds the BundleDeployment that a Secret belongs to.
	BundleDeploymentOwnershipLabel = "fleet.cattle.io/bundledeployment"
	// ContentNameLabel holds the Content that a BundleDeployment uses.
	ContentNameLabel = "fleet.cattle.io/content-name"
	// InternalSecretLabel marks Secrets that are made for a bundle.
	InternalSecretLabel = "fleet.cattle.io/bundle-internal-secret"
	// CreatedByUserIDLabel holds who made a GitRepo.
	CreatedByUserIDLabel = "fleet.cattle.io/created-by-user-id"
	// CreatedByDisplayNameLabel holds the name of who made a GitRepo.
	CreatedByDisplayNameLabel = "fleet.cattle.io/created-by-display-name"

	// ManagedLabel ("true") marks what Flotilla made and takes away.
	ManagedLabel = "fleet.cattle.io/managed"
	// ClusterLabel holds a BundleDeployment's cluster, and a cluster's own name.
	ClusterLabel = "fleet.cattle.io/cluster"
	// ClusterNamespaceLabel holds the workspace of a BundleDeployment's cluster.
	ClusterNamespaceLabel = "fleet.cattle.io/cluster-namespace"
	// ClusterAnnotation holds, on a cluster namespace, the cluster.
	ClusterAnnotation = "fleet.cattle.io/cluster"
	// ClusterNamespaceAnnotation holds, on a cluster namespace, the cluster's workspace.
	ClusterNamespaceAnnotation = "fleet.cattle.io/cluster-namespace"
	// ClusterManagementLabel, if not empty, hands a cluster to another manager.
	ClusterManagementLabel = "fleet.cattle.io/cluster-management"
	// NonManagedAgentLabel on a cluster says that its agent is not upgraded from the hub.
	NonManagedAgentLabel = "fleet.cattle.io/non-managed-agent"
	// CreatedByAgentPodLabel is the one label of Fleet's that an agent may give its cluster.
	CreatedByAgentPodLabel = "fleet.cattle.io/created-by-agent-pod"
	// ShardRefLabel hands an object to the controller of one shard.
	ShardRefLabel = "fleet.cattle.io/shard-ref"

	// RegistrationTokenLabel holds, on a ClusterRegistration, the token that was used.
	RegistrationTokenLabel = "fleet.cattle.io/registration-token"
	// ClusterRegistrationAnnotation holds, on an agent's service account, its ClusterRegistration.
	ClusterRegistrationAnnotation = "fleet.cattle.io/cluster-registration"
	// ClusterRegistrationNamespaceAnnotation holds the namespace of that ClusterRegistration.
	ClusterRegistrationNamespaceAnnotation = "fleet.cattle.io/cluster-registration-namespace"
)

// AgentBundlePrefix begins the names of bundles that deploy an agent. They are never uninstalled, and their drift is always put
// back.
const AgentBundlePrefix = "fleet-agent"

// Labels and annotations on objects that are deployed to a cluster.
const (
	// ObjectSetHashLabel is the SHA-1 in hex of ObjectSetIDAnnotation's value.
	ObjectSetHashLabel = "objectset.rio.cattle.io/hash"
	// ObjectSetIDAnnotation names the deployment an object belongs to, in Fleet's form.
	ObjectSetIDAnnotation = "objectset.rio.cattle.io/id"
	// OwnedLabel ("true") is what the agent's watches select. Flotilla.
	OwnedLabel = "flotilla.io/managed"
	// OwnerAnnotation is "<cluster namespace>/<BundleDeployment>" of the owner. Flotilla.
	OwnerAnnotation = "flotilla.io/owner"
	// SpecDigestAnnotation on an object that is applied once stands for the spec that it was made with. Flotilla.
	SpecDigestAnnotation = "flotilla.io/spec-digest"
	// HookAnnotation on a hook says whose it is, and in which run and at which event it was created. Flotilla.
	HookAnnotation = "flotilla.io/hook"
)

// Annotations by which people tell Flotilla what to do. All are Flotilla's own.
const (
	// HoldAnnotation keeps everything below it as it is; the value is the reason. It stands on Namespace SystemNamespace (the
	// fleet), the Namespace of a workspace, a Bundle or a Cluster.
	HoldAnnotation = "flotilla.io/hold"
	// ApproveAnnotation on a Bundle approves the plan of its status.unTarget.
	ApproveAnnotation = "flotilla.io/approve"
	// ApplyOnceAnnotation, "true" on an object that is deployed, has it applied once: it is made again only when its spec changes.
	ApplyOnceAnnotation = "flotilla.io/apply-once"
	// AcceptSequenceAnnotation on a Cluster accepts a hub whose sequences went back to this number.
	AcceptSequenceAnnotation = "flotilla.io/accept-sequence"
)

// WalkAnnotation on a Bundle is the number of the reading of its GitRepo that wrote it last: as long as the GitRepo's status.walk is
// lower, that reading is not over. Flotilla.
const WalkAnnotation = "flotilla.io/walk"

// ImportIntoAnnotation on a Secret with a kubeconfig names the workspaces, with commas, besides its own whose Clusters may be
// imported with it. Flotilla.
const ImportIntoAnnotation = "flotilla.io/import-into"

// CommitTimeAnnotation on a Bundle and a BundleDeployment is when its commit was made, in UTC as RFC 3339. Flotilla.
const CommitTimeAnnotation = "flotilla.io/commit-time"

// PathAnnotation on a Bundle is its directory in the repository. Flotilla.
const PathAnnotation = "flotilla.io/path"

// ChartsAnnotation on a Bundle tells which versions of charts from elsewhere it has: "https://charts.example.com/web 1.2.3". Flotilla.
const ChartsAnnotation = "flotilla.io/charts"

// Finalizers, as Fleet names them. BundleDeployments have none of ours; Fleet's is dropped where it is found.
const (
	// GitRepoFinalizer on GitRepos.
	GitRepoFinalizer = "fleet.cattle.io/gitrepo-finalizer"
	// HelmOpFinalizer on HelmOps.
	HelmOpFinalizer = "fleet.cattle.io/helmop-finalizer"
	// BundleFinalizer on Bundles.
	BundleFinalizer = "fleet.cattle.io/bundle-finalizer"
	// BundleDeploymentFinalizer on BundleDeployments that Fleet made.
	BundleDeploymentFinalizer = "fleet.cattle.io/bundle-deployment-finalizer"
	// ClusterFinalizer on Clusters.
	ClusterFinalizer = "fleet.cattle.io/cluster-finalizer"
	// ScheduleFinalizer on Schedules.
	ScheduleFinalizer = "fleet.cattle.io/schedule-finalizer"
)

// Types of Secrets.
const (
	// SecretTypeGenerated holds the values that a Bundle's outputs generate.
	SecretTypeGenerated = "fleet.cattle.io/generated-outputs/v1alpha1"
	// SecretTypeBundleValues holds a Bundle's values.
	SecretTypeBundleValues = "fleet.cattle.io/bundle-values/v1alpha1"
	// SecretTypeBundleDeploymentOptions holds a BundleDeployment's values.
	SecretTypeBundleDeploymentOptions = "fleet.cattle.io/bundle-deployment/v1alpha1"
	// SecretTypeOCIStorage names a registry to store contents in.
	SecretTypeOCIStorage = "fleet.cattle.io/bundle-oci-storage/v1alpha1"
	// SecretTypeHelmOpsAccess holds the credentials for a HelmOp's chart.
	SecretTypeHelmOpsAccess = "fleet.cattle.io/bundle-helmops-access/v1alpha1"
	// SecretTypeClusterRegistrationValues holds the values that an agent is installed with.
	SecretTypeClusterRegistrationValues = "fleet.cattle.io/cluster-registration-values"
	// SecretTypeAgentCredential holds an agent's credential.
	SecretTypeAgentCredential = "fleet.cattle.io/agent-credential"
)

// Types of conditions.
const (
	// ConditionReady is on every kind that is deployed or deploys: True when all is as wanted; else the message says what is not.
	ConditionReady = "Ready"
	// ConditionProcessed on Cluster, ClusterGroup and Bundle: False when the status could not be worked out.
	ConditionProcessed = "Processed"
	// ConditionImported on Cluster: the agent was installed by kubeConfigSecret.
	ConditionImported = "Imported"

	// ConditionDeployed on BundleDeployment: the last deployment went well.
	ConditionDeployed = "Deployed"
	// ConditionInstalled on BundleDeployment: the objects were applied.
	ConditionInstalled = "Installed"
	// ConditionMonitored on BundleDeployment: the objects are watched.
	ConditionMonitored = "Monitored"

	// ConditionPulled on BundleDeployment: False while the agent cannot fetch a layer because the hub does not have it, and not
	// there otherwise. Flotilla.
	ConditionPulled = "Pulled"

	// ConditionAccepted on GitRepo, HelmOp and Bundle: False when the rules of its workspace or the spec itself forbid it. On
	// Bundle it is Flotilla's own.
	ConditionAccepted = "Accepted"
	// ConditionGitPolling on GitRepo: the repository can be asked for commits.
	ConditionGitPolling = "GitPolling"
	// ConditionReconciling on GitRepo: a commit is being read.
	ConditionReconciling = "Reconciling"
	// ConditionStalled on GitRepo: a commit could not be read; the message says why.
	ConditionStalled = "Stalled"
	// ConditionPolled on HelmOp: the repository can be asked for versions.
	ConditionPolled = "Polled"
	// ConditionImageScanned on ImageScan: the registry can be asked for tags.
	ConditionImageScanned = "ImageScanned"
	// ConditionImageSynced on ImageScan and GitRepo: tags were written back.
	ConditionImageSynced = "ImageSynced"

	// ConditionGranted on ClusterRegistration: the cluster has joined, or the reason why not. Flotilla.
	ConditionGranted = "Granted"
	// ConditionWaiting on Bundle: True while some clusters keep what they have until something else has happened; the message says
	// what. Flotilla.
	ConditionWaiting = "Waiting"
	// ConditionNotServed on any kind: True when the spec uses a field that has no effect yet; the message names it. Flotilla.
	ConditionNotServed = "NotServed"
)

// Values of GitRepoStatus.GitJobStatus.
const (
	// GitJobCurrent: the commit was read.
	GitJobCurrent = "Current"
	// GitJobInProgress: a commit is being read.
	GitJobInProgress = "InProgress"
	// GitJobFailed: a commit could not be read.
	GitJobFailed = "Failed"
)

// ReasonError is the reason of a condition that failed; Fleet's displays turn it into "Error: <message>".
const ReasonError = "Error"

// ReasonForbidden of condition Accepted: a GitRepoRestriction or Policy of the workspace does not allow it. Flotilla.
const ReasonForbidden = "Forbidden"

// ReasonDefaulted of condition Accepted: fields that the spec leaves out are from a GitRepoRestriction or Policy; the message
// names them. Flotilla.
const ReasonDefaulted = "Defaulted"

// Reasons of condition Imported.
const (
	// ReasonImportOff: the hub was told not to dial into clusters. Flotilla.
	ReasonImportOff = "ImportOff"
	// ReasonImporting: the registration token is not ready yet. Flotilla.
	ReasonImporting = "Importing"
)

// ReasonReading of condition Reconciling: a commit is being read, which takes a while. Flotilla.
const ReasonReading = "Reading"

// ReasonApplying of condition Deployed: the order came, and its objects are being applied. Flotilla.
const ReasonApplying = "Applying"

// Reasons of condition Waiting on a Bundle. All are Flotilla's own.
const (
	// ReasonDependsOn: a bundle that it depends on is not there at its newest revision.
	ReasonDependsOn = "DependsOn"
	// ReasonDependencyCycle: it depends on itself through others.
	ReasonDependencyCycle = "DependencyCycle"
	// ReasonInputs: a value that it takes from another bundle or cluster is not there.
	ReasonInputs = "Inputs"
	// ReasonInputCycle: what it takes depends on itself.
	ReasonInputCycle = "InputCycle"
	// ReasonOffSchedule: no maintenance window is open.
	ReasonOffSchedule = "OffSchedule"
)

// ReasonNotVerified of condition Ready, which is True: all is there, and something does not do its work yet. Flotilla.
const ReasonNotVerified = "NotVerified"

// ReasonContentMissing of conditions Pulled and Rendered: a Content was deleted or damaged; the hub makes it again. Flotilla.
const ReasonContentMissing = "ContentMissing"

// ReasonFleetRuns of a hold, and of events: Rancher Fleet's own programs run where Flotilla's do, so Flotilla's wait. Flotilla.
const ReasonFleetRuns = "FleetRuns"

// Reasons of condition Granted. All are Flotilla's own.
const (
	// ReasonGranted: the cluster has joined.
	ReasonGranted = "Granted"
	// ReasonTokenExpired: the token is over.
	ReasonTokenExpired = "TokenExpired"
	// ReasonTokenUsed: the token was used as often as it may be.
	ReasonTokenUsed = "TokenUsed"
	// ReasonTokenUnknown: there is no such token.
	ReasonTokenUnknown = "TokenUnknown"
	// ReasonAwaitingApproval: a person must approve.
	ReasonAwaitingApproval = "AwaitingApproval"
	// ReasonLabelRefused: the token does not allow a label.
	ReasonLabelRefused = "LabelRefused"
	// ReasonNameTaken: another cluster has the name.
	ReasonNameTaken = "NameTaken"
	// ReasonInvalid: a field of the request cannot be used.
	ReasonInvalid = "Invalid"
)
