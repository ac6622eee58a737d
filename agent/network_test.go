package agent_test

import (
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"flotilla.io/flotilla/localfleet"
)

// relay is a load balancer in front of an API server, on the level of TCP.
type relay struct {
	net.Listener
	to    string
	mu    sync.Mutex
	pairs []*pair
}

// pair is a connection through it.
type pair struct {
	near, far         net.Conn
	forgotten, closed atomic.Bool
}

func startRelay(t *testing.T, to *localfleet.Cluster) *relay {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &relay{Listener: l, to: strings.TrimPrefix(to.Host(), "https://")}
	go r.run()
	t.Cleanup(func() { _ = l.Close(); r.cut() })
	return r
}

func (r *relay) run() {
	for {
		near, err := r.Accept()
		if err != nil {
			return
		}
		far, err := net.Dial("tcp", r.to)
		if err != nil {
			_ = near.Close()
			continue
		}
		p := &pair{near: near, far: far}
		r.mu.Lock()
		r.pairs = append(r.pairs, p)
		r.mu.Unlock()
		go p.carry(far, near)
		go p.carry(near, far)
	}
}

// carry passes on what one end says, until the pair is forgotten: then it is lost, and nobody is told.
func (p *pair) carry(to, from net.Conn) {
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		if !p.forgotten.Load() {
			if n > 0 {
				_, _ = to.Write(buf[:n])
			}
			if err != nil {
				_ = to.Close()
			}
		}
		if err != nil {
			p.closed.Store(true)
			return
		}
	}
}

// open counts the connections of the moment.
func (r *relay) open() (n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, p := range r.pairs {
		if !p.closed.Load() {
			n++
		}
	}
	return n
}

// all takes the connections of the moment.
func (r *relay) all(do func(*pair)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, p := range r.pairs {
		do(p)
	}
	r.pairs = nil
}

// forget drops connections as a firewall does whose timeout ran out; cut closes them.
func (r *relay) forget() { r.all(func(p *pair) { p.forgotten.Store(true) }) }
func (r *relay) cut()    { r.all(func(p *pair) { _ = p.near.Close(); _ = p.far.Close() }) }

// Connections that idle are cut, or forgotten without a word. The agent's watch comes back, and what was ordered meanwhile is done.
// That a forgotten one is noticed within a minute, with the times that are in force, is tested in agent/hub; here they are shorter.
func TestTheWatchComesBackWhenItsConnectionIsLost(t *testing.T) {
	t.Setenv("HTTP2_READ_IDLE_TIMEOUT_SECONDS", "2")
	t.Setenv("HTTP2_PING_TIMEOUT_SECONDS", "1")
	w := newWorldAlone(t)
	between := startRelay(t, theHub)
	secret := &corev1.Secret{}
	w.must(w.edge.Get(w.ctx, client.ObjectKey{Namespace: w.own, Name: "fleet-agent"}, secret))
	secret.Data["apiServerURL"] = []byte("https://" + between.Addr().String())
	secret.Data["apiServerCA"] = append(secret.Data["apiServerCA"], '\n') // another CA has connections, and times, of its own
	w.must(w.edge.Update(w.ctx, secret))
	w.startAgent()
	text := func(what string) string {
		return "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, namespace: $NS}\ndata: {text: " + what + "}\n"
	}
	w.deploy("app", text("one"))
	w.healthy("app")
	for _, row := range []struct {
		how  string
		lose func()
	}{{"forgotten", between.forget}, {"cut", between.cut}} {
		w.eventually("one connection to the hub", func() string { // of two that were dialled at once, one is given up
			if n := between.open(); n != 1 {
				return fmt.Sprintf("there are %d", n)
			}
			return ""
		})
		row.lose()
		w.deploy("app", text(row.how))
		w.eventually("the order after the connection was "+row.how, func() string {
			if got := w.live("v1", "ConfigMap", "a").Object["data"].(map[string]any)["text"]; got != row.how {
				return "the ConfigMap says " + got.(string)
			}
			return ""
		})
	}
	w.healthy("app")
}
