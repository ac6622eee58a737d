package target

import (
	"fmt"
	"strings"

	"flotilla.io/flotilla/api/v1alpha1"
)

// Unserved is a field of Fleet that is set and has no effect yet.
type Unserved struct {
	// Field is its path, such as spec.helm.repo.
	Field string
	// Blocks says that nothing may be deployed while it is set: without it, something wrong could be deployed or deleted.
	Blocks bool
	// Why is what that means, in half a sentence.
	Why string
}

func (u Unserved) String() string { return u.Field + ": " + u.Why }

// Blocking are those of the fields that keep the bundle from being deployed.
func Blocking(fields []Unserved) (blocking []Unserved) {
	for _, field := range fields {
		if field.Blocks {
			blocking = append(blocking, field)
		}
	}
	return blocking
}

// list collects fields that are set.
type list []Unserved

func (l *list) add(set bool, field string, blocks bool, why string) {
	if set {
		*l = append(*l, Unserved{field, blocks, why})
	}
}

// NotServed lists the fields that a bundle sets, in itself or in a target, and that have no effect yet.
func NotServed(b *v1alpha1.Bundle) []Unserved {
	var l list
	empty := b.Spec.ContentsID == "" && len(b.Spec.Resources) == 0
	l.add(b.Spec.HelmOpOptions != nil && empty, "spec.helmOpOptions", true, "a HelmOp has the chart of its bundle fetched; write a HelmOp")
	l.add(b.Spec.RolloutStrategy != nil, "spec.rolloutStrategy", false, "a change goes to all clusters at once")
	for i := range b.Spec.Targets {
		t := &b.Spec.Targets[i]
		path := fmt.Sprintf("spec.targets[%d] (%s)", i, t.Name)
		const above = "it counts in the bundle only, not in a target, as in Fleet"
		l.add(t.DeleteNamespace, path+".deleteNamespace", false, above)
		l.add(t.DeleteCRDResources, path+".deleteCRDResources", false, above)
	}
	return l
}

// RemoteChart tells whether helm.chart names something to download, not a directory.
func RemoteChart(chart string) bool {
	for _, mark := range []string{"://", "::", "git@"} {
		if strings.Contains(chart, mark) {
			return true
		}
	}
	host, _, _ := strings.Cut(chart, "/")
	return host == "github.com" || host == "gitlab.com" || host == "bitbucket.org"
}

// NotServedGitRepo lists the fields of a GitRepo that have no effect yet. What it hands on to its bundles is told by NotServed
// of each bundle.
func NotServedGitRepo(s *v1alpha1.GitRepoSpec) []Unserved {
	var l list
	l.add(s.ImageScanCommit != nil, "spec.imageScanCommit", false, "image tags are not yet written back")
	l.add(s.ImageSyncInterval != nil, "spec.imageScanInterval", false, "image tags are not yet written back")
	l.add(s.OCIRegistrySecret != "", "spec.ociRegistrySecret", false, "layers are kept on the hub, not yet in a registry")
	return l
}

// NotServedKind tells of a kind that is not served yet; ok is false for those that are.
func NotServedKind(kind string) (field Unserved, ok bool) {
	switch kind {
	case "ImageScan":
		return Unserved{kind, false, "image tags are not yet written back"}, true
	}
	return Unserved{}, false
}
