package target

import (
	"maps"
	"strings"

	"flotilla.io/flotilla/api/v1alpha1"
)

// merge lays the options of several places over one another and keeps for each value who set it last.
//
// Text and numbers replace when set, and "-" empties a namespace or service account; true wins over false; maps merge key by
// key, nested ones too; lists of values replace, while overlays, patches and the like add up. deleteNamespace,
// deleteCRDResources and what is internal count in the bundle alone, as in Fleet.
type merge struct {
	options v1alpha1.BundleDeploymentOptions
	origins origin
}

func newMerge(bundle *v1alpha1.BundleDeploymentOptions) *merge {
	m := &merge{}
	m.add("bundle", bundle)
	m.options.Overwrites = bundle.Overwrites
	m.options.AllowedTargetNamespaceSelector = bundle.AllowedTargetNamespaceSelector
	flag(m, "bundle", ".deleteNamespace", &m.options.DeleteNamespace, bundle.DeleteNamespace)
	flag(m, "bundle", ".deleteCRDResources", &m.options.DeleteCRDResources, bundle.DeleteCRDResources)
	return m
}

// add lays options over what is there. It keeps parts of them, and modifies none.
func (m *merge) add(from string, o *v1alpha1.BundleDeploymentOptions) {
	text(m, from, ".defaultNamespace", &m.options.DefaultNamespace, o.DefaultNamespace)
	text(m, from, ".namespace", &m.options.TargetNamespace, o.TargetNamespace)
	text(m, from, ".serviceAccount", &m.options.ServiceAccount, o.ServiceAccount)
	flag(m, from, ".keepResources", &m.options.KeepResources, o.KeepResources)
	pointer(m, from, ".createNamespace", &m.options.CreateNamespace, o.CreateNamespace)
	pointer(m, from, ".correctDrift", &m.options.CorrectDrift, o.CorrectDrift)
	if o.ForceSyncGeneration > 0 {
		m.options.ForceSyncGeneration = o.ForceSyncGeneration
		m.origins.at(".forceSyncGeneration").set(from, nil)
	}
	texts(m, from, ".namespaceLabels", &m.options.NamespaceLabels, o.NamespaceLabels)
	texts(m, from, ".namespaceAnnotations", &m.options.NamespaceAnnotations, o.NamespaceAnnotations)
	keyed(m, from, ".downstreamResources", &m.options.DownstreamResources, o.DownstreamResources, func(r v1alpha1.DownstreamResource) string {
		return strings.ToLower(r.Kind) + "|" + r.Name
	})
	if o.Kustomize != nil {
		m.options.Kustomize = orNew(m.options.Kustomize)
		m.addKustomize(from, m.options.Kustomize, o.Kustomize)
	}
	if o.YAML != nil {
		m.options.YAML = orNew(m.options.YAML)
		keyed(m, from, ".yaml.overlays", &m.options.YAML.Overlays, o.YAML.Overlays, func(string) string { return "" })
	}
	if o.Diff != nil {
		m.options.Diff = orNew(m.options.Diff)
		keyed(m, from, ".diff.comparePatches", &m.options.Diff.ComparePatches, o.Diff.ComparePatches, comparePatchKey)
	}
	if o.IgnoreOptions != nil {
		m.options.IgnoreOptions = orNew(m.options.IgnoreOptions)
		keyed(m, from, ".ignore.conditions", &m.options.IgnoreOptions.Conditions, o.IgnoreOptions.Conditions,
			func(map[string]string) string { return "" })
	}
	if o.Health != nil {
		m.options.Health = orNew(m.options.Health)
		keyed(m, from, ".health.rules", &m.options.Health.Rules, o.Health.Rules, func(r v1alpha1.HealthRule) string { return r.Kind + "." + r.Group })
		keyed(m, from, ".health.probes", &m.options.Health.Probes, o.Health.Probes, func(p v1alpha1.HealthProbe) string { return p.Name })
	}
	if o.Helm != nil {
		m.options.Helm = orNew(m.options.Helm)
		m.addHelm(from, m.options.Helm, o.Helm)
	}
}

func (m *merge) addKustomize(from string, into, o *v1alpha1.KustomizeOptions) {
	text(m, from, ".kustomize.dir", &into.Dir, o.Dir)
	keyed(m, from, ".kustomize.patches", &into.Patches, o.Patches, func(v1alpha1.KustomizePatch) string { return "" })
	keyed(m, from, ".kustomize.images", &into.Images, o.Images, func(i v1alpha1.KustomizeImage) string { return i.Name })
	keyed(m, from, ".kustomize.replicas", &into.Replicas, o.Replicas, func(r v1alpha1.KustomizeReplica) string { return r.Name })
	text(m, from, ".kustomize.namePrefix", &into.NamePrefix, o.NamePrefix)
}

// addHelm leaves valuesFiles out: what is in them is in values already.
func (m *merge) addHelm(from string, into, o *v1alpha1.HelmOptions) {
	text(m, from, ".helm.chart", &into.Chart, o.Chart)
	text(m, from, ".helm.repo", &into.Repo, o.Repo)
	text(m, from, ".helm.version", &into.Version, o.Version)
	text(m, from, ".helm.releaseName", &into.ReleaseName, o.ReleaseName)
	flag(m, from, ".helm.force", &into.Force, o.Force)
	flag(m, from, ".helm.atomic", &into.Atomic, o.Atomic)
	flag(m, from, ".helm.takeOwnership", &into.TakeOwnership, o.TakeOwnership)
	flag(m, from, ".helm.waitForJobs", &into.WaitForJobs, o.WaitForJobs)
	flag(m, from, ".helm.disablePreProcess", &into.DisablePreProcess, o.DisablePreProcess)
	flag(m, from, ".helm.disableDNS", &into.DisableDNS, o.DisableDNS)
	flag(m, from, ".helm.skipSchemaValidation", &into.SkipSchemaValidation, o.SkipSchemaValidation)
	flag(m, from, ".helm.disableDependencyUpdate", &into.DisableDependencyUpdate, o.DisableDependencyUpdate)
	if o.TimeoutSeconds != 0 { // below 0 empties
		into.TimeoutSeconds = max(o.TimeoutSeconds, 0)
		m.origins.at(".helm.timeoutSeconds").set(from, nil)
	}
	if o.MaxHistory != 0 {
		into.MaxHistory = o.MaxHistory
		m.origins.at(".helm.maxHistory").set(from, nil)
	}
	texts(m, from, ".helm.templateValues", &into.TemplateValues, o.TemplateValues)
	keyed(m, from, ".helm.valuesFrom", &into.ValuesFrom, o.ValuesFrom, valuesFromKey)
	if o.Values != nil && o.Values.Data != nil {
		into.Values = orNew(into.Values)
		into.Values.Data = mergeMaps(into.Values.Data, o.Values.Data, from, m.origins.at(".helm.values"))
	}
}

// MergeValues lays Helm values over others, as Match does, and modifies neither.
func MergeValues(base, over map[string]any) map[string]any {
	return mergeMaps(base, over, "", &origin{})
}

// mergeMaps lays one map over another without modifying either: nested maps merge, all else is replaced.
func mergeMaps(base, over map[string]any, from string, origins *origin) map[string]any {
	merged := make(map[string]any, len(base)+len(over))
	maps.Copy(merged, base)
	for key, value := range over {
		here := origins.at(segment(key))
		inner, isMap := value.(map[string]any)
		if outer, both := merged[key].(map[string]any); both && isMap {
			merged[key] = mergeMaps(outer, inner, from, here)
			continue
		}
		merged[key] = value
		here.set(from, value)
	}
	return merged
}

func text(m *merge, from, path string, into *string, value string) {
	if value == "" {
		return
	}
	*into = value
	if value == "-" {
		*into = ""
	}
	m.origins.at(path).set(from, nil)
}

func flag(m *merge, from, path string, into *bool, value bool) {
	if value {
		*into = true
		m.origins.at(path).set(from, nil)
	}
}

func pointer[T any](m *merge, from, path string, into **T, value *T) {
	if value != nil {
		*into = value
		m.origins.at(path).set(from, nil)
	}
}

func texts(m *merge, from, path string, into *map[string]string, values map[string]string) {
	if len(values) == 0 {
		return
	}
	merged := make(map[string]string, len(*into)+len(values))
	maps.Copy(merged, *into)
	for key, value := range values {
		merged[key] = value
		m.origins.at(path).at(segment(key)).set(from, nil)
	}
	*into = merged
}

// keyed adds entries to a list. One with the key of an entry from an earlier place takes that entry's place; an entry with key ""
// is like no other.
func keyed[T any](m *merge, from, path string, into *[]T, values []T, key func(T) string) {
	if len(values) == 0 {
		return
	}
	earlier := map[string]int{}
	for i, value := range *into {
		earlier[key(value)] = i
	}
	merged := append(make([]T, 0, len(*into)+len(values)), *into...)
	for _, value := range values {
		k := key(value)
		i, replaces := earlier[k]
		if replaces && k != "" {
			merged[i] = value
			delete(earlier, k)
		} else {
			i = len(merged)
			merged = append(merged, value)
		}
		m.origins.at(path).at(index(i)).set(from, nil)
	}
	*into = merged
}

func orNew[T any](have *T) *T {
	if have == nil {
		return new(T)
	}
	return have
}

func comparePatchKey(p v1alpha1.ComparePatch) string {
	return strings.Join([]string{p.APIVersion, p.Kind, p.Namespace, p.Name}, "|")
}

func valuesFromKey(v v1alpha1.ValuesFrom) string {
	switch {
	case v.ConfigMapKeyRef != nil:
		return strings.Join([]string{"configmap", v.ConfigMapKeyRef.Namespace, v.ConfigMapKeyRef.Name, v.ConfigMapKeyRef.Key}, "|")
	case v.SecretKeyRef != nil:
		return strings.Join([]string{"secret", v.SecretKeyRef.Namespace, v.SecretKeyRef.Name, v.SecretKeyRef.Key}, "|")
	}
	return ""
}
