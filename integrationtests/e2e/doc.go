// Package e2e proves, on real API servers, what the issue that built this path asked for: push to applied, drift, holds,
// layers, settled silence. Each file is one of its paragraphs.
package e2e
