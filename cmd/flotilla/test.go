package main

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	fleet "flotilla.io/flotilla/api/v1alpha1"
	"flotilla.io/flotilla/bundle/preview"
	"flotilla.io/flotilla/bundle/render"
	"flotilla.io/flotilla/pipeline"
)

func testCommand() *cobra.Command {
	var p pipeline.Probe
	var file, bundle string
	var quiet bool
	cmd := &cobra.Command{
		Use: "test [PATH]", Short: "Match a bundle to a target and print what it would deploy (deprecated)", Args: cobra.MaximumNArgs(1),
		Deprecated: "use target and deploy, or render, instead.",
		Long: "Test reads a directory as one bundle, finds the target for a cluster with the name, labels and group given, and prints\n" +
			"the objects that it would get. With nothing given, the cluster is in the group default.",
		Example: "  flotilla test ./web -l env=production",
		RunE: func(cmd *cobra.Command, args []string) error {
			dir := "."
			if len(args) > 0 {
				dir = args[0]
			}
			b, err := probed(cmd.Context(), cmd.InOrStdin(), dir, file, bundle)
			if err != nil {
				return err
			}
			if p.Group == "" && len(p.Labels)+len(p.GroupLabels) == 0 && p.Target == "" {
				p.Group = fleet.DefaultClusterGroup
			}
			return printMatch(cmd, b, p, quiet)
		},
	}
	f := cmd.Flags()
	f.StringVarP(&file, "file", "f", "", "file of PATH that is read in place of its fleet.yaml")
	f.StringVarP(&bundle, "bundle-file", "b", "", "file with the bundle, - for stdin, instead of a directory")
	f.BoolVarP(&quiet, "quiet", "q", false, "print the match, and no objects")
	f.StringVarP(&p.Group, "group", "g", "", "cluster group that the cluster is in")
	f.StringVarP(&p.Name, "name", "N", "", "the cluster's name")
	f.StringToStringVarP(&p.Labels, "label", "l", nil, "the cluster's labels, key=value,...")
	f.StringToStringVarP(&p.GroupLabels, "group-label", "L", nil, "labels of the cluster group")
	f.StringVarP(&p.Target, "target", "t", "", "take the target of this name")
	return cmd
}

// probed is the bundle of a file, or that of a directory.
func probed(ctx context.Context, stdin io.Reader, dir, fleetYAML, bundle string) (*fleet.Bundle, error) {
	if bundle == "" {
		return pipeline.ReadOne(ctx, dir, fleetYAML, publicCharts())
	}
	data, err := pipeline.ReadFile(bundle, stdin)
	if err != nil {
		return nil, err
	}
	all, err := pipeline.ParseBundles(data)
	if err != nil {
		return nil, err
	}
	return all[0], nil
}

func printMatch(cmd *cobra.Command, b *fleet.Bundle, p pipeline.Probe, quiet bool) error {
	name, d, err := pipeline.Match(b, p)
	if err != nil {
		return err
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "# Matched: %s\n", name)
	if quiet {
		return nil
	}
	out, err := render.Sketch(cmd.Context(), render.Input{Bundle: b.Name, Files: d.Files, Options: d.Object.Spec.Options},
		&render.Capabilities{KubernetesVersion: kubernetesVersion, APIs: render.BuiltIn()})
	if err != nil {
		return fmt.Errorf("bundle %s: %w", b.Name, err)
	}
	for _, note := range preview.Notes(b.Name, out) {
		fmt.Fprintln(cmd.ErrOrStderr(), "#", note)
	}
	return pipeline.PrintManifests(cmd.OutOrStdout(), out.Objects)
}
