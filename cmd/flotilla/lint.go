package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"flotilla.io/flotilla/bundle/lint"
	"flotilla.io/flotilla/bundle/render"
	"flotilla.io/flotilla/bundle/source"
)

func lintCommand() *cobra.Command {
	var gitRepo, kubernetes, output string
	var apis []string
	var inputs inputFlags
	cmd := &cobra.Command{
		Use: "lint PATH", Short: "Check a fleet repo without a cluster", Args: cobra.ExactArgs(1),
		Long: "Lint reads all bundles below PATH as the hub does, reads their manifests, renders them for each of their targets, and\n" +
			"tells all mistakes at once, each as FILE:LINE:COLUMN. It asks no hub and no cluster. A bundle that takes values from other\n" +
			"clusters is rendered where they are given, by --input or --inputs.\n\n" +
			"It ends with 0 when nothing is wrong, with 1 when there are errors, and with 2 when there are warnings only: what\n" +
			"would be deployed, but has not the effect that it seems to have.",
		Example: "  flotilla lint .\n  flotilla lint . --gitrepo gitrepo.yaml -o json",
		RunE: func(cmd *cobra.Command, args []string) error {
			if output != "" && output != "json" {
				return fmt.Errorf("--output %q: want json, or nothing", output)
			}
			on := lint.MadeUp{Capabilities: render.Capabilities{KubernetesVersion: kubernetes, APIs: append(render.BuiltIn(), apis...)}}
			var err error
			if on.Inputs, err = inputs.read(); err != nil {
				return err
			}
			result, err := lintTree(cmd.Context(), args[0], gitRepo, on)
			if err != nil {
				return err
			}
			return tell(cmd.OutOrStdout(), result, output)
		},
	}
	f := cmd.Flags()
	f.StringVar(&gitRepo, "gitrepo", "", "file with the GitRepo: its name, paths and targets count")
	f.StringVar(&kubernetes, "kube-version", kubernetesVersion, "the Kubernetes version that charts see")
	f.StringSliceVar(&apis, "api", nil, "an API that clusters serve besides Kubernetes' own, as group/version or group/version/Kind; may be repeated")
	inputs.add(cmd)
	f.StringVarP(&output, "output", "o", "", "json prints the mistakes as a list")
	return cmd
}

func lintTree(ctx context.Context, path, gitRepo string, on lint.MadeUp) (lint.Result, error) {
	tree, err := source.Dir(path)
	if err != nil {
		return lint.Result{}, err
	}
	repo, err := readGitRepo(path, gitRepo)
	if err != nil {
		return lint.Result{}, err
	}
	return lint.Check(ctx, tree, repo, publicCharts(), on)
}

// tell prints what was found and turns it into the exit code.
func tell(w io.Writer, result lint.Result, output string) error {
	problems, wrong := result.Problems, 0
	for _, p := range problems {
		if !p.Warning {
			wrong++
		}
		if output == "" {
			fmt.Fprintln(w, p)
		}
	}
	if output == "json" {
		if problems == nil {
			problems = []lint.Problem{}
		}
		encoder := json.NewEncoder(w)
		encoder.SetIndent("", "  ")
		if err := encoder.Encode(problems); err != nil {
			return err
		}
	}
	warned := len(problems) - wrong
	switch {
	case wrong > 0:
		return fmt.Errorf("%s and %s in %s", counted(wrong, "error"), counted(warned, "warning"), counted(result.Bundles, "bundle"))
	case warned > 0:
		return &leftOut{counted(warned, "warning") + " in " + counted(result.Bundles, "bundle")}
	case result.Bundles == 0:
		return errors.New("there is nothing to deploy; add a fleet.yaml or YAML files")
	}
	return nil
}
