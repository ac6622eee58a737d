// Package access gives an agent its account on the hub, and takes it away.
//
// All accounts of agents lie in one namespace, so that one group names them. An account bears the name of its cluster
// namespace, which holds a hash, and remembers the cluster it is for, so that no name that a person picks can lead to the
// account of another cluster. What it may do is written in ClusterRole flotilla-agent, bound in the cluster namespace
// alone, and in a Role that lets it make tokens for itself.
package access

import (
	"context"
	"fmt"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	fleet "flotilla.io/flotilla/api/v1alpha1"
)

// AgentRole is the ClusterRole, made by the chart, that says what an agent may do in its cluster namespace.
const AgentRole = "flotilla-agent"

// Accounts makes and takes away the accounts of agents. Reads are live: an account is looked at when its cluster joins or
// leaves, which is too seldom for a watch on all RBAC objects.
type Accounts struct {
	Client client.Client
	Live   client.Reader
}

// Grant makes sure that a cluster's agent has its account and bindings. With anew, the account is replaced, which ends
// every token that was ever made for it.
func (a Accounts) Grant(ctx context.Context, cluster *fleet.Cluster, anew bool) (*corev1.ServiceAccount, error) {
	if anew {
		if err := a.deleteAccount(ctx, cluster); err != nil {
			return nil, err
		}
	}
	account, err := a.account(ctx, cluster)
	if err != nil {
		return nil, err
	}
	if err := a.role(ctx, account); err != nil {
		return nil, err
	}
	subject := rbacv1.Subject{Kind: rbacv1.ServiceAccountKind, Name: account.Name, Namespace: account.Namespace}
	for _, want := range []*rbacv1.RoleBinding{
		binding(fleet.RegistrationNamespace, account.Name, rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: account.Name}, subject),
		binding(namespaceOf(cluster), AgentRole, rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: AgentRole}, subject),
	} {
		if err := a.bind(ctx, want); err != nil {
			return nil, err
		}
	}
	return account, nil
}

// Token makes a bound token for an account. The API server may grant less than lifetime.
func (a Accounts) Token(ctx context.Context, account *corev1.ServiceAccount, seconds int64) (*authenticationv1.TokenRequest, error) {
	request := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{ExpirationSeconds: &seconds}}
	if err := a.Client.SubResource("token").Create(ctx, account, request); err != nil {
		return nil, fmt.Errorf("making a token for service account %s/%s: %w", account.Namespace, account.Name, err)
	}
	return request, nil
}

// Revoke ends a cluster's account: its tokens, its Role, its bindings, and the key that opens its layers. What is deployed
// on the cluster, and the BundleDeployments on the hub, stay as they are.
func (a Accounts) Revoke(ctx context.Context, cluster *fleet.Cluster) error {
	if err := a.deleteAccount(ctx, cluster); err != nil {
		return err
	}
	own := metav1.ObjectMeta{Name: namespaceOf(cluster), Namespace: fleet.RegistrationNamespace}
	key := metav1.ObjectMeta{Name: fleet.ClusterKeySecret, Namespace: namespaceOf(cluster)}
	for _, obj := range []client.Object{
		&rbacv1.RoleBinding{ObjectMeta: own}, &rbacv1.Role{ObjectMeta: own}, &corev1.Secret{ObjectMeta: key},
	} {
		if err := a.Client.Delete(ctx, obj); client.IgnoreNotFound(err) != nil {
			return fmt.Errorf("revoking cluster %s: deleting %T %s/%s: %w", cluster.Name, obj, obj.GetNamespace(), obj.GetName(), err)
		}
	}
	return a.unbind(ctx, namespaceOf(cluster))
}

func (a Accounts) account(ctx context.Context, cluster *fleet.Cluster) (*corev1.ServiceAccount, error) {
	account := &corev1.ServiceAccount{}
	key := client.ObjectKey{Namespace: fleet.RegistrationNamespace, Name: namespaceOf(cluster)}
	err := a.Live.Get(ctx, key, account)
	if apierrors.IsNotFound(err) {
		account = &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{
			Name: key.Name, Namespace: key.Namespace,
			Labels: map[string]string{fleet.ManagedLabel: "true"},
			Annotations: map[string]string{
				fleet.ClusterAnnotation: cluster.Name, fleet.ClusterNamespaceAnnotation: cluster.Namespace,
			},
		}}
		err = a.Client.Create(ctx, account)
	}
	if err != nil {
		return nil, fmt.Errorf("making service account %s: %w", key, err)
	}
	return account, owned(account, cluster)
}

func (a Accounts) deleteAccount(ctx context.Context, cluster *fleet.Cluster) error {
	account := &corev1.ServiceAccount{}
	key := client.ObjectKey{Namespace: fleet.RegistrationNamespace, Name: namespaceOf(cluster)}
	if err := a.Live.Get(ctx, key, account); err != nil {
		return client.IgnoreNotFound(err)
	}
	if err := owned(account, cluster); err != nil {
		return err
	}
	err := a.Client.Delete(ctx, account, client.Preconditions{UID: &account.UID})
	if client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("deleting service account %s: %w", key, err)
	}
	return nil
}

// namespaceOf is worked out anew, not read from the status, which others may be allowed to write.
func namespaceOf(cluster *fleet.Cluster) string {
	return fleet.ClusterNamespace(cluster.Namespace, cluster.Name)
}

// owned refuses an account that is another cluster's.
func owned(account *corev1.ServiceAccount, cluster *fleet.Cluster) error {
	name, namespace := account.Annotations[fleet.ClusterAnnotation], account.Annotations[fleet.ClusterNamespaceAnnotation]
	if name == cluster.Name && namespace == cluster.Namespace {
		return nil
	}
	return fmt.Errorf("service account %s/%s is of cluster %q of workspace %q, not of %s/%s; rename the cluster",
		account.Namespace, account.Name, name, namespace, cluster.Namespace, cluster.Name)
}

// role lets the account make tokens for itself, and for nobody else.
func (a Accounts) role(ctx context.Context, account *corev1.ServiceAccount) error {
	want := &rbacv1.Role{
		ObjectMeta: metav1.ObjectMeta{Name: account.Name, Namespace: account.Namespace, Labels: map[string]string{fleet.ManagedLabel: "true"}},
		Rules: []rbacv1.PolicyRule{{
			APIGroups: []string{""}, Resources: []string{"serviceaccounts/token"}, ResourceNames: []string{account.Name}, Verbs: []string{"create"},
		}},
	}
	have := &rbacv1.Role{}
	err := a.Live.Get(ctx, client.ObjectKeyFromObject(want), have)
	switch {
	case apierrors.IsNotFound(err):
		err = a.Client.Create(ctx, want)
	case err == nil && !equality.Semantic.DeepEqual(have.Rules, want.Rules):
		before := have.DeepCopy()
		have.Rules = want.Rules
		err = a.Client.Patch(ctx, have, client.MergeFrom(before))
	}
	if err != nil {
		return fmt.Errorf("making role %s/%s: %w", want.Namespace, want.Name, err)
	}
	return nil
}

func binding(namespace, name string, role rbacv1.RoleRef, subject rbacv1.Subject) *rbacv1.RoleBinding {
	return &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: namespace, Labels: map[string]string{fleet.ManagedLabel: "true"}},
		RoleRef:    role, Subjects: []rbacv1.Subject{subject},
	}
}

func (a Accounts) bind(ctx context.Context, want *rbacv1.RoleBinding) error {
	have := &rbacv1.RoleBinding{}
	err := a.Live.Get(ctx, client.ObjectKeyFromObject(want), have)
	switch {
	case apierrors.IsNotFound(err):
		err = a.Client.Create(ctx, want)
	case err == nil && have.RoleRef != want.RoleRef:
		err = fmt.Errorf("it binds %s %s; delete it", have.RoleRef.Kind, have.RoleRef.Name)
	case err == nil && !equality.Semantic.DeepEqual(have.Subjects, want.Subjects):
		before := have.DeepCopy()
		have.Subjects = want.Subjects
		err = a.Client.Patch(ctx, have, client.MergeFrom(before))
	}
	if err != nil {
		return fmt.Errorf("binding %s %s in role binding %s/%s: %w", want.RoleRef.Kind, want.RoleRef.Name, want.Namespace, want.Name, err)
	}
	return nil
}

// unbind empties the binding in a cluster namespace: the hub may not delete role bindings outside its own namespaces.
func (a Accounts) unbind(ctx context.Context, namespace string) error {
	have := &rbacv1.RoleBinding{}
	if err := a.Live.Get(ctx, client.ObjectKey{Namespace: namespace, Name: AgentRole}, have); err != nil {
		return client.IgnoreNotFound(err)
	}
	if len(have.Subjects) == 0 {
		return nil
	}
	before := have.DeepCopy()
	have.Subjects = nil
	if err := a.Client.Patch(ctx, have, client.MergeFrom(before)); client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("emptying role binding %s/%s: %w", namespace, AgentRole, err)
	}
	return nil
}
