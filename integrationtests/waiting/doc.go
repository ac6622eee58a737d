// Package waiting proves, on a real hub, that what must wait waits: bundles for those that they depend on, clusters for their
// maintenance windows. The clusters are on paper, and the tests play their agents, so that nothing happens before its time.
package waiting
