// Package analysis tells people what snapshots of a hub show: how much there is, what stands out, and what changed from one
// to the next.
package analysis

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"flotilla.io/flotilla/support/snapshot"
)

// Read reads snapshots, a JSON document each.
func Read(r io.Reader) ([]*snapshot.Snapshot, error) {
	decoder := json.NewDecoder(bufio.NewReader(r))
	var all []*snapshot.Snapshot
	for {
		s := &snapshot.Snapshot{}
		if err := decoder.Decode(s); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, fmt.Errorf("reading snapshot %d: %w; `flotilla monitor` makes them", len(all)+1, err)
		}
		all = append(all, s)
	}
	if len(all) == 0 {
		return nil, errors.New("no snapshots found; `flotilla monitor` makes them")
	}
	return all, nil
}

// Printer writes reports.
type Printer struct {
	W     io.Writer
	Color bool
}

const (
	bold   = "1"
	red    = "31"
	green  = "32"
	yellow = "33"
	blue   = "1;34"
)

func (p Printer) paint(code, text string) string {
	if !p.Color {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

func (p Printer) header(text string) {
	fmt.Fprintf(p.W, "\n%s\n\n", p.paint(blue, "=== "+text+" ==="))
}

// table gives columns of equal width. Colors go into the last column only, where they push nothing aside.
func (p Printer) table() *tabwriter.Writer { return tabwriter.NewWriter(p.W, 0, 0, 2, ' ', 0) }

// Summary tells how much there is, and how much of it stands out.
func (p Printer) Summary(s *snapshot.Snapshot) {
	p.header("FLEET MONITORING SUMMARY - " + s.Timestamp)
	fmt.Fprintln(p.W, p.paint(bold, "RESOURCE COUNTS"))
	t := p.table()
	for _, c := range counts(s) {
		more := ""
		if c.name == "Bundles" {
			more = fmt.Sprintf("  (Total Size: %dKB)", totalSize(s)/1024)
		}
		fmt.Fprintf(t, "  %s:\t%d%s\n", c.name, c.n, more)
	}
	_ = t.Flush()
	if s.Diagnostics == nil {
		return
	}
	fmt.Fprintf(p.W, "\n%s\n", p.paint(bold, "DIAGNOSTICS SUMMARY"))
	t = p.table()
	for _, c := range checks {
		n := c.count(s.Diagnostics)
		mark := p.paint(green, "✓")
		if n > 0 {
			mark = p.paint(yellow, "⚠")
		}
		fmt.Fprintf(t, "  %s:\t%d\t%s\n", c.name, n, mark)
	}
	_ = t.Flush()
}

// All is a summary of each snapshot.
func (p Printer) All(all []*snapshot.Snapshot) {
	p.header(fmt.Sprintf("Analyzing %d snapshots", len(all)))
	for i, s := range all {
		fmt.Fprintf(p.W, "Snapshot %d/%d\n", i+1, len(all))
		p.Summary(s)
		p.rule()
	}
}

func (p Printer) rule() { fmt.Fprintln(p.W, strings.Repeat("─", 60)) }

// Issues names what stands out in a snapshot, and tells whether anything does.
func (p Printer) Issues(s *snapshot.Snapshot) bool {
	p.header("ISSUES DETECTED - " + s.Timestamp)
	found := false
	for _, c := range checks {
		if s.Diagnostics == nil || c.count(s.Diagnostics) == 0 {
			continue
		}
		found = true
		text := fmt.Sprintf("%s (%d)", c.name, c.count(s.Diagnostics))
		if c.wrong {
			fmt.Fprintln(p.W, p.paint(red, "✗ "+text))
		} else {
			fmt.Fprintln(p.W, p.paint(yellow, "⚠ "+text))
		}
		for _, line := range c.lines(s) {
			fmt.Fprintf(p.W, "  • %s\n", line)
		}
		fmt.Fprintln(p.W)
	}
	if !found {
		fmt.Fprintln(p.W, p.paint(green, "✓ No issues detected!"))
	}
	return found
}

// Detailed is all that a snapshot shows.
func (p Printer) Detailed(s *snapshot.Snapshot) {
	p.Summary(s)
	p.Issues(s)
	if len(s.Controller) > 0 {
		fmt.Fprintln(p.W, p.paint(bold, "CONTROLLER INFO"))
	}
	t := p.table()
	for _, c := range s.Controller {
		fmt.Fprintf(t, "  %s\t%s\t%d restarts\tsince %s\n", c.Name, c.Status, c.Restarts, c.StartTime)
	}
	_ = t.Flush()
	if a := s.APIConsistency; a != nil {
		fmt.Fprintf(p.W, "\n%s\n", p.paint(bold, "API CONSISTENCY"))
		if a.Consistent {
			fmt.Fprintln(p.W, p.paint(green, "✓ API is consistent"))
		} else {
			fmt.Fprintln(p.W, p.paint(red, fmt.Sprintf("✗ API inconsistency detected (time travel): %v", a.Versions)))
		}
	}
	p.events(s)
}

func (p Printer) events(s *snapshot.Snapshot) {
	warned := false
	for _, e := range s.RecentEvents {
		if e.Type != "Warning" {
			continue
		}
		if !warned {
			warned = true
			fmt.Fprintf(p.W, "\n%s\n", p.paint(bold, "RECENT WARNING EVENTS"))
		}
		fmt.Fprintf(p.W, "  • [%s] %s %s/%s: %s (last %s, %d times)\n", e.Reason, e.InvolvedKind, e.Namespace, e.InvolvedName, e.Message,
			e.LastTimestamp, max(e.Count, 1))
	}
}

// JSON writes the latest snapshot, or all, for programs.
func JSON(w io.Writer, all []*snapshot.Snapshot, every bool) error {
	out := struct {
		SnapshotCount int                  `json:"snapshotCount"`
		Latest        *snapshot.Snapshot   `json:"latest"`
		All           []*snapshot.Snapshot `json:"all,omitempty"`
	}{SnapshotCount: len(all), Latest: all[len(all)-1]}
	if every {
		out.All = all
	}
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	return encoder.Encode(out)
}
