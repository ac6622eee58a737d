package policy

import (
	"reflect"
	"testing"

	fleet "flotilla.io/flotilla/api/v1alpha1"
)

func TestHelmOpIsJudged(t *testing.T) {
	rule := func(change func(*fleet.HelmOpPolicySpec)) policies {
		return policies{policy("p", func(p *fleet.Policy) { p.HelmOp = &fleet.HelmOpPolicySpec{}; change(p.HelmOp) })}
	}
	helm := func(repo, chart string) fleet.BundleDeploymentOptions {
		return fleet.BundleDeploymentOptions{Helm: &fleet.HelmOptions{Repo: repo, Chart: chart}}
	}
	spec := func(own fleet.BundleDeploymentOptions, targets ...fleet.BundleDeploymentOptions) (s fleet.HelmOpSpec) {
		s.BundleDeploymentOptions = own
		for _, o := range targets {
			s.Targets = append(s.Targets, fleet.BundleTarget{Name: "edge", BundleDeploymentOptions: o})
		}
		return s
	}
	repos := rule(func(p *fleet.HelmOpPolicySpec) { p.AllowedHelmRepoPatterns = []string{"https://charts/.*"} })
	charts := rule(func(p *fleet.HelmOpPolicySpec) { p.AllowedChartPatterns = []string{"web|api"} })
	for _, c := range []struct {
		rule     string
		policies policies
		spec     fleet.HelmOpSpec
		secret   string
		refused  string
	}{
		{"without rules everything goes", nil, spec(helm("https://anywhere", "web")), "any", ""},
		{"the pattern for repositories must match all of the address", repos, spec(helm("https://charts/a", "web")), "", ""},
		{"another repository is refused", repos, spec(helm("https://evil/?https://charts/a", "web")), "",
			"HelmOp ws/web is not allowed: spec.helm.repo https://evil/?https://charts/a matches none of https://charts/.* (Policy p)"},
		{"a chart that is an address is judged as one", repos, spec(helm("", "https://evil/web.tgz")), "", "spec.helm.chart https://evil/web.tgz matches none of"},
		{"a target's own repository is judged", repos, spec(helm("https://charts/a", "web"), helm("https://evil", "")), "", "spec.targets[0] (edge).helm.repo https://evil matches none of"},
		{"a chart that is listed goes", charts, spec(helm("https://a", "api")), "", ""},
		{"a chart that is not is refused", charts, spec(helm("https://a", "webs")), "", "spec.helm.chart webs matches none of web|api (Policy p)"},
		{"a target's own chart is judged", charts, spec(helm("https://a", "web"), helm("", "db")), "", "spec.targets[0] (edge).helm.chart db"},
		{"a Secret that is not listed is refused", rule(func(p *fleet.HelmOpPolicySpec) { p.AllowedHelmSecretNames = []string{"ours"} }), spec(helm("https://a", "web")), "theirs",
			"spec.helmSecretName theirs is none of ours (Policy p)"},
		{"a required service account must be there", policies{policy("p", func(p *fleet.Policy) { p.RequireServiceAccount = true })}, spec(helm("https://a", "web")), "",
			"spec.serviceAccount is empty, and Policy p requires one"},
		{"a default is enough for it", policies{policy("p", func(p *fleet.Policy) {
			p.RequireServiceAccount, p.HelmOp = true, &fleet.HelmOpPolicySpec{DefaultServiceAccount: "a"}
		})}, spec(helm("https://a", "web")), "", ""},
	} {
		t.Run(c.rule, func(t *testing.T) {
			op := &fleet.HelmOp{ObjectMeta: meta("web"), Spec: c.spec}
			op.Spec.HelmSecretName = c.secret
			before := op.DeepCopy()
			_, err := New(nil, c.policies).HelmOp(op)
			judged(t, err, c.refused)
			if !reflect.DeepEqual(op, before) {
				t.Error("the spec of the HelmOp was written to")
			}
		})
	}
}

func TestHelmOpDefaultsAreToldAndThoseOfGitReposAreNotTheirs(t *testing.T) {
	p := policy("p", func(p *fleet.Policy) {
		p.GitRepo.DefaultServiceAccount = "of-repos"
		p.HelmOp = &fleet.HelmOpPolicySpec{DefaultServiceAccount: "of-ops", DefaultHelmSecretName: "charts"}
	})
	got, err := New(nil, policies{p}).HelmOp(&fleet.HelmOp{ObjectMeta: meta("web")})
	want := "serviceAccount of-ops is the default of Policy p; helmSecretName charts is the default of Policy p"
	if err != nil || got.Spec.ServiceAccount != "of-ops" || got.Spec.HelmSecretName != "charts" || got.Defaults != want {
		t.Errorf("got %q, %v", got.Defaults, err)
	}
}
