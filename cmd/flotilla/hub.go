package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"flotilla.io/flotilla/embedded"
	"flotilla.io/flotilla/localfleet"
)

func hubCommand() *cobra.Command {
	var dir, webhook string
	var port int
	cmd := &cobra.Command{
		Use: "hub", Short: "Run a hub here, for those who have no cluster to put it on", Args: cobra.NoArgs,
		Long: "Hub runs a real API server with etcd, and the controller, until Ctrl-C. Its data stays in --dir.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			binary, err := localfleet.Find()
			if err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "the API server is %s\n", binary)
			fleet, err := localfleet.New(localfleet.Options{Dir: filepath.Join(dir, "cluster"), Binary: binary, Fsync: true})
			if err != nil {
				return err
			}
			defer fleet.Close()
			cluster, err := fleet.Start(cmd.Context(), "hub", localfleet.ClusterOptions{Port: port})
			if err != nil {
				return err
			}
			hub, err := embedded.StartHub(cmd.Context(), cluster, embedded.HubOptions{Dir: filepath.Join(dir, "controller"), WebhookAddr: webhook})
			if err != nil {
				return err
			}
			defer hub.Process.Stop()
			kubeconfig := filepath.Join(dir, "kubeconfig")
			if err := fleet.WriteKubeconfig(kubeconfig, "hub"); err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "the hub is ready: export KUBECONFIG=%s\n", kubeconfig)
			return hub.Process.Wait(cmd.Context())
		},
	}
	home, err := os.UserHomeDir()
	if err != nil {
		home = "."
	}
	cmd.Flags().StringVar(&dir, "dir", filepath.Join(home, ".flotilla", "hub"), "keeps the hub's data")
	cmd.Flags().IntVar(&port, "port", 0, "of the API server; 0 picks a free one and keeps it")
	cmd.Flags().StringVar(&webhook, "webhook-addr", "127.0.0.1:8080", "hears pushes of Git servers")
	return cmd
}
