// Package dial guards connections to servers that somebody else named, from a bundle: each address is checked when it is dialled,
// so that a name which means this machine or a cloud's metadata service, a moment later or by a redirect, opens nothing.
package dial

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"syscall"
	"time"
)

// RefusedError says that an address is not asked: it answers to those who stand on this machine.
type RefusedError struct{ Host, What string }

func (r *RefusedError) Error() string {
	return fmt.Sprintf("%s is %s: nothing is fetched from there", r.Host, r.What)
}

// Guard says which addresses may be dialled. The zero value refuses this machine, its own links, metadata services of clouds and
// what is no address of a server.
type Guard struct {
	// Local lets this machine itself be asked: for who stands beside its servers.
	Local bool
}

// metadataServices of clouds that are not link-local: they hand out credentials of the machine.
var metadataServices = []netip.Addr{netip.MustParseAddr("100.100.100.200"), netip.MustParseAddr("168.63.129.16"), netip.MustParseAddr("fd00:ec2::254")}

// Refuses returns a RefusedError for an address that is not to be dialled. host is what the error calls it.
func (g Guard) Refuses(host string, ip netip.Addr) error {
	ip = ip.Unmap()
	what := ""
	switch {
	case ip.IsLinkLocalUnicast(), ip.IsLinkLocalMulticast():
		what = "an address of this machine's own link, such as a cloud's metadata service"
	case ip.IsMulticast(), ip.IsUnspecified() && !g.Local:
		what = "no address of a server"
	case ip.IsLoopback() && !g.Local:
		what = "this machine itself"
	default:
		for _, service := range metadataServices {
			if ip == service {
				what = "a cloud's metadata service"
			}
		}
	}
	if what == "" {
		return nil
	}
	return &RefusedError{host, what}
}

// Dialer checks each address that is dialled, after names were looked up: what a name meant a moment ago is no matter.
func (g Guard) Dialer() *net.Dialer {
	return &net.Dialer{Timeout: 15 * time.Second, KeepAlive: 30 * time.Second, Control: func(_, address string, _ syscall.RawConn) error {
		at, err := netip.ParseAddrPort(address)
		if err != nil {
			return err
		}
		return g.Refuses(at.Addr().String(), at.Addr())
	}}
}

// Transport guards the connections that t makes.
func (g Guard) Transport(t *http.Transport) http.RoundTripper {
	t.DialContext = g.Dialer().DialContext
	return &proxied{g, t}
}

// proxied sends what goes through a proxy past the guard, which would judge the proxy: there, only addresses that are written as
// such can be judged.
type proxied struct {
	guard   Guard
	guarded *http.Transport
}

func (p *proxied) RoundTrip(req *http.Request) (*http.Response, error) {
	proxy, err := http.ProxyFromEnvironment(req)
	if err != nil || proxy == nil {
		return p.guarded.RoundTrip(req)
	}
	if ip, err := netip.ParseAddr(req.URL.Hostname()); err == nil {
		if err := p.guard.Refuses(req.URL.Host, ip); err != nil {
			return nil, err
		}
	}
	t := p.guarded.Clone()
	t.DialContext, t.Proxy, t.DisableKeepAlives = nil, func(*http.Request) (*url.URL, error) { return proxy, nil }, true
	return t.RoundTrip(req)
}
