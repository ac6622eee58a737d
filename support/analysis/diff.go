package analysis

import (
	"errors"
	"fmt"
	"slices"

	"flotilla.io/flotilla/support/snapshot"
)

// Diff tells what changed from each snapshot to the next, and ends with a summary of the last.
func (p Printer) Diff(all []*snapshot.Snapshot) error {
	if len(all) < 2 {
		return errors.New("need at least 2 snapshots to show diff")
	}
	p.header(fmt.Sprintf("Changes Across %d Snapshots", len(all)))
	for i := 1; i < len(all); i++ {
		fmt.Fprintln(p.W, p.paint(bold, fmt.Sprintf("Snapshot %d → %d", i, i+1)))
		fmt.Fprintf(p.W, "Time: %s → %s\n", all[i-1].Timestamp, all[i].Timestamp)
		p.Changes(all[i-1], all[i])
		p.rule()
	}
	p.header("Final Snapshot Summary")
	p.Summary(all[len(all)-1])
	return nil
}

// Compare tells what changed between the last snapshots of two files, the older first.
func (p Printer) Compare(first, second string, a, b []*snapshot.Snapshot) {
	before, after := a[len(a)-1], b[len(b)-1]
	if before.Timestamp > after.Timestamp {
		first, second, before, after = second, first, after, before
	}
	p.header("COMPARING SNAPSHOTS")
	fmt.Fprintf(p.W, "Before: %s (%s)\nAfter:  %s (%s)\n", first, before.Timestamp, second, after.Timestamp)
	p.Changes(before, after)
}

// Changes tells what changed between two snapshots: how much there is, what stands out, and which deployments moved.
func (p Printer) Changes(before, after *snapshot.Snapshot) {
	fmt.Fprintln(p.W, "\nRESOURCE COUNTS:")
	t := p.table()
	was := counts(before)
	for i, now := range counts(after) {
		fmt.Fprintf(t, "  %s:\t%s\n", now.name, p.change(was[i].n, now.n))
	}
	_ = t.Flush()
	if before.Diagnostics != nil && after.Diagnostics != nil {
		fmt.Fprintln(p.W, "\nDIAGNOSTICS CHANGES:")
		t = p.table()
		for _, c := range checks {
			if was, now := c.count(before.Diagnostics), c.count(after.Diagnostics); was != now {
				fmt.Fprintf(t, "  %s:\t%s\n", c.name, p.change(was, now))
			}
		}
		_ = t.Flush()
	}
	if moved := moved(before, after); len(moved) > 0 {
		fmt.Fprintln(p.W, "\nMOVED:")
		for _, line := range moved {
			fmt.Fprintln(p.W, " ", line)
		}
	}
}

func (p Printer) change(was, now int) string {
	mark := "→"
	switch {
	case now > was:
		mark = p.paint(yellow, "↑")
	case now < was:
		mark = p.paint(green, "↓")
	}
	return fmt.Sprintf("%d → %d %s", was, now, mark)
}

// moved names the bundles that came, went, grew or are at another commit.
func moved(before, after *snapshot.Snapshot) (lines []string) {
	was := map[string]snapshot.Bundle{}
	for _, b := range before.Bundles {
		was[b.Key()] = b
	}
	for _, b := range after.Bundles {
		old, known := was[b.Key()]
		delete(was, b.Key())
		switch {
		case !known:
			lines = append(lines, b.Key()+": new")
		case old.Commit != b.Commit:
			lines = append(lines, fmt.Sprintf("%s: commit %s → %s", b.Key(), old.Commit, b.Commit))
		case old.SizeBytes/1024 != b.SizeBytes/1024:
			lines = append(lines, fmt.Sprintf("%s: %dKB → %dKB", b.Key(), old.SizeBytes/1024, b.SizeBytes/1024))
		case old.Ready != b.Ready:
			lines = append(lines, fmt.Sprintf("%s: ready %t → %t", b.Key(), old.Ready, b.Ready))
		}
	}
	for key := range was {
		lines = append(lines, key+": gone")
	}
	slices.Sort(lines)
	return lines
}
