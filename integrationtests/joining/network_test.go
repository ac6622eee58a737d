package joining

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	fleet "flotilla.io/flotilla/api/v1alpha1"
	"flotilla.io/flotilla/embedded"
	"flotilla.io/flotilla/install"
	"flotilla.io/flotilla/integrationtests/world"
)

// quiet drops what servers log about clients that break off.
var quiet = log.New(io.Discard, "", 0)

// outside is the hub's address as a cluster in a company's network knows it: only the proxy there can resolve it, and what
// answers shows a certificate of the company's own authority.
const outside = "hub.fleet.invalid:6443"

// behindAProxy: the cluster's only way out is a proxy that wants a password, and the hub's API server stands behind a load
// balancer with a certificate of a private authority. The chart's values are all that anybody tells the agent.
func behindAProxy(t *testing.T, w *world.World) {
	front, ca := loadBalancer(t, w)
	p := startProxy(t, map[string]string{outside: front})
	values := token(w, "behind", fleet.ClusterRegistrationTokenSpec{TTL: hour, Uses: 1})
	rightCA := values["apiServerCA"]
	values["clusterName"], values["apiServerURL"], values["apiServerCA"] = "behind", "https://"+outside, ca
	values["proxy"] = "http://agent:secret@" + p.address

	target, err := install.NewTarget(w.Configs["behind"])
	w.Check(err)
	w.Check(target.Agent(context.Background(), values, true))
	env := podEnv(w, "behind")
	first := runsWith(w, "behind", env)
	logs(w, "behind", "the cluster has joined", "behind")
	reads(w, "behind", "Healthy")
	if asked := p.log(); len(asked) == 0 || slices.ContainsFunc(asked, func(a string) bool { return a != outside }) {
		t.Errorf("the proxy was asked for %v, want %s and nothing else", asked, outside)
	}

	t.Run("another authority's certificate is refused, and the log says so", func(t *testing.T) {
		first.Stop()
		w := in(t, w)
		hubSecret(w, "behind", "apiServerCA", fmt.Sprint(rightCA))
		second := runsWith(w, "behind", env)
		logs(w, "behind", "certificate signed by unknown authority")
		second.Stop()
		hubSecret(w, "behind", "apiServerCA", ca)
	})
	t.Run("what NO_PROXY names is not asked of the proxy", func(t *testing.T) {
		w, before := in(t, w), len(p.log())
		third := runsWith(w, "behind", append(slices.Clone(env), "NO_PROXY=.fleet.invalid,127.0.0.1"))
		logs(w, "behind", "lookup hub.fleet.invalid")
		third.Stop()
		if asked := p.log(); len(asked) != before {
			t.Errorf("the proxy was asked for %v", asked[before:])
		}
	})
}

// podEnv is the environment that the chart gives the agent's container, as a kubelet would fill it in.
func podEnv(w *world.World, cluster string) (env []string) {
	w.T.Helper()
	d := &appsv1.Deployment{}
	w.Check(w.Clients[cluster].Get(context.Background(), client.ObjectKey{Namespace: fleet.SystemNamespace, Name: "flotilla-agent"}, d))
	for _, e := range d.Spec.Template.Spec.Containers[0].Env {
		if e.ValueFrom == nil {
			env = append(env, e.Name+"="+strings.ReplaceAll(e.Value, "$(KUBERNETES_SERVICE_HOST)", "127.0.0.1"))
		}
	}
	if len(env) != 3 {
		w.T.Fatalf("the chart sets %v, want the three variables of a proxy", env)
	}
	return env
}

// runsWith runs the agent as runs does, with an empty log, and behind the proxies of an environment.
func runsWith(w *world.World, cluster string, env []string) *embedded.Process {
	w.T.Helper()
	w.Check(os.RemoveAll(agentLog(w, cluster)))
	for _, variable := range env {
		name, value, _ := strings.Cut(variable, "=")
		w.T.Setenv(name, value)
	}
	return runs(w, cluster)
}

// hubSecret changes a key of what the agent knows about its hub.
func hubSecret(w *world.World, cluster, key, value string) {
	w.T.Helper()
	w.Kubectl(cluster, "-n", fleet.SystemNamespace, "patch", "secret", "fleet-agent", "-p",
		fmt.Sprintf(`{"data":{%q:%q}}`, key, base64.StdEncoding.EncodeToString([]byte(value))))
}

// loadBalancer answers for the hub's API server under another name and authority. It gives its address and that authority.
func loadBalancer(t *testing.T, w *world.World) (address, ca string) {
	t.Helper()
	hub, err := w.Fleet.Cluster("hub")
	w.Check(err)
	to, err := url.Parse(hub.Host())
	w.Check(err)
	roots := x509.NewCertPool()
	pemCA, err := hub.CA()
	w.Check(err)
	roots.AppendCertsFromPEM(pemCA)
	certificate, ca := certificateFor(t, "hub.fleet.invalid")
	server := httptest.NewUnstartedServer(&httputil.ReverseProxy{
		Rewrite:       func(r *httputil.ProxyRequest) { r.SetURL(to) },
		Transport:     &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, ForceAttemptHTTP2: true},
		FlushInterval: -1,
		ErrorLog:      quiet,
	})
	server.EnableHTTP2, server.TLS, server.Config.ErrorLog = true, &tls.Config{Certificates: []tls.Certificate{certificate}}, quiet
	server.StartTLS()
	t.Cleanup(func() { server.CloseClientConnections(); server.Close() })
	return server.Listener.Addr().String(), ca
}

// certificateFor makes an authority and a certificate of it.
func certificateFor(t *testing.T, host string) (tls.Certificate, string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	now := time.Now()
	authority := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "a company's own"}, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, authority, authority, &key.PublicKey, key)
	must(t, err)
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(2), DNSNames: []string{host}, NotBefore: authority.NotBefore, NotAfter: authority.NotAfter,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	leafDER, err := x509.CreateCertificate(rand.Reader, leaf, authority, &key.PublicKey, key)
	must(t, err)
	return tls.Certificate{Certificate: [][]byte{leafDER}, PrivateKey: key}, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

// proxy is one that makes tunnels for those who know the password, to the hosts that it knows.
type proxy struct {
	address string
	hosts   map[string]string
	mu      sync.Mutex
	asked   []string
}

func startProxy(t *testing.T, hosts map[string]string) *proxy {
	t.Helper()
	p := &proxy{hosts: hosts}
	server := httptest.NewServer(p)
	p.address = server.Listener.Addr().String()
	t.Cleanup(server.Close)
	return p
}

func (p *proxy) log() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.asked)
}

func (p *proxy) ServeHTTP(out http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	p.asked = append(p.asked, r.Host)
	p.mu.Unlock()
	switch want := "Basic " + base64.StdEncoding.EncodeToString([]byte("agent:secret")); {
	case r.Header.Get("Proxy-Authorization") != want:
		http.Error(out, "who is it?", http.StatusProxyAuthRequired)
		return
	case r.Method != http.MethodConnect || p.hosts[r.Host] == "":
		http.Error(out, "nothing there", http.StatusBadGateway)
		return
	}
	far, err := net.Dial("tcp", p.hosts[r.Host])
	if err != nil {
		http.Error(out, err.Error(), http.StatusBadGateway)
		return
	}
	near, _, err := http.NewResponseController(out).Hijack()
	if err != nil {
		_ = far.Close()
		return
	}
	_, _ = io.WriteString(near, "HTTP/1.1 200 Connection established\r\n\r\n")
	go tunnel(far, near)
	go tunnel(near, far)
}

// tunnel carries what one end says to the other, until one of them closes.
func tunnel(to, from net.Conn) {
	_, _ = io.Copy(to, from)
	_ = to.Close()
	_ = from.Close()
}
