//go:build packs

package packs

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"flotilla.io/flotilla/agent/record"
	"flotilla.io/flotilla/integrationtests/world"
)

const (
	auditedOn   = "cluster-gcp"
	tokenOfSIEM = "of-the-siem"
	secretThere = "canary-of-the-audit"
)

// audited is an application of one cluster, in the version v.
func audited(v string) map[string]string {
	return map[string]string{
		"fleet.yaml": "name: audited\ndefaultNamespace: audited\ncorrectDrift: {enabled: true}\noverrideTargets:\n- clusterName: " + auditedOn + "\n",
		"app.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings}\ndata: {version: \"" + v + "\"}\n---\n" +
			"apiVersion: v1\nkind: Secret\nmetadata: {name: password}\nstringData: {password: " + secretThere + "}\n",
	}
}

// auditLog has the audit logs of all clusters and the agents' records at one place, by the real OpenTelemetry Collector with the
// pack's own configuration.
func auditLog(w *World) {
	build(w.T, "otelcol")
	siem := serveSIEM(w)
	all := slices.Sorted(maps.Keys(clusters))
	for _, name := range all {
		w.Label(name, "packs.flotilla.io/audit-log", "true")
	}
	w.Check(w.Hub.Client.Create(context.Background(), &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: world.Workspace, Name: "siem"}, StringData: map[string]string{"token": tokenOfSIEM},
	}))
	start := time.Now()
	w.Push("audit-log", w.Changed("audit-log", "collector/collector.yaml", "https://siem.company.com", siem.server.URL))
	w.healthy("audit-log")
	for _, name := range all {
		collector(w, siem, name)
	}
	for _, name := range all {
		w.Eventually("waiting for the audit log of "+name, func() error { return siem.has(name) })
	}
	w.Prove("audit in one place", "audit-log", "the real collector of each of four clusters, with the configuration and the token that the pack brought, sends the API server's audit log and the agent's records "+
		"to one HTTPS endpoint, told by cluster, "+seconds(start)+" after the push; their files are put where it looks by the test", Simulated)
	recorded(w, siem)
}

// recorded: a push, and what a person deletes and is put back, are found at the one place, with cluster and commit and without values.
func recorded(w *World, siem *siemServer) {
	w.push("audited", audited("1"))
	w.healthy("audited")
	commit := w.push("audited", audited("2"))
	change := record.Change{Cause: record.Cause{Bundle: "audited", Revision: commit[:12], Reason: record.Deploy}, Verb: "apply", Resource: "configmaps", Name: "settings", Code: http.StatusOK}
	w.Eventually("waiting for the record of a push", func() error { return siem.once(change) })
	w.Prove("who changed what, and why", "one value of a ConfigMap of "+auditedOn, "one record of "+auditedOn+" names bundle, commit and object, and by its ID the request in that cluster's audit log; no other cluster has any", Simulated)

	w.Check(w.Person(auditedOn).Delete(context.Background(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "audited", Name: "settings"}}))
	change.Reason, change.Code = record.Drift, http.StatusCreated
	w.Eventually("waiting for the record of a correction", func() error { return siem.once(change) })
	w.Eventually("waiting for who did it", func() error { return siem.person() })
	w.healthy("audited")
	w.Prove("what a person changed, and that it was put back", "nothing", "the audit log tells that a person deleted the ConfigMap, the agent's record that it was put back", Simulated)
	if siem.leaked() {
		w.T.Errorf("a value of a Secret was sent")
	}
}

// collector runs the collector of a cluster with the configuration that the pack brought: only where its files are differs.
func collector(w *World, siem *siemServer, cluster string) {
	w.T.Helper()
	dir := filepath.Join(w.Dir, "collector-"+cluster)
	pod := filepath.Join(dir, "pods", "cattle-fleet-system_flotilla-agent-0", "agent")
	w.Check(os.MkdirAll(pod, 0o700))
	brought := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "audit-log", Name: "siem"}}
	w.Check(w.Reads(cluster, brought))
	w.Check(os.WriteFile(filepath.Join(dir, "token"), brought.Data["token"], 0o600))
	config := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "audit-log", Name: "audit-log-agent"}}
	w.Check(w.Reads(cluster, config))
	c, err := w.Fleet.Cluster(cluster)
	w.Check(err)
	health := w.Port()
	here := strings.NewReplacer(
		"/var/log/kubernetes/audit/*.log", c.AuditLogPath(), "/var/log/pods", filepath.Join(dir, "pods"), "/etc/siem", dir,
		"/var/lib/audit-log", filepath.Join(dir, "position"), "0.0.0.0:13133", health,
	).Replace(config.Data["relay"])
	relay := map[string]any{}
	w.Check(yaml.Unmarshal([]byte(here), &relay))
	relay["exporters"].(map[string]any)["otlp_http"].(map[string]any)["encoding"] = "json" // which this test can read
	data, err := yaml.Marshal(relay)
	w.Check(err)
	file := filepath.Join(dir, "relay.yaml")
	w.Check(os.WriteFile(file, data, 0o600))
	runtimeLog(w, w.Agents[cluster].LogPath(), filepath.Join(pod, "0.log"))
	w.Controller(Controller{
		Name: "otelcol", On: cluster, As: "audit-log/audit-log", Args: []string{"--config", file},
		Env: []string{"SSL_CERT_FILE=" + siem.certificate}, Serves: "http://" + health + "/",
	})
}

// runtimeLog writes what the agent prints as a container runtime would, until the whole test ends.
func runtimeLog(w *World, from, to string) {
	w.T.Helper()
	in, err := os.Open(from)
	w.Check(err)
	out, err := os.Create(to)
	w.Check(err)
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan struct{})
	w.test.Cleanup(func() { stop(); <-done })
	go func() {
		defer close(done)
		defer in.Close()
		defer out.Close()
		var part []byte
		for buffer := make([]byte, 1<<16); ctx.Err() == nil; {
			n, _ := in.Read(buffer)
			part = append(part, buffer[:n]...)
			for {
				line, rest, whole := bytes.Cut(part, []byte("\n"))
				if !whole {
					break
				}
				fmt.Fprintf(out, "%s stdout F %s\n", time.Now().UTC().Format(time.RFC3339Nano), line)
				part = rest
			}
			if n == 0 {
				time.Sleep(50 * time.Millisecond)
			}
		}
	}()
}

// siemServer is the one place, an OTLP endpoint.
type siemServer struct {
	server      *httptest.Server
	certificate string // its file

	mu     sync.Mutex
	wrong  error
	events map[string]map[string]request // by cluster and ID: what changed something
	seen   map[string]bool               // clusters and sources
	all    map[string][]record.Change    // by cluster
	canary bool
}

func serveSIEM(w *World) *siemServer {
	s := &siemServer{certificate: filepath.Join(w.Dir, "siem.crt"), events: map[string]map[string]request{}, seen: map[string]bool{}, all: map[string][]record.Change{}}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/logs", s.receive)
	s.server = httptest.NewTLSServer(mux)
	w.test.Cleanup(s.server.Close)
	w.Check(os.WriteFile(s.certificate, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.server.Certificate().Raw}), 0o600))
	return s
}

// logs is what is used of OTLP's logs in JSON.
type logs struct {
	ResourceLogs []struct {
		Resource struct {
			Attributes []struct {
				Key   string
				Value struct{ StringValue string }
			}
		}
		ScopeLogs []struct {
			LogRecords []struct {
				Body struct{ StringValue string }
			}
		}
	}
}

func (s *siemServer) receive(rw http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Authorization") != "Bearer "+tokenOfSIEM {
		http.Error(rw, "who are you?", http.StatusUnauthorized)
		return
	}
	var all logs
	var body io.Reader = r.Body
	var err error
	if r.Header.Get("Content-Encoding") == "gzip" {
		body, err = gzip.NewReader(r.Body)
	}
	if err == nil {
		err = json.NewDecoder(body).Decode(&all)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		s.wrong = err
		http.Error(rw, err.Error(), http.StatusBadRequest)
		return
	}
	for _, of := range all.ResourceLogs {
		attributes := map[string]string{}
		for _, a := range of.Resource.Attributes {
			attributes[a.Key] = a.Value.StringValue
		}
		for _, scope := range of.ScopeLogs {
			for _, line := range scope.LogRecords {
				s.line(attributes["k8s.cluster.name"], attributes["log.source"], line.Body.StringValue)
			}
		}
	}
	rw.Header().Set("Content-Type", "application/json")
	_, _ = io.WriteString(rw, "{}")
}

// line takes one in; s.mu is held.
func (s *siemServer) line(cluster, source, text string) {
	s.canary = s.canary || strings.Contains(text, secretThere)
	s.seen[cluster+" "+source] = true
	switch source {
	case "flotilla":
		var c record.Change
		if err := json.Unmarshal([]byte(text), &c); err != nil || c.Record != record.Kind {
			s.wrong = fmt.Errorf("no record: %s: %w", text, err)
		}
		s.all[cluster] = append(s.all[cluster], c)
	case "kubernetes":
		var event struct {
			AuditID string
			request
		}
		if err := json.Unmarshal([]byte(text), &event); err != nil {
			s.wrong = err
		}
		if s.events[cluster] == nil {
			s.events[cluster] = map[string]request{}
		}
		if !event.reads() {
			s.events[cluster][event.AuditID] = event.request
		}
	default:
		s.wrong = fmt.Errorf("%s of %s", source, cluster)
	}
}

// has tells why not both logs of a cluster have come.
func (s *siemServer) has(cluster string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, source := range []string{"kubernetes", "flotilla"} {
		if !s.seen[cluster+" "+source] {
			return fmt.Errorf("nothing of %s has come", source)
		}
	}
	return s.wrong
}

// once tells why there is not one record of a change, of the cluster that it is on, with its request.
func (s *siemServer) once(want record.Change) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	found := 0
	for cluster, all := range s.all {
		for _, c := range all {
			id, namespace := c.AuditID, c.ClusterNamespace
			same := record.Change{Cause: record.Cause{Bundle: c.Bundle, Revision: c.Revision, Reason: c.Reason}, Verb: c.Verb, Resource: c.Resource, Name: c.Name, Code: c.Code}
			if same != want {
				continue
			}
			if _, audited := s.events[cluster][id]; cluster != auditedOn || !strings.Contains(namespace, auditedOn) || !audited {
				return fmt.Errorf("a record of %s: %+v, in its audit log: %v", cluster, c, audited)
			}
			found++
		}
	}
	if found != 1 {
		return fmt.Errorf("there are %d records of %+v", found, want)
	}
	return s.wrong
}

// person tells why nobody is seen who deleted the ConfigMap.
func (s *siemServer) person() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range s.events[auditedOn] {
		if r.Verb == "delete" && r.ObjectRef.Name == "settings" && r.User.Username == serviceAccount+testNamespace+":"+person {
			return nil
		}
	}
	return fmt.Errorf("%d changes, and none of a person", len(s.events[auditedOn]))
}

func (s *siemServer) leaked() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.canary
}
