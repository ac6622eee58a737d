package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"flotilla.io/flotilla/agent/handback"
	"flotilla.io/flotilla/embedded"
)

func backToFleetCommand() *cobra.Command {
	var cluster connection
	cmd := &cobra.Command{
		Use: "back-to-fleet", Short: "Give what is deployed on a cluster back to Rancher Fleet", Args: cobra.NoArgs,
		Long: "Back-to-fleet takes Flotilla's marks off all objects on a cluster and gives their fields back to Fleet's agent, so that it can go on\n" +
			"with them. It deletes nothing and starts nothing. Turn Flotilla's agent off first; docs/migrate-from-fleet.md has the whole way.",
		Example: "  flotilla back-to-fleet --context edge-7",
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, _, err := embedded.Connect(cluster.kubeconfig, cluster.context)
			if err != nil {
				return err
			}
			count, err := handback.All(cmd.Context(), cfg)
			if err != nil {
				return fmt.Errorf("%w (%d objects were handed back; the command can be run again)", err, count)
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%d objects are Fleet's again; nothing was deleted\n", count)
			return nil
		},
	}
	cluster.flags(cmd, "", "the cluster")
	return cmd
}
