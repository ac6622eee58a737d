// Package demo runs a whole fleet on this machine: a hub and two clusters on real API servers, a Git server with the
// examples, agents that joined with tokens, and a table that tells how it stands.
package demo

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
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
	// patience bounds how long the first rollout may take before the demo says what is missing.
	patience = 5 * time.Minute
)

// Options say how the demo runs.
type Options struct {
	Dir      string // everything it makes; emptied at each start
	Bin      string // the folder of our programs and kubectl
	Examples string // a folder that becomes the fleet repo
	Once     bool   // end when all is as it should be
	Out      io.Writer
	Terminal bool // Out can be drawn over
}

// member is a cluster of the demo, with what its agent says of it.
type member struct {
	name   string
	labels map[string]string
}

var members = []member{
	{"production", map[string]string{"env": "production", "environment": "production", "region": "eu-central"}},
	{"development", map[string]string{"env": "development", "environment": "development", "region": "us-east"}},
}

// run is a demo under way.
type run struct {
	Options
	fleet   *localfleet.Fleet
	hub     *embedded.Hub
	git     *gitserver.Server
	agents  []*embedded.Agent
	hook    string // address of the hub's webhook
	secret  string // shared by Git server and hub
	started time.Time
}

// Run starts everything, shows it, and returns when ctx ends, or, with Once, when all is as it should be. Nothing that
// it started outlives it.
func Run(ctx context.Context, o Options) (err error) {
	d := &run{Options: o, started: time.Now()}
	if d.fleet, err = d.open(); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.close()) }()
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
		fmt.Fprintf(d.Out, "[%3.0fs] %s\n", time.Since(d.started).Seconds(), step.says)
		if err := step.do(ctx); err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return fmt.Errorf("%s: %w", step.says, err)
		}
	}
	if err := d.watchUntilHealthy(ctx); err != nil || d.Once || ctx.Err() != nil {
		return err
	}
	d.explain()
	return d.watch(ctx)
}

// open takes the folder and empties it; another demo in it is named and left alone.
func (d *run) open() (*localfleet.Fleet, error) {
	o := localfleet.Options{Dir: filepath.Join(d.Dir, "fleet"), Binary: filepath.Join(d.Bin, "localfleet")}
	old, err := localfleet.New(o)
	if err != nil {
		return nil, fmt.Errorf("%w (if that is a demo, Ctrl-C there ends it)", err)
	}
	if err := errors.Join(old.Close(), os.RemoveAll(d.Dir)); err != nil {
		return nil, err
	}
	return localfleet.New(o)
}

func (d *run) close() error {
	for _, a := range d.agents {
		a.Process.Stop()
	}
	if d.hub != nil && d.hub.Process != nil {
		d.hub.Process.Stop()
	}
	var err error
	if d.git != nil {
		err = d.git.Close()
	}
	return errors.Join(err, d.fleet.Close())
}

func (d *run) startClusters(ctx context.Context) error {
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
	random := make([]byte, 20)
	rand.Read(random) // never fails
	d.secret = hex.EncodeToString(random)
	d.hub, err = embedded.StartHub(ctx, cluster, embedded.HubOptions{
		Bin: d.Bin, Dir: filepath.Join(d.Dir, "hub"), WebhookAddr: d.hook, WebhookSecret: d.secret, LeaseSeconds: 10,
	})
	return err
}

func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

func (d *run) startGit(ctx context.Context) error {
	var err error
	d.git, err = gitserver.New(gitserver.Options{Dir: filepath.Join(d.Dir, "git"), OnPush: d.tellHub})
	if err != nil {
		return err
	}
	if _, err := d.git.Seed(repoName, d.Examples); err != nil {
		return err
	}
	return d.git.Start(ctx)
}

// tellHub sends what a Git server sends after a push, signed.
func (d *run) tellHub(_, ref, commit string) {
	body, err := json.Marshal(map[string]any{"ref": ref, "after": commit, "repository": map[string]any{"clone_url": d.git.URL(repoName)}})
	if err != nil {
		return
	}
	mac := hmac.New(sha256.New, []byte(d.secret))
	mac.Write(body)
	req, err := http.NewRequest(http.MethodPost, "http://"+d.hook+"/", bytes.NewReader(body))
	if err != nil {
		return
	}
	req.Header.Set("X-Hub-Signature-256", "sha256="+hex.EncodeToString(mac.Sum(nil)))
	if resp, err := (&http.Client{Timeout: 5 * time.Second}).Do(req); err == nil {
		_ = resp.Body.Close() // the next poll finds what the hook could not bring
	}
}

func (d *run) join(ctx context.Context) error {
	for _, m := range members {
		values, err := d.hub.Token(ctx, workspace, m.name, fleet.ClusterRegistrationTokenSpec{TTL: &metav1.Duration{Duration: time.Hour}, Uses: 1})
		if err != nil {
			return err
		}
		cluster, err := d.fleet.Cluster(m.name)
		if err != nil {
			return err
		}
		cfg, _, err := embedded.Connect(cluster.Kubeconfig(), "")
		if err != nil {
			return err
		}
		values["clusterName"], values["labels"] = m.name, asAny(m.labels)
		agent, err := embedded.StartAgent(ctx, cfg, d.Bin, filepath.Join(d.Dir, "agents", m.name), values)
		if err != nil {
			return err
		}
		d.agents = append(d.agents, agent)
	}
	// The token of the third cluster, for the command that the demo prints.
	_, err := d.hub.Token(ctx, workspace, "third", fleet.ClusterRegistrationTokenSpec{TTL: &metav1.Duration{Duration: 12 * time.Hour}, Uses: 1})
	return err
}

func asAny(in map[string]string) map[string]any {
	out := map[string]any{}
	for k, v := range in {
		out[k] = v
	}
	return out
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
