package demo

import (
	"context"
	"fmt"
	"path/filepath"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"

	fleet "flotilla.io/flotilla/api/v1alpha1"
	"flotilla.io/flotilla/embedded"
)

// member is a cluster of the demo, with what its agent says of it.
type member struct {
	name   string
	labels map[string]any
}

var members = []member{
	{"production", map[string]any{"env": "production", "environment": "production", "region": "eu-central"}},
	{"development", map[string]any{"env": "development", "environment": "development", "region": "us-east"}},
}

// join has every member join with a token of its own, and makes the one of the third cluster, for the command that the
// demo prints.
func (d *run) join(ctx context.Context) error {
	for _, m := range members {
		if err := d.startAgent(ctx, m); err != nil {
			return err
		}
	}
	for _, m := range members {
		if err := d.awaitJoined(ctx, m.name); err != nil {
			return err
		}
	}
	_, err := d.hub.Token(ctx, workspace, third, oneUse(12*time.Hour))
	return err
}

func oneUse(ttl time.Duration) fleet.ClusterRegistrationTokenSpec {
	return fleet.ClusterRegistrationTokenSpec{TTL: &metav1.Duration{Duration: ttl}, Uses: 1}
}

func (d *run) startAgent(ctx context.Context, m member) error {
	values, err := d.hub.Token(ctx, workspace, m.name, oneUse(time.Hour))
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
	values["clusterName"], values["labels"] = m.name, m.labels
	agent, err := embedded.StartAgent(ctx, cfg, d.Bin, filepath.Join(d.Dir, "agents", m.name), values)
	if err == nil {
		d.agents[m.name] = agent
	}
	return err
}

// awaitJoined waits for the Cluster on the hub: only with all of them does the first rollout show the whole fleet.
func (d *run) awaitJoined(ctx context.Context, name string) error {
	err := wait.PollUntilContextTimeout(ctx, 100*time.Millisecond, time.Minute, true, func(ctx context.Context) (bool, error) {
		err := d.hub.Client.Get(ctx, client.ObjectKey{Namespace: workspace, Name: name}, &fleet.Cluster{})
		if apierrors.IsNotFound(err) {
			return false, nil
		}
		return err == nil, err
	})
	if err != nil {
		return fmt.Errorf("waiting for cluster %s: %w; its agent's log is %s", name, err, d.agents[name].LogPath())
	}
	return nil
}
