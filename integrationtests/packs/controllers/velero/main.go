// Velero is Velero's server, with the plugins that it starts itself: what the command line of the project has besides needs
// packages that the server does not.
package main

import (
	"os"

	"github.com/spf13/cobra"
	metrics "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/vmware-tanzu/velero/pkg/client"
	"github.com/vmware-tanzu/velero/pkg/cmd/server"
	"github.com/vmware-tanzu/velero/pkg/cmd/server/plugin"
)

func main() {
	metrics.DefaultBindAddress = "0" // else two servers on one machine want the same port
	config, err := client.LoadConfig()
	if err != nil {
		panic(err)
	}
	f := client.NewFactory("velero", config)
	root := &cobra.Command{Use: "velero", SilenceUsage: true}
	f.BindFlags(root.PersistentFlags())
	root.AddCommand(server.NewCommand(f), plugin.NewCommand(f))
	if err := root.Execute(); err != nil {
		os.Exit(1)
	}
}
