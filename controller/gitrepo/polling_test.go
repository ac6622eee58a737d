package gitrepo

import (
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	fleet "flotilla.io/flotilla/api/v1alpha1"
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
