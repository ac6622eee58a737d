package gitrepo

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	fleet "flotilla.io/flotilla/api/v1alpha1"
	gitsource "flotilla.io/flotilla/bundle/source"
	"flotilla.io/flotilla/controller/origin"
)

// Key of known hosts, in the Secret of a GitRepo, and in the ConfigMap of the hub for those whose Secret has none.
const knownHosts = "known_hosts"

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
		return origin.Fail(fleet.ConditionNotServed, fmt.Errorf("secret %s/%s is of type %q: %s and %s are served",
			secret.Namespace, secret.Name, secret.Type, corev1.SecretTypeBasicAuth, corev1.SecretTypeSSHAuth))
	}
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
