// Package demo runs a whole fleet on this machine: a hub and two clusters on real API servers, a Git server with the
// examples, agents that joined with tokens, and a table that tells how it stands.
package demo

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	fleet "flotilla.io/flotilla/api/v1alpha1"
	"flotilla.io/flotilla/demo/gitserver"
	"flotilla.io/flotilla/embedded"
	"flotilla.io/flotilla/localfleet"
)

const (
	workspace = fleet.DefaultWorkspace
	repoName  = "examples"
)

// Options say how the demo runs.
type Options struct {
	Dir      string        // everything it makes; emptied at each start
	Bin      string        // the folder of our programs and kubectl
	Examples string        // a folder that becomes the fleet repo
	Once     bool          // end when all is as it should be
	Patience time.Duration // how long the first rollout may take before the demo says what is missing
	Out      io.Writer
	Width    func() int // of the terminal that Out is, for drawing over it; nil when it is none
}

// run is a demo under way.
type run struct {
	Options
	fleet   *localfleet.Fleet
	hub     *embedded.Hub
	git     *gitserver.Server
	agents  map[string]*embedded.Agent // by cluster
	hook    string                     // address of the hub's webhook
	secret  string                     // shared by Git server and hub
	started time.Time
}

// ErrInterrupted is the answer of a demo with Once that was ended before all was as it should be.
var ErrInterrupted = errors.New("the demo was ended before everything was Healthy")

// Run starts everything, shows it, and returns when ctx ends, or, with Once, when all is as it should be. Nothing that
// it started outlives it.
func Run(ctx context.Context, o Options) (err error) {
	d := &run{Options: o, started: time.Now(), agents: map[string]*embedded.Agent{}}
	folder, err := takeFolder(d.Dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.close(), folder.Close()) }()
	healthy, err := d.rollOut(ctx)
	switch {
	case ctx.Err() == nil && err != nil:
		return err
	case !healthy && d.Once:
		return ErrInterrupted
	case !healthy || d.Once:
		return nil
	}
	d.explain()
	return d.watch(ctx)
}

// rollOut starts everything and waits until all is Healthy. It is not when ctx ends before that.
func (d *run) rollOut(ctx context.Context) (healthy bool, err error) {
	for _, step := range []struct {
		says string
		do   func(context.Context) error
	}{
		{"starting API servers: hub, production, development", d.startClusters},
		{"installing the hub", d.startHub},
		{"serving a copy of the examples from a Git server", d.startGit},
		{"joining production and development", d.join},
		{"applying the GitRepo", d.apply},
	} {
		d.say(step.says)
		if err := step.do(ctx); err != nil {
			return false, fmt.Errorf("%s: %w", step.says, err)
		}
	}
	return d.watchUntilHealthy(ctx)
}

func (d *run) say(what string) {
	fmt.Fprintf(d.Out, "[%3.0fs] %s\n", time.Since(d.started).Seconds(), what)
}

func (d *run) close() error {
	for _, a := range d.agents {
		a.Process.Stop()
	}
	if d.hub != nil && d.hub.Process != nil {
		d.hub.Process.Stop()
	}
	var errs []error
	if d.git != nil {
		errs = append(errs, d.git.Close())
	}
	if d.fleet != nil {
		errs = append(errs, d.fleet.Close())
	}
	return errors.Join(errs...)
}

func (d *run) startClusters(ctx context.Context) (err error) {
	d.fleet, err = localfleet.New(localfleet.Options{Dir: filepath.Join(d.Dir, "fleet"), Binary: filepath.Join(d.Bin, "localfleet")})
	if err != nil {
		return err
	}
	if _, err := d.fleet.Start(ctx, "hub", localfleet.ClusterOptions{}); err != nil {
		return err
	}
	names := []string{"hub"}
	for _, m := range members {
		if _, err := d.fleet.Start(ctx, m.name, localfleet.ClusterOptions{Nodes: 2}); err != nil {
			return err
		}
		names = append(names, m.name)
	}
	if err := d.fleet.Serve(); err != nil {
		return err
	}
	return d.fleet.WriteKubeconfig(d.kubeconfig(), names...)
}

func (d *run) kubeconfig() string { return filepath.Join(d.Dir, "kubeconfig") }

func (d *run) startHub(ctx context.Context) error {
	cluster, err := d.fleet.Cluster("hub")
	if err != nil {
		return err
	}
	if d.hook, err = freeAddress(); err != nil {
		return err
	}
	d.secret = rand.Text()
	d.hub, err = embedded.StartHub(ctx, cluster, embedded.HubOptions{
		Bin: d.Bin, Dir: filepath.Join(d.Dir, "hub"), WebhookAddr: d.hook, WebhookSecret: d.secret, LeaseSeconds: 10,
	})
	return err
}

func (d *run) apply(ctx context.Context) error {
	repo := &fleet.GitRepo{
		ObjectMeta: metav1.ObjectMeta{Namespace: workspace, Name: repoName},
		Spec: fleet.GitRepoSpec{
			Repo: d.git.URL(repoName), Branch: "main", Paths: []string{"apps"},
			Targets: []fleet.GitTarget{
				{Name: "production", ClusterSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"env": "production"}}},
				{Name: "others", ClusterSelector: &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{
					{Key: "env", Operator: metav1.LabelSelectorOpIn, Values: []string{"development", "staging"}}}}},
			},
		},
	}
	return client.IgnoreAlreadyExists(d.hub.Client.Create(ctx, repo))
}
