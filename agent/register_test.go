package agent_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	flotilla "flotilla.io/flotilla/api/flotilla/v1alpha1"
	fleet "flotilla.io/flotilla/api/v1alpha1"
	"flotilla.io/flotilla/bundle/seal"
)

var tokenKey = []byte("0123456789abcdef0123456789abcdef")

// workspace makes a workspace on the hub with an account that may only ask to join, and gives its token's values to the agent.
func (w *world) workspace(token string) {
	w.Helper()
	meta := metav1.ObjectMeta{Name: "joiner", Namespace: w.ns}
	w.must(makeAll(w.ctx, w.hub,
		&corev1.ServiceAccount{ObjectMeta: meta},
		&rbacv1.Role{ObjectMeta: meta, Rules: []rbacv1.PolicyRule{rule("fleet.cattle.io", "clusterregistrations", "create", "get")}},
		&rbacv1.RoleBinding{
			ObjectMeta: meta, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: "joiner"},
			Subjects: []rbacv1.Subject{{Kind: "ServiceAccount", Name: "joiner", Namespace: w.ns}},
		}))
	if token == "" {
		token = w.token(w.hub, w.ns, "joiner")
	}
	ca, err := theHub.CA()
	w.must(err)
	values, err := yaml.Marshal(map[string]any{
		"apiServerURL": theHub.Host(), "apiServerCA": string(ca), "clusterNamespace": w.ns, "token": token, "tokenName": "join",
		"tokenKey": base64.StdEncoding.EncodeToString(tokenKey), "hubUID": "hub-1", "clusterName": "edge", "labels": map[string]string{"env": "test"},
	})
	w.must(err)
	w.must(w.edge.Create(w.ctx, &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: "fleet-agent-bootstrap", Namespace: w.own}, Data: map[string][]byte{"values": values},
	}))
}

func (w *world) request() *fleet.ClusterRegistration {
	w.Helper()
	list := &fleet.ClusterRegistrationList{}
	w.eventually("the agent asks to join", func() string {
		w.must(w.hub.List(w.ctx, list, client.InNamespace(w.ns)))
		return want(len(list.Items) == 1)
	})
	return &list.Items[0]
}

// let lets the cluster in, as the hub does: into the cluster namespace that the world has made.
func (w *world) let(r *fleet.ClusterRegistration) {
	w.Helper()
	plain, err := json.Marshal(map[string]any{
		"token": w.token(w.hub, fleet.RegistrationNamespace, w.ns), "expires": time.Now().Add(time.Hour), "clusterNamespace": w.ns,
		"clusterName": "edge", "serviceAccount": w.ns, "serviceAccountNamespace": fleet.RegistrationNamespace, "hubUID": "hub-1",
	})
	w.must(err)
	r.Status.Credential, err = seal.SealTo(r.Spec.PublicKey, plain)
	w.must(err)
	r.Status.Granted = true
	w.must(w.hub.Status().Update(w.ctx, r))
}

func (w *world) forgetIdentity() {
	w.Helper()
	w.must(w.edge.Delete(w.ctx, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "fleet-agent", Namespace: w.own}}))
}

func TestAClusterJoinsWithATokenAndReportsWhatItIs(t *testing.T) {
	w := newWorld(t)
	w.forgetIdentity()
	w.workspace("")
	w.startAgent()
	r := w.request()
	proven := seal.Request{
		TokenName: r.Labels[fleet.RegistrationTokenLabel], ClientID: r.Spec.ClientID, ClientRandom: r.Spec.ClientRandom,
		ClusterName: r.Spec.ClusterName, PublicKey: r.Spec.PublicKey, Labels: r.Spec.ClusterLabels,
	}.Proven(tokenKey, r.Spec.Proof)
	if !proven || r.Spec.ClusterName != "edge" || r.Spec.ClusterLabels["env"] != "test" || r.Spec.ClientID == "" {
		t.Errorf("the request is %+v, proven %v", r.Spec, proven)
	}
	fleet.SetCondition(&r.Status.Conditions, fleet.ConditionGranted, "False", fleet.ReasonAwaitingApproval, "a person must approve")
	w.must(w.hub.Status().Update(w.ctx, r))
	w.logged("approve it: flotilla approve registration/" + r.Name + " -n " + r.Namespace)
	w.stopAgent() // it goes on with the same request
	w.startAgent()
	r = w.request()
	w.let(r)
	w.deploy("web", configMap("one", `a: "1"`))
	w.healthy("web")
	w.eventually("the Agent object tells of the cluster", func() string {
		a := w.agent()
		if a.Status.Version != "test" || a.Status.KubernetesVersion == "" || !strings.Contains(strings.Join(a.Status.APIs, " "), "apps/v1/Deployment") {
			return fmt.Sprintf("it says %+v", a.Status)
		}
		return ""
	})
	boot := &corev1.Secret{}
	if err := w.edge.Get(w.ctx, client.ObjectKey{Namespace: w.own, Name: "fleet-agent-bootstrap"}, boot); !apierrors.IsNotFound(err) {
		t.Errorf("the bootstrap Secret is there still (%v)", err)
	}
	w.eventually("the lease is renewed", func() string {
		return want(slices.ContainsFunc(w.requests(theHub, w.began), func(r request) bool { return r.Verb == "patch" && r.ObjectRef.Resource == "leases" }))
	})
}

func TestARefusalSaysWhyAndWhatToDo(t *testing.T) {
	t.Parallel()
	expired := "x." + base64.RawURLEncoding.EncodeToString([]byte(`{"exp":1000000000}`)) + ".x"
	for _, row := range []struct{ rule, token, log string }{
		{"a token that ended", expired, "the token join ended at 2001-09-09T01:46:40Z; make a new ClusterRegistrationToken"},
		{"a token that nobody knows", "unknown", "the hub does not know the token join"},
	} {
		t.Run(row.rule, func(t *testing.T) {
			w := newWorld(t)
			w.forgetIdentity()
			w.workspace(row.token)
			w.startAgent()
			w.logged(row.log)
			if strings.Contains(w.logs.String(), expired) {
				t.Error("the log holds the token")
			}
		})
	}
	for _, reason := range []string{fleet.ReasonTokenUsed, fleet.ReasonLabelRefused, fleet.ReasonNameTaken} {
		t.Run(reason, func(t *testing.T) {
			w := newWorld(t)
			w.forgetIdentity()
			w.workspace("")
			w.startAgent()
			r := w.request()
			fleet.SetCondition(&r.Status.Conditions, fleet.ConditionGranted, "False", reason, "because")
			w.must(w.hub.Status().Update(w.ctx, r))
			w.logged(reason + ": because; ")
		})
	}
	t.Run("an agent that was refused takes another token at once", func(t *testing.T) {
		w := newWorld(t)
		w.forgetIdentity()
		w.workspace("")
		w.startAgent()
		first := w.request()
		secret := &corev1.Secret{}
		w.must(w.edge.Get(w.ctx, client.ObjectKey{Namespace: w.own, Name: "fleet-agent-bootstrap"}, secret))
		before := secret.DeepCopy()
		old := regexp.MustCompile(`(?m)^token: .*$`)
		secret.Data["values"] = old.ReplaceAll(secret.Data["values"], []byte("token: "+w.token(w.hub, w.ns, "joiner")))
		w.must(w.edge.Patch(w.ctx, secret, client.MergeFrom(before)))
		list := &fleet.ClusterRegistrationList{}
		w.eventually("the agent asks with the other token", func() string {
			w.must(w.hub.List(w.ctx, list, client.InNamespace(w.ns)))
			return want(len(list.Items) == 2)
		})
		w.logged("another token was given; the request " + w.ns + "/" + first.Name)
	})
}

// A person gives a running agent another token: it joins the other hub, and keeps what it deployed.
func TestANewTokenIsAPersonsWordToJoinAnew(t *testing.T) {
	w := newWorld(t)
	w.startAgent()
	w.deploy("web", configMap("one", `a: "1"`), func(bd *fleet.BundleDeployment) { bd.Spec.Sequence = 9 })
	w.healthy("web")
	uid := w.live("v1", "ConfigMap", "one").GetUID()
	old := w.ns
	w.ns = old + "-new"
	w.furnishCluster()
	a := &flotilla.Agent{}
	w.must(w.hub.Get(w.ctx, client.ObjectKey{Namespace: w.ns, Name: fleet.AgentName}, a))
	w.workspace("")
	r := w.request()
	w.let(r)
	w.deploy("web", configMap("one", `a: "2"`)) // sequence 1: it is another membership
	w.eventually("the new hub is obeyed", func() string {
		if u := w.live("v1", "ConfigMap", "one"); u == nil || u.Object["data"].(map[string]any)["a"] != "2" {
			return fmt.Sprint(u)
		}
		return ""
	})
	w.healthy("web")
	u := w.live("v1", "ConfigMap", "one")
	if u.GetUID() != uid || u.GetAnnotations()[fleet.OwnerAnnotation] != w.ns+"/web" {
		t.Errorf("the object is %v", u)
	}
	w.noDeletes()
}
