package seal

import "testing"

func TestAProofIsForOneRequestAndOneToken(t *testing.T) {
	key := []byte("0123456789abcdef0123456789abcdef")
	request := func(change func(*Request)) Request {
		r := Request{
			TokenName: "join", ClientID: "c", ClientRandom: "r", ClusterName: "edge", PublicKey: []byte{1},
			Labels: map[string]string{"env": "production", "region": "eu"},
		}
		change(&r)
		return r
	}
	proof := request(func(*Request) {}).Prove(key)
	for _, row := range []struct {
		rule   string
		change func(*Request)
		key    []byte
		want   bool
	}{
		{"the same request is proven", func(*Request) {}, key, true},
		{"another token is not", func(r *Request) { r.TokenName = "admins" }, key, false},
		{"another token's key does not prove", func(*Request) {}, []byte("another"), false},
		{"another client is not", func(r *Request) { r.ClientID = "d" }, key, false},
		{"another random is not", func(r *Request) { r.ClientRandom = "s" }, key, false},
		{"another name is not", func(r *Request) { r.ClusterName = "edge-2" }, key, false},
		{"another key pair is not", func(r *Request) { r.PublicKey = []byte{2} }, key, false},
		{"another label is not", func(r *Request) { r.Labels["env"] = "test" }, key, false},
		{"no labels is not", func(r *Request) { r.Labels = nil }, key, false},
		{"fields cannot lend each other letters", func(r *Request) { r.ClientID, r.ClientRandom = "cr", "" }, key, false},
	} {
		t.Run(row.rule, func(t *testing.T) {
			if got := request(row.change).Proven(row.key, proof); got != row.want {
				t.Errorf("Proven = %v, want %v", got, row.want)
			}
		})
	}
	if !(Request{}).Proven(key, Request{Labels: map[string]string{}}.Prove(key)) {
		t.Error("no labels and an empty map of labels should be the same request")
	}
}
