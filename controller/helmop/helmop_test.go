package helmop

import (
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	fleet "flotilla.io/flotilla/api/v1alpha1"
	"flotilla.io/flotilla/controller/policy"
)

func specOf(repo, chart, version string) *fleet.HelmOpSpec {
	s := &fleet.HelmOpSpec{}
	s.Helm = &fleet.HelmOptions{Repo: repo, Chart: chart, Version: version}
	return s
}

func TestForms(t *testing.T) {
	for _, c := range []struct {
		rule string
		spec *fleet.HelmOpSpec
		says string // "" where it is taken
	}{
		{"a chart of a repository", specOf("https://a", "web", ""), ""},
		{"a registry alone", specOf("oci://a/web", "", "1.x"), ""},
		{"a registry with a chart below it", specOf("oci://a", "web", "1.x"), ""},
		{"an archive alone", specOf("", "https://a/web.tgz", ""), ""},
		{"no helm at all", &fleet.HelmOpSpec{}, "spec.helm is empty"},
		{"an archive in a repository", specOf("https://a", "web.tgz", ""), "spec.helm.repo: a chart that is an archive has no repository"},
		{"an archive of a version", specOf("", "https://a/web.tgz", "1.0.0"), "spec.helm.version: a chart that is an archive is of one version"},
		{"a repository without chart", specOf("https://a", "", ""), "spec.helm.chart is empty"},
		{"a chart without repository", specOf("", "web", ""), "spec.helm.repo is empty: name the repository of the chart, https:// or oci://"},
	} {
		t.Run(c.rule, func(t *testing.T) {
			err := check(c.spec)
			if (err == nil) != (c.says == "") || err != nil && !strings.Contains(err.Error(), c.says) {
				t.Errorf("got %v, want %q", err, c.says)
			}
		})
	}
}

func TestPolling(t *testing.T) {
	every := &metav1.Duration{Duration: time.Minute}
	for _, c := range []struct {
		rule     string
		spec     *fleet.HelmOpSpec
		interval *metav1.Duration
		target   string // version of a target
		want     time.Duration
	}{
		{"a range is polled", specOf("https://a", "web", "1.x"), every, "", time.Minute},
		{"no version is polled", specOf("oci://a/web", "", ""), every, "", time.Minute},
		{"no interval means never", specOf("https://a", "web", "1.x"), nil, "", 0},
		{"0 means never", specOf("https://a", "web", "1.x"), &metav1.Duration{}, "", 0},
		{"an exact version is not polled", specOf("https://a", "web", "1.2.3"), every, "", 0},
		{"an archive is not polled", specOf("", "https://a/web.tgz", ""), every, "", 0},
		{"a range of a target is", specOf("https://a", "web", "1.2.3"), every, "2.x", time.Minute},
	} {
		t.Run(c.rule, func(t *testing.T) {
			c.spec.PollingInterval = c.interval
			if c.target != "" {
				c.spec.Targets = []fleet.BundleTarget{{BundleDeploymentOptions: fleet.BundleDeploymentOptions{Helm: &fleet.HelmOptions{Version: c.target}}}}
			}
			if got := polling(c.spec); got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
}

func TestVersionsArePinned(t *testing.T) {
	spec := specOf("https://a", "web", "1.x")
	target := func(helm *fleet.HelmOptions) fleet.BundleTarget {
		return fleet.BundleTarget{BundleDeploymentOptions: fleet.BundleDeploymentOptions{Helm: helm}}
	}
	spec.Targets = []fleet.BundleTarget{target(nil), target(&fleet.HelmOptions{ReleaseName: "r"}), target(&fleet.HelmOptions{Version: "2.x"}), target(&fleet.HelmOptions{Chart: "api"})}
	in := &run{asked: policy.ResolvedHelmOp{Spec: *spec}, pins: pins{Versions: map[string]string{
		"https://a web 1.x": "1.4.0", "https://a web 2.x": "2.0.1", "https://a api 1.x": "1.1.0",
	}}}
	if all := refs(spec); len(all) != 3 || all[2].Chart != "api" || all[2].Version != "1.x" {
		t.Errorf("asked for %v", all)
	}
	out := spec.BundleSpec.DeepCopy()
	pin(out, in)
	got := []string{out.Helm.Version, out.Targets[1].Helm.Version, out.Targets[2].Helm.Version, out.Targets[3].Helm.Version}
	if strings.Join(got, " ") != "1.4.0  2.0.1 1.1.0" || out.Targets[0].Helm != nil {
		t.Errorf("got %q", got)
	}
}
