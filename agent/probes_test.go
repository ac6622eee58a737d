package agent_test

import (
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	fleet "flotilla.io/flotilla/api/v1alpha1"
	"flotilla.io/flotilla/controller/status"
)

// Probes of each kind against a real server and a real cluster.
func TestProbesCountToHealth(t *testing.T) {
	w := newWorld(t)
	var answer, asked atomic.Int32
	var slow atomic.Bool
	answer.Store(http.StatusServiceUnavailable)
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		if slow.Load() {
			time.Sleep(2 * time.Second)
		}
		rw.WriteHeader(int(answer.Load()))
	}))
	defer server.Close()
	probed := func(probes ...fleet.HealthProbe) func(*fleet.BundleDeployment) {
		for i := range probes {
			probes[i].Interval = &metav1.Duration{Duration: 5 * time.Second}
		}
		return func(bd *fleet.BundleDeployment) { bd.Spec.Options.Health = &fleet.HealthOptions{Probes: probes} }
	}
	api := fleet.HealthProbe{Name: "api", HTTP: &fleet.HTTPProbe{URL: server.URL + "/health"}, FailureThreshold: 1}
	w.startAgent()
	w.deploy("web", configMap("app", `open: "no"`), probed(api))
	down := "probe api: GET " + server.URL + "/health: 503, want 200"
	t.Run("one that never succeeded leaves the bundle ready and not healthy", func(t *testing.T) {
		bd := w.reads("web", fleet.HealthProgressing, down)
		if c := fleet.Condition(bd.Status.Conditions, fleet.ConditionReady); status.StateOf(bd) != fleet.Ready || c.Reason != fleet.ReasonNotVerified {
			t.Errorf("%s, Ready %+v", status.StateOf(bd), c)
		}
	})
	t.Run("it is healthy when the server answers", func(t *testing.T) {
		answer.Store(http.StatusOK)
		w.healthy("web")
	})
	t.Run("a restart takes nothing back", func(t *testing.T) {
		w.stopAgent()
		slow.Store(true) // so that an agent that does not wait for the answer has the time to say something else
		before, version := asked.Load(), w.bd("web").ResourceVersion
		w.startAgent()
		w.eventually("the probe is made again", func() string { return want(asked.Load() > before) })
		time.Sleep(3 * time.Second)
		if bd := w.healthy("web"); bd.ResourceVersion != version {
			t.Error("a status was written")
		}
		slow.Store(false)
	})
	t.Run("a server that stops answering is told, with the time", func(t *testing.T) {
		answer.Store(http.StatusServiceUnavailable)
		w.reads("web", fleet.HealthProgressing, down+", since ")
	})
	answer.Store(http.StatusOK)
	t.Run("Jobs and objects are asked, too, and another probe is no other revision", func(t *testing.T) {
		before := w.bd("web").Spec.DeploymentID
		w.write("web", probed(api,
			fleet.HealthProbe{Name: "tcp", TCP: &fleet.TCPProbe{Address: server.Listener.Addr().String()}},
			fleet.HealthProbe{Name: "job", Job: &fleet.JobProbe{Namespace: w.app, Name: "once"}},
			fleet.HealthProbe{Name: "open", Object: &fleet.ProbeObject{APIVersion: "v1", Kind: "ConfigMap", Namespace: w.app, Name: "app"}, Value: "self.data.open == 'yes'"},
		))
		w.reads("web", fleet.HealthProgressing, "probe job: Job "+w.app+"/once is none of this bundle's objects")
		if bd := w.reads("web", fleet.HealthProgressing, "probe open: ConfigMap "+w.app+"/app: self.data.open == 'yes' is false"); bd.Spec.DeploymentID != before {
			t.Errorf("the revision is %s", bd.Spec.DeploymentID)
		}
	})
	t.Run("a Job that is complete is well, also when it is gone", func(t *testing.T) {
		w.deploy("web", configMap("app", `open: "yes"`)+onceJob("a: b", ""))
		w.healthy("web")
		w.kubectl("", "delete", "job", "once")
		w.healthy("web")
	})
	t.Run("no probes, no question", func(t *testing.T) {
		w.write("web", func(bd *fleet.BundleDeployment) { bd.Spec.Options.Health = nil })
		w.healthy("web")
		before := asked.Load()
		w.deploy("other", configMap("other", `a: "1"`), probed(api))
		w.healthy("other")
		if got := asked.Load() - before; got > 2 {
			t.Errorf("it was asked %d times, want once by the other bundle", got)
		}
	})
}
