package main

import (
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"sigs.k8s.io/yaml"

	"flotilla.io/flotilla/bundle/target"
	"flotilla.io/flotilla/pipeline"
)

// inputFlags are values of inputs, which on a hub come from clusters.
type inputFlags struct {
	given []string
	file  string
}

func (o *inputFlags) add(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringArrayVar(&o.given, "input", nil, "a value that bundles take from other clusters, NAME=VALUE or BUNDLE:NAME=VALUE, the value as YAML; may be repeated")
	f.StringVar(&o.file, "inputs", "", "file with such values, BUNDLE: {NAME: value}, or CLUSTER/BUNDLE for one cluster, - for stdin")
}

// read are the values of the file, with those of the flags over them.
func (o *inputFlags) read() (target.Assumed, error) {
	all := target.Assumed{}
	if o.file != "" {
		data, err := pipeline.ReadFile(o.file, os.Stdin)
		if err != nil {
			return nil, err
		}
		if all, err = target.ParseAssumed(data); err != nil {
			return nil, fmt.Errorf("reading %s: %w", o.file, err)
		}
	}
	for _, given := range o.given {
		name, text, ok := strings.Cut(given, "=")
		bundle, input, of := strings.Cut(name, ":")
		if !of {
			bundle, input = "", name
		}
		var value any
		if err := yaml.Unmarshal([]byte(text), &value); err != nil || !ok || input == "" {
			return nil, fmt.Errorf("--input %s: want NAME=VALUE or BUNDLE:NAME=VALUE, the value as YAML", name)
		}
		for key := range all {
			if bundle == "" || key == bundle || strings.HasSuffix(key, "/"+bundle) {
				delete(all[key], input)
			}
		}
		if all[bundle] == nil {
			all[bundle] = map[string]any{}
		}
		all[bundle][input] = value
	}
	return all, nil
}
