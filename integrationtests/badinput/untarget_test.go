package badinput

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	fleet "flotilla.io/flotilla/api/v1alpha1"
	"flotilla.io/flotilla/integrationtests/world"
)

const onPaper = 16

func paper(i int) string { return fmt.Sprintf("paper-%02d", i) }

// unTargeting: taking a bundle away from more than a quarter of its clusters, and more than three, waits for a person.
// The clusters are on paper: no agent takes the orders, so that what the hub wrote can be counted at leisure.
func unTargeting(t *testing.T, w *world.World) {
	for i := range onPaper {
		w.Check(w.Hub.Client.Create(context.Background(), &fleet.Cluster{ObjectMeta: metav1.ObjectMeta{
			Namespace: world.Workspace, Name: paper(i), Labels: map[string]string{"paper": "true", "name": paper(i)},
		}}))
	}
	w.GitRepo("ring", w.Repo("ring", in("app", plain("ring", "one"))), func(s *fleet.GitRepoSpec) {
		s.Targets = []fleet.GitTarget{{Name: "paper", ClusterSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"paper": "true"}}}}
	})
	leaving(w, onPaper, 0)
	for _, step := range []struct {
		rule string
		do   func(*world.World)
	}{
		{"four of sixteen, a quarter, go unasked", aQuarterGoes},
		{"five of twelve wait for a person", fiveWait},
		{"the others move on meanwhile", othersMoveOn},
		{"a word for another plan does not count", anotherPlan},
		{"the person's word lets it happen, and is used up", approved},
		{"three of six go unasked", threeGo},
		{"the same plan once more is asked for once more", askedAgain},
	} {
		if !t.Run(step.rule, func(t *testing.T) { step.do(of(t, w)) }) {
			return // each stands on the one before
		}
	}
}

// relabel sets the label that makes these clusters targets.
func relabel(w *world.World, value string, clusters ...int) {
	w.T.Helper()
	for _, i := range clusters {
		c := &fleet.Cluster{}
		w.Check(w.Hub.Client.Get(context.Background(), client.ObjectKey{Namespace: world.Workspace, Name: paper(i)}, c))
		before := c.DeepCopy()
		c.Labels["paper"] = value
		w.Check(w.Hub.Client.Patch(context.Background(), c, client.MergeFrom(before)))
	}
}

// leaving waits until there are so many BundleDeployments, and so many of them have the order to delete.
func leaving(w *world.World, all, ordered int) {
	w.T.Helper()
	w.Eventually(fmt.Sprintf("%d deployments, %d of them leaving", all, ordered), func() error {
		n := 0
		have := deployments(w, "ring-app")
		for _, bd := range have {
			if bd.Spec.Deletion != nil {
				n++
			}
		}
		if len(have) != all || n != ordered {
			return fmt.Errorf("there are %d, %d of them leaving", len(have), n)
		}
		return nil
	})
}

// unchanged fails if that is not so, or does not stay so.
func unchanged(w *world.World, all, ordered int) {
	w.T.Helper()
	leaving(w, all, ordered)
	time.Sleep(time.Second)
	leaving(w, all, ordered)
}

// gone plays the agents: they report that they carried the order to delete out.
func gone(w *world.World) {
	w.T.Helper()
	for _, bd := range deployments(w, "ring-app") {
		if bd.Spec.Deletion != nil {
			before := bd.DeepCopy()
			bd.Status.Deletion, bd.Status.ObservedSequence = fleet.DeletionDone, bd.Spec.Sequence
			w.Check(w.Hub.Client.Status().Patch(context.Background(), bd, client.MergeFrom(before)))
		}
	}
}

func ring(w *world.World) *fleet.Bundle {
	w.T.Helper()
	b := &fleet.Bundle{}
	w.Check(w.Hub.Client.Get(context.Background(), client.ObjectKey{Namespace: world.Workspace, Name: "ring-app"}, b))
	return b
}

// waits until a plan of so many clusters waits for a person, and returns its name.
func waits(w *world.World, count, total int) string {
	w.T.Helper()
	plan := ""
	w.Eventually(fmt.Sprintf("a plan for %d of %d clusters", count, total), func() error {
		u := ring(w).Status.UnTarget
		if u == nil || u.Count != count || u.Total != total {
			return fmt.Errorf("status.unTarget is %+v", u)
		}
		plan = u.Plan
		return nil
	})
	return plan
}

func aQuarterGoes(w *world.World) {
	relabel(w, "false", 12)
	relabel(w, "false", 13)
	relabel(w, "false", 14)
	relabel(w, "false", 15)
	leaving(w, 16, 4)
	gone(w)
	leaving(w, 12, 0)
}

func fiveWait(w *world.World) {
	// At once, so that no three of them go first.
	edit(w, "ring", func(s *fleet.GitRepoSpec) {
		s.Targets[0].ClusterSelector = &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{
			{Key: "paper", Operator: metav1.LabelSelectorOpIn, Values: []string{"true"}},
			{Key: "name", Operator: metav1.LabelSelectorOpNotIn, Values: []string{paper(7), paper(8), paper(9), paper(10), paper(11)}},
		}}
	})
	waits(w, 5, 12)
	bundleTells(w, "ring-app", "Held: this would take the bundle away from 5 of 12 clusters (paper-07, paper-08, paper-09 and 2 more); they keep what they have",
		"`flotilla approve bundle/ring-app -n fleet-default` lets it happen")
	unchanged(w, 12, 0)
}

func othersMoveOn(w *world.World) {
	before := deployments(w, "ring-app")
	w.Push("ring", in("app", plain("ring", "two")))
	w.Eventually("the order of seven clusters", func() error {
		moved := 0
		for cluster, bd := range deployments(w, "ring-app") {
			if bd.Spec.DeploymentID == before[cluster].Spec.DeploymentID {
				continue
			}
			if moved++; cluster >= paper(7) {
				return fmt.Errorf("%s is to leave and got a new order", cluster)
			}
		}
		if moved != 7 {
			return fmt.Errorf("%d moved", moved)
		}
		return nil
	})
	unchanged(w, 12, 0)
}

func anotherPlan(w *world.World) {
	first := waits(w, 5, 12)
	relabel(w, "false", 6)
	second := waits(w, 6, 12)
	if first == second {
		w.T.Fatalf("six clusters have the plan of five: %s", first)
	}
	w.Kubectl("hub", "-n", world.Workspace, "annotate", "bundle", "ring-app", fleet.ApproveAnnotation+"="+first)
	unchanged(w, 12, 0)
}

func approved(w *world.World) {
	said := flotilla(w, "approve", "bundle/ring-app")
	if want := "bundle ring-app may leave 6 of 12 clusters"; strings.TrimSpace(said) != want {
		w.T.Errorf("flotilla approve says %q, want %q", said, want)
	}
	leaving(w, 12, 6)
	gone(w)
	leaving(w, 6, 0)
	w.Eventually("the word being used up", func() error {
		if b := ring(w); b.Annotations[fleet.ApproveAnnotation] != "" || b.Status.UnTarget != nil {
			return fmt.Errorf("annotation %q, status %+v", b.Annotations[fleet.ApproveAnnotation], b.Status.UnTarget)
		}
		return nil
	})
}

func threeGo(w *world.World) {
	relabel(w, "false", 3)
	relabel(w, "false", 4)
	relabel(w, "false", 5)
	leaving(w, 6, 3)
	gone(w)
	leaving(w, 3, 0)
}

// askedAgain: the clusters come back, and are to leave once more.
func askedAgain(w *world.World) {
	edit(w, "ring", func(s *fleet.GitRepoSpec) {
		s.Targets[0].ClusterSelector = &metav1.LabelSelector{MatchLabels: map[string]string{"paper": "true"}}
	})
	relabel(w, "true", 3, 4, 5, 6)
	leaving(w, 12, 0)
	edit(w, "ring", func(s *fleet.GitRepoSpec) {
		s.Targets[0].ClusterSelector = &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{
			{Key: "paper", Operator: metav1.LabelSelectorOpIn, Values: []string{"true"}},
			{Key: "name", Operator: metav1.LabelSelectorOpNotIn, Values: []string{paper(6), paper(7), paper(8), paper(9), paper(10), paper(11)}},
		}}
	})
	waits(w, 6, 12)
	unchanged(w, 12, 0)
}
