package fleetyaml

import (
	"fmt"
	"strings"

	"flotilla.io/flotilla/api/v1alpha1"
	"flotilla.io/flotilla/bundle/expression"
)

// health checks the rules at path: each CEL expression is compiled here, so that a mistake is told before a cluster meets it.
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
	return errs
}
