package waiting

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	fleet "flotilla.io/flotilla/api/v1alpha1"
	"flotilla.io/flotilla/integrationtests/world"
)

// TestWaiting shares one hub; each part has clusters and bundles of its own.
func TestWaiting(t *testing.T) {
	w := world.New(t, world.Options{})
	for _, part := range []struct {
		rule string
		do   func(*world.World)
	}{
		{"a bundle waits on each cluster until what it depends on is Ready there", firstRevision},
		{"a new revision waits for the newest revision of what it depends on", newRevision},
		{"what was Ready at the revision once does not block later", wasReady},
		{"within one commit nothing moves before what it depends on", oneCommit},
		{"a circle is named", circle},
		{"an entry that finds nothing is named", nothingFound},
		{"a selector means all bundles that bear the labels, but not the bundle itself", bySelector},
		{"outside of its window a cluster keeps what it has", offSchedule},
		{"a Schedule that cannot be read says so and keeps its clusters closed", brokenSchedule},
		{"a controller that starts anew in a window knows that it is open", startedInAWindow},
		{"a paused GitRepo stages what is new and deploys nothing", pausedRepo},
		{"a raised forceSyncGeneration deploys again", forcedSync},
		{"a GitRepo that does not poll asks when a push calls", noPolling},
		{"a GitRepo goes when its clusters are done, or gone", goesWithItsClusters},
		{"a Cluster of another manager is left alone", otherManager},
		{"a paused Cluster stages what is new and deploys nothing", pausedCluster},
		{"labels go from a GitRepo to its Bundles and their deployments", labelled},
		{"the rules of a workspace bind every deployment", boundByRules},
		{"a mapping opens other workspaces, and only what it says", mappings},
		{"a value of one cluster comes to others", valuesCross},
		{"of two values it is told that there are two", oneOfTwo},
		{"a circle of inputs is named by cluster", circleOfInputs},
		{"a circle over dependsOn and inputs is named, too", circleOverBoth},
		{"only healthy clusters give, and the last of them never leaves", healthyOnly},
		{"an output is for whom it is granted, and what was made stays", grants},
	} {
		t.Run(part.rule, func(t *testing.T) {
			same := *w
			same.T = t
			part.do(&same)
		})
	}
}

// paper makes a cluster that has no agent, labelled set=<set>.
func paper(w *world.World, name, set string) {
	w.T.Helper()
	c := &fleet.Cluster{ObjectMeta: metav1.ObjectMeta{Namespace: world.Workspace, Name: name, Labels: map[string]string{"set": set}}}
	w.Check(w.Hub.Client.Create(context.Background(), c))
}

// bundle writes a Bundle for the clusters of a set, or changes what it says.
func bundle(w *world.World, name, set, text string, dependsOn ...fleet.BundleRef) {
	w.T.Helper()
	bundleWith(w, name, set, text, func(s *fleet.BundleSpec) { s.DependsOn = dependsOn })
}

func bundleWith(w *world.World, name, set, text string, change func(*fleet.BundleSpec)) {
	w.T.Helper()
	b := &fleet.Bundle{}
	key := client.ObjectKey{Namespace: world.Workspace, Name: name}
	missing := client.IgnoreNotFound(w.Hub.Client.Get(context.Background(), key, b)) == nil && b.Name == ""
	before := b.DeepCopy()
	b.Namespace, b.Name = key.Namespace, key.Name
	b.Spec.Resources = []fleet.BundleResource{{Name: "state.yaml", Content: configMap(name, text)}}
	b.Spec.Targets = []fleet.BundleTarget{{Name: set, ClusterSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"set": set}}}}
	change(&b.Spec)
	if b.Labels == nil {
		b.Labels = map[string]string{"set": set}
	}
	if missing {
		w.Check(w.Hub.Client.Create(context.Background(), b))
		return
	}
	w.Check(w.Hub.Client.Patch(context.Background(), b, client.MergeFrom(before)))
}

func configMap(name, text string) string {
	return fmt.Sprintf("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: %s}\ndata: {text: %q}\n", name, text)
}

func on(name string) fleet.BundleRef { return fleet.BundleRef{Name: name} }

// apply has kubectl apply a manifest.
func apply(w *world.World, manifest string) {
	w.T.Helper()
	file := filepath.Join(w.Dir, "manifest.yaml")
	w.Check(os.WriteFile(file, []byte(manifest), 0o600))
	w.Kubectl("hub", "apply", "-f", file)
}

// order is the BundleDeployment of a bundle on a cluster, nil if there is none.
func order(w *world.World, bundle, cluster string) *fleet.BundleDeployment {
	w.T.Helper()
	list := &fleet.BundleDeploymentList{}
	w.Check(w.Hub.Client.List(context.Background(), list, client.MatchingLabels{fleet.BundleLabel: bundle, fleet.ClusterLabel: cluster}))
	if len(list.Items) == 0 {
		return nil
	}
	return &list.Items[0]
}

// ordered waits until a bundle's order on a cluster is another one than before, and returns its deploymentID.
func ordered(w *world.World, bundle, cluster, before string) string {
	w.T.Helper()
	id := ""
	w.Eventually("the order for "+bundle+" on "+cluster, func() error {
		bd := order(w, bundle, cluster)
		if bd == nil || bd.Spec.DeploymentID == before || bd.Spec.DeploymentID == "" {
			return fmt.Errorf("it is not written yet: %s", says(w, bundle))
		}
		id = bd.Spec.DeploymentID
		return nil
	})
	return id
}

// reports plays the agent: the order was carried out, and this is what became of it.
func reports(w *world.World, bundle, cluster string, state fleet.BundleState) {
	w.T.Helper()
	bd := order(w, bundle, cluster)
	before := bd.DeepCopy()
	st := &bd.Status
	st.AppliedDeploymentID, st.ObservedSequence = bd.Spec.DeploymentID, bd.Spec.Sequence
	st.Ready, st.NonModified = state != fleet.NotReady, state != fleet.Modified
	if state == fleet.Ready {
		st.ReadyDeploymentID = bd.Spec.DeploymentID
	}
	w.Check(w.Hub.Client.Status().Patch(context.Background(), bd, client.MergeFrom(before)))
}

// says is condition Waiting of a bundle: "Status Reason: message".
func says(w *world.World, name string) string {
	w.T.Helper()
	b := &fleet.Bundle{}
	err := w.Hub.Client.Get(context.Background(), client.ObjectKey{Namespace: world.Workspace, Name: name}, b)
	w.Check(client.IgnoreNotFound(err))
	c := fleet.Condition(b.Status.Conditions, fleet.ConditionWaiting)
	if c == nil {
		return ""
	}
	return fmt.Sprintf("%s %s: %s", c.Status, c.Reason, c.Message)
}

// waits waits until a bundle says that it waits, for all of this.
func waits(w *world.World, bundle string, parts ...string) {
	w.T.Helper()
	w.Eventually("what "+bundle+" waits for", func() error {
		got := says(w, bundle)
		for _, part := range parts {
			if !strings.Contains(got, part) {
				return fmt.Errorf("it says  %q\nlacks %q", got, part)
			}
		}
		return nil
	})
	w.T.Log(says(w, bundle))
}

// still fails unless a bundle's order on a cluster is this one.
func still(w *world.World, bundle, cluster, id string) {
	w.T.Helper()
	got := ""
	if bd := order(w, bundle, cluster); bd != nil {
		got = bd.Spec.DeploymentID
	}
	if got != id {
		w.T.Errorf("bundle %s on %s has the order %q, want %q as before", bundle, cluster, got, id)
	}
}

// rests waits until a bundle waits for nothing.
func rests(w *world.World, bundle string) {
	w.T.Helper()
	w.Eventually("bundle "+bundle+" at rest", func() error {
		if got := says(w, bundle); got != "False : " {
			return fmt.Errorf("it says %q", got)
		}
		return nil
	})
}
