package cluster_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	flotilla "flotilla.io/flotilla/api/flotilla/v1alpha1"
	fleet "flotilla.io/flotilla/api/v1alpha1"
	"flotilla.io/flotilla/controller/cluster/token"
)

func TestAClusterJoins(t *testing.T) {
	ws := workspace(t)
	v := newToken(t, ws, "join", fleet.ClusterRegistrationTokenSpec{TTL: &metav1.Duration{Duration: time.Hour}, Uses: 1})
	if v.APIServerURL == "" || v.APIServerCA == "" || v.HubUID != theHub.id.UID || v.ClusterNamespace != ws ||
		v.TokenName != "join" || v.SystemRegistrationNamespace != fleet.RegistrationNamespace {
		t.Errorf("the token's values are %+v", v)
	}
	j := newJoiner(t, v, "uid-1").named("edge").labelled(map[string]string{"env": "production", fleet.CreatedByAgentPodLabel: "pod"})
	c := j.join()

	ns := fleet.ClusterNamespace(ws, "edge")
	if c.ClusterName != "edge" || c.ClusterNamespace != ns || c.HubUID != theHub.id.UID || c.ServiceAccountNamespace != fleet.RegistrationNamespace {
		t.Errorf("the credential says %+v", c)
	}
	if left := time.Until(c.Expires); left < 24*time.Hour {
		t.Errorf("the credential is good for %s", left)
	}
	edge := get(t, ws, "edge", &fleet.Cluster{})
	if edge.Labels["env"] != "production" || edge.Labels[fleet.CreatedByAgentPodLabel] != "pod" || edge.Labels[fleet.ClusterLabel] != "edge" || edge.Spec.ClientID != "uid-1" {
		t.Errorf("the Cluster is %v, clientID %q", edge.Labels, edge.Spec.ClientID)
	}
	namespace := get(t, "", ns, &corev1.Namespace{})
	if namespace.Labels[fleet.ManagedLabel] != "true" || namespace.Annotations[fleet.ClusterAnnotation] != "edge" || namespace.Annotations[fleet.ClusterNamespaceAnnotation] != ws {
		t.Errorf("the cluster namespace has labels %v, annotations %v", namespace.Labels, namespace.Annotations)
	}
	agent := get(t, ns, fleet.AgentName, &flotilla.Agent{})
	if agent.Spec.HubUID != theHub.id.UID || agent.Spec.LeaseSeconds != leaseSeconds || string(agent.Spec.PublicKey) != string(j.spec.PublicKey) {
		t.Errorf("the Agent's spec is %+v", agent.Spec)
	}
	eventually(t, func() error {
		tok := get(t, ws, "join", &fleet.ClusterRegistrationToken{})
		if ready := fleet.Condition(tok.Status.Conditions, fleet.ConditionReady); tok.Status.Used != 1 || ready == nil || ready.Reason != fleet.ReasonTokenUsed {
			return fmt.Errorf("the token's status is %+v", tok.Status)
		}
		return nil
	})
	eventually(t, func() error {
		edge := get(t, ws, "edge", &fleet.Cluster{})
		if edge.Status.Namespace != ns || edge.Status.Display.State != fleet.DisplayWaitCheckIn {
			return fmt.Errorf("the Cluster's status is %+v", edge.Status)
		}
		return nil
	})
}

func TestACredentialIsReadByItsAgentOnly(t *testing.T) {
	ws := workspace(t)
	j := newJoiner(t, newToken(t, ws, "join", fleet.ClusterRegistrationTokenSpec{}), "uid-1")
	reg := j.answer(j.ask(), fleet.ReasonGranted)
	bearer := j.open(reg).Token
	if strings.Contains(string(reg.Status.Credential), bearer) {
		t.Error("the credential shows the agent's token")
	}
	for _, object := range []client.Object{
		get(t, ws, reg.Name, &fleet.ClusterRegistration{}),
		get(t, ws, reg.Status.ClusterName, &fleet.Cluster{}),
	} {
		if strings.Contains(fmt.Sprintf("%+v", object), bearer) {
			t.Errorf("%T shows the agent's token", object)
		}
	}
}

// A refusal says its reason in the condition, which the agent reads, and in an event.
func TestRefusals(t *testing.T) {
	ws := workspace(t)
	hour := &metav1.Duration{Duration: time.Hour}
	open := newToken(t, ws, "open", fleet.ClusterRegistrationTokenSpec{TTL: hour})
	strict := newToken(t, ws, "strict", fleet.ClusterRegistrationTokenSpec{AllowedLabels: map[string]string{"env": "test"}})
	short := newToken(t, ws, "short", fleet.ClusterRegistrationTokenSpec{TTL: &metav1.Duration{Duration: time.Second}})
	once := newToken(t, ws, "once", fleet.ClusterRegistrationTokenSpec{Uses: 1})
	gone := newToken(t, ws, "gone", fleet.ClusterRegistrationTokenSpec{})
	gone.TokenName = "never-was"
	newJoiner(t, once, "first").join()
	known := newJoiner(t, open, "known").named("taken")
	known.join()
	eventually(t, func() error {
		tok := get(t, ws, "short", &fleet.ClusterRegistrationToken{})
		if ready := fleet.Condition(tok.Status.Conditions, fleet.ConditionReady); ready == nil || ready.Reason != fleet.ReasonTokenExpired {
			return fmt.Errorf("the token's status is %+v", tok.Status)
		}
		return nil
	})
	wantEvent(t, get(t, ws, "short", &fleet.ClusterRegistrationToken{}), fleet.ReasonTokenExpired, "")
	wantEvent(t, get(t, ws, "once", &fleet.ClusterRegistrationToken{}), fleet.ReasonTokenUsed, "")

	borrow := func(v token.Values, name string) token.Values { v.TokenName = name; return v }
	label := func(key, value string) func(*joiner) {
		return func(j *joiner) { j.spec.ClusterLabels = map[string]string{key: value} }
	}
	for _, row := range []struct {
		rule   string
		values token.Values
		change func(*joiner)
		reason string
		says   string
	}{
		{"an expired token", short, nil, fleet.ReasonTokenExpired, "short expired at"},
		{"a token that was used up", once, nil, fleet.ReasonTokenUsed, "used 1 times"},
		{"a token that is not there", gone, nil, fleet.ReasonTokenUnknown, "there is no ClusterRegistrationToken never-was"},
		{"an expired token that borrows the name of a good one", borrow(short, "open"), nil, fleet.ReasonTokenUnknown, "does not show that the sender holds registration token open"},
		{"a token with rules that borrows the name of one without", borrow(strict, "open"), label("env", "production"), fleet.ReasonTokenUnknown, "does not show"},
		{"a name that another cluster has", open, func(j *joiner) { j.spec.ClusterName = "taken" }, fleet.ReasonNameTaken, "another cluster is called taken"},
		{"a known cluster under another name", open, func(j *joiner) { j.spec.ClientID, j.spec.ClusterName = "known", "other" }, fleet.ReasonNameTaken, "known as taken already"},
		{"a label of Fleet's", open, label("fleet.cattle.io/cluster-management", "x"), fleet.ReasonLabelRefused, "may be set on the hub only"},
		{"a label of Rancher's", open, label("management.cattle.io/cluster-display-name", "x"), fleet.ReasonLabelRefused, "may be set on the hub only"},
		{"a label that is none", open, label("a/b/c", "x"), fleet.ReasonLabelRefused, "label a/b/c=x"},
		{"a label's value that is none", open, label("env", "no value!"), fleet.ReasonLabelRefused, "label env=no value!"},
		{"a label beyond the token's rule", strict, label("env", "production"), fleet.ReasonLabelRefused, "label env=production is not among"},
		{"a label that the rule does not name", strict, label("region", "eu"), fleet.ReasonLabelRefused, "label region=eu"},
		{"no key to seal to", open, func(j *joiner) { j.spec.PublicKey = nil }, fleet.ReasonInvalid, "spec.publicKey has 0 bytes"},
		{"no identity", open, func(j *joiner) { j.spec.ClientID = "" }, fleet.ReasonInvalid, "spec.clientID is empty"},
		{"a name that cannot be one", open, func(j *joiner) { j.spec.ClusterName = "Not_A_Name" }, fleet.ReasonInvalid, `spec.clusterName "Not_A_Name"`},
		{"a name that is too long", open, func(j *joiner) { j.spec.ClusterName = strings.Repeat("a", 64) }, fleet.ReasonInvalid, "64 characters"},
	} {
		t.Run(row.rule, func(t *testing.T) {
			j := newJoiner(t, row.values, "client of "+row.rule)
			if row.change != nil {
				row.change(j)
			}
			reg := j.answer(j.ask(), row.reason)
			c := fleet.Condition(reg.Status.Conditions, fleet.ConditionGranted)
			if c.Status != corev1.ConditionFalse || !strings.Contains(c.Message, row.says) {
				t.Errorf("Granted = %s %q, want False and %q", c.Status, c.Message, row.says)
			}
			if reg.Status.Granted || len(reg.Status.Credential) > 0 {
				t.Error("a refused request got a credential")
			}
			wantEvent(t, reg, row.reason, c.Message)
		})
	}
}

// wantEvent waits for an event about obj. An empty note is any.
func wantEvent(t *testing.T, obj client.Object, reason, note string) {
	t.Helper()
	eventually(t, func() error {
		list := &eventsv1.EventList{}
		must(t, theHub.client.List(t.Context(), list, client.InNamespace(obj.GetNamespace())))
		for _, e := range list.Items {
			if e.Regarding.UID == obj.GetUID() && e.Reason == reason && (note == "" || e.Note == note) {
				return nil
			}
		}
		return fmt.Errorf("none of %d events says %s %q of %s", len(list.Items), reason, note, obj.GetName())
	})
}
