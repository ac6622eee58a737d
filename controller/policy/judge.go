package policy

import (
	"fmt"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	fleet "flotilla.io/flotilla/api/v1alpha1"
)

// clear is what empties an account or namespace of the bundle in one of its targets.
const clear = "-"

// Refusal is an answer of the rules: the object, the fields, and what is allowed.
type Refusal struct {
	Object string // "GitRepo fleet-default/web"
	Wrong  []string
}

func (r *Refusal) Error() string {
	return fmt.Sprintf("%s is not allowed: %s", r.Object, strings.Join(r.Wrong, "; "))
}

func (r *Refusal) add(format string, args ...any) {
	r.Wrong = append(r.Wrong, fmt.Sprintf(format, args...))
}

// asError is nil when nothing is wrong.
func (r *Refusal) asError() error {
	if len(r.Wrong) == 0 {
		return nil
	}
	return r
}

// Resolved is a GitRepo's spec with the defaults of its workspace in it.
type Resolved struct {
	Spec fleet.GitRepoSpec
	// Defaults says which fields are from the rules, and from which object; "" when none is.
	Defaults string
}

// GitRepo resolves what a GitRepo leaves to its workspace, and judges it. What it refuses is a *Refusal.
func (r *Rules) GitRepo(repo *fleet.GitRepo) (Resolved, error) {
	out := Resolved{Spec: *repo.Spec.DeepCopy()}
	out.Defaults = fillIn([]defaulted{
		{"serviceAccount", &out.Spec.ServiceAccount, r.account},
		{"clientSecretName", &out.Spec.ClientSecretName, r.secret},
	})
	no := &Refusal{Object: fmt.Sprintf("GitRepo %s/%s", repo.Namespace, repo.Name)}
	if spec := &out.Spec; !r.repos.matches(spec.Repo) {
		no.add("spec.repo %s matches none of %s%s", spec.Repo, r.repos, r.repos.broken())
	}
	if name := out.Spec.ClientSecretName; name != "" && !r.secrets.has(name) {
		no.add("spec.clientSecretName %s is none of %s", name, r.secrets)
	}
	r.serviceAccount(no, "spec.serviceAccount", out.Spec.ServiceAccount)
	r.namespace(no, "spec.targetNamespace", out.Spec.TargetNamespace)
	for i := range out.Spec.Targets {
		t := &out.Spec.Targets[i]
		r.target(no, fmt.Sprintf("spec.targets[%d] (%s)", i, t.Name), &t.BundleDeploymentOptions)
	}
	return out, no.asError()
}

// defaulted is a field and what it is where the spec leaves it out.
type defaulted struct {
	field string
	value *string
	from  entry
}

// fillIn fills in defaults and says which.
func fillIn(fields []defaulted) string {
	var used []string
	for _, d := range fields {
		if *d.value == "" && d.from.value != "" {
			*d.value = d.from.value
			used = append(used, fmt.Sprintf("%s %s is the default of %s", d.field, d.from.value, d.from.from))
		}
	}
	return strings.Join(used, "; ")
}

// Bundle judges a Bundle, whoever wrote it: a file in a repository must not ask for what its GitRepo may not, and neither must a
// person. What it refuses is a *Refusal.
func (r *Rules) Bundle(b *fleet.Bundle) error {
	no := &Refusal{Object: fmt.Sprintf("Bundle %s/%s", b.Namespace, b.Name)}
	for i, s := range sets(&b.Spec) {
		if i > 0 {
			r.target(no, s.path, s.options)
			continue
		}
		r.serviceAccount(no, s.path+".serviceAccount", s.options.ServiceAccount)
		r.namespace(no, s.path+".namespace", s.options.TargetNamespace)
	}
	return no.asError()
}

// target judges what a target says over the bundle's own options; what it does not say was judged there.
func (r *Rules) target(no *Refusal, path string, o *fleet.BundleDeploymentOptions) {
	if o.ServiceAccount != "" {
		r.serviceAccount(no, path+".serviceAccount", o.ServiceAccount)
	}
	if o.TargetNamespace != "" {
		r.namespace(no, path+".namespace", o.TargetNamespace)
	}
}

func (r *Rules) serviceAccount(no *Refusal, field, name string) {
	switch none := name == "" || name == clear; {
	case none && r.requireAccount != "":
		no.add("%s is empty, and %s requires one%s", field, r.requireAccount, r.accounts.orElse(": "))
	case name == clear && len(r.accounts) > 0, !none && !r.accounts.has(name):
		no.add("%s %s is none of %s", field, name, r.accounts)
	}
}

// namespace judges what everything is forced into. Namespaces that are not listed may still have the labels that the selector asks
// for: only the cluster knows, and its agent looks before it applies.
func (r *Rules) namespace(no *Refusal, field, name string) {
	switch none := name == "" || name == clear; {
	case len(r.namespaces) == 0 && r.selector == nil:
	case none:
		no.add("%s is empty: name one of %s", field, r.namespacesAllowed())
	case len(r.namespaces) > 0 && !r.namespaces.has(name) && r.selector == nil:
		no.add("%s %s is none of %s", field, name, r.namespaces)
	}
}

// namespacesAllowed says which namespaces there are to choose from.
func (r *Rules) namespacesAllowed() string {
	var parts []string
	if len(r.namespaces) > 0 {
		parts = append(parts, r.namespaces.String())
	}
	if r.selector != nil {
		parts = append(parts, fmt.Sprintf("those with labels %s (%s)", metav1.FormatLabelSelector(r.selector), strings.Join(r.selectorBy, ", ")))
	}
	return strings.Join(parts, " or ")
}

// Bind puts into a Bundle's spec, on its way to the clusters, what the rules say about every deployment. Targets cannot take it
// back.
func (r *Rules) Bind(spec *fleet.BundleSpec) {
	for i, s := range sets(spec) {
		if r.requireAccount != "" && !r.mayCreate {
			s.options.CreateNamespace = ptr.To(false)
		}
		if i == 0 && r.selector != nil && !r.listed(spec) {
			s.options.AllowedTargetNamespaceSelector = r.selector.DeepCopy()
		}
	}
}

// listed tells whether every namespace that the bundle may go into is allowed by name, so that its labels do not matter.
func (r *Rules) listed(spec *fleet.BundleSpec) bool {
	for _, s := range sets(spec) {
		if name := s.options.TargetNamespace; name != "" && (len(r.namespaces) == 0 || !r.namespaces.has(name)) {
			return false
		}
	}
	return true
}
