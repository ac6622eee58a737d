package install

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// AccountLifetime is how long the token of an account lasts that runs as a process outside of a cluster.
const AccountLifetime = 24 * time.Hour

// WriteAccount writes a kubeconfig with which a process acts as a service account, as its Pod would. The token lies in a
// file beside it, which clients read again every minute; RenewAccount puts a new one there.
func WriteAccount(ctx context.Context, cfg *rest.Config, namespace, name, path string) error {
	path, err := filepath.Abs(path)
	if err != nil {
		return err
	}
	if err := RenewAccount(ctx, cfg, namespace, name, path); err != nil {
		return err
	}
	ca := cfg.CAData
	if len(ca) == 0 && cfg.CAFile != "" {
		if ca, err = os.ReadFile(cfg.CAFile); err != nil {
			return err
		}
	}
	kc := clientcmdapi.NewConfig()
	kc.Clusters["cluster"] = &clientcmdapi.Cluster{Server: cfg.Host, CertificateAuthorityData: ca, InsecureSkipTLSVerify: cfg.Insecure, TLSServerName: cfg.ServerName}
	kc.AuthInfos["account"] = &clientcmdapi.AuthInfo{TokenFile: tokenFile(path)}
	kc.Contexts["account"] = &clientcmdapi.Context{Cluster: "cluster", AuthInfo: "account", Namespace: namespace}
	kc.CurrentContext = "account"
	return clientcmd.WriteToFile(*kc, path)
}

// RenewAccount gets a new token for the kubeconfig at path. Do so well within AccountLifetime.
func RenewAccount(ctx context.Context, cfg *rest.Config, namespace, name, path string) error {
	client, err := kubernetes.NewForConfig(cfg)
	if err != nil {
		return err
	}
	seconds := int64(AccountLifetime.Seconds())
	token, err := client.CoreV1().ServiceAccounts(namespace).CreateToken(ctx, name,
		&authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{ExpirationSeconds: &seconds}}, metav1.CreateOptions{})
	if err != nil {
		return fmt.Errorf("getting a token of service account %s/%s: %w", namespace, name, err)
	}
	next := tokenFile(path) + ".next" // a reader must not find half of a token
	if err := os.WriteFile(next, []byte(token.Status.Token), 0o600); err != nil {
		return err
	}
	return os.Rename(next, tokenFile(path))
}

func tokenFile(kubeconfig string) string { return kubeconfig + ".token" }
