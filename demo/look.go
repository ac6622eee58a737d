package demo

import (
	"context"
	"sort"

	"sigs.k8s.io/controller-runtime/pkg/client"

	fleet "flotilla.io/flotilla/api/v1alpha1"
	"flotilla.io/flotilla/embedded"
)

// row is one bundle on one cluster; cluster is "-" for what is on none yet.
type row struct{ cluster, bundle, commit, author, health, message string }

// state is how the fleet stands.
type state struct {
	rows  []row
	notes []string // what else a person should know: a program that ended, a hub that does not answer
	done  bool     // every bundle is Healthy on every cluster that it is for
}

// look reads how the fleet stands.
func (d *run) look(ctx context.Context) state {
	repos, bundles, deployments := &fleet.GitRepoList{}, &fleet.BundleList{}, &fleet.BundleDeploymentList{}
	s := state{notes: d.ended()}
	for _, list := range []client.ObjectList{repos, bundles, deployments} {
		if err := d.hub.Client.List(ctx, list); err != nil {
			s.notes = append(s.notes, "reading the hub: "+err.Error())
			return s
		}
	}
	s.done = len(s.notes) == 0 && len(bundles.Items) > 0
	s.readRepos(repos.Items)
	authors := s.readBundles(bundles.Items)
	s.readDeployments(deployments.Items, authors)
	sort.Slice(s.rows, func(i, j int) bool {
		return s.rows[i].cluster+"\x00"+s.rows[i].bundle < s.rows[j].cluster+"\x00"+s.rows[j].bundle
	})
	return s
}

// readRepos adds a row for each GitRepo of which not everything could be read.
func (s *state) readRepos(repos []fleet.GitRepo) {
	for i := range repos {
		r := &repos[i]
		if c := fleet.Condition(r.Status.Conditions, fleet.ConditionStalled); c != nil && c.Status == "True" {
			s.rows = append(s.rows, row{"-", "GitRepo " + r.Name, short(r.Status.Commit), "", "Failed", c.Message})
			s.done = false
		}
	}
}

// readBundles adds a row for each bundle that is on no cluster, and returns who wrote the commit of each.
func (s *state) readBundles(bundles []fleet.Bundle) (authors map[string]string) {
	authors = map[string]string{}
	for i := range bundles {
		b := &bundles[i]
		author := b.Annotations["flotilla.io/commit-author"]
		authors[b.Namespace+"/"+b.Name] = author
		sum := b.Status.Summary
		s.done = s.done && sum.DesiredReady > 0 && sum.Ready == sum.DesiredReady && b.Status.ObservedGeneration == b.Generation
		if sum.DesiredReady == 0 {
			s.rows = append(s.rows, row{"-", b.Name, short(b.Labels[fleet.CommitLabel]), author, "-", message(b.Status.Conditions)})
		}
	}
	return authors
}

func (s *state) readDeployments(deployments []fleet.BundleDeployment, authors map[string]string) {
	for i := range deployments {
		bd := &deployments[i]
		author := authors[bd.Labels[fleet.BundleNamespaceLabel]+"/"+bd.Labels[fleet.BundleLabel]]
		health := bd.Status.Health
		if health == "" { // no report yet
			health = fleet.HealthWaiting
		}
		s.done = s.done && health == fleet.HealthHealthy
		s.rows = append(s.rows, row{bd.Labels[fleet.ClusterLabel], bd.Name, short(bd.Labels[fleet.CommitLabel]), author, string(health), message(bd.Status.Conditions)})
	}
}

// problems are the rows that are not as they should be.
func (s *state) problems() []row {
	var out []row
	for _, r := range s.rows {
		if r.health != string(fleet.HealthHealthy) {
			out = append(out, r)
		}
	}
	return out
}

// ended tells which of our programs ended although nobody asked them to.
func (d *run) ended() []string {
	processes := []*embedded.Process{d.hub.Process}
	for _, m := range members {
		processes = append(processes, d.agents[m.name].Process)
	}
	var out []string
	for _, p := range processes {
		select {
		case <-p.Done():
			out = append(out, p.Err().Error())
		default:
		}
	}
	return out
}

func message(conditions []fleet.GenericCondition) string {
	if c := fleet.Condition(conditions, fleet.ConditionReady); c != nil {
		return c.Message
	}
	return ""
}

func short(commit string) string { return commit[:min(len(commit), 7)] }
