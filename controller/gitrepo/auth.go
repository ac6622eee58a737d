package gitrepo

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	fleet "flotilla.io/flotilla/api/v1alpha1"
	gitsource "flotilla.io/flotilla/bundle/source"
	"flotilla.io/flotilla/controller/origin"
)

// Key of known hosts, in the Secret of a GitRepo, and in the ConfigMap of the hub for those whose Secret has none.
const knownHosts = "known_hosts"

// Keys of a Secret for a GitHub App, which is of any type.
const (
	appID           = "github_app_id"
	appInstallation = "github_app_installation_id"
	appKey          = "github_app_private_key"
)

// auth is what the Secret of a GitRepo says, and whom it trusts.
func (r *Reconciler) auth(ctx context.Context, namespace string, spec *fleet.GitRepoSpec) (gitsource.Auth, error) {
	auth := gitsource.Auth{CABundle: spec.CABundle, Insecure: spec.InsecureSkipTLSverify, AnyHostKey: r.AnyHostKey}
	secret, err := r.clientSecret(ctx, namespace, spec.ClientSecretName)
	if err != nil {
		return auth, err
	}
	if secret != nil {
		if err := readClientSecret(secret, &auth); err != nil {
			return auth, err
		}
	}
	if gitsource.OverSSH(spec.Repo) && len(auth.KnownHosts) == 0 && !auth.AnyHostKey {
		auth.KnownHosts, err = r.hostsOfHub(ctx)
	}
	return auth, err
}

// clientSecret is the one that a GitRepo names, or that of the workspace where it names none; nil when there is none either.
func (r *Reconciler) clientSecret(ctx context.Context, namespace, name string) (*corev1.Secret, error) {
	asked := name != ""
	if !asked {
		name = fleet.GitCredentialSecret
	}
	secret := &corev1.Secret{}
	err := r.Reader.Get(ctx, client.ObjectKey{Namespace: namespace, Name: name}, secret)
	if apierrors.IsNotFound(err) && !asked {
		return nil, nil
	}
	if err != nil {
		return nil, origin.Fail(gitsource.AuthFailed, fmt.Errorf("reading Secret %s/%s that spec.clientSecretName names: %w", namespace, name, err))
	}
	return secret, nil
}

func readClientSecret(secret *corev1.Secret, auth *gitsource.Auth) error {
	switch secret.Type {
	case corev1.SecretTypeBasicAuth:
		auth.Username, auth.Password = string(secret.Data[corev1.BasicAuthUsernameKey]), string(secret.Data[corev1.BasicAuthPasswordKey])
	case corev1.SecretTypeSSHAuth:
		auth.SSHKey, auth.KnownHosts = secret.Data[corev1.SSHAuthPrivateKey], secret.Data[knownHosts]
	default:
		if secret.Data[appKey] == nil {
			return origin.Fail(fleet.ConditionNotServed, fmt.Errorf("secret %s/%s is of type %q and has no key %s: give one of type %s or %s, or the keys of a GitHub App",
				secret.Namespace, secret.Name, secret.Type, appKey, corev1.SecretTypeBasicAuth, corev1.SecretTypeSSHAuth))
		}
		return readApp(secret, auth)
	}
	return nil
}

func readApp(secret *corev1.Secret, auth *gitsource.Auth) error {
	app := &gitsource.GitHubApp{Key: secret.Data[appKey]}
	for key, number := range map[string]*int64{appID: &app.ID, appInstallation: &app.Installation} {
		var err error
		if *number, err = strconv.ParseInt(strings.TrimSpace(string(secret.Data[key])), 10, 64); err != nil {
			return origin.Fail(gitsource.AuthFailed, fmt.Errorf("reading key %s of Secret %s/%s: it is not a number", key, secret.Namespace, secret.Name))
		}
	}
	auth.App = app
	return nil
}

// hostsOfHub are the servers that the hub's operator vouches for.
func (r *Reconciler) hostsOfHub(ctx context.Context) ([]byte, error) {
	hosts := &corev1.ConfigMap{}
	err := r.Reader.Get(ctx, client.ObjectKey{Namespace: fleet.SystemNamespace, Name: fleet.KnownHostsConfigMap}, hosts)
	if apierrors.IsNotFound(err) {
		return nil, nil // then none is known, which says what to do
	}
	return []byte(hosts.Data[knownHosts]), err
}
