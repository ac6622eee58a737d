package register

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"flotilla.io/flotilla/agent/hub"
	fleet "flotilla.io/flotilla/api/v1alpha1"
	"flotilla.io/flotilla/bundle/seal"
)

const poll = 2 * time.Second // between two looks at the request

// credential is what the hub sealed to the agent's key.
type credential struct {
	Token                   string    `json:"token"`
	Expires                 time.Time `json:"expires"`
	ClusterNamespace        string    `json:"clusterNamespace"`
	ClusterName             string    `json:"clusterName"`
	ServiceAccount          string    `json:"serviceAccount"`
	ServiceAccountNamespace string    `json:"serviceAccountNamespace"`
	HubUID                  string    `json:"hubUID"`
}

// joining is a request that is under way. It is kept in the bootstrap Secret, so that an agent that is started anew goes
// on with it: a token may be good for one request only.
type joining struct {
	Key    []byte `json:"key"`
	Random string `json:"random"`
	Name   string `json:"name"`  // of the ClusterRegistration, "" before it was made
	Token  string `json:"token"` // the digest of the token that it is made with
}

const joiningKey = "joining"

// request asks to join, and waits for the answer.
func (k *Keeper) request(ctx context.Context, b bootstrap, secret *corev1.Secret, member *Identity) (Identity, error) {
	client, err := b.client(k.UserAgent)
	if err != nil {
		return Identity{}, err
	}
	j, err := k.joining(ctx, b, secret, member)
	if err != nil {
		return Identity{}, err
	}
	if j.Name == "" {
		request, err := k.compose(ctx, b, j)
		if err != nil {
			return Identity{}, err
		}
		var made fleet.ClusterRegistration
		err = client.Post().Namespace(b.ClusterNamespace).Resource("clusterregistrations").Body(request).Do(ctx).Into(&made)
		if err != nil {
			return Identity{}, explain(err, b)
		}
		j.Name = made.Name
		if err := k.keepJoining(ctx, secret, j); err != nil {
			return Identity{}, err
		}
	}
	k.Log.Info("asked to join", "hub", b.APIServerURL, "workspace", b.ClusterNamespace, "request", j.Name)
	id, err := k.await(ctx, client, b, j)
	if apierrors.IsNotFound(err) { // the request was deleted: ask again
		j.Name = ""
		return Identity{}, errors.Join(fmt.Errorf("the request was deleted on the hub; another one is made"), k.keepJoining(ctx, secret, j))
	}
	return id, err
}

func (b bootstrap) client(userAgent string) (rest.Interface, error) {
	config := hub.Config(hub.Endpoint{URL: b.APIServerURL, CA: []byte(b.APIServerCA)}, userAgent)
	config.BearerToken = b.Token
	shared, err := rest.HTTPClientFor(config)
	if err != nil {
		return nil, fmt.Errorf("preparing the connection to the hub %s: %w", b.APIServerURL, err)
	}
	return hub.Group(config, shared, fleet.GroupVersion)
}

// joining takes up the request that is under way with this token, or prepares one.
func (k *Keeper) joining(ctx context.Context, b bootstrap, secret *corev1.Secret, member *Identity) (joining, error) {
	var j joining
	if err := json.Unmarshal(secret.Data[joiningKey], &j); err == nil && j.Token == digest(b.Token) && len(j.Key) > 0 {
		return j, nil
	}
	key, err := keyFor(b, member)
	if err != nil {
		return joining{}, err
	}
	j = joining{Key: key, Random: rand.Text(), Token: digest(b.Token)}
	return j, k.keepJoining(ctx, secret, j)
}

// keyFor is the key that the hub knows the cluster by, or a new one: with another key than the one it knows, a hub takes
// the cluster for a copy and waits for a person.
func keyFor(b bootstrap, member *Identity) ([]byte, error) {
	if member != nil && len(member.Key) > 0 && member.HubUID == b.HubUID {
		return member.Key, nil
	}
	key, _, err := seal.NewKey()
	return key, err
}

func (k *Keeper) keepJoining(ctx context.Context, secret *corev1.Secret, j joining) error {
	data, err := json.Marshal(j)
	if err != nil {
		return err
	}
	if secret.Data == nil {
		secret.Data = map[string][]byte{}
	}
	secret.Data[joiningKey] = data
	stored, err := k.Secrets.Update(ctx, secret, metav1.UpdateOptions{})
	if err != nil {
		return fmt.Errorf("writing Secret %s: %w", secret.Name, err)
	}
	*secret = *stored
	return nil
}

// compose writes the ClusterRegistration.
func (k *Keeper) compose(ctx context.Context, b bootstrap, j joining) (*fleet.ClusterRegistration, error) {
	clientID, err := k.clientID(ctx, b)
	if err != nil {
		return nil, err
	}
	public, err := seal.PublicKey(j.Key)
	if err != nil {
		return nil, err
	}
	proofKey, err := base64.StdEncoding.DecodeString(b.TokenKey)
	if err != nil {
		return nil, fmt.Errorf("reading Secret %s: tokenKey is not base64", BootstrapSecret)
	}
	proof := seal.Request{
		TokenName: b.TokenName, ClientID: clientID, ClientRandom: j.Random, ClusterName: b.ClusterName, PublicKey: public, Labels: b.ClusterLabels,
	}.Prove(proofKey)
	return &fleet.ClusterRegistration{
		TypeMeta: metav1.TypeMeta{APIVersion: fleet.GroupVersion.String(), Kind: "ClusterRegistration"},
		ObjectMeta: metav1.ObjectMeta{
			GenerateName: "request-", Labels: map[string]string{fleet.RegistrationTokenLabel: b.TokenName},
		},
		Spec: fleet.ClusterRegistrationSpec{
			ClientID: clientID, ClientRandom: j.Random, ClusterLabels: b.ClusterLabels, ClusterName: b.ClusterName,
			PublicKey: public, Proof: proof,
		},
	}, nil
}

// clientID tells clusters apart: what a person gave, or what Fleet's agent was given, so that the cluster is known as the one
// that it was to Fleet, or else the UID of kube-system, as with Fleet.
func (k *Keeper) clientID(ctx context.Context, b bootstrap) (string, error) {
	if b.ClientID != "" {
		return b.ClientID, nil
	}
	given, err := k.ConfigMaps.Get(ctx, fleet.FleetAgentName, metav1.GetOptions{})
	if err == nil {
		var config struct {
			ClientID string `json:"clientID"`
		}
		if err := json.Unmarshal([]byte(given.Data["config"]), &config); err != nil {
			return "", fmt.Errorf("reading ConfigMap %s of Rancher Fleet: key config is no JSON; give the agent the value clientID", given.Name)
		}
		if config.ClientID != "" {
			return config.ClientID, nil
		}
	} else if !apierrors.IsNotFound(err) {
		return "", fmt.Errorf("reading ConfigMap %s: %w", fleet.FleetAgentName, err)
	}
	ns, err := k.Namespaces.Get(ctx, metav1.NamespaceSystem, metav1.GetOptions{})
	if err != nil {
		return "", fmt.Errorf("reading the UID of namespace kube-system: %w", err)
	}
	return string(ns.UID), nil
}

// await polls the request until it is granted, or a person gives another token.
func (k *Keeper) await(ctx context.Context, client rest.Interface, b bootstrap, j joining) (Identity, error) {
	last := fmt.Errorf("request %s/%s was not answered yet", b.ClusterNamespace, j.Name)
	for {
		var r fleet.ClusterRegistration
		err := client.Get().Namespace(b.ClusterNamespace).Resource("clusterregistrations").Name(j.Name).Do(ctx).Into(&r)
		switch {
		case apierrors.IsNotFound(err):
			return Identity{}, err
		case err != nil && ctx.Err() == nil:
			last = explain(err, b)
			k.say("asking for the answer to the request failed; it is tried again", "reason", last)
		case err == nil && r.Status.Granted && len(r.Status.Credential) > 0:
			return k.identity(b, j, r.Status.Credential)
		case err == nil:
			if c := fleet.Condition(r.Status.Conditions, fleet.ConditionGranted); c != nil {
				last = refusal(c, b, j)
				k.say("the hub has not let the cluster in", "reason", last)
			}
		}
		if !waited(ctx, poll) {
			return Identity{}, last
		}
		if k.superseded(ctx, j) {
			return Identity{}, fmt.Errorf("another token was given; the request %s/%s, made with the one before, is left: %w", b.ClusterNamespace, j.Name, last)
		}
	}
}

// superseded tells whether the bootstrap Secret holds another token than the request was made with.
func (k *Keeper) superseded(ctx context.Context, j joining) bool {
	secret, err := k.Secrets.Get(ctx, BootstrapSecret, metav1.GetOptions{})
	if err != nil {
		return false
	}
	b, err := bootstrapOf(secret)
	return err == nil && digest(b.Token) != j.Token
}

// waited waits, and tells whether ctx still lasts.
func waited(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(max(d, 0)):
		return true
	}
}

func (k *Keeper) identity(b bootstrap, j joining, sealed []byte) (Identity, error) {
	plain, err := seal.OpenWith(j.Key, sealed)
	if err != nil {
		return Identity{}, fmt.Errorf("opening the credential of request %s: %w", j.Name, err)
	}
	var c credential
	if err := json.Unmarshal(plain, &c); err != nil {
		return Identity{}, fmt.Errorf("reading the credential of request %s: it is no JSON", j.Name)
	}
	if b.HubUID != "" && c.HubUID != "" && b.HubUID != c.HubUID {
		return Identity{}, fmt.Errorf("the hub that answered (UID %s) is not the one that the token is of (UID %s)", c.HubUID, b.HubUID)
	}
	return Identity{
		URL: b.APIServerURL, CA: []byte(b.APIServerCA), ClusterNamespace: c.ClusterNamespace, ClusterName: c.ClusterName,
		Token: c.Token, Issued: time.Now(), Expires: c.Expires, ServiceAccount: c.ServiceAccount,
		ServiceAccountNamespace: c.ServiceAccountNamespace, HubUID: c.HubUID, Key: j.Key, JoinedWith: j.Token,
	}, nil
}

// refusal says why the hub does not let the cluster in, and what to do.
func refusal(c *fleet.GenericCondition, b bootstrap, j joining) error {
	what := map[string]string{
		fleet.ReasonTokenExpired:     "make a new ClusterRegistrationToken and give the agent its values",
		fleet.ReasonTokenUsed:        "make a new ClusterRegistrationToken, or raise its spec.uses, and give the agent its values",
		fleet.ReasonTokenUnknown:     "give the agent the values of a ClusterRegistrationToken that exists",
		fleet.ReasonAwaitingApproval: fmt.Sprintf("approve it: flotilla approve registration/%s -n %s", j.Name, b.ClusterNamespace),
		fleet.ReasonLabelRefused:     "drop the label from the agent's values, or allow it in the token's spec.allowedLabels",
		fleet.ReasonNameTaken:        "give the cluster another clusterName, or delete the Cluster that has it",
	}[c.Reason]
	if what == "" {
		return fmt.Errorf("%s: %s", c.Reason, c.Message)
	}
	return fmt.Errorf("%s: %s; %s", c.Reason, c.Message, what)
}

// explain says what an answer to the request itself means.
func explain(err error, b bootstrap) error {
	switch {
	case apierrors.IsUnauthorized(err):
		if end, ok := expires(b.Token); ok && time.Now().After(end) {
			return fmt.Errorf("the token %s ended at %s; make a new ClusterRegistrationToken and give the agent its values",
				b.TokenName, end.UTC().Format(time.RFC3339))
		}
		return fmt.Errorf("the hub does not know the token %s: it was deleted, or it is another hub's; give the agent the values of a ClusterRegistrationToken that exists",
			b.TokenName)
	case apierrors.IsForbidden(err):
		return fmt.Errorf("the token %s may not ask to join in workspace %s: %w", b.TokenName, b.ClusterNamespace, err)
	case apierrors.IsNotFound(err):
		return fmt.Errorf("%s has no workspace %s, or is no hub (%d): %w", b.APIServerURL, b.ClusterNamespace, http.StatusNotFound, err)
	}
	return err
}
