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
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/cache"
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
		deployments := deploymentsOf(t, config)
		w, err := deployments.WatchWithContext(context.Background(), metav1.ListOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if event := <-w.ResultChan(); event.Type != "ADDED" {
			t.Fatalf("the watch began with %+v", event)
		}
		network.forgotten.Store(true)
		began := time.Now()
		if event, open := <-w.ResultChan(); open {
			t.Fatalf("the dead watch gave %+v", event)
		}
		if took := time.Since(began); took > time.Minute {
			t.Errorf("it was noticed after %s", took)
		} else {
			t.Logf("it was noticed after %s", took)
		}
	})
}
