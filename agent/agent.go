package agent

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"

	"flotilla.io/flotilla/agent/pull"
	"flotilla.io/flotilla/agent/record"
	"flotilla.io/flotilla/agent/register"
	"flotilla.io/flotilla/agent/rendering"
	"flotilla.io/flotilla/agent/store"
	"flotilla.io/flotilla/agent/tenant"
)

// Config is what an agent needs to run.
type Config struct {
	Namespace string       // the agent's own
	Local     *rest.Config // the cluster it runs on
	Version   string
	Log       *slog.Logger
	// ProbeLocal lets health probes ask this machine itself: for an agent that stands beside what it probes.
	ProbeLocal bool
	// Records gets a line for each change that is made for a bundle: see record.Change.
	Records io.Writer
}

// Run runs the agent until ctx ends. It begins with what the store remembers, before the hub is asked anything, and goes
// on with it for as long as there is no hub.
//
// The program must call worker.Serve when its first argument is rendering.Command.
func Run(ctx context.Context, c Config) error {
	local := rest.CopyConfig(c.Local)
	local.QPS = -1 // the cluster's own fairness decides
	local.UserAgent = "flotilla-agent/" + c.Version
	local.WarningHandler = rest.NoWarnings{} // they are for who wrote the object
	core, err := corev1client.NewForConfig(local)
	if err != nil {
		return fmt.Errorf("preparing the connection to the cluster: %w", err)
	}
	recorded := rest.CopyConfig(local)
	recorded.Wrap(record.Changes(c.Records))
	tenants, err := tenant.New(recorded, c.Namespace)
	if err != nil {
		return err
	}
	s, err := openStore(ctx, local, core.Secrets(c.Namespace), c)
	if err != nil {
		return err
	}
	renderer, err := rendering.New()
	if err != nil {
		return err
	}
	layers := pull.NewLayers(s)
	e := newEngine(c.Log, c.Namespace, s, layers, tenants, accountsOf(c.Namespace, core.ServiceAccounts(c.Namespace).Get), renderer)
	e.guard.Local = c.ProbeLocal
	if err := persist(ctx, c.Log, "reading what the store remembers", func() error { return e.load(ctx) }); err != nil {
		return err
	}
	keeper := register.New(register.Config{
		Secrets: core.Secrets(c.Namespace), ConfigMaps: core.ConfigMaps(c.Namespace), Namespaces: core.Namespaces(),
		UserAgent: local.UserAgent, Log: c.Log,
	})
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	done := make(chan struct{})
	go func() {
		defer close(done)
		e.run(ctx)
	}()
	beside, err := newFleetAgent(local, c.Namespace)
	if err == nil {
		err = follow(ctx, c, e, keeper, beside)
	}
	stop()
	<-done
	return err
}

// openStore opens the store as soon as the cluster answers.
func openStore(ctx context.Context, local *rest.Config, secrets corev1client.SecretInterface, c Config) (*store.Store, error) {
	names, err := metadata.NewForConfig(metadata.ConfigFor(local))
	if err != nil {
		return nil, fmt.Errorf("preparing the connection to the cluster: %w", err)
	}
	resource := names.Resource(schema.GroupVersionResource{Version: corev1.SchemeGroupVersion.Version, Resource: "secrets"})
	var s *store.Store
	err = persist(ctx, c.Log, "opening the store", func() error {
		s, err = store.Open(ctx, secrets, resource.Namespace(c.Namespace))
		return err
	})
	return s, err
}

// persist tries until it works or ctx ends: an agent that ends because its cluster is busy would only be started anew.
func persist(ctx context.Context, log *slog.Logger, what string, try func() error) error {
	for failures := 1; ; failures++ {
		err := try()
		if err == nil {
			return nil
		}
		log.Warn(what+" failed; it is tried again", "error", err)
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s: %w", what, err)
		case <-time.After(backoff(failures)):
		}
	}
}

// follow lives one membership after the other: usually there is one, and another when a person has the cluster join anew.
func follow(ctx context.Context, c Config, e *engine, keeper *register.Keeper, beside *fleetAgent) error {
	for {
		identity, err := keeper.Identity(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		m, err := newMembership(c, e, keeper, identity)
		if err != nil {
			return err
		}
		m.beside = beside
		member, leave := context.WithCancel(ctx)
		go func() {
			defer leave()
			keeper.Replaced(member, identity)
		}()
		m.run(member)
		leave()
		if ctx.Err() != nil {
			return nil
		}
		c.Log.Info("a person had the cluster join anew; what is deployed stays", "hub", identity.URL)
	}
}
