package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"flotilla.io/flotilla/bundle/source"
	"flotilla.io/flotilla/importer/argocd"
)

// importOptions are the flags of import applicationset.
type importOptions struct{ clusters, to, repository string }

func importCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "import", Short: "Bring over what another tool deploys"}
	cmd.AddCommand(importApplicationSetCommand())
	return cmd
}

func importApplicationSetCommand() *cobra.Command {
	var o importOptions
	cmd := &cobra.Command{
		Use: "applicationset FILE", Short: "Turn Argo CD's ApplicationSets into GitRepos and fleet.yaml files", Args: cobra.ExactArgs(1),
		Long: "It writes hub.yaml, the GitRepos and HelmOps to apply to the hub, and repository/, the files to commit. Without -o all is\n" +
			"printed. What is not carried over is listed with the reason, and then the exit code is 2.",
		Example: "  kubectl -n argocd get secrets -l argocd.argoproj.io/secret-type=cluster -o yaml >clusters.yaml\n" +
			"  flotilla import applicationset appset.yaml --clusters clusters.yaml -o moved",
		RunE: func(cmd *cobra.Command, args []string) error {
			return importApplicationSet(cmd.Context(), args[0], o, cmd.InOrStdin(), cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.clusters, "clusters", "", "file with the cluster Secrets of Argo CD or with Clusters: tells which cluster is at an address, and what each is like")
	f.StringVarP(&o.to, "output", "o", "", "folder to write to; by default everything is printed")
	f.StringVar(&o.repository, "repo", "", "a checkout of the repository that git generators look into; by default it is fetched")
	return cmd
}

func importApplicationSet(ctx context.Context, file string, o importOptions, in io.Reader, out, errOut io.Writer) error {
	data, err := readFile(file, in)
	if err != nil {
		return err
	}
	var clusters []byte
	if o.clusters != "" {
		if clusters, err = os.ReadFile(o.clusters); err != nil {
			return err
		}
	}
	scratch, err := os.MkdirTemp("", "flotilla-import-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(scratch)
	res, err := argocd.Import(argocd.Input{ApplicationSets: data, Clusters: clusters, Repository: func(url, revision string) (fs.FS, error) {
		return openRepository(ctx, o.repository, scratch, url, revision)
	}})
	if err != nil {
		return fmt.Errorf("importing %s: %w", file, err)
	}
	if err := writeImported(o.to, res, out); err != nil {
		return err
	}
	for _, note := range res.Notes {
		fmt.Fprintln(errOut, "note:", note)
	}
	var left []error
	for _, loss := range res.NotCarried {
		left = append(left, fmt.Errorf("not carried: %s", loss))
	}
	return finish(errOut, "thing", left)
}

// readFile reads a file, or standard input for "-".
func readFile(file string, in io.Reader) ([]byte, error) {
	if file == "-" {
		return io.ReadAll(in)
	}
	return os.ReadFile(file)
}

// openRepository is a checkout, or what is fetched without credentials.
func openRepository(ctx context.Context, checkout, scratch, url, revision string) (fs.FS, error) {
	if checkout != "" {
		return source.Dir(checkout)
	}
	request := source.Request{URL: url, Branch: revision}
	if revision == "HEAD" {
		request.Branch = ""
	}
	tree, _, err := source.NewMirrors(source.Options{Dir: scratch, Local: true}).Fetch(ctx, request)
	if err != nil {
		return nil, fmt.Errorf("%w; give a checkout with --repo", err)
	}
	return tree, nil
}

// writeImported writes a folder, or prints everything as one stream of YAML.
func writeImported(to string, res *argocd.Result, out io.Writer) error {
	files := map[string][]byte{"hub.yaml": res.Hub}
	places := map[argocd.File]bool{}
	for file := range res.Files {
		places[argocd.File{Repository: file.Repository, Revision: file.Revision}] = true
	}
	for file, content := range res.Files {
		folder := "repository"
		if len(places) > 1 {
			folder = path.Join(folder, strings.TrimSuffix(path.Base(file.Repository), ".git")+"@"+cmp.Or(strings.ReplaceAll(file.Revision, "/", "-"), "HEAD"))
		}
		files[path.Join(folder, file.Path)] = content
	}
	names := make([]string, 0, len(files))
	for name := range files {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		if to == "" {
			fmt.Fprintf(out, "---\n# %s\n%s", name, files[name])
			continue
		}
		full := filepath.Join(to, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(full, files[name], 0o644); err != nil {
			return err
		}
		fmt.Fprintln(out, "wrote", full)
	}
	return nil
}
