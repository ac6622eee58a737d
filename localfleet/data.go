package localfleet

import (
	"context"
	"errors"
	"fmt"
	"os"
)

// Wipe stops the cluster and drops everything that its API server stored. Certificates, service account keys, port and
// kubeconfig stay, so that after Start clients find an empty cluster where the old one was. A shared etcd must run.
func (c *Cluster) Wipe(ctx context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := stopAll(c.ownRunners(), stopGrace); err != nil {
		return err
	}
	if c.opts.OwnEtcd {
		return os.RemoveAll(c.store.data())
	}
	return c.store.drop(ctx, c.prefix())
}

// Snapshot copies the data of the cluster's own etcd to the folder dir, which must not exist. The etcd is stopped for the
// time of the copy, and started again if it ran.
func (c *Cluster) Snapshot(ctx context.Context, dir string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.ownsEtcd("snapshot"); err != nil {
		return err
	}
	ran := c.store.alive()
	if err := c.store.stop(stopGrace); err != nil {
		return err
	}
	err := c.store.copyTo(dir)
	if ran {
		err = errors.Join(err, c.store.start(ctx))
	}
	return err
}

// Restore stops the cluster, puts back what Snapshot copied to dir, and starts again the parts that ran.
func (c *Cluster) Restore(ctx context.Context, dir string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.ownsEtcd("restore"); err != nil {
		return err
	}
	var ran []*runner
	for _, r := range c.ownRunners() {
		if r.alive() {
			ran = append(ran, r)
		}
	}
	if err := stopAll(c.ownRunners(), stopGrace); err != nil {
		return err
	}
	if err := c.store.replace(dir); err != nil {
		return err
	}
	return c.start(ctx, ran)
}

func (c *Cluster) ownsEtcd(verb string) error {
	if c.opts.OwnEtcd {
		return nil
	}
	return fmt.Errorf("cluster %s shares its etcd, so there is nothing of its own to %s; start it with OwnEtcd", c.name, verb)
}
