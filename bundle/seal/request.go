package seal

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/json"
)

// Request is what a ClusterRegistration asks for: the fields that its proof covers.
type Request struct {
	TokenName    string            `json:"tokenName"` // the label fleet.cattle.io/registration-token
	ClientID     string            `json:"clientID"`
	ClientRandom string            `json:"clientRandom"`
	ClusterName  string            `json:"clusterName"`
	PublicKey    []byte            `json:"publicKey"`
	Labels       map[string]string `json:"labels,omitempty"` // spec.clusterLabels
}

// Prove makes the proof (spec.proof) that a request comes from somebody who was given the values of the token it names:
// key is tokenKey of those values. Without it, whoever holds any token of a workspace, an expired one too, could name
// another one, with more rights.
func (r Request) Prove(key []byte) []byte {
	mac := hmac.New(sha256.New, key)
	data, err := json.Marshal(r)
	if err != nil {
		panic(err) // strings, bytes and a map of strings always encode
	}
	mac.Write(data)
	return mac.Sum(nil)
}

// Proven tells whether proof was made with key for just this request.
func (r Request) Proven(key, proof []byte) bool {
	return hmac.Equal(r.Prove(key), proof)
}
