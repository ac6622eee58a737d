package localfleet

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
)

// createNodes makes the simulated nodes that are not there yet. Their names begin with the cluster's.
func (c *Cluster) createNodes(ctx context.Context) error {
	for i := range c.opts.Nodes {
		name := fmt.Sprintf("%s-node-%d", c.name, i)
		body, err := json.Marshal(map[string]any{
			"apiVersion": "v1", "kind": "Node",
			"metadata": map[string]any{
				"name": name,
				"labels": map[string]string{
					"kubernetes.io/hostname": name, "kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64", "type": "kwok",
				},
				"annotations": map[string]string{"kwok.x-k8s.io/node": "fake"},
			},
		})
		if err != nil {
			return err
		}
		_, err = c.request(ctx, http.MethodPost, "/api/v1/nodes", body)
		if err != nil && !answered(err, http.StatusConflict) {
			return fmt.Errorf("creating node %s of %s: %w", name, c.name, err)
		}
	}
	return nil
}

// nodesReady is nil when as many nodes as were asked for are ready.
func (c *Cluster) nodesReady(ctx context.Context) error {
	data, err := c.request(ctx, http.MethodGet, "/api/v1/nodes", nil)
	if err != nil {
		return err
	}
	var list struct {
		Items []struct {
			Status struct {
				Conditions []struct{ Type, Status string }
			}
		}
	}
	if err := json.Unmarshal(data, &list); err != nil {
		return err
	}
	ready := 0
	for _, node := range list.Items {
		for _, condition := range node.Status.Conditions {
			if condition.Type == "Ready" && condition.Status == "True" {
				ready++
			}
		}
	}
	if ready < c.opts.Nodes {
		return fmt.Errorf("%d of %d nodes are ready", ready, c.opts.Nodes)
	}
	return nil
}
