// Package policy knows what the administrator of a workspace lets GitRepos, HelmOps and Bundles do: the GitRepoRestrictions and
// Policies of a namespace, taken together.
//
// Lists are joined, sorted by the name of the object they are from; of defaults the first counts, and one of a
// GitRepoRestriction before one of a Policy. Defaults are resolved, never written into a spec: that is its author's.
// What is judged is judged before anything is fetched or deployed, and an answer names all that is wrong at once.
package policy

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	fleet "flotilla.io/flotilla/api/v1alpha1"
)

// Rules are those of one workspace. A workspace without any has none, and everything goes.
type Rules struct {
	accounts   list // service accounts
	secrets    list // client secrets of GitRepos
	repos      list // patterns for repositories
	namespaces list // target namespaces
	selector   *metav1.LabelSelector
	selectorBy []string // who set the selector

	account, secret entry // what GitRepos have that name none

	helmOps helmOpRules

	requireAccount string // the first Policy that requires one; "" none
	mayCreate      bool   // a Policy lets namespaces be created although accounts are required
}

// Load reads the rules of a workspace.
func Load(ctx context.Context, c client.Reader, namespace string) (*Rules, error) {
	restrictions, policies := &fleet.GitRepoRestrictionList{}, &fleet.PolicyList{}
	for _, list := range []client.ObjectList{restrictions, policies} {
		if err := c.List(ctx, list, client.InNamespace(namespace)); err != nil {
			return nil, fmt.Errorf("reading the rules of workspace %s: %w", namespace, err)
		}
	}
	return New(restrictions.Items, policies.Items), nil
}

// New puts the rules of a workspace together. Neither list is modified.
func New(restrictions []fleet.GitRepoRestriction, policies []fleet.Policy) *Rules {
	r := &Rules{}
	for _, g := range byName(restrictions, func(g fleet.GitRepoRestriction) string { return g.Name }) {
		r.restrict(&g)
	}
	for _, p := range byName(policies, func(p fleet.Policy) string { return p.Name }) {
		r.add(&p)
	}
	return r
}

// String names the rules: what differs is called otherwise.
func (r *Rules) String() string {
	return fmt.Sprint(r.accounts, r.secrets, r.repos, r.namespaces, metav1.FormatLabelSelector(r.selector), r.account, r.secret, r.requireAccount, r.mayCreate, r.helmOps)
}

func byName[T any](in []T, name func(T) string) []T {
	return slices.SortedFunc(slices.Values(in), func(a, b T) int { return cmp.Compare(name(a), name(b)) })
}

func (r *Rules) restrict(g *fleet.GitRepoRestriction) {
	from := "GitRepoRestriction " + g.Name
	r.account.defaultTo(g.DefaultServiceAccount, from)
	r.secret.defaultTo(g.DefaultClientSecretName, from)
	r.accounts.add(from, g.AllowedServiceAccounts)
	r.secrets.add(from, g.AllowedClientSecretNames)
	r.repos.add(from, g.AllowedRepoPatterns)
	r.namespaces.add(from, g.AllowedTargetNamespaces)
	if g.AllowedTargetNamespaceSelector != nil {
		r.selector = mergeSelectors(r.selector, g.AllowedTargetNamespaceSelector)
		r.selectorBy = append(r.selectorBy, from)
	}
}

func (r *Rules) add(p *fleet.Policy) {
	from := "Policy " + p.Name
	r.accounts.add(from, p.AllowedServiceAccounts)
	r.mayCreate = r.mayCreate || p.AllowNamespaceCreation
	if p.RequireServiceAccount && r.requireAccount == "" {
		r.requireAccount = from
	}
	r.helmOps.add(from, p.HelmOp)
	if p.GitRepo == nil {
		return
	}
	r.account.defaultTo(p.GitRepo.DefaultServiceAccount, from)
	r.secret.defaultTo(p.GitRepo.DefaultClientSecretName, from)
	r.secrets.add(from, p.GitRepo.AllowedClientSecretNames)
	r.repos.addWhole(from, p.GitRepo.AllowedRepoPatterns)
}
