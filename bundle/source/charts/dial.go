package charts

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"time"

	"flotilla.io/flotilla/bundle/source"
)

// transport is the connections to servers with one notion of whom to trust.
func (f *Fetcher) transport(ref Ref, auth Auth) (http.RoundTripper, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	trust := fmt.Sprintf("%v %s", auth.Insecure, auth.CABundle)
	if f.transports[trust] == nil {
		t := http.DefaultTransport.(*http.Transport).Clone()
		t.DialContext = f.guard.Dialer().DialContext
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
		if err := p.fetcher.guard.Refuses(req.URL.Host, ip); err != nil {
			return nil, err
		}
	}
	t := p.guarded.Clone()
	t.DialContext, t.Proxy, t.DisableKeepAlives = nil, func(*http.Request) (*url.URL, error) { return proxy, nil }, true
	return t.RoundTrip(req)
}
