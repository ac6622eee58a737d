package joining

import (
	"context"
	"fmt"
	"regexp"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	fleet "flotilla.io/flotilla/api/v1alpha1"
	"flotilla.io/flotilla/integrationtests/world"
)

// A person holds, resumes and approves with the command line; the commands that end what is held are taken from what the
// hub and the tool print.
func TestAPersonSteers(t *testing.T) {
	t.Parallel()
	w := fleetOf(t, "a", "b")
	w.Settled("fleet-app")
	for _, row := range []struct {
		scope string
		stays []string // the clusters that keep what they have
	}{
		{"cluster/a", []string{"a"}},
		{"bundle/fleet-app", []string{"a", "b"}},
		{"workspace/fleet-default", []string{"a", "b"}},
		{"fleet", []string{"a", "b"}},
	} {
		t.Run("hold and resume "+row.scope, func(t *testing.T) { holdAndResume(in(t, w), row.scope, row.stays) })
	}
	t.Run("somebody looks into the hub", func(t *testing.T) { support(t, in(t, w)) })
	t.Run("a pipeline goes its own way", func(t *testing.T) { pipeline(t, in(t, w)) })
	t.Run("a bundle that leaves many clusters waits for approval", func(t *testing.T) { leaveMany(in(t, w)) })
}

var resume = regexp.MustCompile("`flotilla (resume [^`]+)`")

func holdAndResume(w *world.World, scope string, stays []string) {
	before := "said before " + scope
	w.Push("fleet", map[string]string{"app/a.yaml": fmt.Sprintf(configMap, "a", before)})
	for _, cluster := range []string{"a", "b"} {
		says(w, cluster, before)
	}
	w.Settled("fleet-app")
	said := tool(w, "hold "+scope+" --reason 'looking into it'")
	commit := w.Push("fleet", map[string]string{"app/a.yaml": fmt.Sprintf(configMap, "a", "said behind "+scope)})
	message := heldAt(w, commit)
	if !has(message, "looking into it", resume.FindString(said)) {
		w.T.Errorf("flotilla says\n%s\nthe hub says\n%s", said, message)
	}
	for _, cluster := range []string{"a", "b"} {
		want := "said behind " + scope
		if strings.Contains(strings.Join(stays, " "), cluster) {
			want = before
		}
		says(w, cluster, want)
	}
	w.Push("fleet", map[string]string{"app/a.yaml": fmt.Sprintf(configMap, "a", "said after "+scope)})
	tool(w, resume.FindStringSubmatch(message)[1])
	for _, cluster := range []string{"a", "b"} {
		says(w, cluster, "said after "+scope)
	}
	w.Settled("fleet-app")
}

// tool runs our tool as a person with the hub's kubeconfig does.
func tool(w *world.World, args string) string {
	w.T.Helper()
	return atHand(w.T.(*testing.T)).With("KUBECONFIG=" + hub(w)).MustRun(flotilla(w, args))
}

// heldAt waits until the hub has read a commit and says what is held, and returns its words.
func heldAt(w *world.World, commit string) (message string) {
	w.T.Helper()
	w.Eventually("the hub saying what is held", func() error {
		b := bundle(w)
		c := fleet.Condition(b.Status.Conditions, "Held")
		if c == nil || c.Status != "True" || b.Labels[fleet.CommitLabel] != commit || b.Status.ObservedGeneration != b.Generation {
			return fmt.Errorf("it is at %s and says %+v", b.Labels[fleet.CommitLabel], c)
		}
		message = c.Message
		return nil
	})
	return message
}

func bundle(w *world.World) *fleet.Bundle {
	w.T.Helper()
	b := &fleet.Bundle{}
	w.Check(w.Hub.Client.Get(context.Background(), client.ObjectKey{Namespace: world.Workspace, Name: "fleet-app"}, b))
	return b
}

func says(w *world.World, cluster, want string) {
	w.T.Helper()
	w.Eventually(cluster+" saying "+want, func() error {
		got, err := w.TryKubectl(cluster, "-n", "app", "get", "configmap", "a", "-o", "jsonpath={.data.text}")
		if err != nil || got != want {
			return fmt.Errorf("it says %q, %v", got, err)
		}
		return nil
	})
}

// leaveMany takes the bundle away from five of seven clusters. The five never joined: what is asked is the hub's part.
func leaveMany(w *world.World) {
	for i := range 5 {
		cluster := &fleet.Cluster{ObjectMeta: metav1.ObjectMeta{
			Namespace: world.Workspace, Name: fmt.Sprintf("edge-%d", i), Labels: map[string]string{"env": "edge"}}}
		w.Check(w.Hub.Client.Create(context.Background(), cluster))
	}
	leaving := func() (have, going int) {
		list := &fleet.BundleDeploymentList{}
		w.Check(w.Hub.Client.List(context.Background(), list))
		for i := range list.Items {
			if strings.HasPrefix(list.Items[i].Labels[fleet.ClusterLabel], "edge-") {
				have++
				if list.Items[i].Spec.Deletion != nil {
					going++
				}
			}
		}
		return have, going
	}
	w.Eventually("the bundle being for all clusters", func() error {
		if have, _ := leaving(); have != 5 {
			return fmt.Errorf("%d of 5 have it", have)
		}
		return nil
	})
	if out, err := atHand(w.T.(*testing.T)).With("KUBECONFIG="+hub(w)).Runs("/", flotilla(w, "approve bundle/fleet-app")); err == nil {
		w.T.Errorf("approving what nobody asked for gives\n%s", out)
	}
	w.Kubectl("hub", "-n", world.Workspace, "patch", "gitrepo", "fleet", "--type=merge", "-p",
		`{"spec":{"targets":[{"name":"tests","clusterSelector":{"matchLabels":{"env":"test"}}}]}}`)
	message := heldAt(w, bundle(w).Labels[fleet.CommitLabel])
	if _, going := leaving(); going > 0 || !has(message, "5 of 7 clusters", "edge-0, edge-1, edge-2 and 2 more") {
		w.T.Errorf("%d go unasked; the hub says %s", going, message)
	}
	command := regexp.MustCompile("`flotilla (approve [^`]+)`").FindStringSubmatch(message)
	if command == nil {
		w.T.Fatalf("the hub does not say which command approves: %s", message)
	}
	if said := tool(w, command[1]); !has(said, "may leave 5 of 7 clusters") {
		w.T.Errorf("the tool says %s", said)
	}
	w.Eventually("the bundle leaving", func() error {
		if have, going := leaving(); have != going {
			return fmt.Errorf("%d of %d go", going, have)
		}
		return nil
	})
}
