package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"flotilla.io/flotilla/embedded"
	"flotilla.io/flotilla/localfleet"
)

// hubOptions are the flags of hub.
type hubOptions struct {
	dir, address, webhook string
	port                  int
}

func hubCommand() *cobra.Command {
	var o hubOptions
	cmd := &cobra.Command{
		Use: "hub", Short: "Run a hub here, for those who have no cluster to put it on", Args: cobra.NoArgs,
		Long: "Hub runs a real API server with etcd, and the controller, until Ctrl-C. Its data stays in --dir.\n" +
			"Without --address only clusters on this machine can join.",
		Example: "  flotilla hub --address hub.example.com --port 6443 --webhook-addr :8080",
		RunE:    func(cmd *cobra.Command, _ []string) error { return runHub(cmd.Context(), cmd.OutOrStdout(), o) },
	}
	home, err := os.UserHomeDir()
	if err != nil {
		home = "."
	}
	f := cmd.Flags()
	f.StringVar(&o.dir, "dir", filepath.Join(home, ".flotilla", "hub"), "keeps the hub's data")
	f.StringVar(&o.address, "address", "", "name or IP address of this machine, by which clusters elsewhere reach the hub")
	f.IntVar(&o.port, "port", 0, "of the API server; 0 picks a free one and keeps it")
	f.StringVar(&o.webhook, "webhook-addr", "127.0.0.1:8080", "hears pushes of Git servers")
	return cmd
}

// runHub runs a hub until ctx ends. Nothing that it started outlives it.
func runHub(ctx context.Context, out io.Writer, o hubOptions) (err error) {
	if o.dir, err = filepath.Abs(o.dir); err != nil {
		return err
	}
	binary, err := localfleet.Find()
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "the API server comes from %s\n", binary)
	if err := listenable(o.webhook); err != nil {
		return err
	}
	fleet, err := localfleet.New(localfleet.Options{Dir: filepath.Join(o.dir, "cluster"), Binary: binary, Fsync: true})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, fleet.Close()) }()
	hub, err := startHub(ctx, fleet, o)
	switch {
	case err != nil && ctx.Err() != nil:
		return nil // Ctrl-C while it started
	case err != nil:
		return err
	}
	defer hub.Process.Stop()
	kubeconfig := filepath.Join(o.dir, "kubeconfig")
	if err := fleet.WriteKubeconfig(kubeconfig, "hub"); err != nil {
		return err
	}
	fmt.Fprintf(out, "the hub is ready; Ctrl-C ends it, and its data stays in %s. In another terminal:\n"+
		"export KUBECONFIG=%s\n%s kubectl get bundles -A\n", o.dir, kubeconfig, binary)
	return hub.Process.Wait(ctx)
}

// listenable tells before anything is started that an address is taken.
func listenable(address string) error {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return fmt.Errorf("hearing pushes of Git servers: %w; choose another --webhook-addr", err)
	}
	return l.Close()
}

// startHub starts the API server, and the controller.
func startHub(ctx context.Context, fleet *localfleet.Fleet, o hubOptions) (*embedded.Hub, error) {
	server := localfleet.ClusterOptions{Port: o.port}
	if o.address != "" {
		server.Listen, server.Names = "0.0.0.0", []string{o.address}
	}
	cluster, err := fleet.Start(ctx, "hub", server)
	if err != nil {
		return nil, err
	}
	options := embedded.HubOptions{Dir: filepath.Join(o.dir, "controller"), WebhookAddr: o.webhook}
	if o.address != "" {
		own, err := url.Parse(cluster.Host())
		if err != nil {
			return nil, err
		}
		options.APIServerURL = "https://" + net.JoinHostPort(o.address, own.Port())
	}
	return embedded.StartHub(ctx, cluster, options)
}
