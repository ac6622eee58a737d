package render

import (
	"slices"
	"strings"

	helmrelease "helm.sh/helm/v3/pkg/release"
)

// withoutUnrun drops the hooks that never run here: tests, rollbacks, and those of an event that Helm does not know. The
// others stay among the objects; their annotations tell them from the rest.
func withoutUnrun(objects []object) []object {
	return slices.DeleteFunc(objects, func(o object) bool {
		events, hook := o.GetAnnotations()[helmrelease.HookAnnotation]
		if !hook {
			return false
		}
		runs := false
		for event := range strings.SplitSeq(events, ",") {
			event := helmrelease.HookEvent(strings.ToLower(strings.TrimSpace(event)))
			runs = runs || slices.Contains(run, event)
			if !slices.Contains(run, event) && !slices.Contains(unrun, event) {
				return true
			}
		}
		return !runs
	})
}

var (
	run = []helmrelease.HookEvent{
		helmrelease.HookPreInstall, helmrelease.HookPostInstall, helmrelease.HookPreUpgrade, helmrelease.HookPostUpgrade,
		helmrelease.HookPreDelete, helmrelease.HookPostDelete,
	}
	unrun = []helmrelease.HookEvent{helmrelease.HookPreRollback, helmrelease.HookPostRollback, helmrelease.HookTest, "test-success"}
)
