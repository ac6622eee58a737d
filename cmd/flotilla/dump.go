package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"flotilla.io/flotilla/embedded"
	"flotilla.io/flotilla/support/dump"
)

func dumpCommand() *cobra.Command {
	var hub workspace
	var o dump.Options
	var path string
	var everywhere bool
	cmd := &cobra.Command{
		Use: "dump [flags]", Short: "Dump the state of a hub into an archive", Args: cobra.NoArgs,
		Long: "Dump writes objects, events and metrics of a hub into a .tgz archive, for somebody who is to look into it elsewhere.\n" +
			"Unless it is asked for, the archive has no Secrets, no contents, and neither files nor values of bundles.\n\n" +
			"What cannot be read is left out and named; it then ends with 2.",
		Example: "  flotilla dump -p hub.tgz -A\n  flotilla dump -p shop.tgz -n fleet-default --gitrepo shop --with-secrets-metadata",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := checkDump(cmd, &o, path, &everywhere, &hub); err != nil {
				return err
			}
			cfg, _, err := embedded.Connect(hub.kubeconfig, hub.context)
			if err != nil {
				return err
			}
			h, err := dump.Reach(cfg)
			if err != nil {
				return err
			}
			left, err := h.Write(cmd.Context(), path, o)
			if err != nil {
				return err
			}
			fmt.Fprintln(cmd.ErrOrStderr(), "dump path:", path)
			return finish(cmd.ErrOrStderr(), "thing", left)
		},
	}
	hub.flags(cmd)
	f := cmd.Flags()
	f.StringVarP(&path, "dump-path", "p", "", "file to write (required)")
	f.Int64VarP(&o.Limit, "fetch-limit", "l", 500, "objects of a kind that are fetched at once; 0 for no limit")
	f.BoolVarP(&everywhere, "all-namespaces", "A", false, "dump the objects of all namespaces")
	f.StringVar(&o.GitRepo, "gitrepo", "", "only this GitRepo and its bundles (requires --namespace)")
	f.StringVar(&o.Bundle, "bundle", "", "only this Bundle (requires --namespace)")
	f.StringVar(&o.HelmOp, "helmop", "", "only this HelmOp and its bundle (requires --namespace)")
	f.BoolVar(&o.Secrets, "with-secrets", false, "with Secrets and all that they hold, and with values of bundles")
	f.BoolVar(&o.SecretsMetadata, "with-secrets-metadata", false, "with the metadata of Secrets")
	f.BoolVar(&o.Content, "with-content", false, "with Contents and all that they hold, and with files of bundles")
	f.BoolVar(&o.ContentMetadata, "with-content-metadata", false, "with the metadata of Contents")
	return cmd
}

// checkDump refuses flags that contradict each other, and settles the namespace.
func checkDump(cmd *cobra.Command, o *dump.Options, path string, everywhere *bool, hub *workspace) error {
	named := cmd.Flags().Changed("namespace")
	switch {
	case o.Secrets && o.SecretsMetadata:
		return errors.New("--with-secrets and --with-secrets-metadata are mutually exclusive")
	case o.Content && o.ContentMetadata:
		return errors.New("--with-content and --with-content-metadata are mutually exclusive")
	case o.GitRepo != "" && o.Bundle != "":
		return errors.New("--gitrepo and --bundle are mutually exclusive")
	case o.GitRepo != "" && o.HelmOp != "":
		return errors.New("--gitrepo and --helmop are mutually exclusive")
	case o.Bundle != "" && o.HelmOp != "":
		return errors.New("--bundle and --helmop are mutually exclusive")
	case o.GitRepo+o.Bundle+o.HelmOp != "" && !named:
		return errors.New("--gitrepo, --bundle, and --helmop filters require --namespace to be explicitly specified")
	case *everywhere && named && hub.namespace != "":
		return errors.New("--namespace and --all-namespaces are mutually exclusive")
	case path == "":
		return errors.New("no destination path specified for state dump; name one with --dump-path")
	case o.Limit < 0:
		return fmt.Errorf("fetch limit must be non-negative, got %d", o.Limit)
	}
	if !*everywhere {
		o.Namespace = hub.namespace
	}
	return nil
}
