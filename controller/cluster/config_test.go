package cluster

import (
	"os"
	"path/filepath"
	"testing"

	"k8s.io/client-go/rest"
)

// What agents are told of the hub's API server.
func TestConfigIsCompletedFromTheManagersOwn(t *testing.T) {
	file := filepath.Join(t.TempDir(), "ca.crt")
	if err := os.WriteFile(file, []byte("own CA"), 0o600); err != nil {
		t.Fatal(err)
	}
	inline := &rest.Config{Host: "https://own", TLSClientConfig: rest.TLSClientConfig{CAData: []byte("own CA")}}
	inPod := &rest.Config{Host: "https://own", TLSClientConfig: rest.TLSClientConfig{CAFile: file}}
	for _, row := range []struct {
		rule            string
		url, ca         string
		own             *rest.Config
		wantURL, wantCA string
	}{
		{"nothing given: both are the manager's", "", "", inline, "https://own", "own CA"},
		{"the manager's CA may be a file, as in a pod", "", "", inPod, "https://own", "own CA"},
		{"another address of the same API server has the same CA", "https://hub", "", inPod, "https://hub", "own CA"},
		{"a CA that is given counts", "https://hub", "given CA", inline, "https://hub", "given CA"},
		{"a CA that is given counts also without an address", "", "given CA", inline, "https://own", "given CA"},
	} {
		t.Run(row.rule, func(t *testing.T) {
			c := Config{APIServerURL: row.url, APIServerCA: []byte(row.ca)}
			if err := c.complete(row.own); err != nil {
				t.Fatal(err)
			}
			if c.APIServerURL != row.wantURL || string(c.APIServerCA) != row.wantCA {
				t.Errorf("got %s, CA %q; want %s, CA %q", c.APIServerURL, c.APIServerCA, row.wantURL, row.wantCA)
			}
		})
	}
}
