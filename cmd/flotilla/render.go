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
	"sigs.k8s.io/yaml"

	fleet "flotilla.io/flotilla/api/v1alpha1"
	"flotilla.io/flotilla/bundle/reader"
	"flotilla.io/flotilla/bundle/render"
	"flotilla.io/flotilla/bundle/source"
	"flotilla.io/flotilla/bundle/target"
)

// renderOptions are the flags of render.
type renderOptions struct {
	name       string
	labels     map[string]string
	gitRepo    string
	kubernetes string
	apis       []string
	origins    bool
}

func renderCommand() *cobra.Command {
	var o renderOptions
	cmd := &cobra.Command{
		Use: "render PATH", Short: "Show what a cluster would get from a fleet repo", Args: cobra.ExactArgs(1),
		Long: "Render reads the bundles below PATH, matches them to a cluster with the labels given, and prints the objects\n" +
			"that it would get. With --origins it tells for each value which target set it.",
		Example: "  flotilla render . --cluster env=production --gitrepo gitrepo.yaml",
		RunE: func(cmd *cobra.Command, args []string) error {
			return renderTree(cmd.Context(), cmd.OutOrStdout(), cmd.ErrOrStderr(), args[0], o)
		},
	}
	f := cmd.Flags()
	f.StringToStringVar(&o.labels, "cluster", nil, "the cluster's labels, key=value,...")
	f.StringVar(&o.name, "name", "cluster", "the cluster's name")
	f.StringVar(&o.gitRepo, "gitrepo", "", "file with the GitRepo: its name, paths and targets count; by default everything for every cluster")
	f.StringVar(&o.kubernetes, "kube-version", "v1.37.2", "the cluster's Kubernetes version")
	f.StringSliceVar(&o.apis, "api", nil, "an API that the cluster serves besides, as group/version or group/version/Kind; may be repeated")
	f.BoolVar(&o.origins, "origins", false, "tell for each value which target set it, and print no objects")
	return cmd
}

func renderTree(ctx context.Context, out, errOut io.Writer, path string, o renderOptions) error {
	tree, err := source.Dir(path)
	if err != nil {
		return err
	}
	repo, err := readGitRepo(path, o.gitRepo)
	if err != nil {
		return err
	}
	found, err := reader.Read(tree, repo)
	if err != nil {
		return err
	}
	cluster := &fleet.Cluster{ObjectMeta: metav1.ObjectMeta{Name: o.name, Namespace: fleet.DefaultWorkspace, Labels: o.labels}}
	var failed []error
	for i := range found {
		if err := renderBundle(ctx, out, errOut, &found[i], cluster, o); err != nil {
			failed = append(failed, err)
		}
	}
	return errors.Join(failed...)
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

func renderBundle(ctx context.Context, out, errOut io.Writer, f *reader.Found, cluster *fleet.Cluster, o renderOptions) error {
	if f.Err != nil {
		return f.Err
	}
	m, err := target.New(f.Bundle, nil)
	if err != nil {
		return fmt.Errorf("bundle %s: %w", f.Bundle.Name, err)
	}
	match, err := m.Match(cluster)
	if err != nil {
		return fmt.Errorf("bundle %s: %w", f.Bundle.Name, err)
	}
	if match == nil {
		_, err := fmt.Fprintf(errOut, "bundle %s: not for this cluster\n", f.Bundle.Name)
		return err
	}
	if o.origins {
		return printOrigins(out, f.Bundle.Name, match)
	}
	res, err := render.Render(ctx, render.Input{Bundle: f.Bundle.Name, Files: f.Files, Options: match.Options},
		&render.Capabilities{KubernetesVersion: o.kubernetes, APIs: o.apis})
	if err != nil {
		return fmt.Errorf("bundle %s: %w", f.Bundle.Name, err)
	}
	for _, obj := range res.Objects {
		data, err := yaml.Marshal(obj.Object)
		if err != nil {
			return err
		}
		if _, err := fmt.Fprintf(out, "---\n# bundle %s, target %s\n%s", f.Bundle.Name, match.Target, data); err != nil {
			return err
		}
	}
	return nil
}

func printOrigins(out io.Writer, bundle string, match *target.Match) error {
	for _, origin := range match.Origins {
		if _, err := fmt.Fprintf(out, "%s\t%s\t%s\n", bundle, origin.Path, origin.From); err != nil {
			return err
		}
	}
	return nil
}
