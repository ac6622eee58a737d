package agent

import (
	"context"
	"encoding/json"
	"math/rand/v2"
	"slices"
	"strconv"
	"time"

	jsonpatch "github.com/evanphx/json-patch/v5"
	coordv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/discovery"

	flotilla "flotilla.io/flotilla/api/flotilla/v1alpha1"
	"flotilla.io/flotilla/api/v1alpha1"
)

const (
	// generationAnnotation on the lease tells the generation of the Agent object.
	generationAnnotation = "flotilla.io/agent-generation"
	defaultLease         = 60 * time.Second
	leaseRetry           = 5 * time.Second
	// apisMost bounds what is told of the cluster's APIs.
	apisMost = 2000
)

// beat reports what the hub renders with, and then renews the lease, as often as the Agent object says, with jitter. The
// reply to a renewal tells when the Agent object has to be read.
func (m *membership) beat(ctx context.Context) {
	for failures := 1; ctx.Err() == nil; failures++ {
		err := m.readAgent(ctx)
		if err == nil {
			err = m.reportAgent(ctx)
		}
		if err == nil {
			break
		}
		m.log.Info("telling the hub about this cluster failed; it is tried again", "reason", m.explain(err))
		wait(ctx, backoff(failures))
	}
	for ctx.Err() == nil {
		next := m.period()
		if err := m.renew(ctx); err != nil {
			m.log.Info("renewing the lease failed; it is tried again", "reason", m.explain(err))
			next = min(next, leaseRetry)
		}
		next -= time.Duration(rand.Int64N(int64(next)/10 + 1)) // early rather than late
		m.idle(ctx, time.Now().Add(next))
	}
}

// idle waits for the next renewal, and reports what is news about the agent meanwhile.
func (m *membership) idle(ctx context.Context, until time.Time) {
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
			return
		case <-time.After(time.Until(until)):
			return
		case <-m.nudge:
			if err := m.reportAgent(ctx); err != nil {
				m.log.Info("telling the hub about this cluster failed; it is tried again", "reason", m.explain(err))
			}
		}
	}
}

func wait(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

func (m *membership) known() *flotilla.Agent {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.agent
}

func (m *membership) period() time.Duration {
	if agent := m.known(); agent != nil && agent.Spec.LeaseSeconds > 0 {
		return time.Duration(agent.Spec.LeaseSeconds) * time.Second
	}
	return defaultLease
}

// renew renews the lease, looks whether Fleet's agent runs here, and reads the Agent object if that moved.
func (m *membership) renew(ctx context.Context) error {
	holder := "flotilla-agent"
	now := metav1.NowMicro()
	patch, err := json.Marshal(map[string]any{"spec": coordv1.LeaseSpec{HolderIdentity: &holder, RenewTime: &now}})
	if err != nil {
		return err
	}
	m.lookBeside(ctx)
	lease, err := m.hub.PatchLease(ctx, patch)
	if err != nil {
		return err
	}
	agent := m.known()
	generation, _ := strconv.ParseInt(lease.Annotations[generationAnnotation], 10, 64)
	if agent == nil || generation > agent.Generation {
		if err := m.readAgent(ctx); err != nil {
			return err
		}
	}
	m.findFacts(ctx)
	return m.reportAgent(ctx)
}

// reportAgent writes what changed about the agent, if anything did.
func (m *membership) reportAgent(ctx context.Context) error {
	agent := m.known()
	if agent == nil {
		return nil
	}
	after, err := m.status(agent.Status)
	if err != nil {
		return err
	}
	type status struct {
		Status flotilla.AgentStatus `json:"status"`
	}
	a, errA := json.Marshal(status{agent.Status})
	b, errB := json.Marshal(status{after})
	patch, err := jsonpatch.CreateMergePatch(a, b)
	if errA != nil || errB != nil || err != nil || string(patch) == "{}" {
		return err
	}
	answer, err := m.hub.PatchAgent(ctx, patch)
	if err != nil {
		return err
	}
	m.mu.Lock()
	m.agent = answer
	m.mu.Unlock()
	return nil
}

// status is what is true of the agent now.
func (m *membership) status(before flotilla.AgentStatus) (flotilla.AgentStatus, error) {
	after := *before.DeepCopy()
	after.Version, after.Namespace = m.config.Version, m.config.Namespace
	if err := m.capabilities(&after); err != nil {
		return after, err
	}
	if m.facts != nil {
		after.Facts = m.facts
	}
	_, after.Hold = m.engine.membership()
	if missing := m.engine.missing(); after.Hold == nil && len(missing) > 0 {
		slices.Sort(missing)
		after.Hold = &v1alpha1.Hold{Reason: holdMissing, Message: "the hub does not have the BundleDeployment of " + names(missing) +
			", and gave no order to delete; what they deployed stays, until the hub has them again or orders to delete them"}
	}
	return after, nil
}

// capabilities fills in what the hub renders with. The whole of it is read only when the cluster's index has moved.
func (m *membership) capabilities(s *flotilla.AgentStatus) error {
	kinds := m.engine.tenants.Kinds()
	index, err := kinds.Index()
	if err == nil && index == m.index && len(s.APIs) > 0 {
		return nil
	}
	version, err := kinds.Version()
	if err != nil {
		return err
	}
	apis, err := kinds.Served()
	switch {
	case discovery.IsGroupDiscoveryFailedError(err) && len(s.APIs) > 0:
		return nil // an API that does not answer for a moment is still there
	case err != nil && !discovery.IsGroupDiscoveryFailedError(err):
		return err
	}
	s.KubernetesVersion, s.APIs = version, slices.Clip(apis[:min(len(apis), apisMost)])
	if err == nil {
		m.index = index
	}
	return nil
}
