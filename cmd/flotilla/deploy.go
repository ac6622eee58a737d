package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"

	"github.com/spf13/cobra"

	fleet "flotilla.io/flotilla/api/v1alpha1"
	"flotilla.io/flotilla/bundle/render"
	"flotilla.io/flotilla/embedded"
	"flotilla.io/flotilla/pipeline"
)

// kubernetesVersion is what charts see where no cluster is asked.
const kubernetesVersion = "v1.37.2"

// deployOptions are the flags of deploy.
type deployOptions struct {
	to                      connection
	file                    string
	dryRun                  bool
	namespace, version      string
	agentNamespace, cluster string
}

func deployCommand() *cobra.Command {
	var o deployOptions
	cmd := &cobra.Command{
		Use: "deploy -i FILE", Short: "Deploy what `flotilla target` prints to a cluster, without an agent", Args: cobra.NoArgs,
		Long: "Deploy renders the BundleDeployments of a file and applies their objects to the cluster of the kubeconfig, with the\n" +
			"rights of whoever runs it. Hooks run each time. Where helm.timeoutSeconds is set it waits until all is ready. What an\n" +
			"earlier deploy of the same bundle brought and is there no more is deleted, but for namespaces,\n" +
			"CustomResourceDefinitions, volumes and claims. Dependencies between bundles are not waited for.\n\n" +
			"It prints the objects, Secrets without their values. Of a bundle that the file has for several clusters it deploys\n" +
			"what the last one would get, or what --cluster names.",
		Example: "  flotilla target -b bundle.yaml | flotilla deploy -i - --context edge-7 --cluster edge-7\n" +
			"  flotilla deploy -i deployments.yaml --dry-run",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if o.file == "" {
				return cmd.Help()
			}
			return o.run(cmd.Context(), cmd.InOrStdin(), cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	o.to.flags(cmd, "", "the cluster to deploy to")
	f := cmd.Flags()
	f.StringVarP(&o.file, "input-file", "i", "", "file with Contents and BundleDeployments, - for stdin")
	f.BoolVarP(&o.dryRun, "dry-run", "d", false, "print the objects that would be deployed, and ask no cluster")
	f.StringVarP(&o.namespace, "namespace", "n", "", "namespace of objects that name none, of bundles that name none; by default default")
	f.StringVar(&o.version, "kube-version", "", "with --dry-run, the Kubernetes version that charts see")
	f.StringVarP(&o.agentNamespace, "agent-namespace", "a", "", "namespace with the service accounts that bundles name; by default "+fleet.SystemNamespace)
	f.StringVar(&o.cluster, "cluster", "", "deploy what this cluster would get")
	debugFlags(cmd)
	return cmd
}

func (o *deployOptions) run(ctx context.Context, in io.Reader, out, errOut io.Writer) error {
	data, err := pipeline.ReadFile(o.file, in)
	if err != nil {
		return err
	}
	deployments, notes, err := pipeline.ParseDeployments(data, o.cluster)
	if err != nil {
		return err
	}
	for _, note := range notes {
		fmt.Fprintln(errOut, "note:", note)
	}
	if o.dryRun {
		return o.show(ctx, out, errOut, deployments)
	}
	cfg, _, err := embedded.Connect(o.to.kubeconfig, o.to.context)
	if err != nil {
		return err
	}
	accounts := o.agentNamespace
	if accounts == "" {
		accounts = fleet.SystemNamespace
	}
	log := slog.New(slog.NewTextHandler(errOut, nil))
	cluster, err := pipeline.Reach(cfg, accounts, log)
	if err != nil {
		return err
	}
	for _, d := range deployments {
		for _, note := range pipeline.Unheeded(d) {
			fmt.Fprintln(errOut, "note:", note)
		}
		objects, err := cluster.Deploy(ctx, d.In(o.namespace))
		if err != nil {
			return err
		}
		if err := pipeline.PrintObjects(out, objects, false); err != nil {
			return err
		}
	}
	return nil
}

// show prints what would be deployed.
func (o *deployOptions) show(ctx context.Context, out, errOut io.Writer, deployments []pipeline.Deployment) error {
	caps := &render.Capabilities{KubernetesVersion: o.version, APIs: render.BuiltIn()}
	if caps.KubernetesVersion == "" {
		caps.KubernetesVersion = kubernetesVersion
	}
	for _, d := range deployments {
		objects, notes, err := pipeline.Render(ctx, d.In(o.namespace), caps)
		if err != nil {
			return err
		}
		for _, note := range notes {
			fmt.Fprintln(errOut, "note:", note)
		}
		if err := pipeline.PrintObjects(out, objects, true); err != nil {
			return err
		}
	}
	return nil
}
