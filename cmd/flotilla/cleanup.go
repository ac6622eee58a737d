package main

import (
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/spf13/cobra"

	"flotilla.io/flotilla/support/cleanup"
)

func cleanupCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "cleanup", Short: "Clean up outdated resources", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(cleanupRegistrations(), cleanupJobs())
	return cmd
}

func cleanupRegistrations() *cobra.Command {
	var hub workspace
	var p cleanup.Pace
	cmd := &cobra.Command{
		Use: "clusterregistration [flags]", Short: "Clean up outdated cluster registrations", Args: cobra.NoArgs,
		Long: "Deletes the ClusterRegistrations of clusters that are gone, and those that a later one took the place of. The hub does\n" +
			"the latter by itself. What waits for an answer or for a person stays.",
		Example: "  flotilla cleanup clusterregistration --min 10ms --max 1s",
		RunE: func(cmd *cobra.Command, _ []string) error {
			switch {
			case p.Min <= 0:
				return errors.New("min cannot be zero or less")
			case p.Max <= 0:
				return errors.New("max cannot be zero or less")
			case p.Max < p.Min:
				return errors.New("max cannot be less than min")
			case p.Factor <= 1 || math.IsInf(p.Factor, 0) || math.IsNaN(p.Factor):
				return errors.New("factor must be greater than 1 and finite")
			}
			c, err := hub.connect()
			if err != nil {
				return err
			}
			failed, err := cleanup.Delete(cmd.Context(), c, cmd.OutOrStdout(), p)
			if err != nil {
				return err
			}
			return finish(cmd.ErrOrStderr(), "cluster registration", failed)
		},
	}
	hub.flags(cmd)
	f := cmd.Flags()
	f.DurationVar(&p.Min, "min", 10*time.Millisecond, "minimum delay between deletes")
	f.DurationVar(&p.Max, "max", 3*time.Second, "maximum delay between deletes")
	f.Float64Var(&p.Factor, "factor", 1.05, "factor to increase delay between deletes")
	return cmd
}

func cleanupJobs() *cobra.Command {
	var hub workspace
	var size int
	cmd := &cobra.Command{
		Use: "gitjob [flags]", Short: "Clean up outdated git jobs", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if size <= 1 {
				return errors.New("batch-size must be greater than 1")
			}
			_, err := fmt.Fprintln(cmd.OutOrStdout(), "there are no git jobs: the hub reads repositories itself, so nothing is left behind")
			return err
		},
	}
	hub.flags(cmd)
	cmd.Flags().IntVar(&size, "batch-size", 5000, "number of git jobs to retrieve at once; there are none")
	return cmd
}

// migrateCommand is what charts of Fleet run after an upgrade; there is nothing of the kind to be done.
func migrateCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "migrate", Short: "Run one-time upgrade migrations", Hidden: true, Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() }}
	var hub workspace
	url := &cobra.Command{
		Use: "gitrepo-helm-url-regex [flags]", Short: "Set helmRepoURLRegex on GitRepos that have a Helm secret but no regex", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := fmt.Fprintln(cmd.OutOrStdout(), "nothing to migrate: without helmRepoURLRegex no credentials are sent")
			return err
		},
	}
	hub.flags(url)
	url.Flags().String("system-namespace", "", "has no effect")
	cmd.AddCommand(url)
	return cmd
}
