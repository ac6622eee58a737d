package waiting

import (
	"context"
	"fmt"
	"strings"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	fleet "flotilla.io/flotilla/api/v1alpha1"
	"flotilla.io/flotilla/integrationtests/world"
)

// hands writes a bundle with outputs and inputs.
func hands(w *world.World, name, set string, outputs []fleet.Output, inputs ...fleet.Input) {
	w.T.Helper()
	bundleWith(w, name, set, "good", func(s *fleet.BundleSpec) { s.Outputs, s.Inputs = outputs, inputs })
}

// looksAt is an output that an agent reports.
func looksAt(name string) fleet.Output {
	return fleet.Output{Name: name, Object: &fleet.OutputObject{APIVersion: "v1", Kind: "Service", Namespace: "app", Name: "gateway"}, Value: "self.spec.clusterIP"}
}

// takes is an input that becomes a ConfigMap.
func takes(bundle, output string, clusters fleet.InputClusters) fleet.Input {
	in := fleet.Input{
		Name: output, From: fleet.InputFrom{Bundle: bundle, Output: output}, Clusters: clusters,
		Into: &fleet.InputInto{Kind: "ConfigMap", Name: "taken-" + output, Key: "value"},
	}
	return in
}

// yields plays the agent that reports an output, or why there is none.
func yields(w *world.World, bundle, cluster, output, value, problem string) {
	w.T.Helper()
	ordered(w, bundle, cluster, "")
	bd := order(w, bundle, cluster)
	before := bd.DeepCopy()
	v := fleet.OutputValue{Name: output, Error: problem}
	if value != "" {
		v.Value = &apiextensionsv1.JSON{Raw: fmt.Appendf(nil, "%q", value)}
	}
	bd.Status.Outputs = []fleet.OutputValue{v}
	w.Check(w.Hub.Client.Status().Patch(context.Background(), bd, client.MergeFrom(before)))
}

func valuesCross(w *world.World) {
	paper(w, "gives-a", "gives")
	paper(w, "gives-b", "gives")
	paper(w, "takes-a", "takes")
	hands(w, "cross-app", "takes", nil, takes("cross-base", "address", fleet.InputClustersAll))
	waits(w, "cross-app", `True Inputs: fleet-default/takes-a: waits for input address: workspace fleet-default has no bundle "cross-base"`)
	hands(w, "cross-base", "gives", []fleet.Output{looksAt("adress")})
	waits(w, "cross-app", `bundle cross-base has no output "address"; did you mean "adress"?`)
	hands(w, "cross-base", "gives", []fleet.Output{looksAt("address")})
	ordered(w, "cross-base", "gives-a", "")
	empty := ordered(w, "cross-app", "takes-a", "") // a map of what is there: nobody yet
	rests(w, "cross-app")

	yields(w, "cross-base", "gives-a", "address", "10.0.0.1", "")
	one := ordered(w, "cross-app", "takes-a", empty)
	yields(w, "cross-base", "gives-b", "address", "10.0.0.2", "")
	both := ordered(w, "cross-app", "takes-a", one)
	sequence := order(w, "cross-app", "takes-a").Spec.Sequence

	// The value of before stays while there is no new one; what does not change it writes nothing.
	yields(w, "cross-base", "gives-b", "address", "10.0.0.2", "Service app/gateway does not exist")
	reports(w, "cross-base", "gives-b", fleet.Ready)
	still(w, "cross-app", "takes-a", both)
	yields(w, "cross-base", "gives-b", "address", "10.0.0.3", "")
	moved := ordered(w, "cross-app", "takes-a", both)
	if got := order(w, "cross-app", "takes-a").Spec.Sequence; got != sequence+1 {
		w.T.Errorf("one changed output took %d writes, not one", got-sequence)
	}

	// A cluster that goes takes its value out of the map.
	c := &fleet.Cluster{ObjectMeta: metav1.ObjectMeta{Namespace: world.Workspace, Name: "gives-b"}}
	w.Check(w.Hub.Client.Delete(context.Background(), c))
	if back := ordered(w, "cross-app", "takes-a", moved); back != one {
		w.T.Errorf("without gives-b it has the order %s, want that of gives-a alone, %s", back, one)
	}
}

func oneOfTwo(w *world.World) {
	paper(w, "two-a", "two")
	paper(w, "two-b", "two")
	hands(w, "two-base", "two", []fleet.Output{looksAt("address"), {Name: "who", Value: "cluster.name"}})
	ordered(w, "two-base", "two-b", "")
	yields(w, "two-base", "two-a", "address", "", "Service app/gateway does not exist")
	hands(w, "two-app", "two", nil, takes("two-base", "address", ""))
	waits(w, "two-app", "waits for input address: output address of bundle two-base: cluster two-a: Service app/gateway does not exist, cluster two-b: its agent has not reported it yet")
	yields(w, "two-base", "two-b", "address", "10.0.0.2", "")
	kept := ordered(w, "two-app", "two-a", "")
	yields(w, "two-base", "two-a", "address", "10.0.0.1", "")
	waits(w, "two-app", "output address of bundle two-base: clusters two-a, two-b give one each; pick one by clusterSelector, or take all")
	still(w, "two-app", "two-a", kept)

	// The same: each cluster its own, and what looks at no object the hub knows by itself.
	hands(w, "two-own", "two", nil, takes("two-base", "address", fleet.InputClustersSame), takes("two-base", "who", fleet.InputClustersSame))
	if a, b := ordered(w, "two-own", "two-a", ""), ordered(w, "two-own", "two-b", ""); a == b {
		w.T.Error("both clusters have the same values")
	}
}

func circleOfInputs(w *world.World) {
	paper(w, "round-a", "round")
	hands(w, "round-one", "round", []fleet.Output{looksAt("x")}, takes("round-two", "y", fleet.InputClustersSame))
	hands(w, "round-two", "round", []fleet.Output{looksAt("y")}, takes("round-one", "x", fleet.InputClustersSame))
	waits(w, "round-two", "True InputCycle: fleet-default/round-a: inputs go in a circle: round-two on fleet-default/round-a → round-one on fleet-default/round-a → round-two on fleet-default/round-a")
	hands(w, "round-two", "round", []fleet.Output{looksAt("y")})
	ordered(w, "round-two", "round-a", "")
	waits(w, "round-one", "True Inputs: fleet-default/round-a: waits for input y: output y of bundle round-two of this cluster: its agent has not reported it yet")
	yields(w, "round-two", "round-a", "y", "1", "")
	ordered(w, "round-one", "round-a", "")
}

// circleOverBoth: one waits for the other to be ready, which waits for a value of the first.
func circleOverBoth(w *world.World) {
	paper(w, "both-a", "both")
	hands(w, "both-one", "both", []fleet.Output{looksAt("x")}, takes("both-none", "z", fleet.InputClustersSame)) // so that nothing of it is ordered yet
	hands(w, "both-two", "both", []fleet.Output{looksAt("y")}, takes("both-one", "x", fleet.InputClustersSame))
	waits(w, "both-two", "waits for input x")
	b := &fleet.Bundle{}
	w.Check(w.Hub.Client.Get(context.Background(), client.ObjectKey{Namespace: world.Workspace, Name: "both-one"}, b))
	before := b.DeepCopy()
	b.Spec.Inputs, b.Spec.DependsOn = nil, []fleet.BundleRef{{Name: "both-two"}}
	w.Check(w.Hub.Client.Patch(context.Background(), b, client.MergeFrom(before)))
	waits(w, "both-one", "True InputCycle: fleet-default/both-a: dependsOn and inputs go in a circle: both-one on fleet-default/both-a → both-two on fleet-default/both-a → both-one on fleet-default/both-a")
}

func grants(w *world.World) {
	other := "other-workspace"
	w.Check(w.Hub.Client.Create(context.Background(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: other}}))
	// It goes to no cluster: what is made needs none.
	psk := fleet.Output{Name: "psk", Generate: &fleet.OutputGenerate{Bytes: 48}}
	hands(w, "grant-base", "grant", []fleet.Output{psk})
	far := &fleet.Bundle{ObjectMeta: metav1.ObjectMeta{Namespace: other, Name: "grant-far"}}
	far.Spec.Targets = []fleet.BundleTarget{{Name: "all", ClusterSelector: &metav1.LabelSelector{}}}
	far.Spec.Resources = []fleet.BundleResource{{Name: "state.yaml", Content: configMap("far", "x")}}
	in := takes("grant-base", "psk", "")
	in.From.Workspace, in.Into.Kind = world.Workspace, "Secret"
	far.Spec.Inputs = []fleet.Input{in}
	w.Check(w.Hub.Client.Create(context.Background(), far))
	w.Check(w.Hub.Client.Create(context.Background(), &fleet.Cluster{ObjectMeta: metav1.ObjectMeta{Namespace: other, Name: "grant-far"}}))
	waitsFar := func(want string) {
		w.Eventually("what grant-far waits for", func() error {
			b := &fleet.Bundle{}
			w.Check(w.Hub.Client.Get(context.Background(), client.ObjectKeyFromObject(far), b))
			if c := fleet.Condition(b.Status.Conditions, fleet.ConditionWaiting); c == nil || !strings.Contains(c.Message, want) || (want == "") != (c.Status == "False") {
				return fmt.Errorf("it says %+v", c)
			}
			return nil
		})
	}
	waitsFar("bundle grant-base of workspace fleet-default does not grant its output psk to bundle grant-far of workspace other-workspace")
	psk.Grants = []fleet.OutputGrant{{Workspace: other, Bundle: "grant-far"}}
	hands(w, "grant-base", "grant", []fleet.Output{psk})
	first := ordered(w, "grant-far", "grant-far", "")
	waitsFar("")

	// What was made once stays: also for a bundle that comes again.
	w.Check(w.Hub.Client.Delete(context.Background(), &fleet.Bundle{ObjectMeta: metav1.ObjectMeta{Namespace: world.Workspace, Name: "grant-base"}}))
	waitsFar(`workspace fleet-default has no bundle "grant-base"`)
	w.Eventually("the end of grant-base", func() error {
		err := w.Hub.Client.Get(context.Background(), client.ObjectKey{Namespace: world.Workspace, Name: "grant-base"}, &fleet.Bundle{})
		if apierrors.IsNotFound(err) {
			return nil
		}
		return fmt.Errorf("it is still there: %w", err)
	})
	still(w, "grant-far", "grant-far", first)
	hands(w, "grant-base", "grant", []fleet.Output{psk})
	waitsFar("")
	still(w, "grant-far", "grant-far", first)

	in.Into.Kind = "ConfigMap"
	w.Check(w.Hub.Client.Get(context.Background(), client.ObjectKeyFromObject(far), far))
	before := far.DeepCopy()
	far.Spec.Inputs = []fleet.Input{in}
	w.Check(w.Hub.Client.Patch(context.Background(), far, client.MergeFrom(before)))
	w.Eventually("a refusal", func() error {
		b := &fleet.Bundle{}
		w.Check(w.Hub.Client.Get(context.Background(), client.ObjectKeyFromObject(far), b))
		if c := fleet.Condition(b.Status.Conditions, "Rendered"); c == nil || !strings.Contains(c.Message, "inputs[0].into (psk): the value is sensitive: make it a Secret") {
			return fmt.Errorf("it says %+v", c)
		}
		return nil
	})
	still(w, "grant-far", "grant-far", first)
}

// fares plays the agent: this is how the bundle is on the cluster, at the revision that was ordered.
func fares(w *world.World, bundle, cluster string, health fleet.Health) {
	w.T.Helper()
	bd := order(w, bundle, cluster)
	before := bd.DeepCopy()
	bd.Status.Health, bd.Status.ReadyDeploymentID = health, bd.Spec.DeploymentID
	w.Check(w.Hub.Client.Status().Patch(context.Background(), bd, client.MergeFrom(before)))
}

// leased is the lease of a cluster's agent; one of a second runs out.
func leased(w *world.World, cluster string, seconds int32) {
	w.T.Helper()
	c, ctx := &fleet.Cluster{}, context.Background()
	w.Check(w.Hub.Client.Get(ctx, client.ObjectKey{Namespace: world.Workspace, Name: cluster}, c))
	lease := &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Namespace: c.Status.Namespace, Name: "agent",
		Annotations: map[string]string{fleet.ClusterAnnotation: cluster, fleet.ClusterNamespaceAnnotation: world.Workspace}}}
	w.Check(client.IgnoreAlreadyExists(w.Hub.Client.Create(ctx, lease)))
	now := metav1.NowMicro()
	lease.Spec.LeaseDurationSeconds, lease.Spec.RenewTime, lease.ResourceVersion = &seconds, &now, ""
	w.Check(w.Hub.Client.Patch(ctx, lease, client.Merge))
}

func healthyOnly(w *world.World) {
	paper(w, "well-a", "well")
	paper(w, "well-b", "well")
	paper(w, "well-taker", "well-takes")
	hands(w, "well-base", "well", []fleet.Output{looksAt("address")})
	yields(w, "well-base", "well-a", "address", "10.0.0.1", "")
	yields(w, "well-base", "well-b", "address", "10.0.0.2", "")
	in := takes("well-base", "address", fleet.InputClustersAll)
	in.Healthy = true
	hands(w, "well-app", "well-takes", nil, in)
	waits(w, "well-app", "waits for input address: output address of bundle well-base: no cluster is left, the last values are kept: "+
		"cluster well-a: not healthy (not reported yet), cluster well-b: not healthy (not reported yet)")
	fares(w, "well-base", "well-a", fleet.HealthHealthy)
	one := ordered(w, "well-app", "well-taker", "")
	fares(w, "well-base", "well-b", fleet.HealthHealthy)
	both := ordered(w, "well-app", "well-taker", one)

	// It leaves, and comes back.
	fares(w, "well-base", "well-b", fleet.HealthProgressing)
	if got := ordered(w, "well-app", "well-taker", both); got != one {
		w.T.Errorf("with well-b left out it has the order %s, want that of well-a alone, %s", got, one)
	}
	fares(w, "well-base", "well-b", fleet.HealthHealthy)
	if got := ordered(w, "well-app", "well-taker", one); got != both {
		w.T.Errorf("with well-b back it has the order %s, want that of both, %s", got, both)
	}

	// The last pool is never emptied, not by a controller that starts anew either.
	fares(w, "well-base", "well-b", fleet.HealthFailed)
	ordered(w, "well-app", "well-taker", both)
	fares(w, "well-base", "well-a", fleet.HealthFailed)
	waits(w, "well-app", "no cluster is left, the last values are kept: cluster well-a: not healthy (Failed), cluster well-b: not healthy (Failed)")
	w.Hub.Process.Stop()
	w.Check(w.Hub.StartController(context.Background()))
	waits(w, "well-app", "no cluster is left")
	still(w, "well-app", "well-taker", one)

	// One that is lost is not healthy, whatever it said last.
	fares(w, "well-base", "well-b", fleet.HealthHealthy)
	other := ordered(w, "well-app", "well-taker", one)
	leased(w, "well-b", 1)
	waits(w, "well-app", "cluster well-b: its agent is lost")
	still(w, "well-app", "well-taker", other)
	leased(w, "well-b", 3600)
	fares(w, "well-base", "well-b", fleet.HealthHealthy) // as its agent says when it finds that the hub wrote Unknown
	rests(w, "well-app")
	still(w, "well-app", "well-taker", other)
}
