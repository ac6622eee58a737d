package v1alpha1

// BundleState is how one bundle is on one cluster.
type BundleState string

// The states, worst first. All but Unknown are Fleet's.
const (
	// ErrApplied: the deployment failed.
	ErrApplied BundleState = "ErrApplied"
	// WaitApplied: the cluster has not applied the revision yet.
	WaitApplied BundleState = "WaitApplied"
	// Modified: objects were changed, or are missing, on the cluster.
	Modified BundleState = "Modified"
	// OutOfSync: a change is staged only.
	OutOfSync BundleState = "OutOfSync"
	// Pending: the cluster's turn in the rollout has not come.
	Pending BundleState = "Pending"
	// NotReady: applied, but not all objects are ready.
	NotReady BundleState = "NotReady"
	// Unknown: the cluster is lost. Flotilla; below Fleet's other states, since there is nothing to do about the bundle.
	Unknown BundleState = "Unknown"
	// Ready: as wanted.
	Ready BundleState = "Ready"
)

// StateRank orders states; the highest is the one to show. A state that is not in it has rank 0.
var StateRank = map[BundleState]int{
	ErrApplied:  8,
	WaitApplied: 7,
	Modified:    6,
	OutOfSync:   5,
	Pending:     4,
	NotReady:    3,
	Unknown:     2,
	Ready:       1,
}

// DisplayWaitCheckIn is the ClusterDisplay.State of a cluster whose agent has never reported.
const DisplayWaitCheckIn = "WaitCheckIn"

// DisplayGitUpdating is the StatusDisplay.State of a GitRepo whose commit is being read.
const DisplayGitUpdating = "GitUpdating"

// Health is how one bundle is on one cluster, for people, in one word.
type Health string

const (
	// HealthHealthy: at the wanted revision, all objects ready, no drift. The word stands in no other column.
	HealthHealthy Health = "Healthy"
	// HealthProgressing: on its way to the wanted revision, or its objects not ready or not verified yet.
	HealthProgressing Health = "Progressing"
	// HealthFailed: could not be deployed, or an object failed.
	HealthFailed Health = "Failed"
	// HealthDrifted: fields differ from what was applied.
	HealthDrifted Health = "Drifted"
	// HealthHeld: everything is kept as it is; status.hold says why.
	HealthHeld Health = "Held"
	// HealthWaiting: waits for something else, such as a bundle it depends on or its maintenance window.
	HealthWaiting Health = "Waiting"
	// HealthUnknown: the cluster is lost.
	HealthUnknown Health = "Unknown"
	// HealthDeleting: being taken away.
	HealthDeleting Health = "Deleting"
)
