//go:build packs

package packs

import (
	"bytes"
	"fmt"
	"testing"
	"text/tabwriter"

	"flotilla.io/flotilla/integrationtests/world"
)

// How a line of the table holds.
const (
	Proved    = "proved"    // the real thing answered
	Simulated = "simulated" // the stand-in wrote what only pods could
	OnPaper   = "on paper"  // nothing here could run it
)

type proof struct{ line, pushed, proof, kind string }

// Prove adds a line to the table: what was asked for, what was pushed, what proved it (an object, a controller's answer, a DNS
// answer, a route), and how it holds. A subtest that failed proves nothing.
func (w *World) Prove(line, pushed, what, kind string) {
	w.T.Helper()
	if w.T.Failed() {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.table = append(w.table, proof{line, pushed, what, kind})
}

// hub runs our command on the hub.
func (w *World) hub(args ...string) string {
	w.T.Helper()
	hub, err := w.Fleet.Cluster("hub")
	w.Check(err)
	return w.Flotilla(append(args, "--kubeconfig", hub.Kubeconfig(), "-n", world.Workspace)...)
}

// ways prints the way that each value took: from which bundle and cluster, for which, and who takes it.
func (w *World) ways() { w.T.Logf("\n%s", w.hub("outputs")) }

// print shows the table.
func (w *World) print(t *testing.T) {
	var text bytes.Buffer
	table := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "WHAT\tPUSHED\tPROOF\tHOW")
	for _, p := range w.table {
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", p.line, p.pushed, p.proof, p.kind)
	}
	must(t, table.Flush())
	t.Logf("\n%s", text.String())
}
