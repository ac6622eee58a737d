// Command flotilla is the tool of those who run a fleet. It takes the commands and flags of Fleet's tool.
//
// It ends with 0 when all went well, with 1 when it failed, and with 2 when it finished and left something out, which it
// then names on stderr.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/go-logr/logr"
	"github.com/spf13/cobra"
	"sigs.k8s.io/controller-runtime/pkg/log"
)

func main() { os.Exit(execute()) }

// execute runs the command line and returns the exit code.
func execute() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	log.SetLogger(logr.Discard()) // what a client library logs is no answer to a person
	err := root().ExecuteContext(ctx)
	var left *leftOut
	switch {
	case err == nil:
		return 0
	case errors.As(err, &left):
		fmt.Fprintln(os.Stderr, "flotilla:", err)
		return 2
	}
	fmt.Fprintln(os.Stderr, "flotilla:", err)
	return 1
}

// leftOut ends a command that finished, but for something.
type leftOut struct{ what string }

func (l *leftOut) Error() string { return l.what }

// finish tells what was left out, a line each, and ends with how many of what these were; nothing left out is all well.
func finish(errOut io.Writer, what string, left []error) error {
	for _, err := range left {
		fmt.Fprintln(errOut, err)
	}
	if len(left) == 0 {
		return nil
	}
	return &leftOut{counted(len(left), what) + " left out"}
}

// counted is a number of things: 1 bundle, 2 bundles.
func counted(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

func root() *cobra.Command {
	cmd := &cobra.Command{
		Use: "flotilla", Short: "GitOps for fleets of Kubernetes clusters",
		Long: "Flotilla deploys what stands in Git to a fleet of Kubernetes clusters. It takes the commands of the tool fleet,\n" +
			"so `alias fleet=flotilla` keeps scripts going.\n\n" +
			"It ends with 0 when all went well, with 1 when it failed, and with 2 when it finished and left something out.",
		SilenceUsage: true, SilenceErrors: true,
	}
	const write, pipe, run, look = "write", "pipe", "run", "look"
	cmd.AddGroup(&cobra.Group{ID: write, Title: "Write a fleet repo:"}, &cobra.Group{ID: pipe, Title: "In a pipeline:"},
		&cobra.Group{ID: run, Title: "Run a fleet:"}, &cobra.Group{ID: look, Title: "Look into it:"})
	for id, commands := range map[string][]*cobra.Command{
		write: {lintCommand(), renderCommand(), importCommand()},
		pipe:  {applyCommand(), targetCommand(), deployCommand(), testCommand(), gitclonerCommand()},
		run: {hubCommand(), joinCommand(), holdCommand(), resumeCommand(), approveCommand(), cleanupCommand(), backToFleetCommand(),
			demoCommand()},
		look: {outputsCommand(), bundlediffCommand(), monitorCommand(), analyzeCommand(), dumpCommand()},
	} {
		for _, c := range commands {
			c.GroupID = id
		}
		cmd.AddCommand(commands...)
	}
	cmd.AddCommand(migrateCommand())
	return cmd
}
