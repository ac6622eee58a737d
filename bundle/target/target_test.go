package target

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"flotilla.io/flotilla/api/v1alpha1"
)

const workspace = "fleet-default"

func cluster(name string, labels ...string) v1alpha1.Cluster {
	c := v1alpha1.Cluster{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: workspace, Labels: map[string]string{}}}
	for _, label := range labels {
		key, value, _ := strings.Cut(label, "=")
		c.Labels[key] = value
	}
	return c
}

func clusterGroup(name, selects string, labels ...string) v1alpha1.ClusterGroup {
	return v1alpha1.ClusterGroup{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: workspace, Labels: cluster("", labels...).Labels},
		Spec:       v1alpha1.ClusterGroupSpec{Selector: selector(selects)},
	}
}

// selector writes a=b as matchLabels; "*" is the empty selector, "" none.
func selector(text string) *metav1.LabelSelector {
	switch text {
	case "":
		return nil
	case "*":
		return &metav1.LabelSelector{}
	}
	return &metav1.LabelSelector{MatchLabels: cluster("", strings.Split(text, ",")...).Labels}
}

// entry is a target in short.
type entry struct {
	name, clusterName, clusterGroup, clusters, groups string
	skip                                              bool
}

func bundle(mode v1alpha1.TargetCustomizationMode, customizations, targets, restrictions []entry) *v1alpha1.Bundle {
	b := &v1alpha1.Bundle{ObjectMeta: metav1.ObjectMeta{Name: "web", Namespace: workspace}}
	b.Spec.TargetCustomizationMode = mode
	for _, e := range append(append([]entry{}, customizations...), targets...) {
		t := v1alpha1.BundleTarget{Name: e.name, ClusterName: e.clusterName, ClusterGroup: e.clusterGroup,
			ClusterSelector: selector(e.clusters), ClusterGroupSelector: selector(e.groups), DoNotDeploy: e.skip}
		t.YAML = &v1alpha1.YAMLOptions{Overlays: []string{e.name}}
		b.Spec.Targets = append(b.Spec.Targets, t)
	}
	for _, e := range restrictions {
		b.Spec.TargetRestrictions = append(b.Spec.TargetRestrictions, v1alpha1.BundleTargetRestriction{Name: e.name, ClusterName: e.clusterName,
			ClusterGroup: e.clusterGroup, ClusterSelector: selector(e.clusters), ClusterGroupSelector: selector(e.groups)})
	}
	return b
}

// outcome is what a cluster gets: the target, and the overlays, which name all that was merged. "-" is nothing.
func outcome(t *testing.T, b *v1alpha1.Bundle, groups []v1alpha1.ClusterGroup, c v1alpha1.Cluster) string {
	t.Helper()
	m, err := New(b, groups)
	if err != nil {
		t.Fatal(err)
	}
	match, err := m.Match(&c)
	if err != nil {
		t.Fatal(err)
	}
	if match == nil {
		return "-"
	}
	return match.Target + ": " + strings.Join(match.Options.YAML.Overlays, " ")
}

func TestOneTarget(t *testing.T) {
	groups := []v1alpha1.ClusterGroup{
		clusterGroup("prod", "env=prod", "ring=1"), clusterGroup("eu", "region=eu", "ring=2"), clusterGroup("none", "", "ring=3"),
		clusterGroup("foreign", "*", "ring=4"),
	}
	groups[3].Namespace = "other"
	for _, c := range []struct {
		rule    string
		target  entry
		cluster v1alpha1.Cluster
		matches bool
	}{
		{"without criteria nothing is picked", entry{}, cluster("a", "env=prod"), false},
		{"an empty cluster selector picks all", entry{clusters: "*"}, cluster("a"), true},
		{"labels must all hold", entry{clusters: "env=prod,region=eu"}, cluster("a", "env=prod"), false},
		{"labels that hold pick", entry{clusters: "env=prod,region=eu"}, cluster("a", "env=prod", "region=eu", "x=y"), true},
		{"a cluster is picked by name", entry{clusterName: "a"}, cluster("a"), true},
		{"another cluster is not", entry{clusterName: "a"}, cluster("ab"), false},
		{"Rancher's display name is a name, too", entry{clusterName: "Paris"}, cluster("c-1", v1alpha1.ClusterDisplayNameLabel+"=Paris"), true},
		{"name and labels must both hold", entry{clusterName: "a", clusters: "env=prod"}, cluster("a"), false},
		{"a group picks its clusters", entry{clusterGroup: "prod"}, cluster("a", "env=prod"), true},
		{"a group picks no others", entry{clusterGroup: "prod"}, cluster("a", "env=dev"), false},
		{"a group's name is exact", entry{clusterGroup: "pro"}, cluster("a", "env=prod"), false},
		{"a group without selector is empty", entry{clusterGroup: "none"}, cluster("a", "env=prod"), false},
		{"groups are picked by their own labels", entry{groups: "ring=1"}, cluster("a", "env=prod"), true},
		{"groups with other labels are not", entry{groups: "ring=2"}, cluster("a", "env=prod"), false},
		{"any of a cluster's groups will do", entry{groups: "ring=2"}, cluster("a", "env=prod", "region=eu"), true},
		{"one and the same group must meet all", entry{clusterGroup: "prod", groups: "ring=2"}, cluster("a", "env=prod", "region=eu"), false},
		{"group and cluster selector must both hold", entry{clusterGroup: "prod", clusters: "region=eu"}, cluster("a", "env=prod"), false},
		{"an empty group selector picks a cluster in no group, as in Fleet", entry{groups: "*"}, cluster("a"), true},
		{"groups of another namespace do not count", entry{clusterGroup: "foreign"}, cluster("a"), false},
		{"clusters of another namespace do not count", entry{clusterGroup: "prod"},
			v1alpha1.Cluster{ObjectMeta: metav1.ObjectMeta{Name: "a", Namespace: "other", Labels: map[string]string{"env": "prod"}}}, false},
	} {
		t.Run(c.rule, func(t *testing.T) {
			got := outcome(t, bundle("", nil, []entry{c.target}, nil), groups, c.cluster)
			if (got != "-") != c.matches {
				t.Errorf("got %s, want a match: %v", got, c.matches)
			}
		})
	}
}

func TestSelection(t *testing.T) {
	prod, dev := entry{name: "prod", clusters: "env=prod"}, entry{name: "dev", clusters: "env=dev"}
	eu, all := entry{name: "eu", clusters: "region=eu"}, entry{name: "all", clusters: "*"}
	skip := func(e entry) entry { e.skip = true; return e }
	const allMatches = v1alpha1.TargetCustomizationModeAllMatches
	here := cluster("a", "env=prod", "region=eu")
	for _, c := range []struct {
		rule   string
		bundle *v1alpha1.Bundle
		want   string // target: what was merged
	}{
		{"the first target that matches deploys", bundle("", nil, []entry{dev, prod, all}, []entry{dev, prod, all}), "prod: prod"},
		{"no target, no deployment", bundle("", nil, []entry{dev}, []entry{dev}), "-"},
		{"a customization alone never deploys", bundle("", []entry{prod}, []entry{dev}, []entry{dev}), "-"},
		{"a customization merges over the target", bundle("", []entry{eu}, []entry{prod}, []entry{prod}), "prod: prod eu"},
		{"a customization that does not match leaves the target as it is", bundle("", []entry{dev}, []entry{prod}, []entry{prod}), "prod: prod"},
		{"FirstMatch takes the first customization that matches", bundle("", []entry{dev, eu, all}, []entry{prod}, []entry{prod}), "prod: prod eu"},
		{"AllMatches takes all, in order", bundle(allMatches, []entry{all, dev, eu}, []entry{prod}, []entry{prod}), "prod: prod all eu"},
		{"with no restrictions all entries are targets", bundle("", []entry{eu}, []entry{prod}, nil), "eu: eu"},
		{"restrictions keep clusters off that targets pick", bundle("", nil, []entry{all}, []entry{dev}), "-"},
		{"any restriction that allows is enough", bundle("", nil, []entry{all, all}, []entry{dev, prod}), "all: all"},
		{"doNotDeploy of the target ends the search", bundle("", nil, []entry{skip(prod), all}, []entry{prod, all}), "-"},
		{"doNotDeploy of a target that does not match is nothing", bundle("", nil, []entry{skip(dev), all}, []entry{dev, all}), "all: all"},
		{"doNotDeploy of the first customization counts", bundle("", []entry{skip(eu)}, []entry{prod}, []entry{prod}), "-"},
		{"doNotDeploy of a later one does not, in FirstMatch", bundle("", []entry{eu, skip(all)}, []entry{prod}, []entry{prod}), "prod: prod eu"},
		{"doNotDeploy of any one counts, in AllMatches", bundle(allMatches, []entry{eu, skip(all)}, []entry{prod}, []entry{prod}), "-"},
		{"a bundle without targets goes nowhere", bundle("", nil, nil, nil), "-"},
	} {
		t.Run(c.rule, func(t *testing.T) {
			if got := outcome(t, c.bundle, nil, here); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func TestRestrictionAndTargetHoldForOneGroup(t *testing.T) {
	groups := []v1alpha1.ClusterGroup{clusterGroup("one", "*"), clusterGroup("two", "*")}
	one, two := entry{name: "one", clusterGroup: "one"}, entry{name: "two", clusterGroup: "two"}
	if got := outcome(t, bundle("", nil, []entry{one}, []entry{two}), groups, cluster("a")); got != "-" {
		t.Errorf("target of one group, restriction of another: got %s", got)
	}
	if got := outcome(t, bundle("", []entry{two}, []entry{one}, []entry{one}), groups, cluster("a")); got != "one: one two" {
		t.Errorf("a customization may match through another group: got %s", got)
	}
}

func TestNamespaceLabelsStayWithTheirTarget(t *testing.T) {
	b := bundle("", []entry{{name: "eu", clusters: "region=eu"}}, []entry{{name: "all", clusters: "*"}}, []entry{{name: "all", clusters: "*"}})
	b.Spec.Targets[0].NamespaceLabels = map[string]string{"zone": "eu"}
	m, err := New(b, nil)
	if err != nil {
		t.Fatal(err)
	}
	eu, us := cluster("a", "region=eu"), cluster("b", "region=us")
	if match, _ := m.Match(&eu); match.Options.NamespaceLabels["zone"] != "eu" {
		t.Error("the cluster that the customization matches lacks its namespace labels")
	}
	if match, _ := m.Match(&us); match.Options.NamespaceLabels != nil {
		t.Error("another cluster got the namespace labels of the customization")
	}
}

func TestBadSelectors(t *testing.T) {
	b := bundle("", nil, []entry{{name: "all", clusters: "*"}, {name: "bad", clusters: "*"}}, []entry{{name: "all", clusters: "*"}})
	bad := &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "a", Operator: "Is"}}}
	b.Spec.Targets[1].ClusterSelector = bad
	if _, err := New(b, nil); err == nil || !strings.HasPrefix(err.Error(), "bundle web: spec.targets[1] (bad): clusterSelector: ") {
		t.Errorf("got %v", err)
	}
	b.Spec.Targets[1].ClusterSelector, b.Spec.TargetRestrictions[0].ClusterGroupSelector = nil, bad
	if _, err := New(b, nil); err == nil || !strings.HasPrefix(err.Error(), "bundle web: spec.targetRestrictions[0] (all): clusterGroupSelector: ") {
		t.Errorf("got %v", err)
	}
	broken := clusterGroup("broken", "*")
	broken.Spec.Selector = bad
	if got := outcome(t, bundle("", nil, []entry{{name: "all", clusters: "*"}}, nil), []v1alpha1.ClusterGroup{broken}, cluster("a")); got != "all: all" {
		t.Errorf("a broken ClusterGroup must not stop a bundle: got %s", got)
	}
}

// fleet is n clusters over 3 environments and 5 regions, and a bundle with 2 targets and 10 customizations, whose values ask for
// labels when templated is set.
func fleet(n int, templated bool) (*v1alpha1.Bundle, []v1alpha1.ClusterGroup, []v1alpha1.Cluster) {
	clusters := make([]v1alpha1.Cluster, 0, n)
	for i := range n {
		clusters = append(clusters, cluster(fmt.Sprintf("edge-%04d", i),
			"env="+[]string{"production", "staging", "development"}[i%3], fmt.Sprintf("region=r%d", i%5), "app=web", "tier=front"))
	}
	targets := []entry{{name: "production", clusters: "env=production"}, {name: "staging", clusterGroup: "staging"}}
	var custom []entry
	for i := range 10 {
		custom = append(custom, entry{name: fmt.Sprint("c", i), clusters: fmt.Sprintf("region=r%d,tier=front", i)})
	}
	b := bundle(v1alpha1.TargetCustomizationModeAllMatches, custom, targets, targets)
	text := "${ .ClusterLabels.region }"
	if !templated {
		text = "r0"
	}
	image := map[string]any{"repository": "example.com/web", "tag": "v1", "region": text}
	b.Spec.Helm = &v1alpha1.HelmOptions{Values: &v1alpha1.GenericMap{Data: map[string]any{"image": image, "replicas": int64(3)}}}
	return b, []v1alpha1.ClusterGroup{clusterGroup("staging", "env=staging")}, clusters
}

func TestMatcherIsSafeForConcurrentUse(t *testing.T) {
	b, groups, clusters := fleet(300, true)
	m, err := New(b, groups)
	if err != nil {
		t.Fatal(err)
	}
	var wait sync.WaitGroup
	for range 4 {
		wait.Go(func() {
			for i := range clusters {
				match, err := m.Match(&clusters[i])
				if err != nil || (match == nil) != (i%3 == 2) {
					t.Errorf("%s: %v, %v", clusters[i].Name, match, err)
				}
				if match != nil && match.Options.Helm.Values.Data["image"].(map[string]any)["region"] != clusters[i].Labels["region"] {
					t.Errorf("%s has another cluster's values", clusters[i].Name)
				}
			}
		})
	}
	wait.Wait()
}

func BenchmarkMatch5000(b *testing.B) {
	for _, templated := range []bool{false, true} {
		b.Run(map[bool]string{false: "plain", true: "templated"}[templated], func(b *testing.B) {
			bundle, groups, clusters := fleet(5000, templated)
			b.ReportAllocs()
			for b.Loop() {
				m, err := New(bundle, groups)
				if err != nil {
					b.Fatal(err)
				}
				for i := range clusters {
					if _, err := m.Match(&clusters[i]); err != nil {
						b.Fatal(err)
					}
				}
			}
		})
	}
}
