package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"
	"sigs.k8s.io/yaml"

	"flotilla.io/flotilla/pipeline"
)

func targetCommand() *cobra.Command {
	var hub connection
	var file, namespace string
	var dump bool
	cmd := &cobra.Command{
		Use: "target -b FILE", Short: "Print what each cluster of the hub would get of a bundle", Args: cobra.NoArgs,
		Long: "Target matches the bundles of a file with the clusters of the hub, and prints a Content and, for each cluster that a\n" +
			"target picks, a BundleDeployment, as `flotilla deploy` takes them. It writes nothing to the hub. Values are printed as\n" +
			"they are.\n\n" +
			"A cluster that lacks what a value asks for is left out; it then ends with 2.",
		Example: "  flotilla target -b bundle.yaml\n  flotilla apply -o - shop ./web | flotilla target -b - | flotilla deploy -i -",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if file == "" {
				return cmd.Help()
			}
			return printTargets(cmd, hub, file, namespace, dump)
		},
	}
	hub.flags(cmd, "", "the hub")
	f := cmd.Flags()
	f.StringVarP(&file, "bundle-file", "b", "", "file with the bundle, - for stdin")
	f.BoolVarP(&dump, "dump-input-list", "l", false, "print to stderr what decided: clusters, groups, options")
	f.StringVarP(&namespace, "namespace", "n", "", "namespace in which clusters are looked for; by default the bundle's")
	debugFlags(cmd)
	return cmd
}

func printTargets(cmd *cobra.Command, hub connection, file, namespace string, dump bool) error {
	data, err := pipeline.ReadFile(file, cmd.InOrStdin())
	if err != nil {
		return err
	}
	bundles, err := pipeline.ParseBundles(data)
	if err != nil {
		return err
	}
	w := workspace{connection: hub}
	c, err := w.connect()
	if err != nil {
		return err
	}
	var failed []error
	for _, b := range bundles {
		if namespace != "" {
			b.Namespace = namespace
		}
		t, err := pipeline.Target(cmd.Context(), c, b)
		if err != nil {
			return err
		}
		if err := t.Print(cmd.OutOrStdout()); err != nil {
			return err
		}
		if t.Nearest != "" {
			fmt.Fprintf(cmd.ErrOrStderr(), "bundle %s is for no cluster of %s: %s\n", b.Name, b.Namespace, t.Nearest)
		}
		if dump {
			if err := dumpInputs(cmd.ErrOrStderr(), t.Inputs); err != nil {
				return err
			}
		}
		failed = append(failed, t.Failed...)
	}
	return finish(cmd.ErrOrStderr(), "cluster", failed)
}

func dumpInputs(w io.Writer, inputs []pipeline.Input) error {
	data, err := yaml.Marshal(inputs)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(w, string(data))
	return err
}
