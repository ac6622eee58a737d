package policy

import (
	"errors"
	"reflect"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	fleet "flotilla.io/flotilla/api/v1alpha1"
)

func meta(name string) metav1.ObjectMeta { return metav1.ObjectMeta{Namespace: "ws", Name: name} }

func restriction(name string, change func(*fleet.GitRepoRestriction)) fleet.GitRepoRestriction {
	r := fleet.GitRepoRestriction{ObjectMeta: meta(name)}
	change(&r)
	return r
}

func policy(name string, change func(*fleet.Policy)) fleet.Policy {
	p := fleet.Policy{ObjectMeta: meta(name), GitRepo: &fleet.GitRepoPolicySpec{}}
	change(&p)
	return p
}

func labelled(kv ...string) *metav1.LabelSelector {
	s := &metav1.LabelSelector{MatchLabels: map[string]string{}}
	for i := 0; i < len(kv); i += 2 {
		s.MatchLabels[kv[i]] = kv[i+1]
	}
	return s
}

type (
	restrictions = []fleet.GitRepoRestriction
	policies     = []fleet.Policy
)

func TestGitRepoIsJudged(t *testing.T) {
	for _, c := range []struct {
		rule         string
		restrictions restrictions
		policies     policies
		repo         fleet.GitRepoSpec
		refused      string // part of the answer, "" for one that is let through
	}{
		{rule: "without rules everything goes", repo: fleet.GitRepoSpec{Repo: "https://anywhere/x", ServiceAccount: "root"}},
		{
			rule:         "the pattern of a GitRepoRestriction may match a part of the URL",
			restrictions: restrictions{restriction("r", func(r *fleet.GitRepoRestriction) { r.AllowedRepoPatterns = []string{"git.example.com/team"} })},
			repo:         fleet.GitRepoSpec{Repo: "https://git.example.com/team/app"},
		},
		{
			rule:     "the pattern of a Policy must match all of the URL",
			policies: policies{policy("p", func(p *fleet.Policy) { p.GitRepo.AllowedRepoPatterns = []string{"git.example.com/team"} })},
			repo:     fleet.GitRepoSpec{Repo: "https://git.example.com/team/app"},
			refused:  "GitRepo ws/web is not allowed: spec.repo https://git.example.com/team/app matches none of git.example.com/team (Policy p)",
		},
		{
			rule:         "a repository that either kind of pattern lets through is let through",
			restrictions: restrictions{restriction("r", func(r *fleet.GitRepoRestriction) { r.AllowedRepoPatterns = []string{"^https://a/"} })},
			policies:     policies{policy("p", func(p *fleet.Policy) { p.GitRepo.AllowedRepoPatterns = []string{"https://b/.*"} })},
			repo:         fleet.GitRepoSpec{Repo: "https://b/app"},
		},
		{
			rule:         "a pattern allows what it says letter by letter, also where it is no regular expression",
			restrictions: restrictions{restriction("r", func(r *fleet.GitRepoRestriction) { r.AllowedRepoPatterns = []string{"https://a/(app"} })},
			repo:         fleet.GitRepoSpec{Repo: "https://a/(app"},
		},
		{
			rule:         "a pattern that is no regular expression is named where it might have helped",
			restrictions: restrictions{restriction("r", func(r *fleet.GitRepoRestriction) { r.AllowedRepoPatterns = []string{"https://a/(app"} })},
			repo:         fleet.GitRepoSpec{Repo: "https://a/app"},
			refused:      `; pattern "https://a/(app" of GitRepoRestriction r is no regular expression`,
		},
		{
			rule:         "service accounts of all objects are joined",
			restrictions: restrictions{restriction("r", func(r *fleet.GitRepoRestriction) { r.AllowedServiceAccounts = []string{"a"} })},
			policies:     policies{policy("p", func(p *fleet.Policy) { p.AllowedServiceAccounts = []string{"b"} })},
			repo:         fleet.GitRepoSpec{Repo: "x", ServiceAccount: "b"},
		},
		{
			rule: "what is allowed is named with who allows it, sorted by name",
			restrictions: restrictions{
				restriction("z", func(r *fleet.GitRepoRestriction) { r.AllowedServiceAccounts = []string{"c"} }),
				restriction("y", func(r *fleet.GitRepoRestriction) { r.AllowedServiceAccounts = []string{"a", "b"} }),
			},
			repo:    fleet.GitRepoSpec{Repo: "x", ServiceAccount: "root"},
			refused: "spec.serviceAccount root is none of a, b (GitRepoRestriction y), c (GitRepoRestriction z)",
		},
		{
			rule:         "a client secret that is not listed is refused",
			restrictions: restrictions{restriction("r", func(r *fleet.GitRepoRestriction) { r.AllowedClientSecretNames = []string{"ours"} })},
			repo:         fleet.GitRepoSpec{Repo: "x", ClientSecretName: "theirs"},
			refused:      "spec.clientSecretName theirs is none of ours (GitRepoRestriction r)",
		},
		{
			rule:         "no client secret is no violation",
			restrictions: restrictions{restriction("r", func(r *fleet.GitRepoRestriction) { r.AllowedClientSecretNames = []string{"ours"} })},
			repo:         fleet.GitRepoSpec{Repo: "x"},
		},
		{
			rule: "a default that is not in the list is refused like any other",
			restrictions: restrictions{restriction("r", func(r *fleet.GitRepoRestriction) {
				r.DefaultServiceAccount, r.AllowedServiceAccounts = "gone", []string{"a"}
			})},
			repo:    fleet.GitRepoSpec{Repo: "x"},
			refused: "spec.serviceAccount gone is none of a",
		},
		{
			rule:     "a required service account must be there",
			policies: policies{policy("p", func(p *fleet.Policy) { p.RequireServiceAccount, p.AllowedServiceAccounts = true, []string{"a"} })},
			repo:     fleet.GitRepoSpec{Repo: "x"},
			refused:  "spec.serviceAccount is empty, and Policy p requires one: a (Policy p)",
		},
		{
			rule: "a default is enough for a required service account",
			policies: policies{policy("p", func(p *fleet.Policy) {
				p.RequireServiceAccount, p.GitRepo.DefaultServiceAccount = true, "a"
			})},
			repo: fleet.GitRepoSpec{Repo: "x"},
		},
		{
			rule:         "with a list of target namespaces, one must be named",
			restrictions: restrictions{restriction("r", func(r *fleet.GitRepoRestriction) { r.AllowedTargetNamespaces = []string{"team-a"} })},
			repo:         fleet.GitRepoSpec{Repo: "x"},
			refused:      "spec.targetNamespace is empty: name one of team-a (GitRepoRestriction r)",
		},
		{
			rule:         "with a selector for target namespaces, one must be named",
			restrictions: restrictions{restriction("r", func(r *fleet.GitRepoRestriction) { r.AllowedTargetNamespaceSelector = labelled("team", "a") })},
			repo:         fleet.GitRepoSpec{Repo: "x"},
			refused:      "spec.targetNamespace is empty: name one of those with labels team=a (GitRepoRestriction r)",
		},
		{
			rule:         "a target namespace that is not listed is refused",
			restrictions: restrictions{restriction("r", func(r *fleet.GitRepoRestriction) { r.AllowedTargetNamespaces = []string{"team-a"} })},
			repo:         fleet.GitRepoSpec{Repo: "x", TargetNamespace: "team-b"},
			refused:      "spec.targetNamespace team-b is none of team-a (GitRepoRestriction r)",
		},
		{
			rule: "a target namespace that is not listed may still have the labels: its cluster decides",
			restrictions: restrictions{restriction("r", func(r *fleet.GitRepoRestriction) {
				r.AllowedTargetNamespaces, r.AllowedTargetNamespaceSelector = []string{"team-a"}, labelled("team", "a")
			})},
			repo: fleet.GitRepoSpec{Repo: "x", TargetNamespace: "team-b"},
		},
		{
			rule:         "options of a GitRepo's target are judged too",
			restrictions: restrictions{restriction("r", func(r *fleet.GitRepoRestriction) { r.AllowedServiceAccounts = []string{"a"} })},
			repo: fleet.GitRepoSpec{Repo: "x", ServiceAccount: "a", Targets: []fleet.GitTarget{
				{Name: "edge", BundleDeploymentOptions: fleet.BundleDeploymentOptions{ServiceAccount: "root"}},
			}},
			refused: "spec.targets[0] (edge).serviceAccount root is none of a",
		},
	} {
		t.Run(c.rule, func(t *testing.T) {
			repo := &fleet.GitRepo{ObjectMeta: meta("web"), Spec: c.repo}
			_, err := New(c.restrictions, c.policies).GitRepo(repo)
			judged(t, err, c.refused)
			if !reflect.DeepEqual(repo.Spec, c.repo) {
				t.Error("the spec of the GitRepo was written to")
			}
		})
	}
}

// judged checks an answer of the rules.
func judged(t *testing.T, err error, refused string) {
	t.Helper()
	var no *Refusal
	switch {
	case refused == "" && err != nil:
		t.Errorf("refused: %v", err)
	case refused != "" && !errors.As(err, &no):
		t.Errorf("let through, want %q", refused)
	case refused != "" && !strings.Contains(err.Error(), refused):
		t.Errorf("says  %q\nlacks %q", err, refused)
	}
}

func TestDefaultsAreResolvedAndTold(t *testing.T) {
	first := restriction("b", func(r *fleet.GitRepoRestriction) { r.DefaultServiceAccount = "of-b" })
	empty := restriction("a", func(*fleet.GitRepoRestriction) {})
	later := restriction("c", func(r *fleet.GitRepoRestriction) { r.DefaultServiceAccount = "of-c" })
	base := policy("p", func(p *fleet.Policy) {
		p.GitRepo.DefaultServiceAccount, p.GitRepo.DefaultClientSecretName = "of-p", "secret-of-p"
	})
	for _, c := range []struct {
		rule            string
		rules           *Rules
		has             fleet.GitRepoSpec
		account, secret string
		told            string
	}{
		{"without rules nothing is filled in", New(nil, nil), fleet.GitRepoSpec{}, "", "", ""},
		{"the first that is not empty counts, by name", New(restrictions{later, first, empty}, nil), fleet.GitRepoSpec{}, "of-b", "",
			"serviceAccount of-b is the default of GitRepoRestriction b"},
		{"a GitRepoRestriction goes before a Policy, field by field", New(restrictions{later}, policies{base}), fleet.GitRepoSpec{}, "of-c", "secret-of-p",
			"serviceAccount of-c is the default of GitRepoRestriction c; clientSecretName secret-of-p is the default of Policy p"},
		{"what the GitRepo names stays", New(nil, policies{base}), fleet.GitRepoSpec{ServiceAccount: "own", ClientSecretName: "mine"}, "own", "mine", ""},
	} {
		t.Run(c.rule, func(t *testing.T) {
			got, err := c.rules.GitRepo(&fleet.GitRepo{ObjectMeta: meta("web"), Spec: c.has})
			if err != nil || got.Spec.ServiceAccount != c.account || got.Spec.ClientSecretName != c.secret || got.Defaults != c.told {
				t.Errorf("got account %q, secret %q, %q, %v", got.Spec.ServiceAccount, got.Spec.ClientSecretName, got.Defaults, err)
			}
		})
	}
}

func TestBundleIsJudged(t *testing.T) {
	required := policy("p", func(p *fleet.Policy) { p.RequireServiceAccount = true })
	accounts := policy("p", func(p *fleet.Policy) { p.AllowedServiceAccounts = []string{"a"} })
	old := restriction("r", func(r *fleet.GitRepoRestriction) { r.AllowedServiceAccounts = []string{"a"} })
	namespaces := restriction("r", func(r *fleet.GitRepoRestriction) { r.AllowedTargetNamespaces = []string{"team-a"} })
	byLabel := restriction("r", func(r *fleet.GitRepoRestriction) { r.AllowedTargetNamespaceSelector = labelled("team", "a") })
	bundle := func(own fleet.BundleDeploymentOptions, target fleet.BundleDeploymentOptions) fleet.BundleSpec {
		return fleet.BundleSpec{BundleDeploymentOptions: own, Targets: []fleet.BundleTarget{{Name: "edge", BundleDeploymentOptions: target}}}
	}
	type options = fleet.BundleDeploymentOptions
	for _, c := range []struct {
		rule    string
		rules   *Rules
		spec    fleet.BundleSpec
		refused string
	}{
		{"without rules everything goes", New(nil, nil), bundle(options{}, options{ServiceAccount: "root"}), ""},
		{"a required service account must be the bundle's own", New(nil, policies{required}), bundle(options{}, options{ServiceAccount: "a"}),
			"Bundle ws/web is not allowed: spec.serviceAccount is empty, and Policy p requires one"},
		{"a target must not empty a required service account", New(nil, policies{required}), bundle(options{ServiceAccount: "a"}, options{ServiceAccount: "-"}),
			"spec.targets[0] (edge).serviceAccount is empty"},
		{"a target's own service account is judged", New(nil, policies{accounts}), bundle(options{ServiceAccount: "a"}, options{ServiceAccount: "b"}),
			"spec.targets[0] (edge).serviceAccount b is none of a (Policy p)"},
		{"a target must not empty a listed service account", New(nil, policies{accounts}), bundle(options{ServiceAccount: "a"}, options{ServiceAccount: "-"}),
			"spec.targets[0] (edge).serviceAccount - is none of a (Policy p)"},
		{"the accounts of a GitRepoRestriction count for files in the repository", New(restrictions{old}, nil), bundle(options{ServiceAccount: "root"}, options{}),
			"spec.serviceAccount root is none of a (GitRepoRestriction r)"},
		{"a bundle that a person wrote must name a target namespace too", New(restrictions{namespaces}, nil), bundle(options{}, options{}),
			"spec.namespace is empty: name one of team-a (GitRepoRestriction r)"},
		{"a target's own namespace is judged", New(restrictions{namespaces}, nil), bundle(options{TargetNamespace: "team-a"}, options{TargetNamespace: "kube-system"}),
			"spec.targets[0] (edge).namespace kube-system is none of team-a (GitRepoRestriction r)"},
		{"a target must not empty the namespace that labels are asked of", New(restrictions{byLabel}, nil), bundle(options{TargetNamespace: "team-a"}, options{TargetNamespace: "-"}),
			"spec.targets[0] (edge).namespace is empty"},
		{"all that is wrong is told at once", New(restrictions{old, namespaces}, nil), bundle(options{ServiceAccount: "b", TargetNamespace: "c"}, options{}),
			"spec.serviceAccount b is none of a (GitRepoRestriction r); spec.namespace c is none of team-a (GitRepoRestriction r)"},
	} {
		t.Run(c.rule, func(t *testing.T) {
			judged(t, c.rules.Bundle(&fleet.Bundle{ObjectMeta: meta("web"), Spec: c.spec}), c.refused)
		})
	}
}

func TestRulesBindDeployments(t *testing.T) {
	required := policy("p", func(p *fleet.Policy) { p.RequireServiceAccount = true })
	allowing := policy("q", func(p *fleet.Policy) { p.AllowNamespaceCreation = true })
	list := restriction("a", func(r *fleet.GitRepoRestriction) { r.AllowedTargetNamespaces = []string{"team-a"} })
	first := restriction("b", func(r *fleet.GitRepoRestriction) {
		r.AllowedTargetNamespaceSelector = labelled("team", "a", "env", "dev")
	})
	second := restriction("c", func(r *fleet.GitRepoRestriction) { r.AllowedTargetNamespaceSelector = labelled("env", "prod") })
	yes := true
	for _, c := range []struct {
		rule      string
		rules     *Rules
		namespace string
		create    string // of bundle and target
		selector  string
	}{
		{"without rules nothing is bound", New(nil, nil), "", "nil true", "<none>"},
		{"who must name an account may not have namespaces created, in a target neither", New(nil, policies{required}), "", "false false", "<none>"},
		{"one Policy that allows it is enough", New(nil, policies{required, allowing}), "", "nil true", "<none>"},
		{"selectors are merged, and of one label the later value counts", New(restrictions{second, first}, nil), "x", "nil true", "env=prod,team=a"},
		{"a namespace of the list need not have the labels", New(restrictions{list, first}, nil), "team-a", "nil true", "<none>"},
		{"a namespace that is not of the list must have the labels", New(restrictions{list, second}, nil), "team-b", "nil true", "env=prod"},
	} {
		t.Run(c.rule, func(t *testing.T) {
			spec := &fleet.BundleSpec{Targets: []fleet.BundleTarget{{}}}
			spec.TargetNamespace, spec.Targets[0].CreateNamespace = c.namespace, &yes
			c.rules.Bind(spec)
			show := func(b *bool) string {
				if b == nil {
					return "nil"
				}
				return map[bool]string{true: "true", false: "false"}[*b]
			}
			if got := show(spec.CreateNamespace) + " " + show(spec.Targets[0].CreateNamespace); got != c.create {
				t.Errorf("createNamespace of bundle and target is %s, want %s", got, c.create)
			}
			got := "<none>"
			if s := spec.AllowedTargetNamespaceSelector; s != nil {
				got = metav1.FormatLabelSelector(s)
			}
			if got != c.selector {
				t.Errorf("allowedTargetNamespaceSelector is %s, want %s", got, c.selector)
			}
		})
	}
}
