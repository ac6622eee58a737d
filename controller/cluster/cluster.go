// Package cluster wires the reconcilers that let clusters join the hub, give each its namespace, group them, and know
// which of them are lost.
//
// How a cluster joins: a person makes a ClusterRegistrationToken (token), an agent sends a ClusterRegistration with it,
// which is checked and answered with a sealed credential (registration), through an account of its own (access). The
// Cluster that this makes gets its namespace and what lies in it (home). A Cluster that names a kubeconfig gets its agent from
// the hub (importer), which then joins in the same way. From then on the agent renews a lease
// (liveness), and the ClusterGroups that pick the cluster count it (group).
package cluster

import (
	"context"
	"fmt"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	fleet "flotilla.io/flotilla/api/v1alpha1"
	"flotilla.io/flotilla/controller/cluster/group"
	"flotilla.io/flotilla/controller/cluster/home"
	"flotilla.io/flotilla/controller/cluster/importer"
	"flotilla.io/flotilla/controller/cluster/liveness"
	"flotilla.io/flotilla/controller/cluster/registration"
	"flotilla.io/flotilla/controller/cluster/token"
	"flotilla.io/flotilla/controller/hub"
)

const (
	defaultLeaseSeconds = 60
	// defaultCredentialTTL outlasts a hub that is down over a long weekend: an agent whose token ran out has to register anew.
	defaultCredentialTTL = 7 * 24 * time.Hour
)

// Config is what the reconcilers need to know.
type Config struct {
	Hub hub.Identity
	// APIServerURL and APIServerCA (PEM) are the hub's API server as agents see it. What is left empty is the manager's own:
	// an API server that is reached by another name still shows a certificate of its own CA, unless a proxy stands before it.
	APIServerURL string
	APIServerCA  []byte
	// LeaseSeconds between two renewals of an agent's lease; three missed make a cluster lost. 0: 60.
	LeaseSeconds int32
	// CredentialTTL of the token that a registration is answered with; agents renew it. 0: a week.
	CredentialTTL time.Duration
	// IgnoreLabels makes Clusters without the labels that agents ask for when they register.
	IgnoreLabels bool
	// Liveness is fed and run by Setup. Others may ask it from the start.
	Liveness *liveness.Liveness
	// Install puts the agent on a Cluster that names a kubeconfig. nil: the hub dials into no cluster.
	Install func(context.Context, importer.Order) error
	// PullSecrets are the Secrets of the system namespace that agents' images are pulled with; they are copied to those Clusters.
	PullSecrets []string
}

// ByObject is how the manager's cache should keep what this package watches: of leases only those of agents, and of
// those only what tells of renewals.
func ByObject() map[client.Object]cache.ByObject {
	return map[client.Object]cache.ByObject{
		&coordinationv1.Lease{}: {Field: fields.OneTermEqualSelector("metadata.name", fleet.AgentName), Transform: liveness.Trim},
	}
}

// Setup registers all reconcilers of this package.
func Setup(mgr ctrl.Manager, cfg Config) error {
	if err := cfg.complete(mgr.GetConfig()); err != nil {
		return err
	}
	c, reader, events := mgr.GetClient(), mgr.GetAPIReader(), mgr.GetEventRecorder(fleet.ControllerFieldManager)
	cfg.Liveness.Events = events
	for _, part := range []struct {
		name       string
		reconciler interface{ Setup(ctrl.Manager) error }
	}{
		{"liveness", cfg.Liveness},
		{"clusters", &home.Reconciler{
			Client: c, Live: reader, Events: events, Liveness: cfg.Liveness, HubUID: cfg.Hub.UID, LeaseSeconds: cfg.LeaseSeconds,
		}},
		{"registration tokens", &token.Reconciler{
			Client: c, Live: reader, Events: events, Clock: clock.RealClock{},
			APIServerURL: cfg.APIServerURL, APIServerCA: cfg.APIServerCA, HubUID: cfg.Hub.UID, HubSecret: cfg.Hub.Secret,
		}},
		{"registrations", &registration.Reconciler{
			Client: c, Live: reader, Events: events, HubUID: cfg.Hub.UID, HubSecret: cfg.Hub.Secret, CredentialTTL: cfg.CredentialTTL, IgnoreLabels: cfg.IgnoreLabels,
		}},
		{"imports", &importer.Reconciler{Client: c, Live: reader, Events: events, Clock: clock.RealClock{}, Install: cfg.Install, PullSecrets: cfg.PullSecrets}},
		{"cluster groups", &group.Reconciler{Client: c}},
	} {
		if err := part.reconciler.Setup(mgr); err != nil {
			return fmt.Errorf("setting up %s: %w", part.name, err)
		}
	}
	return nil
}

// complete fills in what was left empty.
func (c *Config) complete(own *rest.Config) error {
	if c.LeaseSeconds == 0 {
		c.LeaseSeconds = defaultLeaseSeconds
	}
	if c.CredentialTTL == 0 {
		c.CredentialTTL = defaultCredentialTTL
	}
	if c.APIServerURL == "" {
		c.APIServerURL = own.Host
	}
	if len(c.APIServerCA) > 0 {
		return nil
	}
	own = rest.CopyConfig(own)
	if err := rest.LoadTLSFiles(own); err != nil {
		return fmt.Errorf("reading the CA of the API server: %w", err)
	}
	c.APIServerCA = own.CAData
	return nil
}
