package probes

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"flotilla.io/flotilla/agent/tenant"
	"flotilla.io/flotilla/api/v1alpha1"
	"flotilla.io/flotilla/bundle/dial"
	"flotilla.io/flotilla/bundle/expression"
)

// check makes a probe once. Its errors are the same each time, so that a server that stays away is told once.
func (r *Runner) check(ctx context.Context, t *tenant.Tenant, p v1alpha1.HealthProbe) error {
	timeout := Timeout(p)
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	var what string
	var err error
	switch {
	case p.HTTP != nil:
		what, err = "GET "+shown(p.HTTP.URL), r.get(ctx, p.HTTP)
	case p.TCP != nil:
		what, err = "connecting to "+p.TCP.Address, r.connect(ctx, p.TCP.Address)
	case p.Object != nil:
		o := p.Object
		what, err = o.Kind+" "+named(o.Namespace, o.Name), look(ctx, t, p)
	default:
		return errors.New("it has none of http, tcp, job and object; give it one")
	}
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return fmt.Errorf("%s: no answer within %s", what, timeout)
	}
	return fmt.Errorf("%s: %w", what, err)
}

func named(namespace, name string) string {
	if namespace == "" {
		return name
	}
	return namespace + "/" + name
}

// shown is a URL without what may be a secret.
func shown(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		return "a URL that cannot be read"
	}
	u.User, u.RawQuery, u.Fragment = nil, "", ""
	return u.String()
}

// get asks a server without credentials, straight, past any proxy, and takes a redirect for an answer. The body is not read.
func (r *Runner) get(ctx context.Context, p *v1alpha1.HTTPProbe) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, p.URL, nil)
	if err != nil || req.URL.Host == "" || req.URL.Scheme != "http" && req.URL.Scheme != "https" {
		return errors.New("want a URL such as http://web.shop.svc/health")
	}
	req.URL.User = nil
	req.Header.Set("User-Agent", "flotilla-agent (health probe)")
	client := http.Client{
		Transport:     &http.Transport{DialContext: r.guard.Dialer().DialContext, DisableKeepAlives: true, MaxResponseHeaderBytes: 64 << 10},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	resp, err := client.Do(req)
	if err != nil {
		return plain(err)
	}
	_ = resp.Body.Close()
	if want := cmp.Or(p.Status, http.StatusOK); resp.StatusCode != want {
		return fmt.Errorf("%d, want %d", resp.StatusCode, want)
	}
	return nil
}

func (r *Runner) connect(ctx context.Context, address string) error {
	c, err := r.guard.Dialer().DialContext(ctx, "tcp", address)
	if err != nil {
		return plain(err)
	}
	return c.Close()
}

// plain is an error of a connection without what is another each time, such as our own port.
func plain(err error) error {
	var refused *dial.RefusedError
	var dns *net.DNSError
	var certificate *tls.CertificateVerificationError
	var op *net.OpError
	var address *url.Error
	switch {
	case errors.As(err, &refused):
		return refused
	case errors.As(err, &dns):
		return fmt.Errorf("the name %s is not known: %s", dns.Name, dns.Err)
	case errors.As(err, &certificate):
		return certificate.Err
	case errors.As(err, &op):
		return op.Err
	case errors.As(err, &address):
		return address.Err
	}
	return err
}

// look evaluates the probe's expression over the live object, read as the tenant.
func look(ctx context.Context, t *tenant.Tenant, p v1alpha1.HealthProbe) error {
	well, err := expression.CompileBool(p.Value, expression.Self)
	if err != nil {
		return fmt.Errorf("value: %w", err)
	}
	kind, err := t.Kinds.Of(schema.FromAPIVersionAndKind(p.Object.APIVersion, p.Object.Kind))
	if err != nil {
		return err
	}
	live, err := t.Object(kind, p.Object.Namespace).Get(ctx, p.Object.Name, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		return errors.New("does not exist")
	case apierrors.IsForbidden(err):
		return fmt.Errorf("service account %s may not read it: give it the right", t.ServiceAccount)
	case err != nil:
		return err
	}
	yes, err := well.Bool(ctx, map[string]any{expression.Self: live.Object})
	if err != nil {
		return fmt.Errorf("value: %w", err)
	}
	if !yes {
		return fmt.Errorf("%s is false", p.Value)
	}
	return nil
}
