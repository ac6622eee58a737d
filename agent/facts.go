package agent

import (
	"context"
	"os"
	"time"

	"k8s.io/client-go/rest"

	"flotilla.io/flotilla/agent/facts"
)

// factsEvery is how often the facts of the cluster are read anew.
const factsEvery = 10 * time.Minute

// findFacts reads the facts when their time has come, as the account that bundles without one act as. Those of before stay when that
// fails. The hub does not wait for them: what it renders with is told first.
func (m *membership) findFacts(ctx context.Context) {
	if time.Since(m.factsAt) < factsEvery {
		return
	}
	m.factsAt = time.Now()
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
	m.facts = found
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
