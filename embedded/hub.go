// Package embedded runs a hub, and agents, as processes on this machine: for those who have no cluster to put a hub on,
// for the demo, and for the tests. The API servers are real ones from localfleet; hub and agents run under the service
// accounts and rules that their charts make.
package embedded

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	agentapi "flotilla.io/flotilla/api/flotilla/v1alpha1"
	fleet "flotilla.io/flotilla/api/v1alpha1"
	"flotilla.io/flotilla/install"
	"flotilla.io/flotilla/localfleet"
)

// HubOptions say how a hub runs.
type HubOptions struct {
	Bin           string // the folder of our programs; "" is that of the running one
	Dir           string // logs, mirrors and kubeconfigs
	WebhookAddr   string // "" is a free port of 127.0.0.1
	MetricsAddr   string // "" is a free port of 127.0.0.1
	LeaseSeconds  int    // 0 is the chart's
	WebhookSecret string // "" has the webhook deaf
	APIServerURL  string // the hub's address as clusters reach it; "" is its own, for clusters on this machine
}

// Hub is a running hub.
type Hub struct {
	Cluster *localfleet.Cluster
	Config  *rest.Config // as cluster admin
	Client  client.Client
	Process *Process

	opts HubOptions
}

// StartHub installs the hub's charts on a running cluster and starts the controller.
func StartHub(ctx context.Context, cluster *localfleet.Cluster, opts HubOptions) (*Hub, error) {
	h := &Hub{Cluster: cluster, opts: opts}
	if err := os.MkdirAll(opts.Dir, 0o700); err != nil {
		return nil, err
	}
	var err error
	if h.Config, h.Client, err = Connect(cluster.Kubeconfig(), ""); err != nil {
		return nil, err
	}
	target, err := install.NewTarget(h.Config)
	if err != nil {
		return nil, err
	}
	values := map[string]any{"webhook": map[string]any{"secret": opts.WebhookSecret}}
	if err := target.Hub(ctx, values, false); err != nil {
		return nil, fmt.Errorf("installing the hub: %w", err)
	}
	return h, h.StartController(ctx)
}

// LogPath is the file that the controller's log is appended to.
func (h *Hub) LogPath() string { return filepath.Join(h.opts.Dir, "controller.log") }

// StartController starts the controller, at first or again after it was stopped.
func (h *Hub) StartController(ctx context.Context) error {
	path, err := program(h.opts.Bin, "flotilla-controller")
	if err != nil {
		return err
	}
	account := filepath.Join(h.opts.Dir, "controller.kubeconfig")
	if err := install.WriteAccount(ctx, h.Config, fleet.SystemNamespace, "flotilla-controller", account); err != nil {
		return err
	}
	if h.Process, err = Start(path, h.LogPath(), h.arguments(account)...); err != nil {
		return err
	}
	go h.Process.keep(install.AccountLifetime, func(ctx context.Context) error {
		return install.RenewAccount(ctx, h.Config, fleet.SystemNamespace, "flotilla-controller", account)
	})
	return nil
}

func (h *Hub) arguments(account string) []string {
	webhook, metrics := cmp.Or(h.opts.WebhookAddr, "127.0.0.1:0"), cmp.Or(h.opts.MetricsAddr, "127.0.0.1:0")
	args := []string{
		"--kubeconfig", account, "--data-dir", filepath.Join(h.opts.Dir, "data"), "--api-server-url", h.opts.APIServerURL,
		"--webhook-addr", webhook, "--metrics-addr", metrics, "--leader-elect=false", "--fetch-from-this-machine",
	}
	if h.opts.LeaseSeconds > 0 {
		args = append(args, "--lease-seconds", fmt.Sprint(h.opts.LeaseSeconds))
	}
	return args
}

// Token makes a registration token and returns the values for the agent's chart, as they stand in its Secret.
func (h *Hub) Token(ctx context.Context, workspace, name string, spec fleet.ClusterRegistrationTokenSpec) (map[string]any, error) {
	token := &fleet.ClusterRegistrationToken{ObjectMeta: metav1.ObjectMeta{Namespace: workspace, Name: name}, Spec: spec}
	if err := client.IgnoreAlreadyExists(h.Client.Create(ctx, token)); err != nil {
		return nil, err
	}
	return TokenValues(ctx, h.Client, workspace, name)
}

// TokenValues waits for the Secret of a registration token and reads the values for the agent's chart from it.
func TokenValues(ctx context.Context, hub client.Client, workspace, name string) (map[string]any, error) {
	secret := &corev1.Secret{}
	err := wait.PollUntilContextTimeout(ctx, 100*time.Millisecond, time.Minute, true, func(ctx context.Context) (bool, error) {
		token := &fleet.ClusterRegistrationToken{}
		if err := hub.Get(ctx, client.ObjectKey{Namespace: workspace, Name: name}, token); err != nil {
			return false, err
		}
		if token.Status.SecretName == "" {
			return false, nil
		}
		err := hub.Get(ctx, client.ObjectKey{Namespace: workspace, Name: token.Status.SecretName}, secret)
		return err == nil, client.IgnoreNotFound(err)
	})
	if err != nil {
		return nil, fmt.Errorf("reading registration token %s/%s on the hub: %w", workspace, name, err)
	}
	values := map[string]any{}
	if err := yaml.Unmarshal(secret.Data["values"], &values); err != nil {
		return nil, fmt.Errorf("reading the values of registration token %s/%s: %w", workspace, name, err)
	}
	return values, nil
}

// Scheme knows the kinds that a person's tool needs on a hub.
func Scheme() *runtime.Scheme {
	s := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, fleet.AddToScheme, agentapi.AddToScheme} {
		if err := add(s); err != nil {
			panic(err) // a type registered twice: found by the first call
		}
	}
	return s
}

// Connect reads a kubeconfig ("" for the user's own) and context ("" for the current one) and reaches its cluster.
func Connect(kubeconfig, name string) (*rest.Config, client.Client, error) {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = kubeconfig
	cfg, err := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, &clientcmd.ConfigOverrides{CurrentContext: name}).ClientConfig()
	if err != nil {
		return nil, nil, fmt.Errorf("reading %s: %w", describe(kubeconfig, name), err)
	}
	cfg.QPS, cfg.Burst = -1, -1
	c, err := client.New(cfg, client.Options{Scheme: Scheme()})
	return cfg, c, err
}

func describe(kubeconfig, name string) string {
	what := "the kubeconfig (of $KUBECONFIG or ~/.kube/config)"
	if kubeconfig != "" {
		what = "kubeconfig " + kubeconfig
	}
	if name != "" {
		what += fmt.Sprintf(", context %q", name)
	}
	return what
}
