package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/yaml"

	fleet "flotilla.io/flotilla/api/v1alpha1"
	"flotilla.io/flotilla/bundle/preview"
	"flotilla.io/flotilla/bundle/reader"
	"flotilla.io/flotilla/bundle/render"
	"flotilla.io/flotilla/bundle/source"
	"flotilla.io/flotilla/pipeline"
)

// renderOptions are the flags of render.
type renderOptions struct {
	clusters   []string
	name, file string
	gitRepo    string
	kubernetes string
	apis       []string
	origins    bool
	output     string
	inputs     inputFlags
}

func renderCommand() *cobra.Command {
	var o renderOptions
	cmd := &cobra.Command{
		Use: "render PATH", Short: "Show what clusters would get from a fleet repo", Args: cobra.ExactArgs(1),
		Long: "Render reads the bundles below PATH, matches them to clusters with the labels given, and prints the objects that each\n" +
			"would get. Clusters may also come from a file, with their annotations, values and groups. It asks no hub and no\n" +
			"cluster: values that bundles take from other clusters are given by --input. With --origins it tells for each value which\n" +
			"target set it.\n\n" +
			"A bundle that cannot be rendered holds up no other; it then ends with 1.",
		Example: "  flotilla render . --cluster env=production --gitrepo gitrepo.yaml\n" +
			"  flotilla render . --cluster edge-1:env=production --cluster edge-2:env=staging -o wide\n" +
			"  kubectl get clusters.fleet.cattle.io,clustergroups -n fleet-default -o yaml > clusters.yaml\n" +
			"  flotilla render . --clusters clusters.yaml --inputs inputs.yaml -o name",
		RunE: func(cmd *cobra.Command, args []string) error {
			return renderTree(cmd.Context(), cmd.OutOrStdout(), cmd.ErrOrStderr(), args[0], o)
		},
	}
	f := cmd.Flags()
	f.StringArrayVar(&o.clusters, "cluster", nil, "a cluster's labels, key=value,..., or its name and labels, NAME:key=value,...; may be repeated")
	f.StringVar(&o.file, "clusters", "", "file with Clusters and ClusterGroups, - for stdin")
	f.StringVar(&o.name, "name", "", "the name of a cluster that is given by its labels alone; by default cluster")
	f.StringVar(&o.gitRepo, "gitrepo", "", "file with the GitRepo: its name, paths and targets count; by default everything for every cluster")
	f.StringVar(&o.kubernetes, "kube-version", kubernetesVersion, "the clusters' Kubernetes version")
	f.StringSliceVar(&o.apis, "api", nil, "an API that the clusters serve besides Kubernetes' own, as group/version or group/version/Kind; may be repeated")
	f.BoolVar(&o.origins, "origins", false, "tell for each value which target set it, and print no objects")
	o.inputs.add(cmd)
	outputFlag(cmd, &o.output)
	return cmd
}

func renderTree(ctx context.Context, out, errOut io.Writer, path string, o renderOptions) error {
	if err := checkOutput(o.output); err != nil {
		return err
	}
	tree, err := source.Dir(path)
	if err != nil {
		return err
	}
	repo, err := readGitRepo(path, o.gitRepo)
	if err != nil {
		return err
	}
	to := preview.Fleet{Capabilities: render.Capabilities{KubernetesVersion: o.kubernetes, APIs: append(render.BuiltIn(), o.apis...)}}
	if to.Clusters, to.Groups, err = o.fleet(repo.Namespace); err != nil {
		return err
	}
	if to.Inputs, err = o.inputs.read(); err != nil {
		return err
	}
	shown, err := preview.Show(ctx, tree, repo, publicCharts(), to)
	var failed []error
	if err != nil {
		failed = append(failed, err)
	}
	for _, s := range shown {
		switch {
		case s.Err != nil:
			failed = append(failed, s.Err)
		case s.Target == "" && len(to.Clusters) > 1:
			fmt.Fprintf(errOut, "bundle %s: not for cluster %s\n", s.Bundle, s.Cluster)
		case s.Target == "":
			fmt.Fprintf(errOut, "bundle %s: not for this cluster\n", s.Bundle)
		}
		for _, note := range s.Notes {
			if several := len(to.Clusters) > 1; several {
				note = "cluster " + s.Cluster + ", " + note
			}
			fmt.Fprintln(errOut, note)
		}
	}
	if o.origins {
		err = printOrigins(out, shown, len(to.Clusters) > 1)
	} else {
		err = printOutcomes(out, shown, o.output, len(to.Clusters) > 1)
	}
	return errors.Join(append(failed, err)...)
}

// fleet are the clusters of the flags and of the file.
func (o *renderOptions) fleet(namespace string) (clusters []fleet.Cluster, groups []fleet.ClusterGroup, err error) {
	if namespace == "" {
		namespace = fleet.DefaultWorkspace
	}
	if o.file != "" {
		data, err := pipeline.ReadFile(o.file, os.Stdin)
		if err != nil {
			return nil, nil, err
		}
		if clusters, groups, err = pipeline.ParseClusters(data); err != nil {
			return nil, nil, err
		}
	}
	if len(o.clusters) == 0 && o.file == "" {
		o.clusters = []string{""}
	}
	for i, given := range o.clusters {
		name, text, named := strings.Cut(given, ":")
		if !named {
			name, text = o.name, given
			switch {
			case name == "" && len(o.clusters) > 1:
				name = fmt.Sprintf("cluster-%d", i+1)
			case name == "":
				name = "cluster"
			}
		}
		set, err := labels.ConvertSelectorToLabelsMap(text)
		if err != nil {
			return nil, nil, fmt.Errorf("--cluster %q: want NAME:key=value,... or key=value,...: %w", given, err)
		}
		clusters = append(clusters, fleet.Cluster{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: namespace, Labels: set}})
	}
	return clusters, groups, nil
}

// readGitRepo reads the GitRepo to render for. Without a file, everything below the path goes to every cluster.
func readGitRepo(path, file string) (reader.Repo, error) {
	if file == "" {
		abs, err := filepath.Abs(path)
		if err != nil {
			return reader.Repo{}, err
		}
		everyone := []fleet.GitTarget{{Name: "default", ClusterSelector: &metav1.LabelSelector{}}}
		return reader.Repo{Name: strings.ToLower(filepath.Base(abs)), Namespace: fleet.DefaultWorkspace, Spec: fleet.GitRepoSpec{Targets: everyone}}, nil
	}
	data, err := os.ReadFile(file)
	if err != nil {
		return reader.Repo{}, err
	}
	repo := &fleet.GitRepo{}
	if err := yaml.UnmarshalStrict(data, repo); err != nil {
		return reader.Repo{}, fmt.Errorf("reading %s: %w", file, err)
	}
	return reader.Repo{Name: repo.Name, Namespace: repo.Namespace, Spec: repo.Spec, Labels: repo.Labels}, nil
}
