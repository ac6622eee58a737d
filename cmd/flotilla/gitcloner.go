package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"flotilla.io/flotilla/bundle/source"
)

// clonerOptions are the flags of gitcloner.
type clonerOptions struct {
	request                   source.Request
	caFile, passwordFile, ssh string
	app, installation         int64
	appKey                    string
}

func gitclonerCommand() *cobra.Command {
	var o clonerOptions
	cmd := &cobra.Command{
		Use: "gitcloner REPO PATH", Short: "Clone a Git repository", Args: cobra.ExactArgs(2),
		Long: "Gitcloner clones a repository to PATH, which must be empty or not there. With neither branch nor revision it takes the\n" +
			"branch master or, where there is none, the one that HEAD names. A revision goes before a branch, as on the hub.",
		Example: "  flotilla gitcloner https://git.example.com/fleet.git work --branch main -u ci --password-file token",
		RunE: func(cmd *cobra.Command, args []string) error {
			o.request.URL = args[0]
			if err := o.readFiles(); err != nil {
				return err
			}
			if _, err := source.Clone(cmd.Context(), o.request, args[1]); err != nil {
				return err
			}
			var left []error
			if _, err := os.Stat(filepath.Join(args[1], ".gitmodules")); err == nil {
				left = append(left, errors.New(".gitmodules: submodules are not cloned; copy what is deployed into the repository"))
			}
			return finish(cmd.ErrOrStderr(), "thing", left)
		},
	}
	f := cmd.Flags()
	f.StringVarP(&o.request.Branch, "branch", "b", "", "git branch")
	f.StringVar(&o.request.Revision, "revision", "", "git revision: a tag or a commit")
	f.StringVar(&o.caFile, "ca-bundle-file", "", "file with CAs to trust besides the system's")
	f.StringVarP(&o.request.Auth.Username, "username", "u", "", "user name for basic auth")
	f.StringVar(&o.passwordFile, "password-file", "", "password file for basic auth")
	f.StringVar(&o.ssh, "ssh-private-key-file", "", "ssh private key file; the server has to be in $FLEET_KNOWN_HOSTS, or in ~/.ssh/known_hosts")
	f.BoolVar(&o.request.Auth.Insecure, "insecure-skip-tls", false, "do not verify tls certificates")
	f.Int64Var(&o.app, "github-app-id", 0, "GitHub App ID")
	f.Int64Var(&o.installation, "github-app-installation-id", 0, "GitHub App installation ID")
	f.StringVar(&o.appKey, "github-app-key-file", "", "file with the private key of the GitHub App")
	return cmd
}

// readFiles takes from files what the flags name, and refuses what cannot be done.
func (o *clonerOptions) readFiles() error {
	if err := o.readApp(); err != nil {
		return err
	}
	if err := o.readSSH(); err != nil {
		return err
	}
	if o.caFile != "" {
		var err error
		if o.request.Auth.CABundle, err = os.ReadFile(o.caFile); err != nil {
			return fmt.Errorf("--ca-bundle-file: %w", err)
		}
	}
	if o.passwordFile != "" {
		data, err := os.ReadFile(o.passwordFile)
		if err != nil {
			return fmt.Errorf("--password-file: %w", err)
		}
		o.request.Auth.Password = strings.TrimRight(string(data), "\r\n")
	}
	if auth := &o.request.Auth; auth.Username == "" { // a token alone stands for the user, as in Fleet
		auth.Username, auth.Password = auth.Password, ""
	}
	return nil
}

func (o *clonerOptions) readApp() error {
	if o.app == 0 && o.installation == 0 && o.appKey == "" {
		return nil
	}
	if o.app == 0 || o.installation == 0 || o.appKey == "" {
		return errors.New("--github-app-id, --github-app-installation-id and --github-app-key-file belong together: give all three")
	}
	key, err := os.ReadFile(o.appKey)
	if err != nil {
		return fmt.Errorf("--github-app-key-file: %w", err)
	}
	o.request.Auth.App = &source.GitHubApp{ID: o.app, Installation: o.installation, Key: key}
	return nil
}

// readSSH takes the key, and whom to trust: what the variable holds that Fleet hands its cloner, or else who the user trusts.
func (o *clonerOptions) readSSH() error {
	if !source.OverSSH(o.request.URL) {
		return nil
	}
	auth := &o.request.Auth
	if o.ssh != "" {
		var err error
		if auth.SSHKey, err = os.ReadFile(o.ssh); err != nil {
			return fmt.Errorf("--ssh-private-key-file: %w", err)
		}
	}
	if known := os.Getenv("FLEET_KNOWN_HOSTS"); known != "" {
		auth.KnownHosts = []byte(known)
		return nil
	}
	if home, err := os.UserHomeDir(); err == nil {
		auth.KnownHosts, _ = os.ReadFile(filepath.Join(home, ".ssh", "known_hosts")) // without it no server is known, which is told
	}
	return nil
}
