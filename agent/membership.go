package agent

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"flotilla.io/flotilla/agent/hub"
	"flotilla.io/flotilla/agent/pull"
	"flotilla.io/flotilla/agent/register"
	flotilla "flotilla.io/flotilla/api/flotilla/v1alpha1"
	"flotilla.io/flotilla/api/v1alpha1"
)

// membership is the agent's life as one cluster of one hub.
type membership struct {
	config   Config
	engine   *engine
	keeper   *register.Keeper
	identity register.Identity
	hub      *hub.Client
	beside   *fleetAgent
	log      *slog.Logger
	nudge    chan struct{}   // the Agent's status may have changed
	index    string          // of what the cluster serves, as last told to the hub; beat's own
	facts    *flotilla.Facts // as read last; beat's own, like the time of it
	factsAt  time.Time

	mu      sync.Mutex
	agent   *flotilla.Agent // as last read or answered
	trouble string          // what the hub last answered to list or watch, "" for a list
}

func newMembership(c Config, e *engine, keeper *register.Keeper, id register.Identity) (*membership, error) {
	client, err := hub.New(hub.Endpoint{URL: id.URL, CA: id.CA}, id.Token, id.ClusterNamespace, "flotilla-agent/"+c.Version)
	if err != nil {
		return nil, err
	}
	return &membership{
		config: c, engine: e, keeper: keeper, identity: id, hub: client,
		log:   c.Log.With("hub", id.URL, "cluster", id.ClusterName),
		nudge: make(chan struct{}, 1),
	}, nil
}

// run lives until ctx ends. What the hub renders with is reported before anything else.
func (m *membership) run(ctx context.Context) {
	m.engine.setHold(m.beside.hold(ctx))
	m.engine.joined(home{m.identity.ClusterNamespace, m.identity.HubUID, m.hub, m.poke}, m.hub)
	var wg sync.WaitGroup
	wg.Go(func() { m.keeper.Renew(ctx, m.identity, m.hub) })
	wg.Go(func() { m.beat(ctx) })
	wg.Go(func() { pull.Watch(ctx, m.hub.Deployments(), m.receiver(ctx)) })
	wg.Wait()
}

func (m *membership) poke() {
	select {
	case m.nudge <- struct{}{}:
	default:
	}
}

// receiver passes on what the hub says, once it is known to be our hub that says it.
func (m *membership) receiver(ctx context.Context) pull.Receiver { return &receiver{m, ctx} }

type receiver struct {
	*membership
	ctx context.Context
}

// All checks the hub before each whole list: it is after a break that another hub may answer.
func (r *receiver) All(list []*v1alpha1.BundleDeployment) {
	for failures := 1; r.ctx.Err() == nil; failures++ {
		err := r.readAgent(r.ctx)
		if err == nil || apierrors.IsNotFound(err) {
			r.engine.orders(list)
			r.reportMissing()
			r.poke()
			return
		}
		r.Trouble(err)
		select {
		case <-r.ctx.Done():
		case <-time.After(backoff(failures)):
		}
	}
}

func (r *receiver) Changed(bd *v1alpha1.BundleDeployment) {
	wasMissing := len(r.engine.missing()) > 0
	r.engine.order(bd)
	if wasMissing {
		r.poke()
	}
}

func (r *receiver) Gone(name string) {
	r.engine.gone(name)
	r.reportMissing()
	r.poke()
}

func (m *membership) reportMissing() {
	if missing := m.engine.missing(); len(missing) > 0 {
		m.log.Warn("the hub does not have bundles that are deployed here; they stay, until the hub has them again or orders to delete them",
			"bundles", names(missing))
	}
}

// Trouble logs why the hub does not answer as it should, once for each reason, and what ends it.
func (r *receiver) Trouble(err error) {
	why := ""
	if err != nil {
		why = r.explain(err)
	}
	r.mu.Lock()
	before := r.trouble
	r.trouble = why
	r.mu.Unlock()
	switch {
	case why == before || r.ctx.Err() != nil:
	case why == "":
		r.log.Info("the hub answers")
	default:
		r.log.Warn("the hub does not answer as it should; what is deployed stays and is kept as it is", "reason", why)
	}
}

func (m *membership) explain(err error) string {
	switch {
	case apierrors.IsUnauthorized(err):
		return "401: the hub does not know this agent's credential (" + register.Expiry(m.hub.Token()) +
			"); if the cluster was deleted on the hub, or the hub was made anew, have the cluster join again with a new token"
	case apierrors.IsForbidden(err):
		return "403: the hub does not let this agent read its BundleDeployments; if the cluster was deleted on the hub, have it join again"
	case apierrors.IsNotFound(err):
		return "404: the hub does not have what an agent needs there; is the address that of a hub, with its CustomResourceDefinitions?"
	}
	text := err.Error()
	if i := strings.LastIndex(text, ": "); i > 0 && !lasting(err) {
		text = text[i+2:]
	}
	return "it cannot be reached: " + text
}

// readAgent reads the Agent object and holds if it is of another hub.
func (m *membership) readAgent(ctx context.Context) error {
	agent, err := m.hub.Agent(ctx)
	switch {
	case apierrors.IsNotFound(err):
		m.engine.setHold(&v1alpha1.Hold{Reason: holdOther, Message: fmt.Sprintf(
			"the hub has no Agent object for this cluster: it is not the hub that the cluster joined, or it was emptied; all is kept as it is " +
				"until the hub has it, or until somebody has the cluster join again")})
	case err != nil:
		return err
	case m.identity.HubUID != "" && agent.Spec.HubUID != "" && agent.Spec.HubUID != m.identity.HubUID:
		m.engine.setHold(&v1alpha1.Hold{Reason: holdOther, Message: fmt.Sprintf(
			"another hub answers (UID %s; the cluster joined %s): all is kept as it is until the old hub answers, or somebody has the cluster join the new one with a token",
			agent.Spec.HubUID, m.identity.HubUID)})
	default:
		m.engine.setHold(m.beside.hold(ctx))
	}
	if err == nil {
		m.mu.Lock()
		m.agent = agent
		m.mu.Unlock()
	}
	return err
}

// names joins the first three, and counts the rest.
func names(list []string) string {
	text := strings.Join(list[:min(3, len(list))], ", ")
	if more := len(list) - 3; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}
