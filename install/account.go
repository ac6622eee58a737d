package install

import (
	"context"
	"fmt"
	"os"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// accountLifetime is how long the token of an account lasts that runs as a process outside of a cluster. The API server
// may give less.
const accountLifetime = 30 * 24 * time.Hour

// WriteAccount writes a kubeconfig with which a process acts as a service account, as its Pod would.
func WriteAccount(ctx context.Context, cfg *rest.Config, namespace, name, path string) error {
	client, err := kubernetes.NewForConfig(cfg)
	if err != nil {
		return err
	}
	seconds := int64(accountLifetime.Seconds())
	token, err := client.CoreV1().ServiceAccounts(namespace).CreateToken(ctx, name,
		&authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{ExpirationSeconds: &seconds}}, metav1.CreateOptions{})
	if err != nil {
		return fmt.Errorf("getting a token of service account %s/%s: %w", namespace, name, err)
	}
	ca := cfg.CAData
	if len(ca) == 0 && cfg.CAFile != "" {
		if ca, err = os.ReadFile(cfg.CAFile); err != nil {
			return err
		}
	}
	kc := clientcmdapi.NewConfig()
	kc.Clusters["cluster"] = &clientcmdapi.Cluster{Server: cfg.Host, CertificateAuthorityData: ca, InsecureSkipTLSVerify: cfg.Insecure, TLSServerName: cfg.ServerName}
	kc.AuthInfos["account"] = &clientcmdapi.AuthInfo{Token: token.Status.Token}
	kc.Contexts["account"] = &clientcmdapi.Context{Cluster: "cluster", AuthInfo: "account", Namespace: namespace}
	kc.CurrentContext = "account"
	return clientcmd.WriteToFile(*kc, path)
}
