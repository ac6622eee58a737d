package agent_test

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	fleet "flotilla.io/flotilla/api/v1alpha1"
)

func TestNamespacesAreAllowedByTheLabelsThatTheyHaveOnTheCluster(t *testing.T) {
	w := newWorld(t)
	w.tenant("blind", rule("", "configmaps", "get", "list", "watch", "create", "patch", "delete"))
	w.startAgent()
	only := func(namespace string, change ...func(*fleet.BundleDeployment)) func(*fleet.BundleDeployment) {
		return func(bd *fleet.BundleDeployment) {
			bd.Spec.Options.TargetNamespace = namespace
			bd.Spec.Options.AllowedTargetNamespaceSelector = &metav1.LabelSelector{MatchLabels: map[string]string{"team": "blue"}}
			bd.Spec.Options.NamespaceLabels = map[string]string{"team": "blue"} // which must not help it
			for _, c := range change {
				c(bd)
			}
		}
	}
	w.deploy("web", configMap("one", `a: "1"`), only(w.app))
	w.reads("web", fleet.HealthFailed, "Namespace "+w.app+" does not exist; the workspace's rules allow only namespaces that exist with labels team=blue")
	w.kubectl("", "create", "namespace", w.app)
	w.write("web") // so that it is tried again at once
	w.reads("web", fleet.HealthFailed, "Namespace "+w.app+" does not have labels team=blue, which the workspace's rules want")
	if w.live("v1", "ConfigMap", "one") != nil {
		t.Error("it was deployed all the same")
	}
	w.kubectl("", "label", "namespace", w.app, "team=blue")
	w.write("web")
	w.healthy("web")

	w.kubectl("", "label", "--overwrite", "namespace", w.app, "team=red")
	w.deploy("web", configMap("one", `a: "2"`), only(w.app))
	w.reads("web", fleet.HealthFailed, "does not have labels team=blue")
	if got := w.fieldNow("v1", "ConfigMap", "one", "data", "a"); got != "1" {
		t.Errorf("a is %s", got) // what was deployed stays
	}
	w.deploy("nowhere", configMap("two", ""), only(""))
	w.reads("nowhere", fleet.HealthFailed, "the workspace's rules allow namespaces by their labels (team=blue), so one must be named")
	w.deploy("blind", configMap("three", ""), only(w.app, func(bd *fleet.BundleDeployment) { bd.Spec.Options.ServiceAccount = "blind" }))
	w.reads("blind", fleet.HealthFailed, "cannot be checked: service account blind may not read it")
	w.noDeletes()
}
