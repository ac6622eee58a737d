package main

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"flotilla.io/flotilla/bundle/preview"
)

var outputForms = []string{"yaml", "json", "name", "wide"}

func outputFlag(cmd *cobra.Command, output *string) {
	cmd.Flags().StringVarP(output, "output", "o", "yaml", "how objects are printed: "+strings.Join(outputForms, ", "))
	_ = cmd.RegisterFlagCompletionFunc("output", cobra.FixedCompletions(outputForms, cobra.ShellCompDirectiveNoFileComp))
}

func checkOutput(output string) error {
	if slices.Contains(outputForms, output) {
		return nil
	}
	return fmt.Errorf("--output %q: want one of %s", output, strings.Join(outputForms, ", "))
}

// printOutcomes prints the objects that clusters get; several says that there may be more than one cluster.
func printOutcomes(w io.Writer, all []preview.Outcome, output string, several bool) error {
	switch output {
	case "json":
		return printJSON(w, all, several)
	case "name", "wide":
		return printTable(w, all, output == "wide", several)
	}
	for _, o := range all {
		for _, u := range o.Objects {
			data, err := yaml.Marshal(u.Object)
			if err != nil {
				return err
			}
			cluster := ""
			if several {
				cluster = "cluster " + o.Cluster + ", "
			}
			if _, err := fmt.Fprintf(w, "---\n# %sbundle %s, target %s\n%s", cluster, o.Bundle, o.Target, data); err != nil {
				return err
			}
		}
	}
	return nil
}

// printJSON prints one List, or of several clusters one object with a List for each.
func printJSON(w io.Writer, all []preview.Outcome, several bool) error {
	lists := map[string]*unstructured.UnstructuredList{}
	for _, o := range all {
		list := lists[o.Cluster]
		if list == nil {
			list = &unstructured.UnstructuredList{Object: map[string]any{"apiVersion": "v1", "kind": "List"}}
			lists[o.Cluster] = list
		}
		for _, u := range o.Objects {
			list.Items = append(list.Items, *u)
		}
	}
	var content any = lists
	if !several {
		for _, list := range lists {
			content = list
		}
	}
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	return encoder.Encode(content)
}

func printTable(w io.Writer, all []preview.Outcome, wide, several bool) error {
	tw := tabwriter.NewWriter(w, 0, 0, 3, ' ', 0)
	if wide {
		fmt.Fprintln(tw, "CLUSTER\tBUNDLE\tTARGET\tNAMESPACE\tNAME")
	}
	for _, o := range all {
		for _, u := range o.Objects {
			switch name := preview.Name(u); {
			case wide:
				fmt.Fprintf(tw, "%s\t%s\t%s\t%s\t%s\n", o.Cluster, o.Bundle, o.Target, u.GetNamespace(), name)
			case several:
				fmt.Fprintf(tw, "%s:%s\n", o.Cluster, name)
			default:
				fmt.Fprintln(tw, name)
			}
		}
	}
	return tw.Flush()
}

func printOrigins(w io.Writer, all []preview.Outcome, several bool) error {
	for _, o := range all {
		for _, origin := range o.Origins {
			prefix := o.Bundle
			if several {
				prefix = o.Cluster + "\t" + o.Bundle
			}
			if _, err := fmt.Fprintf(w, "%s\t%s\t%s\n", prefix, origin.Path, origin.From); err != nil {
				return err
			}
		}
	}
	return nil
}
