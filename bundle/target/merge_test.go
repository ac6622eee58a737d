package target

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"flotilla.io/flotilla/api/v1alpha1"
)

// places are where a value can stand, in the order in which they merge.
var places = []string{"bundle", "target prod", "customization one", "customization two"}

// field is a field to set in any set of places. What is set carries the name of its place.
type field struct {
	name string
	set  func(o *v1alpha1.BundleDeploymentOptions, place string)
	read func(o *v1alpha1.BundleDeploymentOptions) any
	want func(places []string) any
	// origins are the paths with who set them, for the places where the field stands.
	origins func(places []string) map[string]string
}

func helm(o *v1alpha1.BundleDeploymentOptions) *v1alpha1.HelmOptions {
	o.Helm = orNew(o.Helm)
	return o.Helm
}

func values(o *v1alpha1.BundleDeploymentOptions) map[string]any {
	helm(o).Values = orNew(o.Helm.Values)
	if o.Helm.Values.Data == nil {
		o.Helm.Values.Data = map[string]any{}
	}
	return o.Helm.Values.Data
}

func last(places []string) any { return places[len(places)-1] }

func lastAt(path string) func([]string) map[string]string {
	return func(places []string) map[string]string { return map[string]string{path: places[len(places)-1]} }
}

// eachAt gives entry i of a list to the i-th place.
func eachAt(path string) func([]string) map[string]string {
	return func(places []string) map[string]string {
		origins := map[string]string{}
		for i, place := range places {
			origins[fmt.Sprintf("%s[%d]", path, i)] = place
		}
		return origins
	}
}

func scalar(name string, pick func(o *v1alpha1.BundleDeploymentOptions) *string) field {
	return field{name, func(o *v1alpha1.BundleDeploymentOptions, place string) { *pick(o) = place },
		func(o *v1alpha1.BundleDeploymentOptions) any { return *pick(o) }, last, lastAt(name)}
}

func boolean(name string, pick func(o *v1alpha1.BundleDeploymentOptions) *bool) field {
	return field{name, func(o *v1alpha1.BundleDeploymentOptions, place string) { *pick(o) = true },
		func(o *v1alpha1.BundleDeploymentOptions) any { return *pick(o) }, func([]string) any { return true }, lastAt(name)}
}

// stringMap sets a key that all places share and one of the place's own.
func stringMap(name string, pick func(o *v1alpha1.BundleDeploymentOptions) *map[string]string) field {
	return field{name,
		func(o *v1alpha1.BundleDeploymentOptions, place string) {
			*pick(o) = map[string]string{"shared": place, key(place): place}
		},
		func(o *v1alpha1.BundleDeploymentOptions) any { return *pick(o) },
		func(places []string) any { return united("", places) },
		func(places []string) map[string]string { return united(name+".", places) },
	}
}

// united is what comes of maps of which each place has one with a key of its own and one that all have; prefix begins the keys.
func united(prefix string, places []string) map[string]string {
	want := map[string]string{prefix + "shared": last(places).(string)}
	for _, place := range places {
		want[prefix+key(place)] = place
	}
	return want
}

// unitedValues are the same among values.
func unitedValues(places []string) any {
	want := map[string]any{}
	for key, place := range united("", places) {
		want[key] = place
	}
	return want
}

func key(place string) string { return strings.ReplaceAll(place, " ", "-") }

func fields() []field {
	type options = v1alpha1.BundleDeploymentOptions
	return []field{
		scalar("defaultNamespace", func(o *options) *string { return &o.DefaultNamespace }),
		scalar("namespace", func(o *options) *string { return &o.TargetNamespace }),
		scalar("serviceAccount", func(o *options) *string { return &o.ServiceAccount }),
		scalar("helm.chart", func(o *options) *string { return &helm(o).Chart }),
		scalar("helm.repo", func(o *options) *string { return &helm(o).Repo }),
		scalar("helm.version", func(o *options) *string { return &helm(o).Version }),
		scalar("helm.releaseName", func(o *options) *string { return &helm(o).ReleaseName }),
		scalar("kustomize.dir", func(o *options) *string { o.Kustomize = orNew(o.Kustomize); return &o.Kustomize.Dir }),
		scalar("kustomize.namePrefix", func(o *options) *string { o.Kustomize = orNew(o.Kustomize); return &o.Kustomize.NamePrefix }),
		boolean("keepResources", func(o *options) *bool { return &o.KeepResources }),
		boolean("helm.force", func(o *options) *bool { return &helm(o).Force }),
		boolean("helm.atomic", func(o *options) *bool { return &helm(o).Atomic }),
		boolean("helm.takeOwnership", func(o *options) *bool { return &helm(o).TakeOwnership }),
		boolean("helm.waitForJobs", func(o *options) *bool { return &helm(o).WaitForJobs }),
		boolean("helm.disablePreProcess", func(o *options) *bool { return &helm(o).DisablePreProcess }),
		boolean("helm.disableDNS", func(o *options) *bool { return &helm(o).DisableDNS }),
		boolean("helm.skipSchemaValidation", func(o *options) *bool { return &helm(o).SkipSchemaValidation }),
		boolean("helm.disableDependencyUpdate", func(o *options) *bool { return &helm(o).DisableDependencyUpdate }),
		stringMap("namespaceLabels", func(o *options) *map[string]string { return &o.NamespaceLabels }),
		stringMap("namespaceAnnotations", func(o *options) *map[string]string { return &o.NamespaceAnnotations }),
		{"helm.templateValues merge by key", func(o *options, place string) {
			helm(o).TemplateValues = map[string]string{"shared": place, key(place): place}
		},
			func(o *options) any { return values(o) }, // they are values by then
			unitedValues, func(in []string) map[string]string { return united("helm.templateValues.", in) }},
		{"forceSyncGeneration", func(o *options, place string) { o.ForceSyncGeneration = int64(slices.Index(places, place) + 1) },
			func(o *options) any { return o.ForceSyncGeneration },
			func(in []string) any { return int64(slices.Index(places, last(in).(string)) + 1) }, lastAt("forceSyncGeneration")},
		{"helm.timeoutSeconds", func(o *options, place string) { helm(o).TimeoutSeconds = slices.Index(places, place) + 1 },
			func(o *options) any { return helm(o).TimeoutSeconds },
			func(in []string) any { return slices.Index(places, last(in).(string)) + 1 }, lastAt("helm.timeoutSeconds")},
		{"helm.maxHistory", func(o *options, place string) { helm(o).MaxHistory = slices.Index(places, place) + 1 },
			func(o *options) any { return helm(o).MaxHistory },
			func(in []string) any { return slices.Index(places, last(in).(string)) + 1 }, lastAt("helm.maxHistory")},
		{"createNamespace", func(o *options, place string) { no := false; o.CreateNamespace = &no },
			func(o *options) any { return *o.CreateNamespace }, func([]string) any { return false }, lastAt("createNamespace")},
		{"correctDrift", func(o *options, place string) { o.CorrectDrift = &v1alpha1.CorrectDrift{Enabled: place == "bundle"} },
			func(o *options) any { return o.CorrectDrift.Enabled },
			func(in []string) any { return last(in) == "bundle" }, lastAt("correctDrift")},
		{"a scalar value", func(o *options, place string) { values(o)["replicas"] = place },
			func(o *options) any { return values(o)["replicas"] }, last, lastAt("helm.values.replicas")},
		{"a boolean value is replaced, not or-ed", func(o *options, place string) { values(o)["on"] = place == "bundle" },
			func(o *options) any { return values(o)["on"] }, func(in []string) any { return last(in) == "bundle" }, lastAt("helm.values.on")},
		{"a null value", func(o *options, place string) { values(o)["gone"] = nil },
			func(o *options) any { return values(o)["gone"] }, func([]string) any { return nil }, lastAt("helm.values.gone")},
		{"a list value is replaced", func(o *options, place string) { values(o)["hosts"] = []any{place, "always"} },
			func(o *options) any { return values(o)["hosts"] }, func(in []string) any { return []any{last(in), "always"} }, lastAt("helm.values.hosts")},
		{"a nested map value merges", func(o *options, place string) {
			values(o)["image"] = map[string]any{"tag": map[string]any{"shared": place, key(place): place}}
		},
			func(o *options) any { return values(o)["image"].(map[string]any)["tag"] },
			unitedValues, func(in []string) map[string]string { return united("helm.values.image.tag.", in) }},
		{"a map over a scalar, and a scalar over a map", func(o *options, place string) {
			values(o)["port"] = map[string]any{"number": place}
			if place == "target prod" || place == "customization two" {
				values(o)["port"] = place
			}
		},
			func(o *options) any { return values(o)["port"] },
			func(in []string) any {
				if p := last(in); p == "target prod" || p == "customization two" {
					return p
				}
				return map[string]any{"number": last(in)}
			},
			func(in []string) map[string]string {
				if p := last(in).(string); p == "target prod" || p == "customization two" {
					return map[string]string{"helm.values.port": p}
				}
				return map[string]string{"helm.values.port.number": last(in).(string)}
			}},
		{"yaml.overlays add up", func(o *options, place string) { o.YAML = &v1alpha1.YAMLOptions{Overlays: []string{place}} },
			func(o *options) any { return o.YAML.Overlays }, func(in []string) any { return in }, eachAt("yaml.overlays")},
		{"kustomize.patches add up", func(o *options, place string) {
			o.Kustomize = &v1alpha1.KustomizeOptions{Patches: []v1alpha1.KustomizePatch{{Patch: place, Target: &v1alpha1.KustomizeSelector{Name: "same"}}}}
		},
			func(o *options) any {
				var patches []string
				for _, p := range o.Kustomize.Patches {
					patches = append(patches, p.Patch)
				}
				return patches
			}, func(in []string) any { return in }, eachAt("kustomize.patches")},
		{"an image of kustomize.images is replaced by name", func(o *options, place string) {
			o.Kustomize = &v1alpha1.KustomizeOptions{Images: []v1alpha1.KustomizeImage{{Name: "web", NewTag: place}}}
		}, func(o *options) any { return o.Kustomize.Images[0].NewTag }, last, lastAt("kustomize.images[0]")},
		{"kustomize.images of other names add up", func(o *options, place string) {
			o.Kustomize = &v1alpha1.KustomizeOptions{Images: []v1alpha1.KustomizeImage{{Name: place}}}
		}, func(o *options) any { return len(o.Kustomize.Images) }, func(in []string) any { return len(in) }, eachAt("kustomize.images")},
		{"a workload of kustomize.replicas is replaced by name", func(o *options, place string) {
			o.Kustomize = &v1alpha1.KustomizeOptions{Replicas: []v1alpha1.KustomizeReplica{{Name: "web", Count: intstr.FromString(place)}}}
		}, func(o *options) any { return o.Kustomize.Replicas[0].Count.StrVal }, last, lastAt("kustomize.replicas[0]")},
		{"helm.valuesFrom of other objects add up", func(o *options, place string) {
			helm(o).ValuesFrom = []v1alpha1.ValuesFrom{secretRef(place)}
		},
			func(o *options) any { return helm(o).ValuesFrom },
			func(in []string) any {
				var want []v1alpha1.ValuesFrom
				for _, place := range in {
					want = append(want, secretRef(place))
				}
				return want
			}, eachAt("helm.valuesFrom")},
		{"a patch of the same object is replaced", func(o *options, place string) {
			o.Diff = &v1alpha1.DiffOptions{ComparePatches: []v1alpha1.ComparePatch{{Kind: "Deployment", Name: "web", JsonPointers: []string{place}}}}
		},
			func(o *options) any { return o.Diff.ComparePatches[0].JsonPointers[0] }, last, lastAt("diff.comparePatches[0]")},
		{"a downstream resource is named once, in any case", func(o *options, place string) {
			kind := strings.ToUpper("secret"[:1+slices.Index(places, place)]) + "secret"[1+slices.Index(places, place):]
			o.DownstreamResources = []v1alpha1.DownstreamResource{{Kind: kind, Name: "db"}}
		},
			func(o *options) any { return len(o.DownstreamResources) }, func([]string) any { return 1 }, lastAt("downstreamResources[0]")},
		{"ignored conditions add up", func(o *options, place string) {
			o.IgnoreOptions = &v1alpha1.IgnoreOptions{Conditions: []map[string]string{{"type": place}}}
		},
			func(o *options) any { return len(o.IgnoreOptions.Conditions) }, func(in []string) any { return len(in) }, eachAt("ignore.conditions")},
		{"a rule of health is replaced by kind", func(o *options, place string) {
			o.Health = orNew(o.Health)
			o.Health.Rules = []v1alpha1.HealthRule{{Group: "example.com", Kind: "Thing", Healthy: place}}
		}, func(o *options) any { return o.Health.Rules[0].Healthy }, last, lastAt("health.rules[0]")},
		{"rules of health for other kinds add up", func(o *options, place string) {
			o.Health = orNew(o.Health)
			o.Health.Rules = []v1alpha1.HealthRule{{Group: place, Kind: "Thing"}}
		}, func(o *options) any { return len(o.Health.Rules) }, func(in []string) any { return len(in) }, eachAt("health.rules")},
		{"a probe is replaced by name", func(o *options, place string) {
			o.Health = orNew(o.Health)
			o.Health.Probes = []v1alpha1.HealthProbe{{Name: "api", Value: place}}
		}, func(o *options) any { return o.Health.Probes[0].Value }, last, lastAt("health.probes[0]")},
	}
}

// TestEveryOptionHasARow fails for an option of the API that no row of fields tells about, nor one of the lists below.
func TestEveryOptionHasARow(t *testing.T) {
	told := []string{ // by other tests, or not options of a place
		"overwrites", "allowedTargetNamespaceSelector", "deleteNamespace", "deleteCRDResources", // TestMergeRules
		"helm.values", "helm.valuesFrom", "helm.templateValues", "helm.valuesFiles", // in rows of several names; files are values by then
		"yaml.overlays", "kustomize.patches", "kustomize.images", "kustomize.replicas", "diff.comparePatches", "downstreamResources", "ignore.conditions", "health.rules", "health.probes",
	}
	for _, f := range fields() {
		told = append(told, f.name)
	}
	var walk func(path string, o reflect.Type)
	walk = func(path string, o reflect.Type) {
		for i := range o.NumField() {
			name, _, _ := strings.Cut(o.Field(i).Tag.Get("json"), ",")
			inner := o.Field(i).Type
			switch {
			case slices.Contains([]string{"helm", "yaml", "kustomize", "diff", "ignore", "health"}, name):
				walk(path+name+".", inner.Elem())
			case !slices.Contains(told, path+name):
				t.Errorf("no row tells how %s merges", path+name)
			}
		}
	}
	walk("", reflect.TypeFor[v1alpha1.BundleDeploymentOptions]())
}

func secretRef(place string) v1alpha1.ValuesFrom {
	return v1alpha1.ValuesFrom{SecretKeyRef: &v1alpha1.SecretKeySelector{LocalObjectReference: v1alpha1.LocalObjectReference{Name: place}}}
}

// layered is a bundle with its three other places, all of which match every cluster.
func layered(mode v1alpha1.TargetCustomizationMode) (*v1alpha1.Bundle, map[string]*v1alpha1.BundleDeploymentOptions) {
	all := &metav1.LabelSelector{}
	b := &v1alpha1.Bundle{Spec: v1alpha1.BundleSpec{
		TargetCustomizationMode: mode,
		Targets: []v1alpha1.BundleTarget{
			{Name: "one", ClusterSelector: all}, {Name: "two", ClusterSelector: all}, {Name: "prod", ClusterSelector: all},
		},
		TargetRestrictions: []v1alpha1.BundleTargetRestriction{{Name: "prod", ClusterSelector: all}},
	}}
	return b, map[string]*v1alpha1.BundleDeploymentOptions{
		"bundle":            &b.Spec.BundleDeploymentOptions,
		"customization one": &b.Spec.Targets[0].BundleDeploymentOptions,
		"customization two": &b.Spec.Targets[1].BundleDeploymentOptions,
		"target prod":       &b.Spec.Targets[2].BundleDeploymentOptions,
	}
}

// TestEveryFieldInEveryPlace sets each field in each set of places: one, all pairs, all triples, all four.
func TestEveryFieldInEveryPlace(t *testing.T) {
	for _, mode := range []v1alpha1.TargetCustomizationMode{"", v1alpha1.TargetCustomizationModeFirstMatch, v1alpha1.TargetCustomizationModeAllMatches} {
		for _, f := range fields() {
			for set := 1; set < 1<<len(places); set++ {
				var in []string
				for i, place := range places {
					if set&(1<<i) != 0 {
						in = append(in, place)
					}
				}
				t.Run(fmt.Sprintf("%s/%s/%s", mode, f.name, strings.Join(in, "+")), func(t *testing.T) { f.check(t, mode, in) })
			}
		}
	}
}

func (f field) check(t *testing.T, mode v1alpha1.TargetCustomizationMode, in []string) {
	b, at := layered(mode)
	for _, place := range in {
		f.set(at[place], place)
	}
	before := b.DeepCopy()
	m, err := New(b, nil)
	if err != nil {
		t.Fatal(err)
	}
	match, err := m.Match(&v1alpha1.Cluster{})
	if err != nil || match == nil || match.Target != "prod" {
		t.Fatalf("match %v, error %v", match, err)
	}
	if !reflect.DeepEqual(b, before) {
		t.Error("the bundle was modified")
	}
	counting := slices.Clone(in)
	if mode != v1alpha1.TargetCustomizationModeAllMatches { // "two" comes second, and so never counts
		counting = slices.DeleteFunc(counting, func(place string) bool { return place == "customization two" })
	}
	got := originsOf(match)
	if len(counting) == 0 {
		if len(got) != 0 {
			t.Errorf("nothing counts, and yet there are origins %v", got)
		}
		return
	}
	if value, want := f.read(match.Options.DeepCopy()), f.want(counting); !reflect.DeepEqual(value, want) {
		t.Errorf("value %#v, want %#v", value, want)
	}
	if want := f.origins(counting); !maps.Equal(got, want) {
		t.Errorf("origins %v, want %v", got, want)
	}
}

func originsOf(m *Match) map[string]string {
	origins := map[string]string{}
	for _, o := range m.Origins {
		origins[o.Path] = o.From
	}
	return origins
}

func TestMergeRules(t *testing.T) {
	type options = v1alpha1.BundleDeploymentOptions
	for _, c := range []struct {
		rule           string
		bundle, target options
		holds          func(o *options) bool
	}{
		{"a dash empties a namespace", options{TargetNamespace: "a", DefaultNamespace: "b", ServiceAccount: "c"},
			options{TargetNamespace: "-", DefaultNamespace: "-", ServiceAccount: "-"},
			func(o *options) bool {
				return o.TargetNamespace == "" && o.DefaultNamespace == "" && o.ServiceAccount == ""
			}},
		{"a timeout below 0 empties it", options{Helm: &v1alpha1.HelmOptions{TimeoutSeconds: 5}}, options{Helm: &v1alpha1.HelmOptions{TimeoutSeconds: -1}},
			func(o *options) bool { return o.Helm.TimeoutSeconds == 0 }},
		{"deleteNamespace of a target does not count", options{}, options{DeleteNamespace: true}, func(o *options) bool { return !o.DeleteNamespace }},
		{"deleteCRDResources of a target does not count", options{}, options{DeleteCRDResources: true}, func(o *options) bool { return !o.DeleteCRDResources }},
		{"deleteNamespace of the bundle counts", options{DeleteNamespace: true, DeleteCRDResources: true}, options{},
			func(o *options) bool { return o.DeleteNamespace && o.DeleteCRDResources }},
		{"two patches of one object over an earlier one both count", options{Diff: &v1alpha1.DiffOptions{ComparePatches: []v1alpha1.ComparePatch{{Name: "a"}}}},
			options{Diff: &v1alpha1.DiffOptions{ComparePatches: []v1alpha1.ComparePatch{{Name: "a", JsonPointers: []string{"/x"}}, {Name: "a", JsonPointers: []string{"/y"}}}}},
			func(o *options) bool {
				return len(o.Diff.ComparePatches) == 2 && o.Diff.ComparePatches[0].JsonPointers[0] == "/x"
			}},
		{"what is internal comes from the bundle", options{Overwrites: []v1alpha1.OverwrittenResource{{Name: "a"}}},
			options{Overwrites: []v1alpha1.OverwrittenResource{{Name: "b"}}},
			func(o *options) bool { return len(o.Overwrites) == 1 && o.Overwrites[0].Name == "a" }},
		{"two patches of one object in one place both stay", options{Diff: &v1alpha1.DiffOptions{ComparePatches: []v1alpha1.ComparePatch{{Name: "a"}, {Name: "a"}}}},
			options{}, func(o *options) bool { return len(o.Diff.ComparePatches) == 2 }},
		{"a bundle without helm has none", options{}, options{}, func(o *options) bool { return o.Helm == nil && o.Kustomize == nil && o.YAML == nil }},
		{"values of a target come to a bundle without helm", options{}, options{Helm: &v1alpha1.HelmOptions{Values: &v1alpha1.GenericMap{Data: map[string]any{"a": "b"}}}},
			func(o *options) bool { return o.Helm.Values.Data["a"] == "b" }},
	} {
		t.Run(c.rule, func(t *testing.T) {
			b, at := layered("")
			*at["bundle"], *at["target prod"] = c.bundle, c.target
			m, err := New(b, nil)
			if err != nil {
				t.Fatal(err)
			}
			match, err := m.Match(&v1alpha1.Cluster{})
			if err != nil || !c.holds(&match.Options) {
				t.Errorf("error %v, options %+v", err, match.Options)
			}
		})
	}
}

func TestOriginsOfWhatCountsInTheBundleOnly(t *testing.T) {
	b, at := layered("")
	at["bundle"].DeleteNamespace, at["bundle"].DeleteCRDResources = true, true
	at["target prod"].DeleteNamespace = true
	m, err := New(b, nil)
	if err != nil {
		t.Fatal(err)
	}
	match, _ := m.Match(&v1alpha1.Cluster{})
	if want := map[string]string{"deleteNamespace": "bundle", "deleteCRDResources": "bundle"}; !maps.Equal(originsOf(match), want) {
		t.Errorf("origins %v, want %v", originsOf(match), want)
	}
}

func TestOriginsAreBounded(t *testing.T) {
	b, at := layered("")
	for i := range 500 {
		values(at["bundle"])[fmt.Sprintf("key%03d", i)] = i
	}
	values(at["target prod"])["a.b/c"] = strings.Repeat("x", 1000)
	values(at["target prod"])[strings.Repeat("long", 100)] = map[string]any{"inner": 1}
	m, err := New(b, nil)
	if err != nil {
		t.Fatal(err)
	}
	match, _ := m.Match(&v1alpha1.Cluster{})
	origins := originsOf(match)
	if len(match.Origins) != maxOrigins+1 || origins["..."] != "402 more values, not listed" {
		t.Errorf("%d origins, the rest %q", len(match.Origins), origins["..."])
	}
	if origins[`helm.values["a.b/c"]`] != "target prod" {
		t.Errorf("what a target sets is missing: %v", match.Origins)
	}
	for path := range origins {
		if len(path) > 2*maxSegment {
			t.Errorf("path of %d bytes", len(path))
		}
	}
}
