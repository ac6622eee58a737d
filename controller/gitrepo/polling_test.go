package gitrepo

import (
	"errors"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	fleet "flotilla.io/flotilla/api/v1alpha1"
	gitsource "flotilla.io/flotilla/bundle/source"
	"flotilla.io/flotilla/controller/origin"
)

func TestPollingInterval(t *testing.T) {
	for _, c := range []struct {
		rule     string
		interval *metav1.Duration
		want     time.Duration
	}{
		{"unset is every 15 seconds", nil, 15 * time.Second},
		{"0 is, too, as in Fleet", &metav1.Duration{}, 15 * time.Second},
		{"what is set counts", &metav1.Duration{Duration: time.Hour}, time.Hour},
	} {
		if got := polling(&fleet.GitRepo{Spec: fleet.GitRepoSpec{PollingInterval: c.interval}}); got != c.want {
			t.Errorf("%s: %s", c.rule, got)
		}
	}
}

func TestAServerThatDoesNotAnswerIsAskedLessOften(t *testing.T) {
	for _, c := range []struct {
		rule     string
		interval time.Duration
		misses   int
		want     time.Duration
	}{
		{"one that answers is asked at the interval", 15 * time.Second, 0, 15 * time.Second},
		{"each miss doubles it", 15 * time.Second, 2, time.Minute},
		{"up to two minutes", 15 * time.Second, 100, 2 * time.Minute},
		{"an interval that is longer stays", time.Hour, 3, time.Hour},
	} {
		least, most := time.Duration(1<<62), time.Duration(0)
		for range 1000 {
			got := nextLook(c.interval, c.misses)
			least, most = min(least, got), max(most, got)
		}
		if least < c.want*9/10 || most > c.want*11/10 || most-least < c.want/10 {
			t.Errorf("%s: from %s to %s", c.rule, least, most)
		}
	}
}

func TestWhatCountsAsAMiss(t *testing.T) {
	r := &Reconciler{failed: map[client.ObjectKey]int{}}
	key := client.ObjectKey{Name: "apps"}
	for _, c := range []struct {
		err  error
		want int
	}{
		{origin.Fail(gitsource.Timeout, errors.New("slow")), 1},
		{origin.Fail(gitsource.Unreachable, errors.New("gone")), 2},
		{origin.Fail(gitsource.AuthFailed, errors.New("mend the Secret")), 0},
		{origin.Fail(gitsource.Timeout, errors.New("slow")), 1},
		{nil, 0},
	} {
		if got := r.missed(key, c.err); got != c.want {
			t.Errorf("%v: %d misses, want %d", c.err, got, c.want)
		}
	}
}
