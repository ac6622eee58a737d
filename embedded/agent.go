package embedded

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"k8s.io/client-go/rest"

	fleet "flotilla.io/flotilla/api/v1alpha1"
	"flotilla.io/flotilla/install"
)

// Agent is an agent that runs as a process beside its cluster instead of in it.
type Agent struct {
	Process *Process
	cluster *rest.Config
	bin     string
	dir     string
}

// StartAgent installs the agent's chart, but for the Deployment, with the values of a registration token, and runs the
// agent under the chart's service account. bin is the folder of our programs ("" is that of the running one); dir holds
// log and kubeconfig.
func StartAgent(ctx context.Context, cluster *rest.Config, bin, dir string, values map[string]any) (*Agent, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	target, err := install.NewTarget(cluster)
	if err != nil {
		return nil, err
	}
	if err := target.Agent(ctx, values, false); err != nil {
		return nil, fmt.Errorf("installing the agent: %w", err)
	}
	a := &Agent{cluster: cluster, bin: bin, dir: dir}
	if err := install.WriteAccount(ctx, cluster, fleet.SystemNamespace, agentAccount, a.account()); err != nil {
		return nil, err
	}
	return a, a.Start()
}

// agentAccount is the service account of the chart.
const agentAccount = "flotilla-agent"

// account is the kubeconfig that the agent acts with.
func (a *Agent) account() string { return filepath.Join(a.dir, "agent.kubeconfig") }

// Start runs the agent again after it was stopped. It has no disk: all it knows is on its cluster.
func (a *Agent) Start() error {
	path, err := program(a.bin, "flotilla-agent")
	if err != nil {
		return err
	}
	a.Process, err = Start(path, a.LogPath(), "--kubeconfig", a.account(), "--namespace", fleet.SystemNamespace, "--probe-this-machine")
	if err != nil {
		return err
	}
	go a.Process.keep(install.AccountLifetime, func(ctx context.Context) error {
		return install.RenewAccount(ctx, a.cluster, fleet.SystemNamespace, agentAccount, a.account())
	})
	return nil
}

// LogPath is the file that the agent's log is appended to.
func (a *Agent) LogPath() string { return filepath.Join(a.dir, "agent.log") }
