package gitrepo

import (
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	fleet "flotilla.io/flotilla/api/v1alpha1"
)

// The metrics are Fleet's. Where Fleet starts a Job, this reads a commit within the process, and counts that.
var (
	ofRepo = []string{"name", "namespace"}

	lookSuccess = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "fleet_gitrepo_fetch_latest_commit_success_total", Help: "Times that the repository told its latest commit."}, ofRepo)
	lookFailure = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "fleet_gitrepo_fetch_latest_commit_failure_total", Help: "Times that the repository did not tell its latest commit, for any reason."}, ofRepo)
	lookSeconds = prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "fleet_gitrepo_fetch_latest_commit_duration_seconds", Help: "How long the repository took to tell its latest commit.",
		Buckets: []float64{.1, .2, .5, 1, 2, 5, 10, 30}}, ofRepo)
	readSuccess = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "fleet_gitjobs_created_success_total", Help: "Commits that were fetched, read and written as Bundles."}, ofRepo)
	readFailure = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "fleet_gitjobs_created_failure_total", Help: "Commits that could not be fetched, read or written as Bundles."}, ofRepo)
	readSeconds = prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "fleet_gitjob_duration_seconds", Help: "How long it took to fetch a commit and to write its Bundles.",
		Buckets: []float64{1, 2, 5, 10, 30, 60, 180, 300, 600, 1200, 1800, 3600}}, ofRepo)
	readLast = prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "fleet_gitjob_duration_seconds_gauge", Help: "How long it took to fetch the last commit and to write its Bundles."}, ofRepo)
)

// vectors are all of them.
var vectors = []interface {
	prometheus.Collector
	DeleteLabelValues(...string) bool
}{lookSuccess, lookFailure, lookSeconds, readSuccess, readFailure, readSeconds, readLast}

func init() {
	for _, v := range vectors {
		metrics.Registry.MustRegister(v)
	}
}

// countLook counts one question for the latest commit.
func countLook(repo *fleet.GitRepo, began time.Time, err error) {
	if err != nil {
		lookFailure.WithLabelValues(repo.Name, repo.Namespace).Inc()
		return
	}
	lookSuccess.WithLabelValues(repo.Name, repo.Namespace).Inc()
	lookSeconds.WithLabelValues(repo.Name, repo.Namespace).Observe(time.Since(began).Seconds())
}

// countRead counts one walk that read a commit.
func countRead(in *run, began time.Time, err error) {
	if in.head == "" || errors.Is(err, errUnchanged) || apierrors.IsConflict(err) {
		return
	}
	if err != nil {
		readFailure.WithLabelValues(in.repo.Name, in.repo.Namespace).Inc()
		return
	}
	readSuccess.WithLabelValues(in.repo.Name, in.repo.Namespace).Inc()
	readSeconds.WithLabelValues(in.repo.Name, in.repo.Namespace).Observe(time.Since(began).Seconds())
	readLast.WithLabelValues(in.repo.Name, in.repo.Namespace).Set(time.Since(began).Seconds())
}

// uncount drops the series of a GitRepo that is gone.
func uncount(repo client.ObjectKey) {
	for _, v := range vectors {
		v.DeleteLabelValues(repo.Name, repo.Namespace)
	}
}
