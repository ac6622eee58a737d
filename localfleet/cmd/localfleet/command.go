package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"flotilla.io/flotilla/localfleet"
)

const about = `localfleet runs clusters of real Kubernetes parts on this machine: API servers, controller managers and, for
clusters with nodes, schedulers. Only the nodes are simulated, so pods become ready but run nothing.

"localfleet up" starts clusters and holds them until Ctrl-C; everything ends with it, and data stay in its folder. The
other commands act on the fleet that runs in that folder. NAME is a cluster, NAME/PART one of its parts: etcd,
kube-apiserver, kube-controller-manager, kube-scheduler, kwok. Called as kubectl, the program is kubectl.`

// newCommand is the whole command line. Every command works on the fleet in --dir.
func newCommand() *cobra.Command {
	root := &cobra.Command{
		Use: "localfleet", Short: "Local clusters of real Kubernetes parts", Long: about,
		SilenceUsage: true, SilenceErrors: true,
	}
	dir := root.PersistentFlags().String("dir", defaultDir(), "folder of the fleet; $LOCALFLEET_DIR sets another default")
	root.AddCommand(newUp(dir), newAdd(dir), newStatus(dir), newKubeconfig(dir))
	for _, c := range []struct{ verb, args, short string }{
		{"start", "NAME[/PART]…", "Start stopped clusters or parts, with the data they had"},
		{"stop", "NAME[/PART]…", "Stop clusters or parts and keep their data"},
		{"pause", "NAME[/PART]…", "Freeze clusters or parts (SIGSTOP): connections stand, nothing answers"},
		{"resume", "NAME[/PART]…", "Let paused clusters or parts go on"},
		{"kill", "NAME[/PART]…", "Stop clusters or parts without warning (SIGKILL)"},
		{"wipe", "NAME…", "Stop clusters and drop their objects; certificates and ports stay"},
		{"remove", "NAME…", "Stop clusters and delete everything of theirs"},
	} {
		root.AddCommand(newVerb(dir, c.verb, c.args, c.short))
	}
	root.AddCommand(&cobra.Command{
		Use: "kubectl", Short: "Be kubectl, as when called under that name", DisableFlagParsing: true,
		Run: func(*cobra.Command, []string) {}, // becomePersonality has run before; this is for the help text
	})
	root.CompletionOptions.HiddenDefaultCmd = true
	pflag.CommandLine = pflag.NewFlagSet(os.Args[0], pflag.ContinueOnError) // cobra would offer the parts' global flags
	return root
}

func defaultDir() string {
	if dir := os.Getenv("LOCALFLEET_DIR"); dir != "" {
		return dir
	}
	if dir := os.Getenv("XDG_STATE_HOME"); dir != "" {
		return filepath.Join(dir, "localfleet")
	}
	return filepath.Join(os.Getenv("HOME"), ".local", "state", "localfleet")
}

// clusterFlags adds the flags that describe a cluster.
func clusterFlags(cmd *cobra.Command) *localfleet.ClusterOptions {
	opts := &localfleet.ClusterOptions{}
	cmd.Flags().IntVar(&opts.Nodes, "nodes", 0, "simulated nodes for each cluster; with none there is no scheduler")
	cmd.Flags().BoolVar(&opts.AuditLog, "audit-log", false, "record every request in audit.log in the cluster's folder")
	cmd.Flags().BoolVar(&opts.OwnEtcd, "own-etcd", false, "an etcd for each cluster instead of one for all")
	return opts
}

func newUp(dir *string) *cobra.Command {
	cmd := &cobra.Command{
		Use: "up NAME…", Args: cobra.MinimumNArgs(1), Short: "Start clusters and hold them until Ctrl-C",
		Example: "  localfleet up hub &\n  localfleet add edge --nodes 2\n  localfleet kubeconfig > kubeconfig",
	}
	opts := clusterFlags(cmd)
	fsync := cmd.Flags().Bool("fsync", false, "have etcd wait for the disk: slower, but data survive a crash of the machine")
	cmd.RunE = func(cmd *cobra.Command, names []string) error {
		ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
		defer stop()
		self, err := os.Executable()
		if err != nil {
			return err
		}
		fleet, err := localfleet.New(localfleet.Options{Dir: *dir, Binary: self, Fsync: *fsync})
		if err != nil {
			return err
		}
		err = up(ctx, fleet, names, *opts)
		if ctx.Err() != nil {
			fmt.Fprintln(os.Stderr, "stopping; the data stay in", fleet.Dir())
			err = nil
		}
		return errors.Join(err, fleet.Close())
	}
	return cmd
}

// up starts the clusters and serves the other commands until ctx is done.
func up(ctx context.Context, fleet *localfleet.Fleet, names []string, opts localfleet.ClusterOptions) error {
	if err := fleet.Serve(); err != nil {
		return err
	}
	for _, name := range names {
		begin := time.Now()
		cluster, err := fleet.Start(ctx, name, opts)
		if err != nil {
			return err
		}
		fmt.Printf("%s is ready at %s after %.1f s\n", name, cluster.Host(), time.Since(begin).Seconds())
	}
	config := filepath.Join(fleet.Dir(), "kubeconfig")
	if err := fleet.WriteKubeconfig(config); err != nil {
		return err
	}
	fmt.Printf("all are ready; Ctrl-C stops them. In another terminal:\n  export KUBECONFIG=%s\n  %s kubectl --context %s get namespaces\n",
		config, calledAs(), names[0])
	<-ctx.Done()
	return nil
}

// calledAs is the path under which this program was called, for commands that a person copies.
func calledAs() string {
	path, err := exec.LookPath(os.Args[0])
	if err != nil {
		return os.Args[0]
	}
	if abs, err := filepath.Abs(path); err == nil {
		return abs
	}
	return path
}

func newAdd(dir *string) *cobra.Command {
	cmd := &cobra.Command{Use: "add NAME…", Args: cobra.MinimumNArgs(1), Short: "Start more clusters in the running fleet"}
	opts := clusterFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, names []string) error {
		return ask(cmd, *dir, localfleet.Request{Verb: "add", Targets: names, Options: *opts})
	}
	return cmd
}

func newStatus(dir *string) *cobra.Command {
	return newVerb(dir, "status", "[NAME…]", "Show what each part does")
}

func newKubeconfig(dir *string) *cobra.Command {
	return newVerb(dir, "kubeconfig", "[NAME…]", "Print a kubeconfig with a context for each cluster, for an administrator")
}

// newVerb is a command that hands its name and arguments to the running fleet.
func newVerb(dir *string, verb, args, short string) *cobra.Command {
	check := cobra.MinimumNArgs(1)
	if args[0] == '[' {
		check = cobra.ArbitraryArgs
	}
	return &cobra.Command{Use: verb + " " + args, Args: check, Short: short, RunE: func(cmd *cobra.Command, targets []string) error {
		return ask(cmd, *dir, localfleet.Request{Verb: verb, Targets: targets})
	}}
}

// ask has the fleet in dir do what the request says, and prints its answer.
func ask(cmd *cobra.Command, dir string, req localfleet.Request) error {
	answer, err := localfleet.Ask(cmd.Context(), dir, req)
	if errors.Is(err, localfleet.ErrNotRunning) {
		return fmt.Errorf("%w; start one with: localfleet --dir %s up NAME…", err, dir)
	}
	if err != nil {
		return err
	}
	_, err = fmt.Fprint(cmd.OutOrStdout(), answer)
	return err
}
