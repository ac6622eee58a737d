// Package charts holds Flotilla's Helm charts for Go programs: what `flotilla join`, the embedded hub and the tests
// install is what a user gets with Helm.
package charts

import "embed"

// Files holds the charts flotilla and flotilla-agent, each in the folder of its name. The CRDs are in charts/flotilla-crd.
//
//go:embed all:flotilla all:flotilla-agent
var Files embed.FS
