package charts

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"syscall"
	"time"

	"flotilla.io/flotilla/bundle/source"
)

// refusedAddress is an address that no chart is fetched from: it answers to those who stand on this machine.
type refusedAddress struct{ host, what string }

func (r *refusedAddress) Error() string {
	return fmt.Sprintf("%s is %s: nothing is fetched from there", r.host, r.what)
}

// metadataServices of clouds that are not link-local: they hand out credentials of the machine.
var metadataServices = []netip.Addr{netip.MustParseAddr("100.100.100.200"), netip.MustParseAddr("168.63.129.16"), netip.MustParseAddr("fd00:ec2::254")}

func (f *Fetcher) refuses(host string, ip netip.Addr) error {
	ip = ip.Unmap()
	what := ""
	switch {
	case ip.IsLinkLocalUnicast(), ip.IsLinkLocalMulticast():
		what = "an address of this machine's own link, such as a cloud's metadata service"
	case ip.IsMulticast(), ip.IsUnspecified() && !f.local:
		what = "no address of a server"
	case ip.IsLoopback() && !f.local:
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
	return &refusedAddress{host, what}
}

// guarded checks each address that is dialled, after names were looked up: what a name meant a moment ago is no matter.
func (f *Fetcher) guarded() *net.Dialer {
	return &net.Dialer{Timeout: 15 * time.Second, KeepAlive: 30 * time.Second, Control: func(_, address string, _ syscall.RawConn) error {
		at, err := netip.ParseAddrPort(address)
		if err != nil {
			return err
		}
		return f.refuses(at.Addr().String(), at.Addr())
	}}
}

// transport is the connections to servers with one notion of whom to trust.
func (f *Fetcher) transport(ref Ref, auth Auth) (http.RoundTripper, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	trust := fmt.Sprintf("%v %s", auth.Insecure, auth.CABundle)
	if f.transports[trust] == nil {
		t := http.DefaultTransport.(*http.Transport).Clone()
		t.DialContext = f.guarded().DialContext
		t.ResponseHeaderTimeout = 30 * time.Second
		t.TLSClientConfig = &tls.Config{InsecureSkipVerify: auth.Insecure}
		if len(auth.CABundle) > 0 {
			pool, err := x509.SystemCertPool()
			if err != nil {
				pool = x509.NewCertPool()
			}
			if !pool.AppendCertsFromPEM(auth.CABundle) {
				return nil, wrong(source.CertificateInvalid, ref, "the CAs to trust hold no certificate in PEM",
					"put the CA's certificate, from -----BEGIN CERTIFICATE----- on, into key cacerts of the Secret")
			}
			t.TLSClientConfig.RootCAs = pool
		}
		f.transports[trust] = t
	}
	return &proxied{f, f.transports[trust]}, nil
}

// proxied sends what goes through a proxy past the guard, which would judge the proxy: there, only addresses that are written as
// such can be judged.
type proxied struct {
	fetcher *Fetcher
	guarded *http.Transport
}

func (p *proxied) RoundTrip(req *http.Request) (*http.Response, error) {
	proxy, err := http.ProxyFromEnvironment(req)
	if err != nil || proxy == nil {
		return p.guarded.RoundTrip(req)
	}
	if ip, err := netip.ParseAddr(req.URL.Hostname()); err == nil {
		if err := p.fetcher.refuses(req.URL.Host, ip); err != nil {
			return nil, err
		}
	}
	t := p.guarded.Clone()
	t.DialContext, t.Proxy, t.DisableKeepAlives = nil, func(*http.Request) (*url.URL, error) { return proxy, nil }, true
	return t.RoundTrip(req)
}
