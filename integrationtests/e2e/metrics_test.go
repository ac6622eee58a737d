package e2e

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	fleet "flotilla.io/flotilla/api/v1alpha1"
	"flotilla.io/flotilla/integrationtests/world"
)

// fleetsMetrics are the names and labels of Rancher Fleet, as its dashboards ask for them.
var fleetsMetrics = []struct{ rule, of, names, labels string }{
	{"fleet_bundle_*", "fleet_bundle_", "ready not_ready wait_applied err_applied out_of_sync modified pending desired_ready state",
		"commit generation name namespace repo state"},
	{"fleet_bundledeployment_state", "fleet_bundledeployment_", "state",
		"bundle bundle_namespace cluster_name cluster_namespace commit generation name namespace repo state"},
	{"fleet_cluster_*", "fleet_cluster_", "desired_ready_git_repos ready_git_repos desired_ready_helm_ops ready_helm_ops " +
		"resources_count_desiredready resources_count_missing resources_count_modified resources_count_notready resources_count_orphaned " +
		"resources_count_ready resources_count_unknown resources_count_waitapplied state",
		"cluster_display_name cluster_name generation name namespace state"},
	{"fleet_cluster_group_*", "fleet_cluster_group_", "cluster_count non_ready_cluster_count " +
		"resource_count_desired_ready resource_count_missing resource_count_modified resource_count_notready resource_count_orphaned " +
		"resource_count_ready resource_count_unknown resource_count_waitapplied bundle_desired_ready bundle_ready state",
		"generation name namespace state"},
	{"fleet_gitrepo_*", "fleet_gitrepo_", "desired_ready_clusters ready_clusters " +
		"resources_desired_ready resources_missing resources_modified resources_not_ready resources_orphaned resources_ready " +
		"resources_unknown resources_wait_applied", "branch name namespace paths repo"},
	{"fleet_helmop_*", "fleet_helmop_", "desired_ready_clusters ready_clusters " +
		"resources_desired_ready resources_missing resources_modified resources_not_ready resources_orphaned resources_ready " +
		"resources_unknown resources_wait_applied", "chart name namespace repo version"},
	{"fleet_gitrepo_fetch_latest_commit_*", "fleet_gitrepo_fetch_latest_commit_", "success_total failure_total " +
		"duration_seconds_sum duration_seconds_count", "name namespace"},
	{"fleet_gitrepo_fetch_latest_commit_duration_seconds_bucket", "fleet_gitrepo_fetch_latest_commit_", "duration_seconds_bucket", "le name namespace"},
	{"fleet_gitjob_duration_seconds*", "fleet_gitjob_", "duration_seconds_sum duration_seconds_count duration_seconds_gauge", "name namespace"},
	{"fleet_gitjob_duration_seconds_bucket", "fleet_gitjob_", "duration_seconds_bucket", "le name namespace"},
	{"fleet_gitjobs_created_*", "fleet_gitjobs_created_", "success_total failure_total", "name namespace"},
}

// prometheusFinds scrapes the controller as Prometheus does.
func prometheusFinds(w *world.World, seen filled) {
	op := &fleet.HelmOp{ObjectMeta: metav1.ObjectMeta{Namespace: world.Workspace, Name: "redis"}}
	op.Spec.Helm = &fleet.HelmOptions{Repo: "https://charts.invalid", Chart: "redis"}
	// A repository that is not there, and one with a broken bundle: both count as failures.
	w.GitRepo("nowhere", w.Git.URL("nowhere"), nil)
	w.GitRepo("empty", w.Repo("empty", map[string]string{"README.md": "nothing to deploy"}), nil)
	w.Check(w.Hub.Client.Create(context.Background(), op))
	for _, row := range fleetsMetrics {
		w.T.(*testing.T).Run(row.rule, func(t *testing.T) {
			w := in(t, w)
			w.Eventually("the names and labels", func() error {
				found := scrape(w)
				for name := range strings.FieldsSeq(row.names) {
					if got := found[row.of+name]; got != row.labels {
						return fmt.Errorf("%s has the labels %q, want %q", row.of+name, got, row.labels)
					}
				}
				return nil
			})
		})
	}
	seen.look(w)
	w.T.(*testing.T).Run("what is deleted is not shown any more", func(t *testing.T) {
		w := in(t, w)
		w.Check(w.Hub.Client.Delete(context.Background(), everybody()))
		for _, name := range []string{"nowhere", "empty"} {
			w.Kubectl("hub", "-n", world.Workspace, "delete", "gitrepo", name)
		}
		w.Eventually("the series going", func() error {
			text := scrapeText(w)
			for _, gone := range []string{`"everybody"`, `"nowhere"`, `"empty"`} {
				if strings.Contains(text, gone) {
					return fmt.Errorf("%s is still shown", gone)
				}
			}
			return nil
		})
	})
}

var (
	series = regexp.MustCompile(`(?m)^(fleet_\w+)\{(.*)\} `)
	label  = regexp.MustCompile(`(?:^|,)(\w+)="`)
)

// scrape returns the labels of each metric, sorted.
func scrape(w *world.World) map[string]string {
	out := map[string]string{}
	for _, found := range series.FindAllStringSubmatch(scrapeText(w), -1) {
		var labels []string
		for _, l := range label.FindAllStringSubmatch(found[2], -1) {
			labels = append(labels, l[1])
		}
		slices.Sort(labels)
		out[found[1]] = strings.Join(labels, " ")
	}
	return out
}

func scrapeText(w *world.World) string {
	w.T.Helper()
	answer, err := http.Get(w.Metrics())
	w.Check(err)
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	w.Check(err)
	if answer.StatusCode != http.StatusOK {
		w.T.Fatalf("scraping gives %s: %s", answer.Status, text)
	}
	return string(text)
}
