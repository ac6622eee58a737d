package agent

import (
	"context"
	"os"
	"time"

	"k8s.io/client-go/rest"

	"flotilla.io/flotilla/agent/facts"
	flotilla "flotilla.io/flotilla/api/flotilla/v1alpha1"
)

// factsEvery is how often the facts of the cluster are read anew.
const factsEvery = 10 * time.Minute

// findFacts reads the facts when their time has come, as the account that bundles without one act as. Those of before stay when that
// fails.
func (m *membership) findFacts(ctx context.Context, s *flotilla.AgentStatus) {
	if s.Facts != nil && time.Since(m.facts) < factsEvery {
		return
	}
	m.facts = time.Now()
	name, err := m.engine.accounts.resolve(ctx, "")
	if err != nil {
		return // no account that may read them
	}
	account, err := m.engine.tenants.As(name)
	if err != nil {
		return
	}
	found, err := facts.Read(ctx, account, m.outside())
	if err != nil {
		m.log.Info("reading the facts of the cluster failed; those of before stay", "error", err)
		return
	}
	s.Facts = found
}

// outside is where the agent reaches its cluster, if that is an address that others can use.
func (m *membership) outside() facts.Endpoint {
	if os.Getenv("KUBERNETES_SERVICE_HOST") != "" {
		return facts.Endpoint{}
	}
	local := rest.CopyConfig(m.config.Local)
	if err := rest.LoadTLSFiles(local); err != nil {
		return facts.Endpoint{}
	}
	return facts.Endpoint{URL: local.Host, CA: local.CAData}
}
