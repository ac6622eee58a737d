// Package register gives the agent its identity on the hub, and keeps it.
//
// A cluster joins with a token that a person put into Secret fleet-agent-bootstrap. The agent makes a key of its own, asks
// to join with a ClusterRegistration, waits to be let in, and opens the credential that the hub sealed to its key. The
// identity is then kept in Secret fleet-agent, and the bootstrap Secret is deleted. A bootstrap Secret that turns up later
// with another token is a person's word to join anew: the old identity serves until the new one is there, and inventory
// and objects stay what they are.
package register

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"
)

const (
	// IdentitySecret holds the agent's identity.
	IdentitySecret = "fleet-agent"
	// BootstrapSecret holds what a person gave the agent to join with.
	BootstrapSecret = "fleet-agent-bootstrap"
)

// Identity is who the agent is on the hub.
type Identity struct {
	URL                     string
	CA                      []byte // PEM
	ClusterNamespace        string
	ClusterName             string
	Token                   string
	Issued, Expires         time.Time
	ServiceAccount          string
	ServiceAccountNamespace string
	HubUID                  string
	Key                     []byte // the agent's private key
	JoinedWith              string // the digest of the token that the cluster joined with
}

// secret writes an identity in Fleet's keys, and some more.
func (id Identity) secret() *corev1.Secret {
	return &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: IdentitySecret},
		Data: map[string][]byte{
			"apiServerURL": []byte(id.URL), "apiServerCA": id.CA, "token": []byte(id.Token),
			"deploymentNamespace": []byte(id.ClusterNamespace), "clusterNamespace": []byte(id.ClusterNamespace),
			"clusterName": []byte(id.ClusterName), "serviceAccount": []byte(id.ServiceAccount),
			"serviceAccountNamespace": []byte(id.ServiceAccountNamespace), "hubUID": []byte(id.HubUID), "key": id.Key,
			"issued": stamp(id.Issued), "expires": stamp(id.Expires), "joinedWith": []byte(id.JoinedWith),
		},
	}
}

// fleetKeys are those by which Fleet's agent finds its hub. They stay in the Secret, for the way back to Fleet.
var fleetKeys = []string{"kubeconfig", "clusterNamespace"}

// ofFleet tells whether Fleet's agent wrote a Secret, and this one never did.
func ofFleet(secret *corev1.Secret) bool {
	return len(secret.Data["kubeconfig"]) > 0 && len(secret.Data["apiServerURL"]) == 0
}

func stamp(t time.Time) []byte {
	if t.IsZero() {
		return nil
	}
	return []byte(t.UTC().Format(time.RFC3339))
}

func identityOf(secret *corev1.Secret) (Identity, error) {
	text := func(key string) string { return string(secret.Data[key]) }
	id := Identity{
		URL: text("apiServerURL"), CA: secret.Data["apiServerCA"], ClusterNamespace: text("deploymentNamespace"),
		ClusterName: text("clusterName"), Token: text("token"), ServiceAccount: text("serviceAccount"),
		ServiceAccountNamespace: text("serviceAccountNamespace"), HubUID: text("hubUID"), Key: secret.Data["key"],
		JoinedWith: text("joinedWith"),
	}
	for key, into := range map[string]*time.Time{"issued": &id.Issued, "expires": &id.Expires} {
		if text(key) == "" {
			continue
		}
		t, err := time.Parse(time.RFC3339, text(key))
		if err != nil {
			return Identity{}, fmt.Errorf("reading Secret %s: key %s: %w", secret.Name, key, err)
		}
		*into = t
	}
	for key, value := range map[string]string{"apiServerURL": id.URL, "deploymentNamespace": id.ClusterNamespace, "token": id.Token} {
		if value == "" {
			return Identity{}, fmt.Errorf("reading Secret %s: key %s is missing; delete the Secret and have the cluster join again", secret.Name, key)
		}
	}
	return id, nil
}

// bootstrap is what a person gave the agent to join with.
type bootstrap struct {
	APIServerURL                string            `json:"apiServerURL"`
	APIServerCA                 string            `json:"apiServerCA"` // PEM
	ClusterNamespace            string            `json:"clusterNamespace"`
	SystemRegistrationNamespace string            `json:"systemRegistrationNamespace"`
	Token                       string            `json:"token"`
	TokenName                   string            `json:"tokenName"`
	TokenKey                    string            `json:"tokenKey"` // base64
	HubUID                      string            `json:"hubUID"`
	ClientID                    string            `json:"clientID"`
	ClusterName                 string            `json:"clusterName"`
	Labels                      map[string]string `json:"labels"`
	ClusterLabels               map[string]string `json:"clusterLabels"`
}

// bootstrapOf reads the bootstrap Secret: one key `values` with YAML, as the hub's Secret of a token has it, or a key for
// each, as Fleet's chart writes it; a key by itself wins.
func bootstrapOf(secret *corev1.Secret) (bootstrap, error) {
	var b bootstrap
	if err := yaml.Unmarshal(secret.Data["values"], &b); err != nil {
		return b, fmt.Errorf("reading Secret %s: key values is no YAML of the values that a token's Secret has", secret.Name)
	}
	for key, into := range map[string]*string{
		"apiServerURL": &b.APIServerURL, "apiServerCA": &b.APIServerCA, "clusterNamespace": &b.ClusterNamespace,
		"systemRegistrationNamespace": &b.SystemRegistrationNamespace, "token": &b.Token, "tokenName": &b.TokenName,
		"tokenKey": &b.TokenKey, "hubUID": &b.HubUID, "clientID": &b.ClientID, "clusterName": &b.ClusterName,
	} {
		if value, ok := secret.Data[key]; ok {
			*into = string(value)
		}
	}
	for key, into := range map[string]*map[string]string{"labels": &b.Labels, "clusterLabels": &b.ClusterLabels} {
		if value, ok := secret.Data[key]; ok {
			if err := yaml.Unmarshal(value, into); err != nil {
				return b, fmt.Errorf("reading Secret %s: key %s is no map of labels", secret.Name, key)
			}
		}
	}
	if b.ClusterLabels == nil {
		b.ClusterLabels = b.Labels
	}
	for key, value := range map[string]string{"apiServerURL": b.APIServerURL, "clusterNamespace": b.ClusterNamespace, "token": b.Token} {
		if value == "" {
			return b, fmt.Errorf("reading Secret %s: %s is missing; give the agent the values of the token's Secret on the hub", secret.Name, key)
		}
	}
	return b, nil
}

// Expiry says what a token tells of its own end: "it ended at …", or "" where it does not tell.
func Expiry(token string) string {
	end, ok := expires(token)
	switch {
	case !ok:
		return "it does not tell when it ends"
	case time.Now().After(end):
		return "it ended at " + end.UTC().Format(time.RFC3339)
	}
	return "it is good until " + end.UTC().Format(time.RFC3339)
}

func expires(token string) (time.Time, bool) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return time.Time{}, false
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return time.Time{}, false
	}
	var claims struct {
		Expires int64 `json:"exp"`
	}
	if err := json.Unmarshal(payload, &claims); err != nil || claims.Expires == 0 {
		return time.Time{}, false
	}
	return time.Unix(claims.Expires, 0), true
}
