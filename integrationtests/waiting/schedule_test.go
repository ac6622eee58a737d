package waiting

import (
	"context"
	"fmt"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	fleet "flotilla.io/flotilla/api/v1alpha1"
	"flotilla.io/flotilla/integrationtests/world"
)

// Windows that are open or closed for as long as anybody will run this test.
const (
	later = "schedule: \"0 0 0 1 1 ? 2090,2098\", duration: 1h"
	now   = "schedule: \"0 0 0 1 1 ? 2020,2098\", duration: 400000h"
)

// schedule applies a Schedule for the clusters of a set.
func schedule(w *world.World, name, set, when string) {
	w.T.Helper()
	apply(w, fmt.Sprintf("apiVersion: fleet.cattle.io/v1alpha1\nkind: Schedule\nmetadata: {name: %s, namespace: %s}\n"+
		"spec: {%s, location: UTC, targets: {clusters: [{clusterSelector: {matchLabels: {set: %s}}}]}}\n", name, world.Workspace, when, set))
}

// get prints fields of an object.
func get(w *world.World, kind, name, path string) string {
	w.T.Helper()
	return w.Kubectl("hub", "-n", world.Workspace, "get", kind, name, "-o", "jsonpath="+path)
}

// shows waits until fields of an object are so.
func shows(w *world.World, kind, name, path, want string) {
	w.T.Helper()
	w.Eventually(kind+" "+name, func() error {
		if got := get(w, kind, name, path); got != want {
			return fmt.Errorf("%s is %q, want %q", path, got, want)
		}
		return nil
	})
}

const (
	clusterKind  = "clusters.fleet.cattle.io"
	scheduleKind = "schedules.fleet.cattle.io"
	scheduled    = "{.status.scheduled} {.status.activeSchedule}"
)

func offSchedule(w *world.World) {
	paper(w, "shut-east", "shut")
	bundle(w, "shut-app", "shut", "good")
	app := ordered(w, "shut-app", "shut-east", "")
	schedule(w, "shut", "shut", later)
	shows(w, clusterKind, "shut-east", scheduled, "true ")
	shows(w, scheduleKind, "shut", `{.status.active} {.status.nextStartTime} {.status.matchingClusters} {.status.conditions[?(@.type=="Ready")].status}`,
		` 2090-01-01T00:00:00Z ["shut-east"] True`)
	isOffSchedule(w, "shut-app", "shut-east", app)
	bundle(w, "shut-app", "shut", "next")
	bundle(w, "shut-new", "shut", "good")
	waits(w, "shut-app", "True OffSchedule: fleet-default/shut-east: waits for its maintenance window: Schedule shut opens at 2090-01-01T00:00:00Z")
	waits(w, "shut-new", "True OffSchedule: ")
	still(w, "shut-app", "shut-east", app)
	still(w, "shut-new", "shut-east", "")
	w.Check(w.Hub.Client.Delete(context.Background(), &fleet.Bundle{ObjectMeta: metav1.ObjectMeta{Namespace: world.Workspace, Name: "shut-new"}}))

	schedule(w, "shut", "shut", now)
	shows(w, clusterKind, "shut-east", scheduled, "true true")
	shows(w, scheduleKind, "shut", "{.status.active}", "true")
	app = ordered(w, "shut-app", "shut-east", app)
	if bd := order(w, "shut-app", "shut-east"); bd.Spec.OffSchedule {
		w.T.Error("the order says off schedule while the window is open")
	}
	rests(w, "shut-app")

	schedule(w, "shut", "shut", later)
	shows(w, clusterKind, "shut-east", scheduled, "true ")
	isOffSchedule(w, "shut-app", "shut-east", app)
	w.Check(w.Hub.Client.Delete(context.Background(), &fleet.Bundle{ObjectMeta: metav1.ObjectMeta{Namespace: world.Workspace, Name: "shut-app"}}))
	bundle(w, "shut-other", "shut", "good")
	waits(w, "shut-other", "True OffSchedule: ") // by now the deletion was worked on, too
	if bd := order(w, "shut-app", "shut-east"); bd == nil || bd.Spec.Deletion != nil {
		w.T.Error("a bundle was taken away outside of the window")
	}
	w.Kubectl("hub", "-n", world.Workspace, "delete", scheduleKind, "shut")
	shows(w, clusterKind, "shut-east", scheduled, " ")
	w.Eventually("the order to delete", func() error {
		if bd := order(w, "shut-app", "shut-east"); bd == nil || bd.Spec.Deletion == nil {
			return fmt.Errorf("there is none")
		}
		return nil
	})
	ordered(w, "shut-other", "shut-east", "")
}

// isOffSchedule waits until an order says that the window is closed, and is still the one that it was.
func isOffSchedule(w *world.World, bundle, cluster, id string) {
	w.T.Helper()
	w.Eventually("the order", func() error {
		if bd := order(w, bundle, cluster); !bd.Spec.OffSchedule || bd.Spec.DeploymentID != id {
			return fmt.Errorf("off schedule %v, order %s", bd.Spec.OffSchedule, bd.Spec.DeploymentID)
		}
		return nil
	})
}

func brokenSchedule(w *world.World) {
	paper(w, "broken-east", "broken")
	schedule(w, "broken", "broken", "schedule: \"0 22 * * *\", duration: 1h")
	w.Eventually("the Schedule", func() error {
		got := get(w, scheduleKind, "broken", `{.status.conditions[?(@.type=="Ready")].message}`)
		if !strings.Contains(got, `spec.schedule "0 22 * * *": `) || !strings.Contains(got, "the clusters that it picks are not changed until it can be read") {
			return fmt.Errorf("it says %q", got)
		}
		return nil
	})
	bundle(w, "broken-app", "broken", "good")
	waits(w, "broken-app", "waits for a maintenance window, but Schedule broken cannot be read")
	still(w, "broken-app", "broken-east", "")
	schedule(w, "broken", "broken", now)
	ordered(w, "broken-app", "broken-east", "")
}

func startedInAWindow(w *world.World) {
	paper(w, "start-east", "start")
	schedule(w, "start", "start", now)
	bundle(w, "start-app", "start", "good")
	app := ordered(w, "start-app", "start-east", "")
	shows(w, scheduleKind, "start", "{.status.active} {.status.matchingClusters}", `true ["start-east"]`)
	before := get(w, scheduleKind, "start", "{.metadata.resourceVersion}")
	w.Hub.Process.Stop()
	bundle(w, "start-app", "start", "next")
	w.Check(w.Hub.StartController(context.Background()))
	ordered(w, "start-app", "start-east", app)
	if after := get(w, scheduleKind, "start", "{.metadata.resourceVersion}"); after != before {
		w.T.Error("the Schedule was written to although its window stayed open")
	}
}
