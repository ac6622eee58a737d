// Command flotilla-agent runs on each cluster of a fleet: it brings there what the hub orders, keeps it so, and reports.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/klog/v2"

	"flotilla.io/flotilla/agent"
	"flotilla.io/flotilla/agent/rendering"
	"flotilla.io/flotilla/api/v1alpha1"
	"flotilla.io/flotilla/bundle/render/worker"
)

// version is set by the build: -ldflags "-X main.version=v1.2.3".
var version = "dev"

func main() {
	if len(os.Args) > 1 && os.Args[1] == rendering.Command {
		if err := worker.Serve(); err != nil {
			fmt.Fprintln(os.Stderr, "flotilla-agent:", err)
			os.Exit(1)
		}
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "flotilla-agent:", err)
		os.Exit(1)
	}
}

// run logs to out and writes down changes to records.
func run(ctx context.Context, args []string, records, out io.Writer) error {
	flags := flag.NewFlagSet("flotilla-agent", flag.ContinueOnError)
	flags.SetOutput(out)
	namespace := flags.String("namespace", env("NAMESPACE", v1alpha1.SystemNamespace), "the agent's own namespace; the default is $NAMESPACE")
	kubeconfig := flags.String("kubeconfig", "", "the cluster to run on; by default the one that the agent's pod is in")
	local := flags.Bool("probe-this-machine", false, "let health probes ask loopback addresses: for an agent that stands beside what it probes")
	verbose := flags.Bool("v", false, "log also what changed nothing")
	show := flags.Bool("version", false, "print the version and end")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *show {
		fmt.Fprintln(out, version)
		return nil
	}
	level := slog.LevelInfo
	if *verbose {
		level = slog.LevelDebug
	}
	log := slog.New(slog.NewTextHandler(out, &slog.HandlerOptions{Level: level}))
	klog.SetSlogLogger(log) // what client-go has to say

	config, err := cluster(*kubeconfig)
	if err != nil {
		return err
	}
	frugal()
	log.Info("flotilla-agent", "version", version, "cluster", config.Host, "namespace", *namespace)
	return agent.Run(ctx, agent.Config{Namespace: *namespace, Local: config, ProbeLocal: *local, Version: version, Log: log, Records: records})
}

// cluster finds the cluster to run on.
func cluster(kubeconfig string) (*rest.Config, error) {
	if kubeconfig == "" {
		config, err := rest.InClusterConfig()
		if err != nil {
			return nil, fmt.Errorf("finding the cluster: %w; outside of a cluster give -kubeconfig", err)
		}
		return config, nil
	}
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return nil, fmt.Errorf("reading -kubeconfig %s: %w", kubeconfig, err)
	}
	return config, nil
}

// frugal makes the garbage collector run earlier than by default: an agent is idle nearly always, and its memory is
// needed on small machines more than its time is. GOGC, if set, wins.
func frugal() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(50)
	}
}

func env(name, otherwise string) string {
	if value := os.Getenv(name); value != "" {
		return value
	}
	return otherwise
}
