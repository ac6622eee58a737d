package importer

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	fleet "flotilla.io/flotilla/api/v1alpha1"
)

const (
	// patience bounds a whole import, and answer one request to the cluster.
	patience = 2 * time.Minute
	answer   = 20 * time.Second
	// lastWords bounds what is taken from a process that failed.
	lastWords = 2 << 10
)

// Order is what the process that dials is told.
type Order struct {
	Kubeconfig []byte         `json:"kubeconfig"`
	Namespace  string         `json:"namespace"` // the agent's
	Values     map[string]any `json:"values"`    // of the agent's chart
	// PullSecrets are the hub's credentials for registries, by name; they are made in Namespace.
	PullSecrets []corev1.Secret `json:"pullSecrets,omitempty"`
}

// Process carries out orders by running a program that calls Serve. It gets nothing of this one's environment but where the
// proxy is.
func Process(exe string, args ...string) func(context.Context, Order) error {
	return func(ctx context.Context, order Order) error {
		ctx, cancel := context.WithTimeout(ctx, patience)
		defer cancel()
		data, err := json.Marshal(order)
		if err != nil {
			return err
		}
		cmd := exec.CommandContext(ctx, exe, args...)
		cmd.Stdin, cmd.Dir, cmd.Env = bytes.NewReader(data), "/", []string{}
		for _, name := range []string{"HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY"} {
			if value := os.Getenv(name); value != "" {
				cmd.Env = append(cmd.Env, name+"="+value)
			}
		}
		var said bytes.Buffer
		cmd.Stderr = &said
		err = cmd.Run()
		switch words := fleet.Clip(strings.TrimSpace(said.String()), lastWords); {
		case ctx.Err() != nil:
			return fmt.Errorf("it took longer than %s", patience)
		case err != nil && words != "":
			return fmt.Errorf("%s", words)
		}
		return err
	}
}

// Serve carries out the order on in. It is the whole work of the process.
func Serve(ctx context.Context, in io.Reader, install func(context.Context, *rest.Config, Order) error) error {
	var order Order
	if err := json.NewDecoder(in).Decode(&order); err != nil {
		return fmt.Errorf("reading the order: %w", err)
	}
	config, err := Config(order.Kubeconfig)
	if err != nil {
		return err
	}
	return install(ctx, config, order)
}

// Config reads a kubeconfig that somebody who is not the hub's admin wrote: it may name no command to run and no file, which
// would be run, and read, here.
func Config(kubeconfig []byte) (*rest.Config, error) {
	raw, err := clientcmd.Load(kubeconfig)
	if err != nil {
		return nil, fmt.Errorf("the kubeconfig cannot be read: %w", err)
	}
	current, ok := raw.Contexts[raw.CurrentContext]
	if !ok {
		return nil, fmt.Errorf("the kubeconfig has no context %q, which its current-context names", raw.CurrentContext)
	}
	if field := reaches(raw.Clusters[current.Cluster], raw.AuthInfos[current.AuthInfo]); field != "" {
		return nil, fmt.Errorf("the kubeconfig has a field %s: the hub runs no commands and reads no files for it; "+
			"write a token or certificates into it (kubectl config view --raw --flatten)", field)
	}
	config, err := clientcmd.NewDefaultClientConfig(*raw, &clientcmd.ConfigOverrides{}).ClientConfig()
	if err != nil {
		return nil, fmt.Errorf("the kubeconfig cannot be used: %w", err)
	}
	config.Timeout, config.UserAgent = answer, "flotilla-import"
	return config, nil
}

// reaches names the field of a kubeconfig by which it would reach beyond itself.
func reaches(cluster *clientcmdapi.Cluster, user *clientcmdapi.AuthInfo) string {
	if cluster != nil && cluster.CertificateAuthority != "" {
		return "certificate-authority"
	}
	if user == nil {
		return ""
	}
	switch {
	case user.Exec != nil:
		return "exec"
	case user.AuthProvider != nil:
		return "auth-provider"
	case user.TokenFile != "":
		return "tokenFile"
	case user.ClientCertificate != "":
		return "client-certificate"
	case user.ClientKey != "":
		return "client-key"
	}
	return ""
}
