package output

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	fleet "flotilla.io/flotilla/api/v1alpha1"
)

func TestHealthyClusters(t *testing.T) {
	const now, old = "new:1", "old:1"
	for _, c := range []struct {
		rule   string
		health fleet.Health
		ready  string // the revision that was Ready last
		want   Verdict
	}{
		{"one that has not reported is left out", "", "", LeftOut},
		{"a healthy one is taken", fleet.HealthHealthy, now, Taken},
		{"drift is healed, and no illness", fleet.HealthDrifted, now, Taken},
		{"one that failed is left out", fleet.HealthFailed, old, LeftOut},
		{"a lost one is left out", fleet.HealthUnknown, now, LeftOut},
		{"one that goes is left out", fleet.HealthDeleting, now, LeftOut},
		{"one that is not ready any more at its revision, or not verified, is left out", fleet.HealthProgressing, now, LeftOut},
		{"one on its way to another revision stays as it was", fleet.HealthProgressing, old, AsBefore},
		{"one on its way to its first revision is left out", fleet.HealthProgressing, "", LeftOut},
		{"a held one stays as it was", fleet.HealthHeld, now, AsBefore},
		{"one that waits stays as it was", fleet.HealthWaiting, old, AsBefore},
	} {
		t.Run(c.rule, func(t *testing.T) {
			bd := &fleet.BundleDeployment{ObjectMeta: metav1.ObjectMeta{Namespace: "a", Name: "web"}}
			bd.Spec.DeploymentID, bd.Status.Health, bd.Status.ReadyDeploymentID = now, c.health, c.ready
			if got := Judge(bd); got != c.want {
				t.Errorf("got %d, want %d", got, c.want)
			}
		})
	}
}

func TestARolloutChangesNoPool(t *testing.T) {
	bd := func(name string, health fleet.Health, ready string) *fleet.BundleDeployment {
		bd := &fleet.BundleDeployment{ObjectMeta: metav1.ObjectMeta{Namespace: name, Name: "web"}}
		bd.Spec.DeploymentID, bd.Status.Health, bd.Status.ReadyDeploymentID = "new:1", health, ready
		return bd
	}
	g, c := &Giver{}, &fleet.Cluster{}
	for _, step := range []struct {
		rule, cluster string
		health        fleet.Health
		ready, want   string
	}{
		{"a cluster that was well", "well", fleet.HealthHealthy, "new:1", ""},
		{"stays", "well", fleet.HealthProgressing, "old:1", ""},
		{"one that had failed", "sick", fleet.HealthFailed, "new:1", "not healthy (Failed)"},
		{"is not brought back", "sick", fleet.HealthProgressing, "old:1", "not healthy (Progressing)"},
		{"before it is well", "sick", fleet.HealthHealthy, "new:1", ""},
		{"one that a new controller finds on its way stays", "met", fleet.HealthProgressing, "old:1", ""},
	} {
		if got := g.unhealthy(c, bd(step.cluster, step.health, step.ready)); got != step.want {
			t.Errorf("%s: got %q, want %q", step.rule, got, step.want)
		}
	}
}
