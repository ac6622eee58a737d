//go:build packs

package packs

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	fleet "flotilla.io/flotilla/api/v1alpha1"
	"flotilla.io/flotilla/integrationtests/terraform"
	"flotilla.io/flotilla/integrationtests/world"
)

const (
	globalName = "api.company.com"
	dnsOn      = "cluster-aws"
)

// ingresses are the addresses that clouds would give the members.
var ingresses = map[string]string{"cluster-aws": "203.0.113.7", "cluster-gcp": "203.0.113.8", "cluster-azure": "203.0.113.9"}

// globalLB has one name for three clusters, with the real external-dns, and the clusters leave and come back as they are.
func globalLB(w *World) {
	build(w.T, "externaldns")
	apps, records := serveHealth(w), serveRecords(w)
	for name := range ingresses {
		w.Label(name, "packs.flotilla.io/global-lb", "member")
		w.Label(name, "packs.flotilla.io/global-lb-region", map[string]string{"eu": "EEU", "us": "WNAM"}[clusters[name]["data-region"]])
	}
	w.Label(dnsOn, "packs.flotilla.io/global-lb-dns", "true")
	w.Check(w.Hub.Client.Create(context.Background(), &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: world.Workspace, Name: "dns-provider"}, StringData: map[string]string{"token": "of-the-dns-provider"},
	}))
	start := time.Now()
	w.Push("global-lb", w.Changed("global-lb", "ingress/fleet.yaml",
		"http://global-lb.ingress.svc/health", apps.server.URL+"/${ .ClusterName }/health", "interval: 60s", "interval: 5s"))
	for name := range ingresses {
		w.says("global-lb-ingress", name, fleet.HealthProgressing, "global-lb")
	}
	w.Prove("without addresses the pack reads Progressing", "global-lb", "bundle global-lb-ingress is Progressing on the three members, and global-lb-dns waits for it", Proved)
	for name, address := range ingresses {
		given(w, name, address)
	}
	w.healthy("global-lb-ingress", "global-lb-externaldns")
	w.says("global-lb-dns", dnsOn, fleet.HealthProgressing, "external-dns has not taken it yet")
	externalDNS(w, records)
	records.points(slices.Sorted(maps.Values(ingresses))...)
	w.healthy("global-lb-dns")
	w.Prove("one name for several clusters", "global-lb", "external-dns asked its provider for "+globalName+" with the addresses of three ingresses, "+seconds(start)+" after the push", Simulated)
	balanced(w)
	leave(w, apps, records)
}

// leave: who is unhealthy or lost is no address of the name until that is over, and the last one stays.
func leave(w *World, apps *healthServer, records *recordServer) {
	aws, gcp, azure := ingresses["cluster-aws"], ingresses["cluster-gcp"], ingresses["cluster-azure"]
	start := time.Now()
	apps.set("cluster-gcp", false)
	records.points(aws, azure)
	took := seconds(start)
	if out := w.outputs(); strings.Contains(out, gcp) {
		w.T.Errorf("an unhealthy cluster is among the variables:\n%s", out)
	}
	start = time.Now()
	apps.set("cluster-gcp", true)
	records.points(aws, gcp, azure)
	w.Prove("an unhealthy cluster leaves the pool and comes back", "/health of cluster-gcp fails, its probe every 5 s",
		"external-dns took its address from the name "+took+" later, and put it back "+seconds(start)+" after it succeeded; Terraform's variables follow", Proved)

	w.Agents["cluster-azure"].Process.Stop()
	records.points(aws, gcp)
	w.Check(w.Agents["cluster-azure"].Start())
	records.points(aws, gcp, azure)
	w.Prove("a lost cluster leaves the pool and comes back", "the agent of cluster-azure ends", "external-dns took its address from the name, and put it back when the agent was there again", Proved)

	for name := range ingresses {
		apps.set(name, false)
	}
	w.Eventually("waiting for all to be unhealthy", func() error {
		for name := range ingresses {
			if d, err := w.deployment("global-lb-ingress", name); err != nil || d.Status.Health == fleet.HealthHealthy {
				return fmt.Errorf("%s is healthy: %w", name, err)
			}
		}
		return nil
	})
	time.Sleep(3 * time.Second) // three rounds of external-dns, which nothing tells of: that it does nothing can only be waited for
	if last := records.now(); last == "" || records.deleted() {
		w.T.Errorf("the last pool was emptied: %s is %q", globalName, last)
	}
	for name := range ingresses {
		apps.set(name, true)
	}
	records.points(aws, gcp, azure)
	w.healthy("global-lb-ingress", "global-lb-dns")
	w.Prove("the last pool is never emptied", "/health of all three fails", "the records stayed, and no deletion was ever asked for; all three came back", Proved)
}

// balanced holds the pack's Terraform against what the fleet says.
func balanced(w *World) {
	values := w.outputs()
	made, err := terraform.Resources(filepath.Join(root(), "examples", "packs", "global-lb", "terraform", "cloudflare"), []byte(values+"account_id = \"a\"\nzone_id = \"z\"\n"))
	w.Check(err)
	for name, address := range ingresses {
		if pool := made[fmt.Sprintf("cloudflare_load_balancer_pool.cluster[%q]", name)]; !strings.Contains(pool, `"address":"`+address+`"`) {
			w.T.Errorf("the pool of %s is %s", name, pool)
		}
	}
	var balancer struct {
		Regions map[string][]string `json:"region_pools"`
	}
	w.Check(json.Unmarshal([]byte(made["cloudflare_load_balancer.global"]), &balancer))
	if len(balancer.Regions) != 2 || len(balancer.Regions["EEU"]) != 3 || !strings.Contains(balancer.Regions["WNAM"][0], "cluster-azure") {
		w.T.Errorf("steering by region is %v", balancer.Regions)
	}
	w.Prove("pools, monitor and region steering made from live addresses", "global-lb", "Terraform's expressions, evaluated by HCL's library with what `flotilla outputs --format tfvars` printed: "+
		"three pools with their addresses, EEU and WNAM; what providers make of it is on paper", Simulated)
}

// outputs are the fleet's values for Terraform.
func (w *World) outputs() string {
	w.T.Helper()
	return w.hub("outputs", "global-lb-ingress", "--format", "tfvars", "--healthy")
}

// given gives a Service its address, as a cloud would.
func given(w *World, cluster, address string) {
	w.T.Helper()
	service := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "ingress", Name: "global-lb"}}
	w.Eventually("waiting for the Service on "+cluster, func() error { return w.Reads(cluster, service) })
	before := service.DeepCopy()
	service.Status.LoadBalancer.Ingress = []corev1.LoadBalancerIngress{{IP: address}}
	w.Check(w.StandIn(cluster).Status().Patch(context.Background(), service, client.MergeFrom(before)))
}

// externalDNS runs it as its Deployment says, but for the provider and how often it looks.
func externalDNS(w *World, records *recordServer) {
	w.T.Helper()
	d := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: "external-dns", Name: "external-dns"}}
	w.Check(w.Reads(dnsOn, d))
	args := slices.DeleteFunc(slices.Clone(d.Spec.Template.Spec.Containers[0].Args), func(a string) bool {
		return strings.HasPrefix(a, "--provider=") || strings.HasPrefix(a, "--interval=")
	})
	metrics := w.Port()
	w.Controller(Controller{
		Name: "externaldns", Program: "external-dns", On: dnsOn, As: "external-dns/external-dns", Serves: "http://" + metrics + "/healthz",
		Args: append(args, "--kubeconfig", "$KUBECONFIG", "--provider=webhook", "--webhook-provider-url="+records.server.URL, "--interval=1s", "--metrics-address="+metrics),
	})
}

// healthServer is /health of the applications behind all ingresses.
type healthServer struct {
	server *httptest.Server
	mu     sync.Mutex
	broken map[string]bool
}

func serveHealth(w *World) *healthServer {
	h := &healthServer{broken: map[string]bool{}}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{cluster}/health", func(rw http.ResponseWriter, r *http.Request) {
		h.mu.Lock()
		defer h.mu.Unlock()
		if h.broken[r.PathValue("cluster")] {
			http.Error(rw, "no", http.StatusServiceUnavailable)
		}
	})
	h.server = httptest.NewServer(mux)
	w.test.Cleanup(h.server.Close)
	return h
}

func (h *healthServer) set(cluster string, well bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.broken[cluster] = !well
}

// endpoint is a record, as external-dns has it.
type endpoint struct {
	DNSName    string   `json:"dnsName"`
	RecordType string   `json:"recordType"`
	Targets    []string `json:"targets"`

	SetIdentifier    string              `json:"setIdentifier,omitempty"`
	RecordTTL        int64               `json:"recordTTL,omitempty"`
	Labels           map[string]string   `json:"labels,omitempty"`
	ProviderSpecific []map[string]string `json:"providerSpecific,omitempty"`
}

// recordServer is a provider of external-dns with records in memory.
type recordServer struct {
	w      *World
	server *httptest.Server

	mu      sync.Mutex
	records map[string]endpoint // by type and name
	gone    bool                // whether a deletion of the name was ever asked for
}

func serveRecords(w *World) *recordServer {
	r := &recordServer{w: w, records: map[string]endpoint{}}
	mux := http.NewServeMux()
	answer := func(rw http.ResponseWriter, v any) {
		rw.Header().Set("Content-Type", "application/external.dns.webhook+json;version=1")
		_ = json.NewEncoder(rw).Encode(v)
	}
	mux.HandleFunc("GET /{$}", func(rw http.ResponseWriter, _ *http.Request) {
		answer(rw, map[string]any{"include": []string{"company.com"}})
	})
	mux.HandleFunc("GET /records", func(rw http.ResponseWriter, _ *http.Request) {
		r.mu.Lock()
		defer r.mu.Unlock()
		answer(rw, slices.Collect(maps.Values(r.records)))
	})
	mux.HandleFunc("POST /adjustendpoints", func(rw http.ResponseWriter, req *http.Request) {
		var all []endpoint
		_ = json.NewDecoder(req.Body).Decode(&all)
		answer(rw, all)
	})
	mux.HandleFunc("POST /records", r.change)
	r.server = httptest.NewServer(mux)
	w.test.Cleanup(r.server.Close)
	return r
}

func (r *recordServer) change(rw http.ResponseWriter, req *http.Request) {
	var changes struct{ Create, UpdateNew, Delete []endpoint }
	if err := json.NewDecoder(req.Body).Decode(&changes); err != nil {
		http.Error(rw, err.Error(), http.StatusBadRequest)
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, e := range changes.Delete {
		r.gone = r.gone || e.DNSName == globalName
		delete(r.records, e.RecordType+" "+e.DNSName)
	}
	for _, e := range slices.Concat(changes.Create, changes.UpdateNew) {
		r.records[e.RecordType+" "+e.DNSName] = e
	}
	rw.WriteHeader(http.StatusNoContent)
}

// now are the addresses of the name.
func (r *recordServer) now() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return strings.Join(slices.Sorted(slices.Values(r.records["A "+globalName].Targets)), " ")
}

func (r *recordServer) deleted() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.gone
}

// points waits until the name has these addresses.
func (r *recordServer) points(addresses ...string) {
	r.w.T.Helper()
	want := strings.Join(slices.Sorted(slices.Values(addresses)), " ")
	r.w.Eventually("waiting for "+globalName+" to be "+want, func() error {
		if got := r.now(); got != want {
			return fmt.Errorf("it is %q", got)
		}
		return nil
	})
}
