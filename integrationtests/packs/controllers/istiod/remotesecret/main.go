// Remotesecret is `istioctl create-remote-secret` as a program of its own.
package main

import (
	"os"

	"github.com/spf13/cobra"

	"istio.io/istio/istioctl/pkg/cli"
	"istio.io/istio/istioctl/pkg/multicluster"
)

func main() {
	istioctl := &cobra.Command{Use: "istioctl", SilenceUsage: true}
	flags := cli.AddRootFlags(istioctl.PersistentFlags())
	istioctl.AddCommand(multicluster.NewCreateRemoteSecretCommand(cli.NewCLIContext(flags)))
	if err := istioctl.Execute(); err != nil {
		os.Exit(1)
	}
}
