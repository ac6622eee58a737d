package token

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	fleet "flotilla.io/flotilla/api/v1alpha1"
)

const (
	// AccountNamespace holds the accounts of registration tokens. It is not the namespace of agents' accounts, whose group
	// may read Contents, and not a workspace: there the hub would need the right to make tokens for tenants' accounts.
	AccountNamespace = "cattle-fleet-registration-system"
	// Role is the ClusterRole, made by the chart, that says what the holder of a token may do in its workspace.
	Role = "flotilla-registration"

	tokenAnnotation          = "flotilla.io/token"
	tokenNamespaceAnnotation = "flotilla.io/token-namespace"
	tokenUIDAnnotation       = "flotilla.io/token-uid"
)

// accountName holds a hash, so that the accounts of two tokens never have one name, whatever the tokens are called.
func accountName(token client.ObjectKey) string {
	return fleet.SafeConcatName("token", fleet.KeyHash(token.Namespace+"/"+token.Name), token.Name)
}

// ensureAccount makes the account. One that was made for an earlier token of the same name goes, and its tokens with it.
func (r *Reconciler) ensureAccount(ctx context.Context, in *run) error {
	key := client.ObjectKeyFromObject(in.token)
	account := &corev1.ServiceAccount{}
	err := r.Live.Get(ctx, client.ObjectKey{Namespace: AccountNamespace, Name: accountName(key)}, account)
	if err == nil && account.Annotations[tokenUIDAnnotation] != string(in.token.UID) {
		if err := r.deleteAccount(ctx, key); err != nil {
			return err
		}
		err = apierrors.NewNotFound(corev1.Resource("serviceaccounts"), account.Name)
	}
	if apierrors.IsNotFound(err) {
		account = &corev1.ServiceAccount{
			ObjectMeta: metav1.ObjectMeta{
				Name: accountName(key), Namespace: AccountNamespace,
				Labels: map[string]string{fleet.ManagedLabel: "true"},
				Annotations: map[string]string{
					tokenAnnotation: key.Name, tokenNamespaceAnnotation: key.Namespace, tokenUIDAnnotation: string(in.token.UID),
				},
			},
			AutomountServiceAccountToken: ptr.To(false),
		}
		err = r.Client.Create(ctx, account)
	}
	if err != nil {
		return fmt.Errorf("making service account %s/%s: %w", AccountNamespace, accountName(key), err)
	}
	in.account = account
	return nil
}

// deleteAccount ends all bound tokens of a registration token.
func (r *Reconciler) deleteAccount(ctx context.Context, token client.ObjectKey) error {
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: accountName(token), Namespace: AccountNamespace}}
	if err := r.Client.Delete(ctx, account); client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("deleting service account %s/%s: %w", account.Namespace, account.Name, err)
	}
	return nil
}

// ensureBinding lets the account create registrations in the token's workspace. It goes with the token.
func (r *Reconciler) ensureBinding(ctx context.Context, in *run) error {
	want := &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{
			Name: in.account.Name, Namespace: in.token.Namespace,
			Labels: map[string]string{fleet.ManagedLabel: "true"}, OwnerReferences: []metav1.OwnerReference{owner(in.token)},
		},
		RoleRef:  rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: Role},
		Subjects: []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Name: in.account.Name, Namespace: in.account.Namespace}},
	}
	have := &rbacv1.RoleBinding{}
	err := r.Live.Get(ctx, client.ObjectKeyFromObject(want), have)
	switch {
	case apierrors.IsNotFound(err):
		err = r.Client.Create(ctx, want)
	case err == nil && !metav1.IsControlledBy(have, in.token):
		err = fmt.Errorf("it is there already and not this token's; delete it")
	}
	if err != nil {
		return fmt.Errorf("making role binding %s/%s: %w", want.Namespace, want.Name, err)
	}
	return nil
}

func owner(t *fleet.ClusterRegistrationToken) metav1.OwnerReference {
	return *metav1.NewControllerRef(t, fleet.GroupVersion.WithKind("ClusterRegistrationToken"))
}

// revoke ends what is left of a token after its grace.
func (r *Reconciler) revoke(ctx context.Context, in *run) error {
	if err := r.deleteAccount(ctx, client.ObjectKeyFromObject(in.token)); err != nil {
		return err
	}
	secret := &corev1.Secret{}
	err := r.Live.Get(ctx, client.ObjectKeyFromObject(in.token), secret)
	if err == nil && metav1.IsControlledBy(secret, in.token) {
		err = r.Client.Delete(ctx, secret)
	}
	if client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("deleting secret %s/%s: %w", in.token.Namespace, in.token.Name, err)
	}
	return nil
}
