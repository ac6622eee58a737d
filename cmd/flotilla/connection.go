package main

import (
	"flag"
	"os"
	"strconv"

	"github.com/spf13/cobra"
	"k8s.io/klog/v2"
	"sigs.k8s.io/controller-runtime/pkg/client"

	fleet "flotilla.io/flotilla/api/v1alpha1"
	"flotilla.io/flotilla/embedded"
)

// connection is how a command reaches a cluster.
type connection struct{ kubeconfig, context string }

func (c *connection) flags(cmd *cobra.Command, prefix, what string) {
	cmd.Flags().StringVar(&c.kubeconfig, prefix+"kubeconfig", "", "kubeconfig of "+what+"; by default KUBECONFIG or ~/.kube/config")
	cmd.Flags().StringVar(&c.context, prefix+"context", "", "its context; by default the current one")
}

// workspace is how Fleet's commands reach the hub and a namespace of it.
type workspace struct {
	connection
	namespace string
}

// flags of Fleet's commands: the namespace may come from the environment, and --debug shows what is asked of the hub.
func (w *workspace) flags(cmd *cobra.Command) {
	w.connection.flags(cmd, "", "the hub")
	cmd.Flags().StringVarP(&w.namespace, "namespace", "n", fromEnv("NAMESPACE", fleet.LocalWorkspace), "namespace (env NAMESPACE)")
	debugFlags(cmd)
}

func (w workspace) connect() (client.Client, error) {
	_, c, err := embedded.Connect(w.kubeconfig, w.context)
	return c, err
}

// debugFlags are Fleet's: they set how much the client library logs.
func debugFlags(cmd *cobra.Command) {
	debug := cmd.Flags().Bool("debug", false, "turn on debug logging")
	level := cmd.Flags().Int("debug-level", 0, "with --debug, how much is logged; 6 shows each request, 8 its content")
	cmd.PreRunE = func(*cobra.Command, []string) error {
		if !*debug {
			return nil
		}
		logging := flag.NewFlagSet("", flag.ContinueOnError)
		klog.InitFlags(logging)
		return logging.Set("v", strconv.Itoa(*level))
	}
}

func fromEnv(name, otherwise string) string {
	if value := os.Getenv(name); value != "" {
		return value
	}
	return otherwise
}
