package main

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	fleet "flotilla.io/flotilla/api/v1alpha1"
	"flotilla.io/flotilla/support/analysis"
	"flotilla.io/flotilla/support/snapshot"
)

func monitorCommand() *cobra.Command {
	var hub workspace
	var watch bool
	var interval int
	var system string
	cmd := &cobra.Command{
		Use: "monitor", Short: "Take snapshots of a hub that show what stands out", Args: cobra.NoArgs,
		Long: "Monitor prints, as one line of JSON, which objects the hub has, how far each is, and which of them stand out:\n" +
			"deployments that are behind, bundles that no cluster gets, clusters that are lost or held, and more. It shows no files,\n" +
			"values or objects. `flotilla analyze` reads what it prints. Clusters and groups are those of the namespace of -n.",
		Example: "  flotilla monitor -n fleet-default | flotilla analyze --issues\n" +
			"  flotilla monitor --watch --interval 60 >> monitor.json\n  flotilla monitor | jq .diagnostics",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if interval <= 0 {
				return errors.New("--interval must be greater than 0 seconds")
			}
			c, err := hub.connect()
			if err != nil {
				return err
			}
			h := snapshot.Hub{Client: c, System: system, Namespace: hub.namespace}
			for {
				if err := takeSnapshot(cmd.Context(), cmd.OutOrStdout(), h); err != nil || !watch {
					return err
				}
				select {
				case <-cmd.Context().Done():
					return nil
				case <-time.After(time.Duration(interval) * time.Second):
				}
			}
		},
	}
	hub.flags(cmd)
	f := cmd.Flags()
	f.BoolVar(&watch, "watch", false, "go on, until Ctrl-C")
	f.IntVar(&interval, "interval", 60, "seconds between two snapshots when watching")
	f.StringVar(&system, "system", fleet.SystemNamespace, "namespace of the controller")
	return cmd
}

func takeSnapshot(ctx context.Context, w io.Writer, h snapshot.Hub) error {
	s, err := h.Take(ctx, time.Now())
	if err != nil {
		return err
	}
	return json.NewEncoder(w).Encode(s)
}

// analyzeOptions are the flags of analyze.
type analyzeOptions struct {
	all, diff, issues, detailed, json, noColor bool
	compare                                    string
}

func analyzeCommand() *cobra.Command {
	var o analyzeOptions
	cmd := &cobra.Command{
		Use: "analyze [FILE]", Short: "Tell what snapshots of a hub show", Args: cobra.MaximumNArgs(1),
		Long: "Analyze reads snapshots that `flotilla monitor` made, from a file or stdin, and tells what the latest shows, what stands\n" +
			"out, and what changed from one to the next.",
		Example: "  flotilla monitor | flotilla analyze\n  flotilla analyze --diff monitor.json\n" +
			"  flotilla analyze --compare before.json after.json",
		RunE: func(cmd *cobra.Command, args []string) error {
			file := "-"
			if len(args) > 0 {
				file = args[0]
			}
			return o.run(cmd, file)
		},
	}
	f := cmd.Flags()
	f.BoolVar(&o.all, "all", false, "show a summary of all snapshots")
	f.BoolVar(&o.diff, "diff", false, "show what changed from one snapshot to the next")
	f.BoolVar(&o.issues, "issues", false, "show only what stands out")
	f.BoolVar(&o.detailed, "detailed", false, "show all there is to say")
	f.BoolVar(&o.json, "json", false, "output in JSON format")
	f.StringVar(&o.compare, "compare", "", "compare with the latest snapshot of this file")
	f.BoolVar(&o.noColor, "no-color", false, "no colored output; there is none but on a terminal")
	return cmd
}

func (o *analyzeOptions) run(cmd *cobra.Command, file string) error {
	if o.compare != "" && file == "-" {
		return errors.New("--compare requires two snapshot files")
	}
	all, err := snapshots(cmd.InOrStdin(), file)
	if err != nil {
		return err
	}
	w := cmd.OutOrStdout()
	p := analysis.Printer{W: w, Color: !o.noColor && w == os.Stdout && term.IsTerminal(int(os.Stdout.Fd()))}
	latest := all[len(all)-1]
	switch {
	case o.compare != "":
		other, err := snapshots(nil, o.compare)
		if err != nil {
			return err
		}
		p.Compare(file, o.compare, all, other)
	case o.json:
		return analysis.JSON(w, all, o.all)
	case o.all:
		p.All(all)
	case o.diff:
		return p.Diff(all)
	case o.issues:
		p.Issues(latest)
	case o.detailed:
		p.Detailed(latest)
	default:
		p.Summary(latest)
	}
	return nil
}

func snapshots(stdin io.Reader, file string) ([]*snapshot.Snapshot, error) {
	if file == "-" {
		return analysis.Read(stdin)
	}
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return analysis.Read(f)
}
