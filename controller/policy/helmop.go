package policy

import (
	"fmt"

	fleet "flotilla.io/flotilla/api/v1alpha1"
)

// helmOpRules are what Policies say of HelmOps alone.
type helmOpRules struct {
	account, secret entry // what HelmOps have that name none
	secrets         list  // Secrets for repositories
	repos, charts   list  // patterns for repositories, and for charts in them
}

func (h *helmOpRules) add(from string, p *fleet.HelmOpPolicySpec) {
	if p == nil {
		return
	}
	h.account.defaultTo(p.DefaultServiceAccount, from)
	h.secret.defaultTo(p.DefaultHelmSecretName, from)
	h.secrets.add(from, p.AllowedHelmSecretNames)
	h.repos.addWhole(from, p.AllowedHelmRepoPatterns)
	h.charts.addWhole(from, p.AllowedChartPatterns)
}

// ResolvedHelmOp is a HelmOp's spec with the defaults of its workspace in it.
type ResolvedHelmOp struct {
	Spec fleet.HelmOpSpec
	// Defaults says which fields are from the rules, and from which object; "" when none is.
	Defaults string
}

// HelmOp resolves what a HelmOp leaves to its workspace, and judges it. What it refuses is a *Refusal.
func (r *Rules) HelmOp(op *fleet.HelmOp) (ResolvedHelmOp, error) {
	out := ResolvedHelmOp{Spec: *op.Spec.DeepCopy()}
	out.Defaults = fillIn([]defaulted{
		{"serviceAccount", &out.Spec.ServiceAccount, r.helmOps.account},
		{"helmSecretName", &out.Spec.HelmSecretName, r.helmOps.secret},
	})
	no := &Refusal{Object: fmt.Sprintf("HelmOp %s/%s", op.Namespace, op.Name)}
	if name := out.Spec.HelmSecretName; name != "" && !r.helmOps.secrets.has(name) {
		no.add("spec.helmSecretName %s is none of %s", name, r.helmOps.secrets)
	}
	base := &fleet.HelmOptions{}
	if out.Spec.Helm != nil {
		base = out.Spec.Helm
	}
	for i, s := range sets(&out.Spec.BundleSpec) {
		if i == 0 || s.options.Helm != nil {
			r.helmOps.chart(no, s, base)
		}
		if i > 0 {
			r.target(no, s.path, s.options)
			continue
		}
		r.serviceAccount(no, s.path+".serviceAccount", s.options.ServiceAccount)
		r.namespace(no, s.path+".namespace", s.options.TargetNamespace)
	}
	return out, no.asError()
}

// chart judges where a chart is from: its repository, or the address that it is itself.
func (h *helmOpRules) chart(no *Refusal, s set, base *fleet.HelmOptions) {
	repo, chart := base.Repo, base.Chart
	if helm := s.options.Helm; helm != nil && helm.Repo != "" {
		repo = helm.Repo
	}
	if helm := s.options.Helm; helm != nil && helm.Chart != "" {
		chart = helm.Chart
	}
	field, address := "repo", repo
	if repo == "" {
		field, address = "chart", chart
	}
	if !h.repos.matches(address) {
		no.add("%s.helm.%s %s matches none of %s%s", s.path, field, address, h.repos, h.repos.broken())
	}
	if chart == "" {
		chart = repo // a registry's address names the chart, too
	}
	if !h.charts.matches(chart) {
		no.add("%s.helm.chart %s matches none of %s%s", s.path, chart, h.charts, h.charts.broken())
	}
}
