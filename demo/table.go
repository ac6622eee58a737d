package demo

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"
)

// unbounded is the width of what is no terminal.
const unbounded = 1000

// render draws rows as a table with lines of at most width characters.
func render(rows []row, width int) string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "CLUSTER\tBUNDLE\tCOMMIT\tAUTHOR\tHEALTH\t")
	for _, r := range rows {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", r.cluster, r.bundle, r.commit, r.author, r.health, strings.Join(strings.Fields(r.message), " "))
	}
	_ = w.Flush() // into a string
	return clip(b.String(), width)
}

// clip cuts every line, so that a terminal does not break it, and drops blanks at its end.
func clip(text string, width int) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, " \n")
		if r := []rune(line); len(r) > width {
			line = string(r[:max(width-1, 0)]) + "…"
		}
		b.WriteString(line + "\n")
	}
	return b.String()
}

// watchUntilHealthy shows the table until everything is Healthy, or says what is not. A program of ours that ends is an
// error.
func (d *run) watchUntilHealthy(ctx context.Context) (healthy bool, err error) {
	limit, cancel := context.WithTimeout(ctx, d.Patience)
	defer cancel()
	var last state
	d.show(limit, func(now state) bool {
		last = now
		return now.done || len(d.ended()) > 0
	})
	switch {
	case last.done:
		d.say("every bundle is Healthy on every cluster that it is for")
		return true, nil
	case ctx.Err() != nil:
		return false, nil
	}
	notes := strings.Join(last.notes, "\n")
	if limit.Err() == nil {
		return false, errors.New(notes)
	}
	return false, fmt.Errorf("after %s not everything is Healthy:\n%s%s\nthe logs are below %s", d.Patience, render(last.problems(), unbounded), notes, d.Dir)
}

// watch shows the table until ctx ends. Programs may come and go meanwhile: to stop one is a thing to try.
func (d *run) watch(ctx context.Context) error {
	d.show(ctx, func(state) bool { return false })
	return nil
}

// show draws the table whenever it changes, until enough says so or ctx ends.
func (d *run) show(ctx context.Context, enough func(state) bool) {
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	drawn := ""
	for {
		now := d.look(ctx)
		if ctx.Err() != nil {
			return
		}
		drawn = d.draw(now, drawn)
		if enough(now) {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// draw puts the table over the one drawn before, or, where that cannot be, below it, and returns it.
func (d *run) draw(s state, before string) string {
	if len(s.rows)+len(s.notes) == 0 {
		return before
	}
	width := unbounded
	if d.Width != nil {
		width = d.Width()
	}
	text := render(s.rows, width) + clip(strings.Join(s.notes, "\n"), width)
	if text == before {
		return before
	}
	if d.Width != nil && before != "" {
		fmt.Fprintf(d.Out, "\x1b[%dA\x1b[J", strings.Count(before, "\n")+1)
	}
	fmt.Fprintf(d.Out, "%s\n", text)
	return text
}
