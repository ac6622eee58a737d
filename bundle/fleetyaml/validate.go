package fleetyaml

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"

	"flotilla.io/flotilla/api/v1alpha1"
	"flotilla.io/flotilla/bundle/fleetyaml/nearest"
)

// validate finds what decodes well and yet can only fail later: at the API server, or on every cluster.
func (f *FleetYAML) validate() (errs Errors) {
	// A BundleDeployment is named like its bundle and carries that name as a label, which is the tighter bound.
	if problems := validation.IsDNS1123Subdomain(f.Name); f.Name != "" && (len(problems) > 0 || len(f.Name) > validation.LabelValueMaxLength) {
		errs = append(errs, f.Errorf("name", "a bundle's name has at most %d small letters, digits, dashes and dots, and starts and ends with a letter or digit",
			validation.LabelValueMaxLength))
	}
	for _, key := range slices.Sorted(maps.Keys(f.Labels)) {
		if problems := append(validation.IsQualifiedName(key), validation.IsValidLabelValue(f.Labels[key])...); len(problems) > 0 {
			errs = append(errs, f.Errorf("labels."+key, "%s", problems[0]))
		}
	}
	for _, key := range slices.Sorted(maps.Keys(f.Annotations)) {
		if problems := validation.IsQualifiedName(strings.ToLower(key)); len(problems) > 0 {
			errs = append(errs, f.Errorf("annotations."+key, "%s", problems[0]))
		} else if key == v1alpha1.ApproveAnnotation {
			errs = append(errs, f.Errorf("annotations."+key, "a plan is approved on the Bundle, by a person who has seen it; take it out of the file"))
		}
	}
	if mode := f.TargetCustomizationMode; mode != "" && !slices.Contains(modes, string(mode)) {
		errs = append(errs, f.Errorf("targetCustomizationMode", "no mode %q; it is %s", clip(string(mode)), strings.Join(modes, " or ")))
	}
	errs = append(errs, f.releaseName("helm", f.Helm)...)
	errs = append(errs, f.kustomize("kustomize", f.Kustomize)...)
	errs = append(errs, f.health("health", f.Health)...)
	errs = append(errs, f.validateTargets()...)
	errs = append(errs, f.validateDependsOn()...)
	errs = append(errs, f.validateOutputs()...)
	errs = append(errs, f.validateInputs()...)
	for i, scan := range f.ImageScans {
		if scan.Image != "" && scan.TagName == "" {
			errs = append(errs, f.Errorf(fmt.Sprintf("imageScans[%d]", i), "tagName is missing: it is what the marker comments name"))
		}
	}
	return errs
}

var modes = []string{string(v1alpha1.TargetCustomizationModeFirstMatch), string(v1alpha1.TargetCustomizationModeAllMatches)}

// releaseName checks the name of a Helm release at path + ".releaseName".
func (f *FleetYAML) releaseName(path string, helm *v1alpha1.HelmOptions) Errors {
	if helm == nil || helm.ReleaseName == "" {
		return nil
	}
	if len(helm.ReleaseName) <= v1alpha1.MaxReleaseNameLen && len(validation.IsDNS1123Subdomain(helm.ReleaseName)) == 0 {
		return nil
	}
	return Errors{f.Errorf(path+".releaseName",
		"a release name has at most %d small letters, digits, dashes and dots, and starts and ends with a letter or digit",
		v1alpha1.MaxReleaseNameLen)}
}

func (f *FleetYAML) validateTargets() (errs Errors) {
	target := func(path string, options *v1alpha1.BundleDeploymentOptions, clusters, groups *metav1.LabelSelector) {
		errs = append(errs, f.releaseName(path+".helm", options.Helm)...)
		errs = append(errs, f.kustomize(path+".kustomize", options.Kustomize)...)
		errs = append(errs, f.health(path+".health", options.Health)...)
		errs = append(errs, f.selector(path+".clusterSelector", clusters)...)
		errs = append(errs, f.selector(path+".clusterGroupSelector", groups)...)
	}
	for i, t := range f.Targets {
		target(fmt.Sprintf("targets[%d]", i), &t.BundleDeploymentOptions, t.ClusterSelector, t.ClusterGroupSelector)
	}
	for i, t := range f.TargetCustomizations {
		target(fmt.Sprintf("targetCustomizations[%d]", i), &t.BundleDeploymentOptions, t.ClusterSelector, t.ClusterGroupSelector)
	}
	for i, t := range f.OverrideTargets {
		target(fmt.Sprintf("overrideTargets[%d]", i), &t.BundleDeploymentOptions, t.ClusterSelector, t.ClusterGroupSelector)
	}
	if f.RolloutStrategy != nil {
		for i, p := range f.RolloutStrategy.Partitions {
			target(fmt.Sprintf("rolloutStrategy.partitions[%d]", i), &v1alpha1.BundleDeploymentOptions{}, p.ClusterSelector, p.ClusterGroupSelector)
		}
	}
	return errs
}

func (f *FleetYAML) selector(path string, selector *metav1.LabelSelector) Errors {
	if _, err := metav1.LabelSelectorAsSelector(selector); err != nil {
		return Errors{f.Errorf(path, "%s", err)}
	}
	return nil
}

func (f *FleetYAML) validateDependsOn() (errs Errors) {
	for i, ref := range f.DependsOn {
		path := fmt.Sprintf("dependsOn[%d]", i)
		if ref.Name == "" && ref.Selector == nil {
			errs = append(errs, f.Errorf(path, "name or selector is missing"))
		}
		errs = append(errs, f.selector(path+".selector", ref.Selector)...)
		for j, state := range ref.AcceptedStates {
			if known := acceptable(); !slices.Contains(known, string(state)) {
				errs = append(errs, f.Errorf(fmt.Sprintf("%s.acceptedStates[%d]", path, j), "no state %q%s; the states are %s",
					clip(string(state)), nearest.Hint(string(state), known), strings.Join(known, ", ")))
			}
		}
	}
	return errs
}

// acceptable are the states that a dependency may be in, best first. A lost cluster has no state to accept.
func acceptable() (states []string) {
	ranked := slices.SortedFunc(maps.Keys(v1alpha1.StateRank), func(a, b v1alpha1.BundleState) int {
		return v1alpha1.StateRank[a] - v1alpha1.StateRank[b]
	})
	for _, state := range ranked {
		if state != v1alpha1.Unknown {
			states = append(states, string(state))
		}
	}
	return states
}
