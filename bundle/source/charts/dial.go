package charts

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http"
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
		f.transports[trust] = f.guard.Transport(t)
	}
	return f.transports[trust], nil
}
