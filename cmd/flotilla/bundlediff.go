package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"
	"sigs.k8s.io/controller-runtime/pkg/client"

	fleet "flotilla.io/flotilla/api/v1alpha1"
	"flotilla.io/flotilla/support/drift"
)

// diffOptions are the flags of bundlediff.
type diffOptions struct {
	hub                workspace
	deployment, bundle string
	json, fleetYAML    bool
}

func bundlediffCommand() *cobra.Command {
	o := &diffOptions{}
	cmd := &cobra.Command{
		Use: "bundlediff [flags]", Short: "Display what differs on clusters from what was deployed", Args: cobra.NoArgs,
		Long: "Bundlediff shows what the agents report: fields that somebody changed, with old and new value and who did it, objects\n" +
			"that are missing, and objects that are not ready. Values that may be confidential are not shown.\n\n" +
			"It looks at the deployments of all namespaces; -n names one, such as a cluster's.",
		Example: "  flotilla bundlediff\n  flotilla bundlediff --bundle shop-web --json\n" +
			"  flotilla bundlediff --fleet-yaml --bundle-deployment shop-web -n cluster-fleet-default-edge-7-2a5c0f3d",
		RunE: func(cmd *cobra.Command, _ []string) error { return o.run(cmd) },
	}
	o.hub.flags(cmd)
	f := cmd.Flags()
	f.StringVar(&o.deployment, "bundle-deployment", "", "name of the BundleDeployment to show, in the namespace of -n")
	f.StringVarP(&o.bundle, "bundle", "b", "", "name of the Bundle whose BundleDeployments are shown")
	f.BoolVar(&o.json, "json", false, "output in JSON format")
	f.BoolVar(&o.fleetYAML, "fleet-yaml", false, "output what belongs into fleet.yaml to leave the changes as they are (comparePatches)")
	return cmd
}

func (o *diffOptions) run(cmd *cobra.Command) error {
	switch {
	case o.json && o.fleetYAML:
		return errors.New("cannot specify both --json and --fleet-yaml")
	case o.fleetYAML && o.deployment == "":
		return errors.New("--fleet-yaml requires --bundle-deployment to be specified")
	}
	c, err := o.hub.connect()
	if err != nil {
		return err
	}
	deployments, err := o.read(cmd.Context(), c)
	if err != nil {
		return err
	}
	all := drift.Of(deployments)
	switch {
	case o.json:
		return drift.JSON(cmd.OutOrStdout(), o.bundle, o.hub.namespace, all)
	case !o.fleetYAML:
		drift.Text(cmd.OutOrStdout(), all)
		return nil
	case len(all) == 0:
		fmt.Fprintln(cmd.ErrOrStderr(), "No modified resources found.")
		return nil
	}
	have, err := o.patches(cmd.Context(), c, &deployments[0])
	if err != nil {
		return err
	}
	return drift.FleetYAML(cmd.OutOrStdout(), all[0], have)
}

// read gives the deployments to show. As in Fleet, the namespace that is the default stands for all.
func (o *diffOptions) read(ctx context.Context, c client.Client) ([]fleet.BundleDeployment, error) {
	if o.deployment != "" {
		d := &fleet.BundleDeployment{}
		if err := c.Get(ctx, client.ObjectKey{Namespace: o.hub.namespace, Name: o.deployment}, d); err != nil {
			return nil, fmt.Errorf("reading BundleDeployment %s/%s: %w", o.hub.namespace, o.deployment, err)
		}
		return []fleet.BundleDeployment{*d}, nil
	}
	var options []client.ListOption
	if o.hub.namespace != "" && o.hub.namespace != fleet.LocalWorkspace {
		options = append(options, client.InNamespace(o.hub.namespace))
	}
	if o.bundle != "" {
		options = append(options, client.MatchingLabels{fleet.BundleLabel: o.bundle})
	}
	list := &fleet.BundleDeploymentList{}
	if err := c.List(ctx, list, options...); err != nil {
		return nil, fmt.Errorf("listing BundleDeployments: %w", err)
	}
	return list.Items, nil
}

// patches are what the bundle leaves to others already.
func (o *diffOptions) patches(ctx context.Context, c client.Client, d *fleet.BundleDeployment) ([]fleet.ComparePatch, error) {
	key := client.ObjectKey{Namespace: d.Labels[fleet.BundleNamespaceLabel], Name: d.Labels[fleet.BundleLabel]}
	b := &fleet.Bundle{}
	if err := c.Get(ctx, key, b); err != nil {
		return nil, fmt.Errorf("reading Bundle %s: %w", key, err)
	}
	if b.Spec.Diff == nil {
		return nil, nil
	}
	return b.Spec.Diff.ComparePatches, nil
}
