package hub

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/rest"

	fleet "flotilla.io/flotilla/api/v1alpha1"
)

// A load balancer that forgets a connection drops what is sent on it and tells nobody. The connection's own pings find out, with
// client-go's times, which nothing here changes: in the bubble a minute passes at once.
func TestAConnectionThatWasForgottenIsNoticedWithinAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		certificate, ca := selfSigned(t)
		network := &network{conns: make(chan net.Conn)}
		server := &http.Server{Handler: http.HandlerFunc(watchForever), TLSConfig: &tls.Config{Certificates: []tls.Certificate{certificate}}, ErrorLog: log.New(io.Discard, "", 0)}
		go server.ServeTLS(network, "", "")
		defer func() { network.forgotten.Store(false); _ = network.Close(); _ = server.Close() }()

		config := Config(Endpoint{URL: "https://hub", CA: ca}, "test")
		config.Dial = network.dial
		shared, err := rest.HTTPClientFor(config)
		must(t, err)
		group, err := Group(config, shared, fleet.GroupVersion)
		must(t, err)
		deployments := (&Client{namespace: "cluster", fleet: group}).Deployments()
		w, err := deployments.WatchWithContext(context.Background(), metav1.ListOptions{})
		must(t, err)
		if event := <-w.ResultChan(); event.Type != "ADDED" {
			t.Fatalf("the watch began with %+v", event)
		}
		network.forgotten.Store(true)
		began := time.Now()
		if event, open := <-w.ResultChan(); open && event.Type != watch.Error {
			t.Fatalf("the dead watch gave %+v", event)
		}
		if took := time.Since(began); took > time.Minute {
			t.Errorf("it was noticed after %s", took)
		} else {
			t.Logf("it was noticed after %s", took)
		}
	})
}

// watchForever answers a watch with one event, and then with nothing.
func watchForever(out http.ResponseWriter, r *http.Request) {
	out.Header().Set("Content-Type", "application/json")
	_, _ = io.WriteString(out, `{"type":"ADDED","object":{"apiVersion":"fleet.cattle.io/v1alpha1","kind":"BundleDeployment","metadata":{"name":"web"}}}`+"\n")
	_ = http.NewResponseController(out).Flush()
	<-r.Context().Done()
}

// network makes connections within the process, and listens to them. Once they are forgotten, what either end says is lost.
type network struct {
	conns     chan net.Conn
	forgotten atomic.Bool
	closed    sync.Once
}

func (n *network) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	near, far := net.Pipe()
	select {
	case n.conns <- &lossy{far, n}:
		return &lossy{near, n}, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (n *network) Accept() (net.Conn, error) {
	c, ok := <-n.conns
	if !ok {
		return nil, net.ErrClosed
	}
	return c, nil
}

func (n *network) Close() error   { n.closed.Do(func() { close(n.conns) }); return nil }
func (n *network) Addr() net.Addr { return &net.TCPAddr{} }

// lossy is an end of a connection.
type lossy struct {
	net.Conn
	network *network
}

func (l *lossy) Write(data []byte) (int, error) {
	if l.network.forgotten.Load() {
		return len(data), nil
	}
	return l.Conn.Write(data)
}

func selfSigned(t *testing.T) (tls.Certificate, []byte) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	about := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "hub"}, DNSNames: []string{"hub"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, about, about, &key.PublicKey, key)
	must(t, err)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
