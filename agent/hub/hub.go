// Package hub is everything that the agent asks of the hub, and it is all that its credential allows: list, watch and get
// its own BundleDeployments and patch their status, renew its lease, read its Agent object and patch its status, read the
// one Secret that holds its key, get Contents by name, and renew its own token.
//
// All of it goes over one HTTP/2 connection, whose pings find out when it is dead.
package hub

import (
	"context"
	"fmt"
	"net/http"
	"sync/atomic"
	"time"

	authv1 "k8s.io/api/authentication/v1"
	coordv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"

	flotilla "flotilla.io/flotilla/api/flotilla/v1alpha1"
	fleet "flotilla.io/flotilla/api/v1alpha1"
)

// Endpoint is where the hub is, and how its certificate is checked.
type Endpoint struct {
	URL string
	CA  []byte // PEM; empty means the system's roots
}

// Client talks to the hub for one cluster. Its methods may be called at the same time.
type Client struct {
	namespace string
	token     atomic.Pointer[string]

	fleet, flotilla, core, leases rest.Interface
}

// requestTimeout bounds every request but watches.
const requestTimeout = 30 * time.Second

// New prepares a client; it sends nothing. namespace is the cluster namespace.
func New(at Endpoint, token, namespace, userAgent string) (*Client, error) {
	c := &Client{namespace: namespace}
	c.SetToken(token)
	config := Config(at, userAgent)
	config.Wrap(func(next http.RoundTripper) http.RoundTripper { return &bearer{next, &c.token} })
	shared, err := rest.HTTPClientFor(config)
	if err != nil {
		return nil, fmt.Errorf("preparing the connection to the hub %s: %w", at.URL, err)
	}
	for _, group := range []struct {
		into    *rest.Interface
		version schema.GroupVersion
	}{
		{&c.fleet, fleet.GroupVersion}, {&c.flotilla, flotilla.GroupVersion},
		{&c.core, corev1.SchemeGroupVersion}, {&c.leases, coordv1.SchemeGroupVersion},
	} {
		if *group.into, err = Group(config, shared, group.version); err != nil {
			return nil, fmt.Errorf("preparing the connection to the hub %s: %w", at.URL, err)
		}
	}
	return c, nil
}

// Config is a connection to the hub without a credential.
func Config(at Endpoint, userAgent string) *rest.Config {
	return &rest.Config{
		Host: at.URL, TLSClientConfig: rest.TLSClientConfig{CAData: at.CA}, UserAgent: userAgent,
		QPS: -1, // the hub's own fairness decides
	}
}

// Group is a client for one API group of the hub.
func Group(config *rest.Config, shared *http.Client, gv schema.GroupVersion) (rest.Interface, error) {
	config = rest.CopyConfig(config)
	config.GroupVersion = &gv
	config.APIPath = "/apis"
	if gv.Group == "" {
		config.APIPath = "/api"
	}
	config.NegotiatedSerializer = serializer.NewCodecFactory(scheme).WithoutConversion()
	return rest.RESTClientForConfigAndClient(config, shared)
}

// scheme holds only what the agent asks for.
var scheme = newScheme()

func newScheme() *runtime.Scheme {
	s := runtime.NewScheme()
	s.AddKnownTypes(corev1.SchemeGroupVersion, &corev1.Secret{})
	s.AddKnownTypes(coordv1.SchemeGroupVersion, &coordv1.Lease{})
	s.AddKnownTypes(authv1.SchemeGroupVersion, &authv1.TokenRequest{})
	for _, gv := range []schema.GroupVersion{corev1.SchemeGroupVersion, coordv1.SchemeGroupVersion, authv1.SchemeGroupVersion} {
		metav1.AddToGroupVersion(s, gv)
	}
	for _, add := range []func(*runtime.Scheme) error{fleet.AddToScheme, flotilla.AddToScheme} {
		if err := add(s); err != nil {
			panic(err) // two types under one name: a mistake in this program
		}
	}
	return s
}

// bearer sends the token of the moment, so that a renewed one needs no new connection.
type bearer struct {
	next  http.RoundTripper
	token *atomic.Pointer[string]
}

func (b *bearer) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "Bearer "+*b.token.Load())
	return b.next.RoundTrip(r)
}

// SetToken changes the token for all requests to come.
func (c *Client) SetToken(token string) { c.token.Store(&token) }

// Token is the token of the moment.
func (c *Client) Token() string { return *c.token.Load() }

// Deployments lists and watches the cluster's BundleDeployments.
func (c *Client) Deployments() *cache.ListWatch {
	return cache.NewListWatchFromClient(c.fleet, "bundledeployments", c.namespace, fields.Everything())
}

// PatchStatus merges into a BundleDeployment's status.
func (c *Client) PatchStatus(ctx context.Context, name string, patch []byte) (*fleet.BundleDeployment, error) {
	var bd fleet.BundleDeployment
	err := c.fleet.Patch(types.MergePatchType).Namespace(c.namespace).Resource("bundledeployments").Name(name).
		SubResource("status").Param("fieldManager", fleet.AgentFieldManager).Body(patch).Timeout(requestTimeout).
		Do(ctx).Into(&bd)
	return &bd, err
}

// Content gets a chunk of a layer.
func (c *Client) Content(ctx context.Context, name string) (*fleet.Content, error) {
	var content fleet.Content
	err := c.fleet.Get().Resource("contents").Name(name).Timeout(requestTimeout).Do(ctx).Into(&content)
	return &content, err
}

// Key gets the cluster's key-encryption key.
func (c *Client) Key(ctx context.Context) ([]byte, error) {
	var secret corev1.Secret
	err := c.core.Get().Namespace(c.namespace).Resource("secrets").Name(fleet.ClusterKeySecret).Timeout(requestTimeout).
		Do(ctx).Into(&secret)
	return secret.Data[fleet.ClusterKeyKey], err
}

// Agent gets what the hub has to tell this agent.
func (c *Client) Agent(ctx context.Context) (*flotilla.Agent, error) {
	var agent flotilla.Agent
	err := c.flotilla.Get().Namespace(c.namespace).Resource("agents").Name(fleet.AgentName).Timeout(requestTimeout).
		Do(ctx).Into(&agent)
	return &agent, err
}

// PatchAgent merges into the Agent object's status.
func (c *Client) PatchAgent(ctx context.Context, patch []byte) (*flotilla.Agent, error) {
	var agent flotilla.Agent
	err := c.flotilla.Patch(types.MergePatchType).Namespace(c.namespace).Resource("agents").Name(fleet.AgentName).
		SubResource("status").Param("fieldManager", fleet.AgentFieldManager).Body(patch).Timeout(requestTimeout).
		Do(ctx).Into(&agent)
	return &agent, err
}

// PatchLease renews the cluster's lease.
func (c *Client) PatchLease(ctx context.Context, patch []byte) (*coordv1.Lease, error) {
	var lease coordv1.Lease
	err := c.leases.Patch(types.MergePatchType).Namespace(c.namespace).Resource("leases").Name(fleet.AgentName).
		Param("fieldManager", fleet.AgentFieldManager).Body(patch).Timeout(requestTimeout).
		Do(ctx).Into(&lease)
	return &lease, err
}

// RenewToken asks for a new token of the agent's own service account.
func (c *Client) RenewToken(ctx context.Context, namespace, serviceAccount string, life time.Duration) (string, time.Time, error) {
	seconds := int64(life / time.Second)
	request := &authv1.TokenRequest{
		TypeMeta: metav1.TypeMeta{APIVersion: "authentication.k8s.io/v1", Kind: "TokenRequest"},
		Spec:     authv1.TokenRequestSpec{ExpirationSeconds: &seconds},
	}
	var answer authv1.TokenRequest
	err := c.core.Post().Namespace(namespace).Resource("serviceaccounts").Name(serviceAccount).SubResource("token").
		Body(request).Timeout(requestTimeout).Do(ctx).Into(&answer)
	return answer.Status.Token, answer.Status.ExpirationTimestamp.Time, err
}
