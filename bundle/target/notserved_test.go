package target

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"flotilla.io/flotilla/api/v1alpha1"
)

// served are the fields that have their effect, or that have none to have. A field of the API that is neither here nor told by
// NotServed fails the test: a new one must not be dropped in silence.
var served = strings.Fields(`
	YAML Kustomize DefaultNamespace TargetNamespace ServiceAccount CreateNamespace ForceSyncGeneration KeepResources NamespaceLabels
	NamespaceAnnotations DeleteCRDResources Overwrites Diff IgnoreOptions DeleteNamespace DownstreamResources AllowedTargetNamespaceSelector Health
	DependsOn Paused Resources TargetCustomizationMode Targets TargetRestrictions ContentsID ValuesHash Outputs Inputs
	Helm.Chart Helm.Repo Helm.ValuesFiles Helm.ReleaseName Helm.Version Helm.Values Helm.ValuesFrom Helm.TemplateValues Helm.Force Helm.TimeoutSeconds Helm.WaitForJobs Helm.Atomic Helm.TakeOwnership Helm.MaxHistory
	Helm.DisablePreProcess Helm.DisableDNS Helm.SkipSchemaValidation Helm.DisableDependencyUpdate
	Repo Branch Revision ClientSecretName CABundle InsecureSkipTLSverify Paths PollingInterval KeepResources DeleteNamespace
	CorrectDrift DisablePolling WebhookSecret Bundles HelmSecretName HelmSecretNameForPaths HelmRepoURLRegex`)

func TestEveryFieldIsServedOrTold(t *testing.T) {
	var options v1alpha1.BundleDeploymentOptions
	none := func() []Unserved { return nil }
	told := tellsEach(reflect.ValueOf(&options).Elem(), none)
	var h v1alpha1.HelmOptions
	for name, tells := range tellsEach(reflect.ValueOf(&h).Elem(), none) {
		told["Helm."+name] = tells
	}
	var b v1alpha1.Bundle
	for name, tells := range tellsEach(reflect.ValueOf(&b.Spec).Elem(), func() []Unserved { return NotServed(&b) }) {
		if name != "BundleDeploymentOptions" {
			told[name] = tells
		}
	}
	var repo v1alpha1.GitRepoSpec
	for name, tells := range tellsEach(reflect.ValueOf(&repo).Elem(), func() []Unserved { return NotServedGitRepo(&repo) }) {
		if _, ofBundle := told[name]; !ofBundle {
			told[name] = tells
		}
	}
	delete(told, "Helm") // by its own fields
	told["Repo"] = true  // below
	for name, tells := range told {
		if isServed := slices.Contains(served, name); !tells && !isServed {
			t.Errorf("%s is neither served nor told", name)
		}
	}
}

// tellsEach sets the fields of a struct one by one and notes whether anything was told.
func tellsEach(v reflect.Value, tell func() []Unserved) map[string]bool {
	told := map[string]bool{}
	for i := range v.NumField() {
		before := reflect.New(v.Field(i).Type()).Elem()
		v.Field(i).Set(something(v.Field(i).Type()))
		told[v.Type().Field(i).Name] = len(tell()) > 0
		v.Field(i).Set(before)
	}
	return told
}

// something is a value of a type that is not its zero value.
func something(t reflect.Type) reflect.Value {
	v := reflect.New(t).Elem()
	switch t.Kind() {
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int64:
		v.SetInt(1)
	case reflect.String:
		v.SetString("https://example.com")
	case reflect.Slice:
		v.Set(reflect.MakeSlice(t, 1, 1))
	case reflect.Map:
		v.Set(reflect.MakeMap(t))
	case reflect.Pointer:
		v.Set(reflect.New(t.Elem()))
	}
	return v
}

func TestNotServed(t *testing.T) {
	b := bundle("", []entry{{name: "eu", clusters: "*"}}, nil, nil)
	b.Spec.RolloutStrategy = &v1alpha1.RolloutStrategy{}
	b.Spec.Targets[0].DeleteCRDResources = true
	b.Spec.HelmOpOptions = &v1alpha1.BundleHelmOptions{}
	want := []string{"spec.helmOpOptions!", "spec.rolloutStrategy", "spec.targets[0] (eu).deleteCRDResources"}
	if got := short(NotServed(b)); !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if got := short(Blocking(NotServed(b))); len(got) != 1 {
		t.Errorf("blocking: %v", got)
	}
	b.Spec.ContentsID = "s-1"
	if got := short(Blocking(NotServed(b))); len(got) != 0 {
		t.Errorf("the bundle of a HelmOp, with its chart, is served: %v", got)
	}
}

func short(fields []Unserved) (list []string) {
	for _, f := range fields {
		name := f.Field
		if f.Blocks {
			name += "!"
		}
		list = append(list, name)
	}
	return list
}

func TestNotServedGitRepo(t *testing.T) {
	for _, repo := range []string{"https://example.com/a.git", "http://user@example.com/a.git", "file:///srv/git/a.git", "/srv/git/a",
		"ssh://git@example.com/a.git", "git@example.com:a.git"} {
		if got := NotServedGitRepo(&v1alpha1.GitRepoSpec{Repo: repo}); len(got) > 0 {
			t.Errorf("%s: %v", repo, got)
		}
	}
}

func TestNotServedKinds(t *testing.T) {
	for kind, blocks := range map[string]bool{"ImageScan": false} {
		if field, ok := NotServedKind(kind); !ok || field.Blocks != blocks || field.Why == "" {
			t.Errorf("%s: %v, %v", kind, field, ok)
		}
	}
	for _, kind := range []string{"GitRepo", "HelmOp", "BundleNamespaceMapping", "GitRepoRestriction", "Policy", "Schedule"} {
		if _, ok := NotServedKind(kind); ok {
			t.Errorf("%s is served", kind)
		}
	}
}

func TestWhatIsNotServedIsTold(t *testing.T) {
	type spec = v1alpha1.GitRepoSpec
	for _, c := range []struct {
		field  string
		spec   spec
		want   string
		blocks bool
	}{
		{"imageScanCommit", spec{ImageScanCommit: &v1alpha1.CommitSpec{}}, "spec.imageScanCommit: image tags are not yet written back", false},
		{"imageScanInterval", spec{ImageSyncInterval: &metav1.Duration{}}, "spec.imageScanInterval: image tags are not yet written back", false},
		{"ociRegistrySecret", spec{OCIRegistrySecret: "ocistorage"}, "spec.ociRegistrySecret: layers are kept on the hub, not yet in a registry", false},
	} {
		t.Run(c.field, func(t *testing.T) {
			if got := NotServedGitRepo(&c.spec); len(got) != 1 || got[0].String() != c.want || got[0].Blocks != c.blocks {
				t.Errorf("got %v, want %s", got, c.want)
			}
		})
	}
	b := &v1alpha1.Bundle{Spec: v1alpha1.BundleSpec{RolloutStrategy: &v1alpha1.RolloutStrategy{}}}
	if got := NotServed(b); len(got) != 1 || got[0].String() != "spec.rolloutStrategy: a change goes to all clusters at once" {
		t.Errorf("rolloutStrategy: %v", got)
	}
}
