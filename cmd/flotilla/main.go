// Command flotilla is the tool of those who run a fleet.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/go-logr/logr"
	"github.com/spf13/cobra"
	"sigs.k8s.io/controller-runtime/pkg/log"
)

func main() { os.Exit(execute()) }

// execute runs the command line and returns the exit code.
func execute() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	log.SetLogger(logr.Discard()) // what a client library logs is no answer to a person
	if err := root().ExecuteContext(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "flotilla:", err)
		return 1
	}
	return 0
}

func root() *cobra.Command {
	cmd := &cobra.Command{
		Use: "flotilla", Short: "GitOps for fleets of Kubernetes clusters",
		SilenceUsage: true, SilenceErrors: true,
	}
	cmd.AddCommand(renderCommand(), joinCommand(), holdCommand(), resumeCommand(), approveCommand(), hubCommand(), demoCommand())
	return cmd
}

// connection is how a command reaches a cluster.
type connection struct{ kubeconfig, context string }

func (c *connection) flags(cmd *cobra.Command, prefix, what string) {
	cmd.Flags().StringVar(&c.kubeconfig, prefix+"kubeconfig", "", "kubeconfig of "+what+"; by default KUBECONFIG or ~/.kube/config")
	cmd.Flags().StringVar(&c.context, prefix+"context", "", "its context; by default the current one")
}
