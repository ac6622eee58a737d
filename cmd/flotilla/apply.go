package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	fleet "flotilla.io/flotilla/api/v1alpha1"
	"flotilla.io/flotilla/bundle/source"
	"flotilla.io/flotilla/pipeline"
)

// applyOptions are the flags of apply.
type applyOptions struct {
	hub                 workspace
	source              pipeline.Source
	driven, compress    bool
	separator           string
	output, file        string
	commit              string
	syncGeneration      int64
	atOnce              int
	drift, force, keeps bool
	charts              chartFlags
}

func applyCommand() *cobra.Command {
	o := &applyOptions{}
	cmd := &cobra.Command{
		Use: "apply [flags] BUNDLE_NAME PATH...", Short: "Create bundles from directories, and print them or apply them to a hub",
		Long: "Apply makes a bundle of each PATH and of each directory below it that has a fleet.yaml, and writes the bundles to the\n" +
			"hub, or, with -o, to a file. A bundle's name is BUNDLE_NAME and its path.\n\n" +
			"What is wrong with one bundle stops no other; it then ends with 2. Bundles that a GitRepo or HelmOp of the hub makes\n" +
			"are left to it. Bundles that carry the label fleet.cattle.io/repo-name=BUNDLE_NAME and are not at the paths any more\n" +
			"are deleted, unless something could not be read.",
		Example: "  flotilla apply shop ./web ./database -n fleet-default\n" +
			"  flotilla apply -o - shop ./web | flotilla target -b - | flotilla deploy -i -",
		RunE: func(cmd *cobra.Command, args []string) error { return o.run(cmd, args) },
	}
	o.hub.flags(cmd)
	o.bundleFlags(cmd)
	o.charts.add(cmd)
	f := cmd.Flags()
	f.StringVarP(&o.output, "output", "o", "", "write the bundles to this file, - for stdout, and none to a hub")
	f.StringVarP(&o.file, "file", "f", "", "apply the bundle in this file, - for stdin, under BUNDLE_NAME, instead of directories")
	f.IntVar(&o.atOnce, "bundle-creation-max-concurrency", number("FLEET_BUNDLE_CREATION_MAX_CONCURRENCY", 4),
		"how many bundles are written at a time (env FLEET_BUNDLE_CREATION_MAX_CONCURRENCY)")
	f.Bool("imagescan-enabled", false, "has no effect yet: tags are not written back")
	f.String("oci-registry-secret", "", "has no effect yet: files stay in the bundle")
	return cmd
}

// bundleFlags say how directories become bundles.
func (o *applyOptions) bundleFlags(cmd *cobra.Command) {
	f, spec := cmd.Flags(), &o.source.Settings
	f.StringVarP(&o.source.FleetYAML, "bundle-file", "b", "", "a file of each PATH that is read in place of its fleet.yaml; each PATH is then one bundle")
	f.StringToStringVarP(&o.source.Labels, "label", "l", nil, "labels of the bundles, key=value,...")
	f.StringVar(&o.source.TargetsFile, "targets-file", "", "file with targets and targetRestrictions to append")
	f.BoolVarP(&o.compress, "compress", "c", false, "compress all files in the bundles")
	f.StringVarP(&spec.ServiceAccount, "service-account", "a", "", "service account that deploys the bundles")
	f.Int64Var(&spec.ForceSyncGeneration, "sync-generation", 0, "another number deploys again what did not change")
	f.StringVar(&spec.TargetNamespace, "target-namespace", "", "put all objects into this namespace")
	f.BoolVar(&spec.Paused, "paused", false, "create the bundles paused")
	f.StringVar(&o.commit, "commit", os.Getenv("COMMIT"), "commit of the bundles (env COMMIT); by default that of the work tree")
	f.BoolVar(&spec.KeepResources, "keep-resources", false, "keep the objects when the bundle is deleted")
	f.BoolVar(&spec.DeleteNamespace, "delete-namespace", false, "delete the target namespace when the bundle is deleted")
	f.BoolVar(&o.drift, "correct-drift", false, "put back what somebody else changes")
	f.BoolVar(&o.force, "correct-drift-force", false, "with --correct-drift, replace objects where nothing else helps")
	f.BoolVar(&o.keeps, "correct-drift-keep-fail-history", false, "has no effect: there are no releases")
	f.BoolVar(&o.driven, "driven-scan", false, "each PATH is one bundle, with a file of its own in place of fleet.yaml: PATH:FILE")
	f.StringVar(&o.separator, "driven-scan-sep", ":", "what separates PATH and FILE")
}

func (o *applyOptions) run(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return errors.New("at least one argument is required: BUNDLE_NAME")
	}
	o.source.Name, o.source.Paths, o.source.Namespace, o.source.Compress = args[0], args[1:], o.hub.namespace, o.compress
	bundles, err := o.read(cmd.Context(), cmd.InOrStdin())
	if err != nil {
		return err
	}
	for _, note := range bundles.Notes {
		fmt.Fprintln(cmd.ErrOrStderr(), "note:", note)
	}
	for _, name := range []string{"imagescan-enabled", "oci-registry-secret"} {
		if f := cmd.Flags().Lookup(name); f.Value.String() != f.DefValue {
			fmt.Fprintf(cmd.ErrOrStderr(), "note: --%s %s\n", name, f.Usage)
		}
	}
	if len(bundles.All) == 0 {
		paths := strings.Join(args[1:], " ")
		return errors.Join(append(bundles.Broken, fmt.Errorf("no resource found at the following paths to deploy: [%s]", paths))...)
	}
	if o.output != "" {
		if err := o.print(cmd.OutOrStdout(), bundles.All); err != nil {
			return err
		}
		return finish(cmd.ErrOrStderr(), "bundle", bundles.Broken)
	}
	failed, err := o.write(cmd.Context(), cmd.ErrOrStderr(), bundles)
	left := append(bundles.Broken, failed...)
	if err != nil || len(failed) == len(bundles.All) {
		return errors.Join(append(left, err)...)
	}
	return finish(cmd.ErrOrStderr(), "bundle", left)
}

// read gives the bundles of the directories, or that of --file.
func (o *applyOptions) read(ctx context.Context, stdin io.Reader) (*pipeline.Bundles, error) {
	if o.file != "" {
		return o.readFile(stdin)
	}
	if o.driven {
		o.source.DrivenBy = o.separator
	}
	if o.drift {
		o.source.Settings.CorrectDrift = &fleet.CorrectDrift{Enabled: true, Force: o.force, KeepFailHistory: o.keeps}
	}
	if o.commit == "" {
		o.commit = source.Head(".")
	}
	if o.commit != "" {
		if o.source.Labels == nil {
			o.source.Labels = map[string]string{}
		}
		o.source.Labels[fleet.CommitLabel] = o.commit
	}
	var err error
	if o.source.Charts, err = o.charts.charts(); err != nil {
		return nil, err
	}
	return pipeline.Read(ctx, o.source)
}

func (o *applyOptions) readFile(stdin io.Reader) (*pipeline.Bundles, error) {
	if len(o.source.Paths) > 0 {
		return nil, errors.New("with --file there is one argument, BUNDLE_NAME")
	}
	data, err := pipeline.ReadFile(o.file, stdin)
	if err != nil {
		return nil, err
	}
	all, err := pipeline.ParseBundles(data)
	if err != nil {
		return nil, err
	}
	if len(all) > 1 {
		return nil, fmt.Errorf("%s has %d bundles; apply them one by one", o.file, len(all))
	}
	all[0].Name, all[0].Namespace = o.source.Name, o.source.Namespace
	return &pipeline.Bundles{All: all}, nil
}

// print writes the bundles to --output. A file is made only now, when there is something to write.
func (o *applyOptions) print(stdout io.Writer, bundles []*fleet.Bundle) (err error) {
	if o.output == "-" {
		return pipeline.Print(stdout, bundles)
	}
	if err := os.MkdirAll(filepath.Dir(o.output), 0o755); err != nil {
		return err
	}
	file, err := os.Create(o.output)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	w := bufio.NewWriter(file)
	return errors.Join(pipeline.Print(w, bundles), w.Flush())
}

// write brings the bundles to the hub, and takes away those that are gone when nothing is in doubt.
func (o *applyOptions) write(ctx context.Context, out io.Writer, bundles *pipeline.Bundles) ([]error, error) {
	c, err := o.hub.connect()
	if err != nil {
		return nil, err
	}
	hub := pipeline.Hub{Client: c, Out: out, AtOnce: o.atOnce}
	failed := hub.Write(ctx, bundles.All)
	if !bundles.Whole || len(bundles.Broken)+len(failed) > 0 {
		return failed, nil
	}
	return nil, hub.Prune(ctx, o.source.Namespace, o.source.Name, bundles.All)
}

// number is a number of the environment.
func number(name string, otherwise int) int {
	if n, err := strconv.Atoi(os.Getenv(name)); err == nil && n > 0 {
		return n
	}
	return otherwise
}
