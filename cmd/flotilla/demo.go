package main

import (
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"flotilla.io/flotilla/demo"
)

func demoCommand() *cobra.Command {
	var o demo.Options
	cmd := &cobra.Command{
		Use: "demo", Short: "Run a fleet of a hub and two clusters on this machine (make demo)", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			self, err := os.Executable()
			if err != nil {
				return err
			}
			o.Bin, o.Out = filepath.Dir(self), cmd.OutOrStdout()
			if o.Dir, err = filepath.Abs(o.Dir); err != nil {
				return err
			}
			if o.Examples, err = filepath.Abs(o.Examples); err != nil {
				return err
			}
			if term.IsTerminal(int(os.Stdout.Fd())) {
				o.Width = terminalWidth
			}
			return demo.Run(cmd.Context(), o)
		},
	}
	cmd.Flags().StringVar(&o.Dir, "dir", ".demo", "everything that the demo makes; emptied at each start")
	cmd.Flags().StringVar(&o.Examples, "examples", "examples", "a folder that becomes the fleet repo")
	cmd.Flags().BoolVar(&o.Once, "once", false, "end when everything is Healthy")
	cmd.Flags().DurationVar(&o.Patience, "timeout", 5*time.Minute, "how long the first rollout may take")
	return cmd
}

func terminalWidth() int {
	if width, _, err := term.GetSize(int(os.Stdout.Fd())); err == nil {
		return width
	}
	return 80
}
