package agent_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"flotilla.io/flotilla/agent/inventory"
	fleet "flotilla.io/flotilla/api/v1alpha1"
)

// The agent is cut off for good after its n-th write, for each n until it gets through: whatever was created is in the
// inventory, and a new agent ends where one that was never cut off ends, with nothing left behind and nothing deleted twice.
func TestAnAgentKilledBetweenAnyTwoWritesLeavesNothingBehind(t *testing.T) {
	t.Parallel()
	for n := int64(0); ; n++ {
		through := false
		t.Run(fmt.Sprintf("after %d writes", n), func(t *testing.T) {
			w := newWorldAlone(t)
			w.startAgent()
			w.deploy("web", configMap("stays", `a: "1"`)+configMap("goes", `a: "1"`))
			w.healthy("web")
			w.stopAgent()

			cut := &cutter{}
			cut.left.Store(n)
			w.proxy = func(c *rest.Config) {
				c.Wrap(func(next http.RoundTripper) http.RoundTripper { return &sharedCut{cut, next} })
			}
			w.startAgent()
			w.deploy("web", configMap("stays", `a: "2"`)+configMap("comes", `a: "1"`))
			deadline := time.Now().Add(10 * time.Second)
			for !cut.dead.Load() && time.Now().Before(deadline) {
				if bd := w.bd("web"); bd.Status.Health == fleet.HealthHealthy && bd.Status.AppliedDeploymentID == bd.Spec.DeploymentID &&
					w.live("v1", "ConfigMap", "goes") == nil {
					time.Sleep(500 * time.Millisecond)
					through = !cut.dead.Load()
					break
				}
				time.Sleep(10 * time.Millisecond)
			}
			w.stopAgent()
			w.inventoryHasAll("web", "stays", "goes", "comes")

			w.proxy = nil
			w.startAgent()
			w.healthy("web")
			w.eventually("it ends as if nothing had happened", func() string {
				comes, goes, stays := w.live("v1", "ConfigMap", "comes"), w.live("v1", "ConfigMap", "goes"), w.live("v1", "ConfigMap", "stays")
				if comes == nil || goes != nil || stays == nil || stays.Object["data"].(map[string]any)["a"] != "2" {
					return fmt.Sprint(comes, goes, stays)
				}
				return ""
			})
			w.inventoryHasAll("web", "stays", "comes")
		})
		if through || t.Failed() {
			if n < 5 {
				t.Errorf("it got through after %d writes; are they counted?", n)
			}
			return
		}
		if n > 40 {
			t.Fatal("it never got through")
		}
	}
}

// cutter counts the requests that change something, and lets none through after a number of them.
type cutter struct {
	left atomic.Int64
	dead atomic.Bool
}

func (c *cutter) allow(r *http.Request) error {
	if r.Method != http.MethodGet && !strings.Contains(r.URL.Path, "selfsubjectaccessreviews") && c.left.Add(-1) < 0 {
		c.dead.Store(true)
	}
	if c.dead.Load() {
		return errors.New("the agent was killed here")
	}
	return nil
}

// sharedCut puts a cutter into each of the agent's connections.
type sharedCut struct {
	*cutter
	next http.RoundTripper
}

func (s *sharedCut) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := s.allow(r); err != nil {
		return nil, err
	}
	return s.next.RoundTrip(r)
}

// inventoryHasAll fails if one of these objects is live with our label and not in the stored inventory.
func (w *world) inventoryHasAll(deployment string, names ...string) {
	w.Helper()
	secrets := &corev1.SecretList{}
	w.must(w.edge.List(w.ctx, secrets, client.InNamespace(w.own), client.MatchingLabels{"flotilla.io/agent": "inventory"}))
	inv := inventory.Inventory{}
	for _, s := range secrets.Items {
		w.must(inventory.DecodeInto(inv, s.Data["items"]))
	}
	known := map[string]bool{}
	for key := range inv {
		known[key.Name] = true
	}
	for _, name := range names {
		if u := w.live("v1", "ConfigMap", name); u != nil && !known[name] {
			w.Errorf("ConfigMap %s is live, but not in the inventory of %s: %v", name, deployment, known)
		}
	}
}
