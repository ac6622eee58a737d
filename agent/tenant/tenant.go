// Package tenant gives the agent its hands on the cluster: clients that act as a tenant's service account.
//
// Whatever a bundle causes on the cluster, reads and watches among it, goes through a Tenant, and so runs with the rights
// of the service account that the bundle names, by impersonation. The agent's own rights end at its own namespace; there
// is no client here that uses them for anything else but discovery, which every user may read.
package tenant

import (
	"fmt"
	"sync"

	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"
)

// Tenants makes one Tenant per service account and keeps it. Its methods may be called at the same time.
type Tenants struct {
	config    *rest.Config
	namespace string
	kinds     *Kinds

	mu     sync.Mutex
	byName map[string]*Tenant
}

// New takes the agent's own connection to its cluster, and the namespace in which the service accounts are.
func New(config *rest.Config, namespace string) (*Tenants, error) {
	kinds, err := newKinds(config)
	if err != nil {
		return nil, err
	}
	return &Tenants{config: config, namespace: namespace, kinds: kinds, byName: map[string]*Tenant{}}, nil
}

// Kinds is what the cluster serves.
func (t *Tenants) Kinds() *Kinds { return t.kinds }

// As is the tenant of one service account of the agent's namespace. All tenants share one connection.
func (t *Tenants) As(serviceAccount string) (*Tenant, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if known := t.byName[serviceAccount]; known != nil {
		return known, nil
	}
	if serviceAccount == "" {
		return nil, fmt.Errorf("acting as a tenant: no service account was named")
	}
	config := rest.CopyConfig(t.config)
	config.Impersonate = rest.ImpersonationConfig{
		UserName: fmt.Sprintf("system:serviceaccount:%s:%s", t.namespace, serviceAccount),
	}
	tenant := &Tenant{ServiceAccount: serviceAccount, Kinds: t.kinds}
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		return nil, fmt.Errorf("acting as service account %s: %w", serviceAccount, err)
	}
	if tenant.Objects, err = dynamic.NewForConfigAndClient(config, client); err != nil {
		return nil, fmt.Errorf("acting as service account %s: %w", serviceAccount, err)
	}
	if tenant.Metadata, err = metadata.NewForConfigAndClient(metadata.ConfigFor(config), client); err != nil {
		return nil, fmt.Errorf("acting as service account %s: %w", serviceAccount, err)
	}
	t.byName[serviceAccount] = tenant
	return tenant, nil
}

// Tenant acts as one service account.
type Tenant struct {
	ServiceAccount string
	Objects        dynamic.Interface
	Metadata       metadata.Interface
	Kinds          *Kinds
}

// String is who acts, in messages. Without a service account that is whoever runs the program.
func (t *Tenant) String() string {
	if t.ServiceAccount == "" {
		return "the user of the kubeconfig"
	}
	return "service account " + t.ServiceAccount
}

// Object is the client for the objects of a kind in a namespace ("" for those that are in none).
func (t *Tenant) Object(kind Kind, namespace string) dynamic.ResourceInterface {
	if kind.Namespaced {
		return t.Objects.Resource(kind.Resource).Namespace(namespace)
	}
	return t.Objects.Resource(kind.Resource)
}

// Meta is the client for the metadata of the objects of a kind.
func (t *Tenant) Meta(kind Kind, namespace string) metadata.ResourceInterface {
	if kind.Namespaced && namespace != "" {
		return t.Metadata.Resource(kind.Resource).Namespace(namespace)
	}
	return t.Metadata.Resource(kind.Resource)
}
