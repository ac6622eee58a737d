package output

import (
	"fmt"

	"sigs.k8s.io/controller-runtime/pkg/client"

	fleet "flotilla.io/flotilla/api/v1alpha1"
	"flotilla.io/flotilla/controller/cluster/liveness"
)

// Verdict says whether inputs that want healthy clusters take from one.
type Verdict int

// Verdicts. AsBefore is that of a cluster on its way to another revision, or held: a rollout shall not empty what is made of
// its values, nor bring back who was left out.
const (
	LeftOut Verdict = iota
	AsBefore
	Taken
)

// Judge tells how a bundle is on a cluster.
func Judge(bd *fleet.BundleDeployment) Verdict {
	st := &bd.Status
	switch st.Health {
	case fleet.HealthHealthy, fleet.HealthDrifted:
		return Taken
	case fleet.HealthProgressing, fleet.HealthWaiting, fleet.HealthHeld:
		if st.ReadyDeploymentID != "" && (st.ReadyDeploymentID != bd.Spec.DeploymentID || st.Health != fleet.HealthProgressing) {
			return AsBefore
		}
	}
	return LeftOut
}

// Lost tells whether a cluster's agent is lost.
func Lost(c *fleet.Cluster) bool {
	ready := fleet.Condition(c.Status.Conditions, fleet.ConditionReady)
	return ready != nil && ready.Reason == liveness.ReasonAgentLost
}

const lost = "its agent is lost"

// unhealthy says why inputs that want healthy clusters take nothing from one, "" if they do.
func (g *Giver) unhealthy(c *fleet.Cluster, bd *fleet.BundleDeployment) string {
	if Lost(c) {
		return lost
	}
	key, verdict := client.ObjectKeyFromObject(bd), Judge(bd)
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.verdicts == nil {
		g.verdicts = map[client.ObjectKey]Verdict{}
	}
	if before, known := g.verdicts[key]; verdict == AsBefore && known {
		verdict = before
	}
	if g.verdicts[key] = verdict; verdict == LeftOut {
		health := bd.Status.Health
		if health == "" {
			health = "not reported yet"
		}
		return fmt.Sprintf("not healthy (%s)", health)
	}
	return ""
}

// leave takes from a cluster what it gave.
func (v *given) leave(why string) { v.value, v.each, v.why = nil, nil, why }
