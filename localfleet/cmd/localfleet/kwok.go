package main

import (
	"fmt"
	"os"
	"strings"

	"github.com/spf13/pflag"
	"sigs.k8s.io/kwok/kustomize/stage/node/fast"
	"sigs.k8s.io/kwok/kustomize/stage/node/heartbeat"
	podfast "sigs.k8s.io/kwok/kustomize/stage/pod/fast"
	"sigs.k8s.io/kwok/pkg/config"
	"sigs.k8s.io/kwok/pkg/kwok/cmd"
	"sigs.k8s.io/kwok/pkg/log"
	"sigs.k8s.io/kwok/pkg/utils/signals"
)

// kwokStages tell kwok how a node and a pod come to life: nodes become Ready and keep beating, pods run at once, pods of
// Jobs complete at once, and deleted pods go at once.
var kwokStages = []string{
	fast.DefaultNodeInit, heartbeat.DefaultNodeHeartbeat,
	podfast.DefaultPodReady, podfast.DefaultPodComplete, podfast.DefaultPodDelete,
}

// runKwok does what kwok's own main does, with our stages given on its standard input.
//
// kwok's version is emptied because cobra would add a --version flag, which component-base has taken already.
func runKwok() {
	if err := feedStdin(strings.Join(kwokStages, "\n---\n")); err != nil {
		exit(fmt.Errorf("giving kwok its stages: %w", err))
	}
	os.Args = append(os.Args, "--config=-")
	flags := pflag.NewFlagSet("kwok", pflag.ContinueOnError)
	flags.ParseErrorsAllowlist.UnknownFlags = true
	flags.Usage = func() {}

	ctx, _ := log.InitFlags(signals.SetupSignalContext(), flags)
	ctx, err := config.InitFlags(ctx, flags)
	if err != nil {
		exit(fmt.Errorf("reading kwok's configuration: %w", err))
	}
	command := cmd.NewCommand(ctx)
	command.Version = ""
	command.PersistentFlags().AddFlagSet(flags)
	if err := command.ExecuteContext(ctx); err != nil {
		exit(fmt.Errorf("running kwok: %w", err))
	}
}

// feedStdin makes text the process's standard input.
func feedStdin(text string) error {
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	os.Stdin = r
	go func() {
		_, _ = w.WriteString(text) // a reader that went away has ended the process already
		_ = w.Close()
	}()
	return nil
}
