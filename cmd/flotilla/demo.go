package main

import (
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

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
			if info, err := os.Stdout.Stat(); err == nil {
				o.Terminal = info.Mode()&os.ModeCharDevice != 0
			}
			return demo.Run(cmd.Context(), o)
		},
	}
	cmd.Flags().StringVar(&o.Dir, "dir", ".demo", "everything that the demo makes; emptied at each start")
	cmd.Flags().StringVar(&o.Examples, "examples", "examples", "a folder that becomes the fleet repo")
	cmd.Flags().BoolVar(&o.Once, "once", false, "end when everything is Healthy")
	return cmd
}
