package agent_test

import (
	"fmt"
	"strings"
	"testing"

	fleet "flotilla.io/flotilla/api/v1alpha1"
)

// takeAway orders to delete a deployment and waits until that is done.
func (w *world) takeAway(name string, changes ...func(*fleet.BundleDeployment)) *fleet.BundleDeployment {
	w.Helper()
	w.write(name, append([]func(*fleet.BundleDeployment){func(bd *fleet.BundleDeployment) {
		bd.Spec.Deletion = &fleet.Deletion{Revision: bd.Spec.DeploymentID, Reason: "the bundle was deleted", By: "test", Policy: fleet.DeletionPolicyDelete}
	}}, changes...)...)
	var bd *fleet.BundleDeployment
	w.eventually(name+" is taken away", func() string {
		bd = w.bd(name)
		if bd.Status.Deletion != fleet.DeletionDone {
			return fmt.Sprint(bd.Status.Conditions)
		}
		return ""
	})
	return bd
}

func TestTheNamespaceThatWasMadeGoesWhenNothingElseIsInIt(t *testing.T) {
	w := newWorld(t)
	w.startAgent()
	app := w.app
	into := func(name string) func(*fleet.BundleDeployment) {
		return func(bd *fleet.BundleDeployment) {
			bd.Spec.Options.DefaultNamespace, bd.Spec.Options.DeleteNamespace = app+"-"+name, true
		}
	}
	w.kubectl("", "create", "namespace", app+"-theirs")
	objects := map[string]string{"goes": web, "used": configMap("one", ""), "theirs": configMap("one", ""), "kept": configMap("one", ""), "shared": configMap("one", "")}
	for name, text := range objects {
		w.deploy(name, text, into(name))
	}
	w.deploy("tenant", configMap("two", ""), into("shared"))
	for name := range objects {
		w.healthy(name)
	}
	w.healthy("tenant")
	w.app = app + "-used"
	w.kubectl("", "create", "configmap", "foreign")
	for name, want := range map[string]string{
		"goes": "", "used": " (ConfigMap foreign is in it)", "theirs": " (it was not made for a bundle)", "shared": " (bundle tenant is deployed into it)", "kept": "",
	} {
		var changes []func(*fleet.BundleDeployment)
		if name == "kept" { // turned on with the order to delete itself
			changes = append(changes, func(bd *fleet.BundleDeployment) { bd.Spec.Options.KeepResources = true })
		}
		bd := w.takeAway(name, changes...)
		w.app = app + "-" + name
		if ns := w.live("v1", "Namespace", w.app); (ns == nil) != (name == "goes") {
			t.Errorf("namespace of %s: %v", name, ns)
		}
		if kept := strings.Join(bd.Status.Kept, " "); want != "" && kept != "namespace/"+w.app+want || name == "kept" && kept != "configmap/"+w.app+"/one" {
			t.Errorf("%s kept %q, want %q", name, kept, want)
		}
		if name == "kept" && w.live("v1", "ConfigMap", "one") == nil {
			t.Error("keepResources that came with the order to delete did not count")
		}
	}
}

func TestABundleThatDeploysAnAgentIsNeverUninstalled(t *testing.T) {
	w := newWorld(t)
	w.startAgent()
	w.deploy("fleet-agent-edge", configMap("agent", `a: "1"`))
	w.healthy("fleet-agent-edge")
	if id := w.live("v1", "ConfigMap", "agent").GetAnnotations()[fleet.ObjectSetIDAnnotation]; id != "fleet-agent-bootstrap" {
		t.Errorf("its set is %q", id)
	}
	w.kubectl("", "patch", "configmap", "agent", "-p", `{"data":{"a":"2"}}`)
	w.field("v1", "ConfigMap", "agent", "1", "data", "a") // without correctDrift
	bd := w.takeAway("fleet-agent-edge")
	if w.live("v1", "ConfigMap", "agent") == nil || fmt.Sprint(bd.Status.Kept) != "[configmap/"+w.app+"/agent]" {
		t.Errorf("kept is %v", bd.Status.Kept)
	}
	w.noDeletes()
}

func TestCustomResourceDefinitionsGoWhereAsked(t *testing.T) {
	w := newWorldAlone(t)
	w.startAgent()
	crd := "\n---\n" + stays[strings.Index(stays, "apiVersion: apiextensions"):]
	w.deploy("web", crd+thing, func(bd *fleet.BundleDeployment) { bd.Spec.Options.DeleteCRDResources = true })
	w.healthy("web")
	bd := w.takeAway("web")
	if w.live("apiextensions.k8s.io/v1", "CustomResourceDefinition", "things."+w.app+".example.com") != nil || len(bd.Status.Kept) != 0 {
		t.Errorf("the CustomResourceDefinition stayed; kept is %v", bd.Status.Kept)
	}
}
