//go:build packs

package packs

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// nameServer is a CoreDNS of a member, as its kube-dns would be with the plugin for names of a cluster set turned on.
type nameServer struct {
	w        *World
	on       string
	resolver *net.Resolver
}

// CoreDNS starts CoreDNS for a member and waits until it has read it.
func (w *World) CoreDNS(cluster string) *nameServer {
	w.T.Helper()
	address, ready := w.Port(), w.Port()
	_, port, err := net.SplitHostPort(address)
	w.Check(err)
	corefile := filepath.Join(w.Dir, "Corefile-"+cluster)
	w.Check(os.WriteFile(corefile, fmt.Appendf(nil, `.:%s {
	bind 127.0.0.1
	ready %s
	errors
	kubernetes cluster.local clusterset.local {
		kubeconfig %s
		multicluster clusterset.local
		ttl 0
	}
}
`, port, ready, w.Kubeconfig(cluster, reader)), 0o600))
	w.Controller(Controller{Name: "coredns", On: cluster, As: testNamespace + "/" + reader, Args: []string{"-conf", corefile}, Serves: "http://" + ready + "/ready"})
	return &nameServer{w: w, on: cluster, resolver: &net.Resolver{
		PreferGo: true, // the machine's own files have no say
		Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "udp", address)
		},
	}}
}

// ask asks for the addresses of a name, which NXDOMAIN says is not there.
func (n *nameServer) ask(name string) (addresses []string, missing bool, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	addresses, err = n.resolver.LookupHost(ctx, name+".")
	if err != nil {
		dns := &net.DNSError{}
		missing = errors.As(err, &dns) && dns.IsNotFound
	}
	return addresses, missing, err
}

// answers waits until a name has this address and no other.
func (n *nameServer) answers(name, address string) {
	n.w.T.Helper()
	n.w.Eventually("waiting for CoreDNS on "+n.on+" to know "+name, func() error {
		got, _, err := n.ask(name)
		if err == nil && strings.Join(got, " ") != address {
			err = fmt.Errorf("it answers %v, want %s", got, address)
		}
		return err
	})
}

// forgets waits until a name is not there.
func (n *nameServer) forgets(name string) {
	n.w.T.Helper()
	n.w.Eventually("waiting for CoreDNS on "+n.on+" to forget "+name, func() error {
		got, missing, err := n.ask(name)
		if !missing {
			return fmt.Errorf("it answers %v: %w", got, err)
		}
		return nil
	})
}
