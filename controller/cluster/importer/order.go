package importer

import (
	"context"
	"crypto/rand"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	fleet "flotilla.io/flotilla/api/v1alpha1"
	"flotilla.io/flotilla/controller/cluster/token"
)

const (
	tokenPrefix = "import-token-"
	tokenTTL    = 12 * time.Hour

	// Keys of the Secret with the kubeconfig.
	kubeconfigKey = "value"
	urlKey        = "apiServerURL"
	caKey         = "apiServerCA"
)

// secretOf is the Secret with a cluster's kubeconfig.
func secretOf(c *fleet.Cluster) client.ObjectKey {
	key := client.ObjectKey{Namespace: c.Spec.KubeConfigSecretNamespace, Name: c.Spec.KubeConfigSecret}
	if key.Namespace == "" {
		key.Namespace = c.Namespace
	}
	return key
}

// ensureClientID gives the Cluster the ID that its agent registers with, if it has none: so the request needs no approval.
func (r *Reconciler) ensureClientID(ctx context.Context, in *run) error {
	if in.cluster.Spec.ClientID != "" {
		return nil
	}
	before := in.cluster.DeepCopy()
	in.cluster.Spec.ClientID = strings.ToLower(rand.Text())
	if err := r.Client.Patch(ctx, in.cluster, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{})); err != nil {
		return fmt.Errorf("writing spec.clientID: %w", err)
	}
	return nil
}

func tokenOf(c *fleet.Cluster) client.ObjectKey {
	return client.ObjectKey{Namespace: c.Namespace, Name: fleet.SafeConcatName(tokenPrefix + c.Name)}
}

// ensureToken makes a registration token that is good for one more agent, and reads its values once they are there.
func (r *Reconciler) ensureToken(ctx context.Context, in *run) error {
	key, have := tokenOf(in.cluster), &fleet.ClusterRegistrationToken{}
	err := r.Live.Get(ctx, key, have)
	if apierrors.IsNotFound(err) {
		return wait(r.makeToken(ctx, in.cluster))
	}
	if err != nil {
		return fmt.Errorf("reading registration token %s: %w", key, err)
	}
	if !metav1.IsControlledBy(have, in.cluster) {
		return fmt.Errorf("registration token %s is there already and not this cluster's; delete it", key)
	}
	if reason, _ := token.Unusable(have, r.Clock.Now()); reason != "" {
		return wait(r.renewToken(ctx, have))
	}
	if expires := have.Status.Expires; have.Status.SecretName == "" || expires == nil || !expires.Time.Equal(token.Expires(have)) {
		return errWaiting
	}
	secret := &corev1.Secret{}
	if err := r.Live.Get(ctx, client.ObjectKey{Namespace: key.Namespace, Name: have.Status.SecretName}, secret); err != nil {
		return fmt.Errorf("reading the values of registration token %s: %w", key, err)
	}
	if err := yaml.Unmarshal(secret.Data["values"], &in.values); err != nil {
		return fmt.Errorf("reading the values of registration token %s: %w", key, err)
	}
	return nil
}

// renewToken lets the token of an earlier import be used once more.
func (r *Reconciler) renewToken(ctx context.Context, t *fleet.ClusterRegistrationToken) error {
	before := t.DeepCopy()
	age := r.Clock.Now().Sub(t.CreationTimestamp.Time).Truncate(time.Second)
	t.Spec.TTL, t.Spec.Uses = &metav1.Duration{Duration: age + tokenTTL}, len(t.Status.UsedBy)+1
	if err := r.Client.Patch(ctx, t, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{})); err != nil {
		return fmt.Errorf("renewing registration token %s: %w", client.ObjectKeyFromObject(t), err)
	}
	return nil
}

// wait ends a walk that went well so far.
func wait(err error) error {
	if err != nil {
		return err
	}
	return errWaiting
}

func (r *Reconciler) makeToken(ctx context.Context, c *fleet.Cluster) error {
	key := tokenOf(c)
	err := r.Client.Create(ctx, &fleet.ClusterRegistrationToken{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: key.Namespace, Name: key.Name, Labels: map[string]string{fleet.ManagedLabel: "true"},
			OwnerReferences: []metav1.OwnerReference{{
				APIVersion: fleet.GroupVersion.String(), Kind: "Cluster", Name: c.Name, UID: c.UID, Controller: ptr.To(true),
			}},
		},
		Spec: fleet.ClusterRegistrationTokenSpec{TTL: &metav1.Duration{Duration: tokenTTL}, Uses: 1},
	})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("making registration token %s: %w", key, err)
	}
	return nil
}

// compose reads the kubeconfig and puts the values together.
func (r *Reconciler) compose(ctx context.Context, in *run) error {
	secret := &corev1.Secret{}
	key := secretOf(in.cluster)
	if err := r.Live.Get(ctx, key, secret); err != nil {
		return fmt.Errorf("reading Secret %s that spec.kubeConfigSecret names: %w", key, err)
	}
	if key.Namespace != in.cluster.Namespace && !lends(secret, in.cluster.Namespace) {
		return fmt.Errorf("Secret %s that spec.kubeConfigSecret names is of another workspace; to let Clusters of namespace %s be imported with it, "+
			"write them into its annotation: kubectl annotate secret -n %s %s %s=%s", key, in.cluster.Namespace,
			key.Namespace, key.Name, fleet.ImportIntoAnnotation, in.cluster.Namespace)
	}
	kubeconfig := secret.Data[kubeconfigKey]
	if len(kubeconfig) == 0 {
		return fmt.Errorf("Secret %s that spec.kubeConfigSecret names has no key %q with a kubeconfig", key, kubeconfigKey)
	}
	for _, name := range []string{urlKey, caKey} {
		if own := secret.Data[name]; len(own) > 0 {
			in.values[name] = string(own)
		}
	}
	values, err := chartValues(in.cluster, in.values)
	if err != nil {
		return err
	}
	in.order = Order{Kubeconfig: kubeconfig, Namespace: namespaceOf(in.cluster), Values: values}
	return r.pullSecrets(ctx, in)
}

// lends tells whether a Secret's own workspace lets another one use it.
func lends(secret *corev1.Secret, to string) bool {
	return slices.Contains(strings.Split(strings.ReplaceAll(secret.Annotations[fleet.ImportIntoAnnotation], " ", ""), ","), to)
}
