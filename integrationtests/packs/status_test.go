//go:build packs

package packs

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"sigs.k8s.io/controller-runtime/pkg/client"

	fleet "flotilla.io/flotilla/api/v1alpha1"
)

// deployment is a bundle on a cluster, as the hub has it.
func (w *World) deployment(bundle, cluster string) (*fleet.BundleDeployment, error) {
	list := &fleet.BundleDeploymentList{}
	err := w.Hub.Client.List(context.Background(), list, client.MatchingLabels{fleet.BundleLabel: bundle, fleet.ClusterLabel: cluster})
	if err == nil && len(list.Items) != 1 {
		err = fmt.Errorf("bundle %s is %d times on %s", bundle, len(list.Items), cluster)
	}
	if err != nil {
		return nil, err
	}
	return &list.Items[0], nil
}

// healthy waits until bundles are verified wherever they should be.
func (w *World) healthy(bundles ...string) {
	w.T.Helper()
	w.Settled(bundles...)
	w.Eventually("waiting for the health of "+strings.Join(bundles, ", "), func() error {
		for _, name := range bundles {
			list := &fleet.BundleDeploymentList{}
			if err := w.Hub.Client.List(context.Background(), list, client.MatchingLabels{fleet.BundleLabel: name}); err != nil {
				return err
			}
			for i := range list.Items {
				if s := list.Items[i].Status; s.Health != fleet.HealthHealthy {
					return fmt.Errorf("%s on %s is %s: %s", name, list.Items[i].Labels[fleet.ClusterLabel], s.Health, s.Display.State)
				}
			}
		}
		return nil
	})
}

// says waits until the hub says this of a bundle on a cluster: its HEALTH, and words of its messages.
func (w *World) says(bundle, cluster string, health fleet.Health, words string) {
	w.T.Helper()
	w.Eventually(fmt.Sprintf("waiting for %s on %s to be %s", bundle, cluster, health), func() error {
		d, err := w.deployment(bundle, cluster)
		if err != nil {
			return err
		}
		if said := fmt.Sprint(d.Status.Conditions, d.Status.NonReadyStatus, d.Status.Display); d.Status.Health != health || !strings.Contains(said, words) {
			return fmt.Errorf("it is %s: %s", d.Status.Health, said)
		}
		return nil
	})
}

// output is a value that a bundle gives on a cluster, as the hub has it, in JSON.
func (w *World) output(bundle, cluster, name string) (string, error) {
	d, err := w.deployment(bundle, cluster)
	if err != nil {
		return "", err
	}
	i := slices.IndexFunc(d.Status.Outputs, func(o fleet.OutputValue) bool { return o.Name == name })
	if i < 0 || d.Status.Outputs[i].Value == nil {
		return "", fmt.Errorf("the hub has no output %s of %s on %s: %v", name, bundle, cluster, d.Status.Outputs)
	}
	return string(d.Status.Outputs[i].Value.Raw), nil
}

// allHealthy wants all that was ever pushed, and was not taken back, to be Healthy on every cluster.
func (w *World) allHealthy() {
	w.T.Helper()
	var count int
	var on map[string]bool
	w.Eventually("waiting for all to be Healthy", func() error {
		all := &fleet.BundleDeploymentList{}
		if err := w.Hub.Client.List(context.Background(), all); err != nil {
			return err
		}
		on = map[string]bool{}
		var wrong []string
		for i := range all.Items {
			d := &all.Items[i]
			on[d.Labels[fleet.ClusterLabel]] = true
			if d.Status.Health != fleet.HealthHealthy {
				wrong = append(wrong, fmt.Sprintf("%s on %s is %s (%s)", d.Labels[fleet.BundleLabel], d.Labels[fleet.ClusterLabel], d.Status.Health, d.Status.Display.State))
			}
		}
		if count = len(all.Items); len(wrong) > 0 {
			return fmt.Errorf("%d of %d: %s", len(wrong), count, strings.Join(wrong, "; "))
		}
		return nil
	})
	w.Prove("ends with all Healthy", "all of it", fmt.Sprintf("%d BundleDeployments on %d clusters are Healthy", count, len(on)), Proved)
}
