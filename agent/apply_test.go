package agent_test

import (
	"testing"

	fleet "flotilla.io/flotilla/api/v1alpha1"
)

const two = `
apiVersion: v1
kind: ConfigMap
metadata: {name: one, namespace: $NS}
data: {a: "1"}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: two}
data: {b: "2"}
`

func TestARevisionIsAppliedChangedAndPruned(t *testing.T) {
	w := newWorld(t)
	w.startAgent()
	w.deploy("web", two)
	bd := w.healthy("web")
	if bd.Status.AppliedDeploymentID != bd.Spec.DeploymentID || !bd.Status.Ready || !bd.Status.NonModified {
		t.Errorf("status = %+v", bd.Status)
	}
	one := w.live("v1", "ConfigMap", "one")
	if one == nil || one.GetAnnotations()[fleet.OwnerAnnotation] != w.ns+"/web" || one.GetLabels()[fleet.OwnedLabel] != "true" {
		t.Fatalf("ConfigMap one is %v", one)
	}
	w.deploy("web", `
apiVersion: v1
kind: ConfigMap
metadata: {name: one}
data: {a: "3"}
`)
	w.eventually("two is pruned", func() string {
		if w.live("v1", "ConfigMap", "two") != nil {
			return "it is still there"
		}
		return ""
	})
	w.healthy("web")
	if again := w.live("v1", "ConfigMap", "one"); again.GetUID() != one.GetUID() || again.Object["data"].(map[string]any)["a"] != "3" {
		t.Errorf("one is %v", again.Object)
	}
}
