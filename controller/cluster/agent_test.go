package cluster_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	flotilla "flotilla.io/flotilla/api/flotilla/v1alpha1"
	fleet "flotilla.io/flotilla/api/v1alpha1"
	"flotilla.io/flotilla/bundle/seal"
	"flotilla.io/flotilla/controller/cluster/registration"
	"flotilla.io/flotilla/controller/cluster/token"
)

// newToken makes a registration token and waits for its values.
func newToken(t *testing.T, workspace, name string, spec fleet.ClusterRegistrationTokenSpec) token.Values {
	t.Helper()
	obj := &fleet.ClusterRegistrationToken{ObjectMeta: metav1.ObjectMeta{Namespace: workspace, Name: name}, Spec: spec}
	must(t, theHub.client.Create(t.Context(), obj))
	return values(t, workspace, name)
}

func values(t *testing.T, workspace, name string) token.Values {
	t.Helper()
	var out token.Values
	eventually(t, func() error {
		obj := get(t, workspace, name, &fleet.ClusterRegistrationToken{})
		if obj.Status.SecretName == "" {
			return fmt.Errorf("token %s has no Secret: %+v", name, obj.Status.Conditions)
		}
		secret := get(t, workspace, obj.Status.SecretName, &corev1.Secret{})
		if secret.Type != fleet.SecretTypeClusterRegistrationValues {
			t.Fatalf("the Secret has type %q", secret.Type)
		}
		return yaml.UnmarshalStrict(secret.Data["values"], &out)
	})
	return out
}

// as is a client with a token of the hub, as an agent has it.
func as(t *testing.T, bearer string) client.Client {
	t.Helper()
	c, err := client.New(config(bearer), client.Options{Scheme: scheme()})
	must(t, err)
	return c
}

func config(bearer string) *rest.Config {
	return &rest.Config{
		Host: theHub.config.Host, BearerToken: bearer, QPS: -1,
		TLSClientConfig: rest.TLSClientConfig{CAData: theHub.config.CAData, CAFile: theHub.config.CAFile},
	}
}

// joiner is an agent that wants to join.
type joiner struct {
	t       *testing.T
	values  token.Values
	hub     client.Client // with the registration token
	private []byte
	spec    fleet.ClusterRegistrationSpec
	marks   map[string]string // labels of the request itself
}

func newJoiner(t *testing.T, v token.Values, clientID string) *joiner {
	t.Helper()
	private, public, err := seal.NewKey()
	must(t, err)
	return &joiner{t: t, values: v, hub: as(t, v.Token), private: private, spec: fleet.ClusterRegistrationSpec{
		ClientID: clientID, ClientRandom: fmt.Sprint(clientID, time.Now().UnixNano()), PublicKey: public,
	}}
}

// labelled and named change what is asked.
func (j *joiner) labelled(labels map[string]string) *joiner { j.spec.ClusterLabels = labels; return j }
func (j *joiner) named(name string) *joiner                 { j.spec.ClusterName = name; return j }

// ask sends the request.
func (j *joiner) ask() *fleet.ClusterRegistration {
	j.t.Helper()
	key, err := base64.StdEncoding.DecodeString(j.values.TokenKey)
	must(j.t, err)
	reg := &fleet.ClusterRegistration{
		ObjectMeta: metav1.ObjectMeta{
			GenerateName: "request-", Namespace: j.values.ClusterNamespace, Labels: map[string]string{fleet.RegistrationTokenLabel: j.values.TokenName},
		},
		Spec: j.spec,
	}
	for key, value := range j.marks {
		reg.Labels[key] = value
	}
	reg.Spec.Proof = seal.Request{
		TokenName: j.values.TokenName, ClientID: j.spec.ClientID, ClientRandom: j.spec.ClientRandom,
		ClusterName: j.spec.ClusterName, PublicKey: j.spec.PublicKey, Labels: j.spec.ClusterLabels,
	}.Prove(key)
	eventually(j.t, func() error { // the API server's rules are a moment behind
		err := j.hub.Create(j.t.Context(), reg)
		if !apierrors.IsForbidden(err) {
			must(j.t, err)
		}
		return err
	})
	return reg
}

// answer waits for a verdict with this reason and returns the request.
func (j *joiner) answer(reg *fleet.ClusterRegistration, reason string) *fleet.ClusterRegistration {
	j.t.Helper()
	eventually(j.t, func() error {
		if err := j.hub.Get(j.t.Context(), client.ObjectKeyFromObject(reg), reg); err != nil {
			return err
		}
		if c := fleet.Condition(reg.Status.Conditions, fleet.ConditionGranted); c == nil || c.Reason != reason {
			return fmt.Errorf("Granted = %+v, want reason %s", c, reason)
		}
		return nil
	})
	return reg
}

// join asks, is granted, and opens the credential.
func (j *joiner) join() registration.Credential {
	j.t.Helper()
	return j.open(j.answer(j.ask(), fleet.ReasonGranted))
}

func (j *joiner) open(reg *fleet.ClusterRegistration) registration.Credential {
	j.t.Helper()
	plain, err := seal.OpenWith(j.private, reg.Status.Credential)
	must(j.t, err)
	var c registration.Credential
	must(j.t, json.Unmarshal(plain, &c))
	agent := as(j.t, c.Token)
	eventually(j.t, func() error { // the API server's rules are a moment behind
		return agent.Get(j.t.Context(), client.ObjectKey{Namespace: c.ClusterNamespace, Name: fleet.AgentName}, &flotilla.Agent{})
	})
	return c
}
