package reader

import (
	"maps"
	"reflect"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"flotilla.io/flotilla/api/v1alpha1"
	"flotilla.io/flotilla/bundle/target"
)

// one reads the one bundle of a directory whose fleet.yaml is given.
func one(t *testing.T, fleetYAML string, spec v1alpha1.GitRepoSpec, more ...string) Found {
	t.Helper()
	r := Repo{Name: "repo", Namespace: "fleet-default", Spec: spec, Labels: map[string]string{"team": "shop", "stage": "all"}}
	r.Spec.Paths = []string{"app"}
	found := read(t, treeOf(append(more, "app/x.yaml", "app/fleet.yaml: "+fleetYAML)...), r)
	if len(found) != 1 {
		t.Fatalf("%d bundles", len(found))
	}
	for _, f := range found {
		return f
	}
	return Found{}
}

// outline is the targets as "name" with what picks them, a bar, and the restrictions.
func outline(spec v1alpha1.BundleSpec) string {
	var parts []string
	for _, t := range spec.Targets {
		parts = append(parts, t.Name+":"+t.ClusterName+t.ClusterGroup)
	}
	parts = append(parts, "|")
	for _, t := range spec.TargetRestrictions {
		parts = append(parts, t.Name+":"+t.ClusterName+t.ClusterGroup)
	}
	return strings.Join(parts, " ")
}

func TestTargets(t *testing.T) {
	gitRepo := v1alpha1.GitRepoSpec{Targets: []v1alpha1.GitTarget{{Name: "prod", ClusterName: "a"}, {ClusterGroup: "b"}}}
	const custom = "targetCustomizations: [{name: c, clusterName: c}, {clusterName: d}]\n"
	for _, c := range []struct {
		rule, file string
		spec       v1alpha1.GitRepoSpec
		want       string
	}{
		{"nothing named goes to the default group", "", v1alpha1.GitRepoSpec{}, "default:default | default:default"},
		{"the GitRepo's targets are restrictions, too", "", gitRepo, "prod:a target001:b | prod:a :b"},
		{"customizations come before the GitRepo's targets", custom, gitRepo, "c:c target001:d prod:a target003:b | prod:a :b"},
		{"targets of the file come before customizations", "targets: [{clusterName: t}]\n" + custom, gitRepo, "target000:t c:c target002:d prod:a target004:b | prod:a :b"},
		{"customizations alone deploy to the default group", custom, v1alpha1.GitRepoSpec{}, "c:c target001:d default:default | default:default"},
		{"overrideTargets take the place of the GitRepo's", custom + "overrideTargets: [{name: o, clusterName: o}]\n", gitRepo, "c:c target001:d o:o | o:o"},
		{"an empty overrideTargets makes targets of customizations, as in Fleet", custom + "overrideTargets: []\n", gitRepo, "c:c target001:d |"},
		{"an empty overrideTargets alone goes to the default group", "overrideTargets: []\n", gitRepo, "default:default |"},
	} {
		t.Run(c.rule, func(t *testing.T) {
			if got := outline(one(t, c.file, c.spec).Bundle.Spec); got != c.want {
				t.Errorf("\ngot  %s\nwant %s", got, c.want)
			}
		})
	}
}

func TestTargetsOfACommandLine(t *testing.T) {
	const custom = "targetCustomizations: [{name: c, clusterName: c}]\n"
	file := CommandLine{Targets: []v1alpha1.BundleTarget{{Name: "f", ClusterName: "f"}}}
	whole := file
	whole.TargetRestrictions = []v1alpha1.BundleTargetRestriction{{Name: "f", ClusterName: "f"}}
	for _, c := range []struct {
		rule, file string
		given      CommandLine
		want       string
	}{
		{"nothing named goes to the default group, and nothing restricts", "", CommandLine{}, "default:default |"},
		{"without a targets file customizations are targets", custom, CommandLine{}, "c:c |"},
		{"a targets file adds its targets", custom, file, "c:c f:f |"},
		{"restrictions of a targets file make customizations of what comes before", custom, whole, "c:c f:f | f:f"},
		{"overrideTargets take the place of the targets file", custom + "overrideTargets: [{name: o, clusterName: o}]\n", whole, "c:c o:o | o:o"},
	} {
		t.Run(c.rule, func(t *testing.T) {
			r := Repo{Name: "repo", CommandLine: &c.given, Spec: v1alpha1.GitRepoSpec{Paths: []string{"app"}}}
			found := read(t, treeOf("app/x.yaml", "app/fleet.yaml: "+c.file), r)["repo-app"]
			if got := outline(found.Bundle.Spec); got != c.want {
				t.Errorf("\ngot  %s\nwant %s", got, c.want)
			}
			if _, ok := found.Bundle.Labels[v1alpha1.RepoLabel]; ok {
				t.Error("the bundle says that it is of a GitRepo")
			}
		})
	}
}

func TestOverridesOfGitRepoTargets(t *testing.T) {
	git := v1alpha1.GitTarget{Name: "prod", ClusterName: "a", DoNotDeploy: true, BundleDeploymentOptions: v1alpha1.BundleDeploymentOptions{
		Helm: &v1alpha1.HelmOptions{Values: &v1alpha1.GenericMap{Data: map[string]any{"replicas": int64(3)}}, ValuesFiles: []string{"prod.yaml"}},
	}}
	spec := v1alpha1.GitRepoSpec{Targets: []v1alpha1.GitTarget{git}}
	before := spec.DeepCopy()
	got := one(t, "", spec, "app/Chart.yaml", "app/prod.yaml: cpu: 2\n").Bundle.Spec.Targets[0]
	if want := (map[string]any{"replicas": int64(3), "cpu": int64(2)}); !reflect.DeepEqual(got.Helm.Values.Data, want) || !got.DoNotDeploy {
		t.Errorf("values %v, doNotDeploy %v", got.Helm.Values.Data, got.DoNotDeploy)
	}
	if !reflect.DeepEqual(&spec, before) {
		t.Error("the GitRepo was modified")
	}
	if f := one(t, "", spec); f.Err != nil {
		t.Errorf("a bundle without chart has no use for a values file: %v", f.Err)
	}
	spec.Targets[0].Helm.ValuesFiles = []string{"prd.yaml"}
	r := Repo{Name: "repo", Spec: spec}
	r.Spec.Paths = []string{"app"}
	found, _ := Read(treeOf("app/Chart.yaml", "app/prod.yaml"), r)
	want := `spec.targets[0] (prod).helm.valuesFiles[0] of the GitRepo, for app: there is no file "app/prd.yaml"; did you mean "prod.yaml"?`
	if len(found) != 1 || found[0].Err == nil || found[0].Err.Error() != want {
		t.Errorf("got %+v, want %s", found, want)
	}
}

func TestGitRepoOverFile(t *testing.T) {
	const file = "serviceAccount: own\nnamespace: own\npaused: false\nforceSyncGeneration: 9\ncorrectDrift: {enabled: true, keepFailHistory: true}\n" +
		"targetCustomizations: [{clusterName: a, namespace: own}]\n"
	type bundleSpec = v1alpha1.BundleSpec
	for _, c := range []struct {
		rule  string
		spec  v1alpha1.GitRepoSpec
		holds func(s bundleSpec) bool
	}{
		{"an empty GitRepo leaves the file's settings", v1alpha1.GitRepoSpec{}, func(s bundleSpec) bool {
			return s.ServiceAccount == "own" && s.TargetNamespace == "own" && s.Targets[0].TargetNamespace == "own" && s.CorrectDrift.KeepFailHistory
		}},
		{"forceSyncGeneration is always the GitRepo's", v1alpha1.GitRepoSpec{}, func(s bundleSpec) bool { return s.ForceSyncGeneration == 0 }},
		{"a service account wins", v1alpha1.GitRepoSpec{ServiceAccount: "git"}, func(s bundleSpec) bool { return s.ServiceAccount == "git" }},
		{"a target namespace goes to every target", v1alpha1.GitRepoSpec{TargetNamespace: "git"}, func(s bundleSpec) bool {
			return s.TargetNamespace == "git" && s.Targets[0].TargetNamespace == "git" && s.Targets[1].TargetNamespace == "git"
		}},
		{"true settings win", v1alpha1.GitRepoSpec{Paused: true, KeepResources: true, DeleteNamespace: true},
			func(s bundleSpec) bool { return s.Paused && s.KeepResources && s.DeleteNamespace }},
		{"drift correction that is on wins", v1alpha1.GitRepoSpec{CorrectDrift: &v1alpha1.CorrectDrift{Enabled: true, Force: true}},
			func(s bundleSpec) bool { return s.CorrectDrift.Force && !s.CorrectDrift.KeepFailHistory }},
		{"drift correction that is off does not", v1alpha1.GitRepoSpec{CorrectDrift: &v1alpha1.CorrectDrift{Force: true}},
			func(s bundleSpec) bool { return s.CorrectDrift.Enabled && !s.CorrectDrift.Force }},
	} {
		t.Run(c.rule, func(t *testing.T) {
			if spec := one(t, file, c.spec).Bundle.Spec; !c.holds(spec) {
				t.Errorf("spec %+v", spec)
			}
		})
	}
}

func TestLabels(t *testing.T) {
	b := one(t, "labels: {stage: own, fleet.cattle.io/repo-name: theirs}\nannotations: {note: x}\n", v1alpha1.GitRepoSpec{}).Bundle
	want := map[string]string{"team": "shop", "stage": "own", "fleet.cattle.io/repo-name": "repo"}
	if !maps.Equal(b.Labels, want) || b.Annotations["note"] != "x" || b.Namespace != "fleet-default" {
		t.Errorf("labels %v, annotations %v, namespace %s; the GitRepo's labels, then the file's, and nobody names another GitRepo", b.Labels, b.Annotations, b.Namespace)
	}
}

func TestOnlyTheHubSets(t *testing.T) {
	s := one(t, "contentsId: l-others\nvaluesHash: x\nresources: [{name: a}]\nhelmOpOptions: {helmOpSecretName: x}\n", v1alpha1.GitRepoSpec{}).Bundle.Spec
	if s.ContentsID != "" || s.ValuesHash != "" || s.Resources != nil || s.HelmOpOptions != nil {
		t.Errorf("a file must not name stored contents: %+v", s)
	}
}

func TestValuesFiles(t *testing.T) {
	for _, c := range []struct {
		rule  string
		helm  string // the helm block of fleet.yaml
		files []string
		want  string // values, as YAML
		kept  string // files that stay
	}{
		{"a file wins over inline values", "{valuesFiles: [v.yaml], values: {a: 1, b: 1}}", []string{"v.yaml: a: 2\n"}, "{a: 2, b: 1}", ""},
		{"a later file wins over an earlier one", "{valuesFiles: [v.yaml, w.yaml]}", []string{"v.yaml: a: 1\n", "w.yaml: a: 2\n"}, "{a: 2}", ""},
		{"maps merge, lists are replaced", "{valuesFiles: [v.yaml], values: {m: {a: 1, b: 1}, l: [1, 2]}}", []string{"v.yaml: {m: {b: 2}, l: [3]}\n"}, "{m: {a: 1, b: 2}, l: [3]}", ""},
		{"an empty file adds nothing", "{valuesFiles: [v.yaml], values: {a: 1}}", []string{"v.yaml: \n"}, "{a: 1}", ""},
		{"a file in a directory is found, and its namesake stays", "{valuesFiles: [env/v.yaml]}", []string{"env/v.yaml: a: 1\n", "v.yaml: a: 2\n"}, "{a: 1}", "v.yaml"},
		{"./ changes nothing", "{valuesFiles: [./v.yaml]}", []string{"v.yaml: a: 1\n"}, "{a: 1}", ""},
		{"a file outside of the bundle is read", "{valuesFiles: [../v.yaml]}", []string{"../v.yaml: a: 1\n"}, "{a: 1}", ""},
		{"a chart's own values stay with the chart", "{valuesFiles: [values.yaml]}", []string{"values.yaml: a: 1\n"}, "{a: 1}", "values.yaml"},
	} {
		t.Run(c.rule, func(t *testing.T) {
			files := []string{"app/Chart.yaml"}
			for _, file := range c.files {
				files = append(files, strings.Replace("app/"+file, "app/../", "", 1))
			}
			f := one(t, "helm: "+c.helm+"\n", v1alpha1.GitRepoSpec{}, files...)
			var want v1alpha1.GenericMap
			if err := yaml.Unmarshal([]byte(c.want), &want); err != nil {
				t.Fatal(err)
			}
			if got := f.Bundle.Spec.Helm.Values.Data; !reflect.DeepEqual(got, want.Data) {
				t.Errorf("values %v, want %v", got, want.Data)
			}
			if got := strings.Join(keys(f), " "); got != strings.TrimSpace("Chart.yaml "+c.kept)+" x.yaml" {
				t.Errorf("files %s", got)
			}
		})
	}
	f := one(t, "targetCustomizations: [{clusterName: a, helm: {valuesFiles: [v.yaml], values: {b: 1}}}]\n", v1alpha1.GitRepoSpec{}, "app/v.yaml: a: 1\n")
	if got := f.Bundle.Spec.Targets[0].Helm.Values.Data; len(got) != 2 || f.Bundle.Spec.Helm != nil {
		t.Errorf("a customization's file goes to its own values: %v", got)
	}
	if f := one(t, "helm: {valuesFiles: [none.yaml]}\n", v1alpha1.GitRepoSpec{}); f.Err != nil {
		t.Errorf("without a chart a missing values file is no mistake, as in Fleet: %v", f.Err)
	}
}

func TestNotServedOfFiles(t *testing.T) {
	f := one(t, "imageScans: [{tagName: a, image: b}]\n", v1alpha1.GitRepoSpec{})
	want := []target.Unserved{{Field: "app/fleet.yaml:1:13: imageScans", Why: "image tags are not yet written back"}}
	if !reflect.DeepEqual(f.NotServed, want) {
		t.Errorf("\ngot  %+v\nwant %+v", f.NotServed, want)
	}
}
