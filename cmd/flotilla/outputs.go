package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"sigs.k8s.io/controller-runtime/pkg/client"

	fleet "flotilla.io/flotilla/api/v1alpha1"
	"flotilla.io/flotilla/controller/output"
	"flotilla.io/flotilla/support/outputs"
)

// outputsOptions are the flags of outputs.
type outputsOptions struct {
	hub       connection
	namespace string
	cluster   string
	format    string
	healthy   bool
}

func outputsCommand() *cobra.Command {
	o := &outputsOptions{}
	cmd := &cobra.Command{
		Use: "outputs [BUNDLE]", Short: "List the values that bundles hand to others", Args: cobra.MaximumNArgs(1),
		Long: "Outputs lists the outputs of the bundles of a workspace, or of one, by cluster: the value, who takes it, and what is wrong.\n" +
			"What is sensitive is never shown.\n\n" +
			"As tfvars they are variables for Terraform: maps by cluster, called as the output, or BUNDLE_OUTPUT where no bundle is named.\n" +
			"With --healthy, clusters are left out that are not healthy or lost; when none is left it prints nothing and ends with 1, so that\n" +
			"whoever writes a file keeps the last one.",
		Example: "  flotilla outputs\n  flotilla outputs global-lb-ingress --format tfvars --healthy > new.tfvars && mv new.tfvars pools.auto.tfvars",
		RunE: func(cmd *cobra.Command, args []string) error {
			return o.print(cmd, strings.Join(args, ""))
		},
		ValidArgsFunction: func(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
			if len(args) > 0 {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			return o.bundles(cmd.Context()), cobra.ShellCompDirectiveNoFileComp
		},
	}
	o.hub.flags(cmd, "", "the hub")
	f := cmd.Flags()
	f.StringVarP(&o.namespace, "namespace", "n", fleet.DefaultWorkspace, "the workspace")
	f.StringVar(&o.cluster, "cluster", "", "of this cluster only")
	f.StringVar(&o.format, "format", "table", "one of "+strings.Join(outputs.Formats, ", "))
	f.BoolVar(&o.healthy, "healthy", false, "leave out clusters that are not healthy or lost")
	_ = cmd.RegisterFlagCompletionFunc("format", cobra.FixedCompletions(outputs.Formats, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

func (o *outputsOptions) print(cmd *cobra.Command, bundle string) error {
	if !slices.Contains(outputs.Formats, o.format) {
		return outputs.Print(cmd.OutOrStdout(), nil, o.format, false)
	}
	c, err := workspace{connection: o.hub}.connect()
	if err != nil {
		return err
	}
	all, err := output.Show(cmd.Context(), c, o.namespace, bundle)
	if err != nil {
		return err
	}
	if o.cluster != "" {
		all = slices.DeleteFunc(all, func(s output.Shown) bool { return s.Cluster != o.cluster })
	}
	if len(all) == 0 {
		return o.nothing(cmd.Context(), c, bundle)
	}
	if o.healthy {
		if all, err = outputs.Healthy(all); err != nil {
			return err
		}
	}
	return outputs.Print(cmd.OutOrStdout(), all, o.format, bundle == "")
}

// nothing says why there is nothing to list.
func (o *outputsOptions) nothing(ctx context.Context, c client.Client, bundle string) error {
	of := "workspace " + o.namespace
	if bundle != "" {
		key := client.ObjectKey{Namespace: o.namespace, Name: bundle}
		if err := c.Get(ctx, key, &fleet.Bundle{}); err != nil {
			return fmt.Errorf("reading Bundle %s: %w", key, err)
		}
		of = "bundle " + bundle
	}
	if o.cluster != "" {
		of += " on cluster " + o.cluster
	}
	return fmt.Errorf("%s has no outputs", of)
}

// bundles are those with outputs, for the completion of a command line; none if the hub cannot be asked.
func (o *outputsOptions) bundles(ctx context.Context) (names []string) {
	list := &fleet.BundleList{}
	c, err := workspace{connection: o.hub}.connect()
	if err != nil || c.List(ctx, list, client.InNamespace(o.namespace)) != nil {
		return nil
	}
	for i := range list.Items {
		if len(list.Items[i].Spec.Outputs) > 0 {
			names = append(names, list.Items[i].Name)
		}
	}
	return names
}
