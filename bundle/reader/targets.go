package reader

import (
	"fmt"

	"flotilla.io/flotilla/api/v1alpha1"
)

// layer is a place with options: the bundle itself, or one of its targets.
type layer struct {
	options *v1alpha1.BundleDeploymentOptions
	path    string // in the settings file, "" for the bundle itself
	gitRepo string // the name of the GitRepo's target that it is from, with the field; "" for one from the settings file
}

// fail is an error about a field of the layer, at its place in the file, or naming the GitRepo's field.
func (r *reading) fail(l layer, field, format string, args ...any) error {
	if l.gitRepo != "" {
		where := "GitRepo"
		if r.repo.CommandLine != nil {
			where = "targets file"
		}
		return fmt.Errorf("%s.%s of the %s, for %s: %s", l.gitRepo, field, where, r.place.dir, fmt.Sprintf(format, args...))
	}
	if l.path != "" {
		field = l.path + "." + field
	}
	return r.yaml.Errorf(field, format, args...)
}

// targets puts the bundle's targets in Fleet's order, which alone tells customizations from targets: those of the settings file
// first, then those of the GitRepo, which are copied to the restrictions.
func (r *reading) targets() error {
	spec, written := r.spec, len(r.spec.Targets)
	spec.Targets = append(spec.Targets, r.yaml.TargetCustomizations...)
	customized := len(spec.Targets)
	own := r.repo.Spec.Targets
	switch {
	case r.yaml.OverrideTargets != nil:
		own = r.yaml.OverrideTargets
	case r.repo.CommandLine != nil:
		own = nil
		for _, t := range r.repo.CommandLine.Targets {
			spec.Targets = append(spec.Targets, *t.DeepCopy())
		}
		for _, t := range r.repo.CommandLine.TargetRestrictions {
			spec.TargetRestrictions = append(spec.TargetRestrictions, *t.DeepCopy())
		}
	case len(own) == 0:
		own = []v1alpha1.GitTarget{defaultTarget}
	}
	for _, t := range own {
		spec.Targets = append(spec.Targets, bundleTarget(*t.DeepCopy()))
		spec.TargetRestrictions = append(spec.TargetRestrictions, restriction(*t.DeepCopy()))
	}
	if len(spec.Targets) == 0 {
		spec.Targets = []v1alpha1.BundleTarget{bundleTarget(defaultTarget)}
	}
	r.layers = []layer{{options: &spec.BundleDeploymentOptions}}
	for i := range spec.Targets {
		t := &spec.Targets[i]
		if t.Name == "" {
			t.Name = fmt.Sprintf("target%03d", i)
		}
		l := layer{options: &t.BundleDeploymentOptions}
		switch {
		case i < written:
			l.path = fmt.Sprintf("targets[%d]", i)
		case i < customized:
			l.path = fmt.Sprintf("targetCustomizations[%d]", i-written)
		case r.yaml.OverrideTargets != nil:
			l.path = fmt.Sprintf("overrideTargets[%d]", i-customized)
		default:
			l.gitRepo = fmt.Sprintf("spec.targets[%d] (%s)", i-customized, t.Name)
		}
		r.layers = append(r.layers, l)
	}
	return nil
}

var defaultTarget = v1alpha1.GitTarget{Name: "default", ClusterGroup: v1alpha1.DefaultClusterGroup}

func bundleTarget(t v1alpha1.GitTarget) v1alpha1.BundleTarget {
	return v1alpha1.BundleTarget{
		BundleDeploymentOptions: t.BundleDeploymentOptions,
		Name:                    t.Name,
		ClusterName:             t.ClusterName,
		ClusterSelector:         t.ClusterSelector,
		ClusterGroup:            t.ClusterGroup,
		ClusterGroupSelector:    t.ClusterGroupSelector,
		DoNotDeploy:             t.DoNotDeploy,
	}
}

func restriction(t v1alpha1.GitTarget) v1alpha1.BundleTargetRestriction {
	return v1alpha1.BundleTargetRestriction{
		Name:                 t.Name,
		ClusterName:          t.ClusterName,
		ClusterSelector:      t.ClusterSelector,
		ClusterGroup:         t.ClusterGroup,
		ClusterGroupSelector: t.ClusterGroupSelector,
	}
}
