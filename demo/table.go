package demo

import (
	"context"
	"fmt"
	"sort"
	"strings"
	"text/tabwriter"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	fleet "flotilla.io/flotilla/api/v1alpha1"
)

// row is one bundle on one cluster.
type row struct{ cluster, bundle, commit, author, health, message string }

// look reads how everything stands, and whether it is as it should be: every bundle on every cluster that it is for.
func (d *run) look(ctx context.Context) (rows []row, done bool, err error) {
	bundles, deployments := &fleet.BundleList{}, &fleet.BundleDeploymentList{}
	for _, list := range []client.ObjectList{bundles, deployments} {
		if err := d.hub.Client.List(ctx, list); err != nil {
			return nil, false, err
		}
	}
	authors, done := map[string]string{}, len(bundles.Items) > 0
	for i := range bundles.Items {
		b := &bundles.Items[i]
		authors[b.Namespace+"/"+b.Name] = b.Annotations["flotilla.io/commit-author"]
		ready := b.Status.Summary.DesiredReady > 0 && b.Status.Summary.Ready == b.Status.Summary.DesiredReady
		done = done && ready && b.Status.ObservedGeneration == b.Generation
		if b.Status.Summary.DesiredReady == 0 {
			rows = append(rows, row{"-", b.Name, short(b.Labels[fleet.CommitLabel]), authors[b.Namespace+"/"+b.Name], "-", message(b.Status.Conditions)})
		}
	}
	for i := range deployments.Items {
		bd := &deployments.Items[i]
		key := bd.Labels[fleet.BundleNamespaceLabel] + "/" + bd.Labels[fleet.BundleLabel]
		rows = append(rows, row{bd.Labels[fleet.ClusterLabel], bd.Name, short(bd.Labels[fleet.CommitLabel]), authors[key], string(bd.Status.Health), message(bd.Status.Conditions)})
		done = done && bd.Status.Health == fleet.HealthHealthy
	}
	sort.Slice(rows, func(i, j int) bool {
		return rows[i].cluster+"\x00"+rows[i].bundle < rows[j].cluster+"\x00"+rows[j].bundle
	})
	return rows, done, nil
}

func message(conditions []fleet.GenericCondition) string {
	if c := fleet.Condition(conditions, fleet.ConditionReady); c != nil {
		return c.Message
	}
	return ""
}

func short(commit string) string { return commit[:min(len(commit), 7)] }

func render(rows []row) string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "CLUSTER\tBUNDLE\tCOMMIT\tAUTHOR\tHEALTH\t")
	for _, r := range rows {
		health := r.health
		if health == "" {
			health = "Waiting"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", r.cluster, r.bundle, r.commit, r.author, health, clip(r.message, 100))
	}
	_ = w.Flush() // into a string
	return b.String()
}

func clip(s string, n int) string {
	if r := []rune(s); len(r) > n {
		return string(r[:n-1]) + "…"
	}
	return s
}

// watchUntilHealthy shows the table until everything is as it should be, or says what is not.
func (d *run) watchUntilHealthy(ctx context.Context) error {
	limit, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var rows []row
	done, err := d.show(limit, func(now []row, done bool) bool { rows = now; return done })
	if err != nil || ctx.Err() != nil {
		return err
	}
	if !done {
		return fmt.Errorf("after %s not everything is as it should be:\n%s\nthe logs are in %s", patience, render(rows), d.Dir)
	}
	fmt.Fprintf(d.Out, "[%3.0fs] every bundle is Healthy on every cluster it is for\n", time.Since(d.started).Seconds())
	return nil
}

// watch shows the table until ctx ends.
func (d *run) watch(ctx context.Context) error {
	_, err := d.show(ctx, func([]row, bool) bool { return false })
	return err
}

// show draws the table whenever it changes, until enough says so or ctx ends. A program of ours that ends is an error.
func (d *run) show(ctx context.Context, enough func([]row, bool) bool) (bool, error) {
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	drawn, lines := "", 0
	for {
		rows, done, err := d.look(ctx)
		if ctx.Err() != nil {
			return false, nil
		}
		if err != nil {
			return false, fmt.Errorf("reading the hub: %w", err)
		}
		if text := render(rows); text != drawn && len(rows) > 0 {
			if d.Terminal && lines > 0 {
				fmt.Fprintf(d.Out, "\x1b[%dA\x1b[J", lines)
			}
			drawn, lines = text, strings.Count(text, "\n")+1
			fmt.Fprintf(d.Out, "%s\n", text)
		}
		if enough(rows, done) {
			return true, nil
		}
		select {
		case <-ctx.Done():
			return false, nil
		case <-d.hub.Process.Done():
			return false, fmt.Errorf("%w; its log is %s", d.hub.Process.Err(), d.hub.LogPath())
		case <-tick.C:
		}
	}
}
