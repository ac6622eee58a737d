// Package target decides, for a bundle and a cluster, whether the one goes to the other, and with which options.
//
// It is pure: no client, no clock. Which targets match is Fleet's contract; how options merge is ours: bundle, then the target
// that matched, then the customizations that match.
package target

import (
	"flotilla.io/flotilla/api/v1alpha1"
)

// Match is a bundle on a cluster.
type Match struct {
	// Target is the name of the target that matched.
	Target string
	// Options are the bundle's, merged with those of all that matched, their values templated for the cluster. They may be shared
	// with other clusters and must not be modified.
	Options v1alpha1.BundleDeploymentOptions
	// Origins tell for each value in Options what set it: "bundle", "target NAME" or "customization NAME". Paths only, no
	// values; bounded.
	Origins []v1alpha1.ValueOrigin
}
