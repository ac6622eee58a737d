package cluster_test

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	flotilla "flotilla.io/flotilla/api/flotilla/v1alpha1"
	fleet "flotilla.io/flotilla/api/v1alpha1"
	"flotilla.io/flotilla/integrationtests/golden"
)

// fixture is a cluster that has joined, and another one to attack.
type fixture struct {
	ws, ns, other   string // workspace, own cluster namespace, the other's
	account         string
	otherAccount    string
	token, agent    client.Client // with the registration token's rights, with the agent's
	deployments     []client.ObjectKey
	registration    string
	otherSecretName string
}

func newFixture(t *testing.T) fixture {
	t.Helper()
	ws := workspace(t)
	v := newToken(t, ws, "join", fleet.ClusterRegistrationTokenSpec{})
	victim := newJoiner(t, v, "victim").named("victim").join()
	j := newJoiner(t, v, "own").named("own")
	reg := j.answer(j.ask(), fleet.ReasonGranted)
	own := j.open(reg)
	f := fixture{
		ws: ws, ns: own.ClusterNamespace, other: victim.ClusterNamespace, account: own.ServiceAccount, otherAccount: victim.ServiceAccount,
		token: as(t, v.Token), agent: as(t, own.Token), registration: reg.Name, otherSecretName: "web",
	}
	for _, ns := range []string{f.ns, f.other} {
		must(t, theHub.client.Create(t.Context(), &fleet.BundleDeployment{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "web"}}))
		must(t, theHub.client.Create(t.Context(), &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "web"}}))
	}
	err := theHub.client.Create(t.Context(), &fleet.Content{ObjectMeta: metav1.ObjectMeta{Name: "l-0123"}, Content: []byte("sealed")})
	must(t, client.IgnoreAlreadyExists(err))
	eventually(t, func() error { // the API server's rules are a moment behind
		own := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: fleet.RegistrationNamespace, Name: f.account}}
		return f.agent.SubResource("token").Create(t.Context(), own, &authenticationv1.TokenRequest{})
	})
	return f
}

// What an agent and the holder of a registration token may do is written down: a change of it is seen in review.
func TestRightsOnTheHub(t *testing.T) {
	f := newFixture(t)
	for _, row := range []struct {
		golden, namespace string
		as                client.Client
	}{
		{"agent-in-its-cluster-namespace", f.ns, f.agent},
		{"agent-in-another-cluster-namespace", f.other, f.agent},
		{"agent-in-its-workspace", f.ws, f.agent},
		{"agent-among-the-accounts", fleet.RegistrationNamespace, f.agent},
		{"agent-in-the-system-namespace", fleet.SystemNamespace, f.agent},
		{"token-in-its-workspace", f.ws, f.token},
		{"token-in-a-cluster-namespace", f.ns, f.token},
		{"token-in-the-system-namespace", fleet.SystemNamespace, f.token},
	} {
		t.Run(row.golden, func(t *testing.T) {
			review := &authorizationv1.SelfSubjectRulesReview{Spec: authorizationv1.SelfSubjectRulesReviewSpec{Namespace: row.namespace}}
			must(t, row.as.Create(t.Context(), review))
			got := []byte(strings.ReplaceAll(rules(review.Status), f.account, "<its own account>"))
			golden.Compare(t, filepath.Join("testdata", "rights", row.golden+".golden"), got)
		})
	}
}

// rules lists what a review grants on resources, but for what Kubernetes grants everybody.
func rules(status authorizationv1.SubjectRulesReviewStatus) string {
	lines := map[string]bool{}
	for _, r := range status.ResourceRules {
		if slices.Contains(r.APIGroups, "authorization.k8s.io") || slices.Contains(r.APIGroups, "authentication.k8s.io") {
			continue // self subject reviews
		}
		for _, group := range r.APIGroups {
			for _, resource := range r.Resources {
				line := strings.TrimSuffix(resource+"."+group, ".")
				if len(r.ResourceNames) > 0 {
					line += " " + strings.Join(r.ResourceNames, ",")
				}
				lines[line+": "+strings.Join(r.Verbs, ",")] = true
			}
		}
	}
	sorted := make([]string, 0, len(lines))
	for line := range lines {
		sorted = append(sorted, line)
	}
	slices.Sort(sorted)
	return strings.Join(append(sorted, ""), "\n")
}

// A stolen credential of an agent opens what is that agent's, and nothing else.
func TestAStolenCredential(t *testing.T) {
	f := newFixture(t)
	ctx := t.Context()
	object := func(namespace, name string) metav1.ObjectMeta {
		return metav1.ObjectMeta{Namespace: namespace, Name: name}
	}
	patch := client.RawPatch("application/merge-patch+json", []byte(`{"metadata":{"labels":{"env":"production"}}}`))
	report := client.RawPatch("application/merge-patch+json", []byte(`{"status":{"health":"Healthy"}}`))
	tokenFor := func(c client.Client, name string) error {
		return c.SubResource("token").Create(ctx, &corev1.ServiceAccount{ObjectMeta: object(fleet.RegistrationNamespace, name)}, &authenticationv1.TokenRequest{})
	}
	for _, row := range []struct {
		rule    string
		allowed bool
		do      func(c client.Client) error
	}{
		{"it lists its own BundleDeployments", true, func(c client.Client) error {
			return c.List(ctx, &fleet.BundleDeploymentList{}, client.InNamespace(f.ns))
		}},
		{"and reports on them", true, func(c client.Client) error {
			return c.Status().Patch(ctx, &fleet.BundleDeployment{ObjectMeta: object(f.ns, "web")}, report)
		}},
		{"and does not change what it is told", false, func(c client.Client) error {
			return c.Patch(ctx, &fleet.BundleDeployment{ObjectMeta: object(f.ns, "web")}, patch)
		}},
		{"nor deletes it", false, func(c client.Client) error {
			return c.Delete(ctx, &fleet.BundleDeployment{ObjectMeta: object(f.ns, "web")})
		}},
		{"another cluster's BundleDeployments are closed", false, func(c client.Client) error {
			return c.Get(ctx, client.ObjectKey{Namespace: f.other, Name: "web"}, &fleet.BundleDeployment{})
		}},
		{"and their list", false, func(c client.Client) error {
			return c.List(ctx, &fleet.BundleDeploymentList{}, client.InNamespace(f.other))
		}},
		{"and the list of all", false, func(c client.Client) error { return c.List(ctx, &fleet.BundleDeploymentList{}) }},
		{"and their status", false, func(c client.Client) error {
			return c.Status().Patch(ctx, &fleet.BundleDeployment{ObjectMeta: object(f.other, "web")}, report)
		}},
		{"it reads its key", true, func(c client.Client) error {
			return c.Get(ctx, client.ObjectKey{Namespace: f.ns, Name: fleet.ClusterKeySecret}, &corev1.Secret{})
		}},
		{"and no other Secret", false, func(c client.Client) error {
			return c.Get(ctx, client.ObjectKey{Namespace: f.ns, Name: "web"}, &corev1.Secret{})
		}},
		{"nor a list of them", false, func(c client.Client) error { return c.List(ctx, &corev1.SecretList{}, client.InNamespace(f.ns)) }},
		{"nor another cluster's key", false, func(c client.Client) error {
			return c.Get(ctx, client.ObjectKey{Namespace: f.other, Name: fleet.ClusterKeySecret}, &corev1.Secret{})
		}},
		{"nor the hub's secret", false, func(c client.Client) error {
			return c.Get(ctx, client.ObjectKey{Namespace: fleet.SystemNamespace, Name: fleet.HubSecretName}, &corev1.Secret{})
		}},
		{"it reads a Content by name", true, func(c client.Client) error { return c.Get(ctx, client.ObjectKey{Name: "l-0123"}, &fleet.Content{}) }},
		{"and does not list them", false, func(c client.Client) error { return c.List(ctx, &fleet.ContentList{}) }},
		{"nor writes one", false, func(c client.Client) error {
			return c.Create(ctx, &fleet.Content{ObjectMeta: object("", "l-evil"), Content: []byte("x")})
		}},
		{"it reads its Agent object", true, func(c client.Client) error {
			return c.Get(ctx, client.ObjectKey{Namespace: f.ns, Name: fleet.AgentName}, &flotilla.Agent{})
		}},
		{"and writes its status", true, func(c client.Client) error {
			return c.Status().Patch(ctx, &flotilla.Agent{ObjectMeta: object(f.ns, fleet.AgentName)}, client.RawPatch("application/merge-patch+json", []byte(`{"status":{"version":"1"}}`)))
		}},
		{"and not its spec: the key there is its identity", false, func(c client.Client) error {
			return c.Patch(ctx, &flotilla.Agent{ObjectMeta: object(f.ns, fleet.AgentName)}, patch)
		}},
		{"it renews its lease", true, func(c client.Client) error {
			return c.Patch(ctx, &coordinationv1.Lease{ObjectMeta: object(f.ns, fleet.AgentName)}, client.RawPatch("application/merge-patch+json", []byte(`{"spec":{"holderIdentity":"x"}}`)))
		}},
		{"and not another's", false, func(c client.Client) error {
			return c.Patch(ctx, &coordinationv1.Lease{ObjectMeta: object(f.other, fleet.AgentName)}, client.RawPatch("application/merge-patch+json", []byte(`{"spec":{"holderIdentity":"x"}}`)))
		}},
		{"its Cluster's labels, which draw bundles, are closed", false, func(c client.Client) error {
			return c.Patch(ctx, &fleet.Cluster{ObjectMeta: object(f.ws, "own")}, patch)
		}},
		{"and the Cluster itself", false, func(c client.Client) error {
			return c.Get(ctx, client.ObjectKey{Namespace: f.ws, Name: "own"}, &fleet.Cluster{})
		}},
		{"it makes tokens for its own account", true, func(c client.Client) error { return tokenFor(c, f.account) }},
		{"and for no other agent's", false, func(c client.Client) error { return tokenFor(c, f.otherAccount) }},
		{"nor for the controller's", false, func(c client.Client) error {
			return c.SubResource("token").Create(ctx, &corev1.ServiceAccount{ObjectMeta: object(fleet.SystemNamespace, "flotilla-controller")}, &authenticationv1.TokenRequest{})
		}},
		{"it cannot register another cluster", false, func(c client.Client) error {
			return c.Create(ctx, &fleet.ClusterRegistration{ObjectMeta: object(f.ws, "x")})
		}},
		{"it cannot read registrations", false, func(c client.Client) error {
			return c.Get(ctx, client.ObjectKey{Namespace: f.ws, Name: f.registration}, &fleet.ClusterRegistration{})
		}},
		{"it cannot bind itself more", false, func(c client.Client) error {
			return c.Create(ctx, &rbacv1.RoleBinding{ObjectMeta: object(f.ns, "x"), RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "cluster-admin"}})
		}},
		{"it cannot act as somebody else", false, func(client.Client) error { return f.impersonate(t) }},
	} {
		t.Run(row.rule, func(t *testing.T) { wantVerdict(t, row.do(f.agent), row.allowed) })
	}
}

func (f fixture) impersonate(t *testing.T) error {
	bearer := &authenticationv1.TokenRequest{}
	must(t, f.agent.SubResource("token").Create(t.Context(), &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: fleet.RegistrationNamespace, Name: f.account}}, bearer))
	cfg := config(bearer.Status.Token)
	cfg.Impersonate.UserName = "system:serviceaccount:" + fleet.RegistrationNamespace + ":" + f.otherAccount
	c, err := client.New(cfg, client.Options{Scheme: scheme()})
	if err != nil {
		return err
	}
	return c.List(t.Context(), &fleet.BundleDeploymentList{}, client.InNamespace(f.other))
}

// A registration token opens the door to ask, and nothing else.
func TestAStolenRegistrationToken(t *testing.T) {
	f := newFixture(t)
	ctx := t.Context()
	for _, row := range []struct {
		rule    string
		allowed bool
		do      func(c client.Client) error
	}{
		{"it reads an answer by name", true, func(c client.Client) error {
			return c.Get(ctx, client.ObjectKey{Namespace: f.ws, Name: f.registration}, &fleet.ClusterRegistration{})
		}},
		{"and does not list others'", false, func(c client.Client) error {
			return c.List(ctx, &fleet.ClusterRegistrationList{}, client.InNamespace(f.ws))
		}},
		{"it cannot approve", false, func(c client.Client) error {
			return c.Patch(ctx, &fleet.ClusterRegistration{ObjectMeta: metav1.ObjectMeta{Namespace: f.ws, Name: f.registration}}, client.RawPatch("application/merge-patch+json", []byte(`{"spec":{"approved":true}}`)))
		}},
		{"nor answer itself", false, func(c client.Client) error {
			return c.Status().Patch(ctx, &fleet.ClusterRegistration{ObjectMeta: metav1.ObjectMeta{Namespace: f.ws, Name: f.registration}}, client.RawPatch("application/merge-patch+json", []byte(`{"status":{"granted":true}}`)))
		}},
		{"it reads no token's values", false, func(c client.Client) error {
			return c.Get(ctx, client.ObjectKey{Namespace: f.ws, Name: "join"}, &corev1.Secret{})
		}},
		{"it reads no Content", false, func(c client.Client) error { return c.Get(ctx, client.ObjectKey{Name: "l-0123"}, &fleet.Content{}) }},
		{"it sees no cluster", false, func(c client.Client) error { return c.List(ctx, &fleet.ClusterList{}, client.InNamespace(f.ws)) }},
		{"it asks in its own workspace only", false, func(c client.Client) error {
			return c.Create(ctx, &fleet.ClusterRegistration{ObjectMeta: metav1.ObjectMeta{Namespace: fleet.DefaultWorkspace, GenerateName: "request-"}})
		}},
		{"it makes no token", false, func(c client.Client) error {
			return c.SubResource("token").Create(ctx, &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: fleet.RegistrationNamespace, Name: f.account}}, &authenticationv1.TokenRequest{})
		}},
	} {
		t.Run(row.rule, func(t *testing.T) { wantVerdict(t, row.do(f.token), row.allowed) })
	}
}

func wantVerdict(t *testing.T, err error, allowed bool) {
	t.Helper()
	switch {
	case allowed && err != nil:
		t.Errorf("refused: %v", err)
	case !allowed && err == nil:
		t.Error("it was let through")
	case !allowed && !apierrors.IsForbidden(err):
		t.Error(fmt.Errorf("it ended otherwise than by a refusal: %w", err))
	}
}
