package fleetyaml

import (
	"fmt"
	"net"
	"net/url"
	"strings"
	"time"

	"flotilla.io/flotilla/api/v1alpha1"
	"flotilla.io/flotilla/bundle/expression"
)

// health checks rules and probes at path: each CEL expression is compiled here, so that a mistake is told before a cluster meets it.
func (f *FleetYAML) health(path string, health *v1alpha1.HealthOptions) (errs Errors) {
	if health == nil {
		return nil
	}
	seen := map[string]bool{}
	for i, r := range health.Rules {
		at := fmt.Sprintf("%s.rules[%d]", path, i)
		fail := func(field, format string, args ...any) { errs = append(errs, f.Errorf(at+field, format, args...)) }
		name := r.Kind + "." + r.Group
		switch {
		case r.Kind == "":
			fail("", "kind is missing: it says which objects the rule is for")
		case strings.Contains(r.Group, "/"):
			fail(".group", "want a group without its version, such as %q: the rule is for all versions", strings.Split(r.Group, "/")[0])
		case seen[name]:
			fail(".kind", "there is a rule for %s above; keep one", strings.TrimSuffix(name, "."))
		}
		seen[name] = true
		if strings.TrimSpace(r.Healthy) == "" {
			fail("", "healthy is missing: a CEL expression such as self.status.phase == 'Available'")
		}
		for _, e := range []struct{ field, source string }{{".healthy", r.Healthy}, {".ready", r.Ready}, {".failed", r.Failed}} {
			if _, err := expression.CompileBool(e.source, expression.Self); err != nil && strings.TrimSpace(e.source) != "" {
				fail(e.field, "%s", err)
			}
		}
		if _, err := expression.CompileText(r.Message, expression.Self); err != nil && r.Message != "" {
			fail(".message", "%s", err)
		}
		if r.Kind == "Secret" && r.Group == "" && r.Message != "" {
			fail(".message", "what a Secret holds is shown nowhere; leave the message out")
		}
	}
	return append(errs, f.probes(path, health.Probes)...)
}

// probes checks health.probes at path.
func (f *FleetYAML) probes(path string, probes []v1alpha1.HealthProbe) (errs Errors) {
	seen := map[string]bool{}
	for i, p := range probes {
		at := fmt.Sprintf("%s.probes[%d]", path, i)
		fail := func(field, format string, args ...any) { errs = append(errs, f.Errorf(at+field, format, args...)) }
		kinds := 0
		for _, given := range []bool{p.HTTP != nil, p.TCP != nil, p.Job != nil, p.Object != nil} {
			if given {
				kinds++
			}
		}
		switch {
		case p.Name == "":
			fail("", "name is missing: it stands in the status")
		case seen[p.Name]:
			fail(".name", "there is a probe %s above; keep one", p.Name)
		case kinds != 1:
			fail("", "probe %s has %d of http, tcp, job and object; give it one", p.Name, kinds)
		case (p.Object == nil) != (strings.TrimSpace(p.Value) == ""):
			fail("", "object and value go together: value is a CEL expression over the object, such as self.status.phase == 'Ready'")
		case p.FailureThreshold < 0:
			fail(".failureThreshold", "want 1 or more")
		}
		seen[p.Name] = true
		if h := p.HTTP; h != nil && !templated(h.URL) {
			if u, err := url.Parse(h.URL); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
				fail(".http.url", "want a URL such as http://web.shop.svc/health")
			} else if u.User != nil {
				fail(".http.url", "a probe has no credentials; leave them out")
			}
		}
		if t := p.TCP; t != nil && !templated(t.Address) {
			if _, port, err := net.SplitHostPort(t.Address); err != nil || port == "" {
				fail(".tcp.address", "want HOST:PORT, such as db.shop.svc:5432")
			}
		}
		if p.Value != "" && !templated(p.Value) {
			if _, err := expression.CompileBool(p.Value, expression.Self); err != nil {
				fail(".value", "%s", err)
			}
		}
		if d := p.Interval; d != nil && d.Duration < 5*time.Second {
			fail(".interval", "want 5s or more")
		}
		if d := p.Timeout; d != nil && (d.Duration <= 0 || d.Duration > 30*time.Second) {
			fail(".timeout", "want 30s or less")
		}
	}
	if len(probes) > v1alpha1.MostProbes {
		errs = append(errs, f.Errorf(path+".probes", "there are %d probes; want %d or fewer", len(probes), v1alpha1.MostProbes))
	}
	return errs
}

func templated(text string) bool { return strings.Contains(text, "${") }
