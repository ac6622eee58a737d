package waiting

import (
	"fmt"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	fleet "flotilla.io/flotilla/api/v1alpha1"
	"flotilla.io/flotilla/integrationtests/world"
)

func firstRevision(w *world.World) {
	paper(w, "first-east", "first")
	paper(w, "first-west", "first")
	bundle(w, "first-app", "first", "good", on("first-base"))
	waits(w, "first-app", `True DependsOn: fleet-default/first-east, fleet-default/first-west: spec.dependsOn[0]: workspace fleet-default has no bundle "first-base"`)
	bundle(w, "first-base", "first", "good")
	for _, cluster := range []string{"first-east", "first-west"} {
		ordered(w, "first-base", cluster, "")
	}
	waits(w, "first-app", "fleet-default/first-east, fleet-default/first-west: dependent bundle(s) are not ready: [first-base: WaitApplied]")
	reports(w, "first-base", "first-east", fleet.NotReady)
	waits(w, "first-app", "fleet-default/first-east: dependent bundle(s) are not ready: [first-base: NotReady]", "fleet-default/first-west: dependent")
	still(w, "first-app", "first-east", "")
	reports(w, "first-base", "first-east", fleet.Ready)
	ordered(w, "first-app", "first-east", "")
	waits(w, "first-app", "DependsOn: fleet-default/first-west: dependent bundle(s)")
	still(w, "first-app", "first-west", "")
	reports(w, "first-base", "first-west", fleet.Ready)
	ordered(w, "first-app", "first-west", "")
	rests(w, "first-app")
}

func newRevision(w *world.World) {
	paper(w, "new-east", "new")
	bundle(w, "new-base", "new", "good")
	base := ordered(w, "new-base", "new-east", "")
	reports(w, "new-base", "new-east", fleet.Ready)
	bundle(w, "new-app", "new", "good", on("new-base"))
	app := ordered(w, "new-app", "new-east", "")
	reports(w, "new-app", "new-east", fleet.Ready)

	bundle(w, "new-base", "new", "next")
	bundle(w, "new-app", "new", "next", on("new-base"))
	base = ordered(w, "new-base", "new-east", base)
	waits(w, "new-app", "[new-base: WaitApplied]")
	still(w, "new-app", "new-east", app)
	w.Eventually("the count of the bundle", func() error {
		out := w.Kubectl("hub", "-n", world.Workspace, "get", "bundle", "new-app", "-o", "jsonpath={.status.summary.pending} {.status.display.state} {.status.conditions[?(@.type=='Ready')].message}")
		if !strings.HasPrefix(out, "1 Pending Pending(1) [Cluster fleet-default/new-east: dependent bundle(s) are not ready") {
			return fmt.Errorf("it says %q", out)
		}
		return nil
	})
	reports(w, "new-base", "new-east", fleet.Ready)
	ordered(w, "new-app", "new-east", app)
	rests(w, "new-app")
}

func wasReady(w *world.World) {
	paper(w, "once-east", "once")
	bundle(w, "once-base", "once", "good")
	base := ordered(w, "once-base", "once-east", "")
	reports(w, "once-base", "once-east", fleet.Ready)
	bundle(w, "once-app", "once", "good", on("once-base"))
	app := ordered(w, "once-app", "once-east", "")

	reports(w, "once-base", "once-east", fleet.Modified)
	bundle(w, "once-app", "once", "next", on("once-base"))
	app = ordered(w, "once-app", "once-east", app)

	bundle(w, "once-base", "once", "next")
	ordered(w, "once-base", "once-east", base)
	reports(w, "once-base", "once-east", fleet.Modified)
	bundle(w, "once-app", "once", "last", on("once-base"))
	waits(w, "once-app", "[once-base: Modified]")
	still(w, "once-app", "once-east", app)
	bundle(w, "once-app", "once", "last", fleet.BundleRef{Name: "once-base", AcceptedStates: []fleet.BundleState{fleet.Ready, fleet.Modified}})
	ordered(w, "once-app", "once-east", app)
}

// oneCommit: the dependent is written first, its dependency last, and many others in between.
func oneCommit(w *world.World) {
	paper(w, "commit-east", "commit")
	files := func(text string) map[string]string {
		out := map[string]string{"a-app/fleet.yaml": "dependsOn: [{name: commit-z-base}]\n"}
		for _, dir := range append(fillers(), "a-app", "z-base") {
			out[dir+"/state.yaml"] = configMap(dir, text)
		}
		return out
	}
	url := w.Repo("commit", files("good"))
	w.GitRepo("commit", url, func(s *fleet.GitRepoSpec) {
		s.Paths = append(fillers(), "a-app", "z-base")
		s.Targets = []fleet.GitTarget{{Name: "commit", ClusterSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"set": "commit"}}}}
	})
	base := ordered(w, "commit-z-base", "commit-east", "")
	reports(w, "commit-z-base", "commit-east", fleet.Ready)
	app := ordered(w, "commit-a-app", "commit-east", "")
	for _, text := range []string{"next", "last"} {
		commit := w.Push("commit", files(text))
		base = ordered(w, "commit-z-base", "commit-east", base)
		waits(w, "commit-a-app", fmt.Sprintf("%s waits on fleet-default/commit-east: dependent bundle(s) are not ready: [commit-z-base: WaitApplied at %[1]s]", commit[:7]))
		still(w, "commit-a-app", "commit-east", app)
		reports(w, "commit-z-base", "commit-east", fleet.Ready)
		app = ordered(w, "commit-a-app", "commit-east", app)
		rests(w, "commit-a-app")
	}
}

func fillers() []string {
	var out []string
	for i := range 20 {
		out = append(out, fmt.Sprintf("m-%02d", i))
	}
	return out
}

func circle(w *world.World) {
	paper(w, "circle-east", "circle")
	bundle(w, "circle-c", "circle", "good", on("circle-a"))
	bundle(w, "circle-a", "circle", "good", on("circle-b"))
	bundle(w, "circle-b", "circle", "good", on("circle-a"))
	waits(w, "circle-a", "True DependencyCycle: fleet-default/circle-east: dependsOn goes in a circle: circle-a → circle-b → circle-a")
	waits(w, "circle-b", "circle-b → circle-a → circle-b")
	waits(w, "circle-c", "True DependsOn: ", "[circle-a: is not there yet: dependsOn goes in a circle: circle-a → circle-b → circle-a")
	bundle(w, "circle-b", "circle", "good")
	for _, name := range []string{"circle-b", "circle-a", "circle-c"} {
		ordered(w, name, "circle-east", "")
		reports(w, name, "circle-east", fleet.Ready)
	}
	rests(w, "circle-a")
}

func nothingFound(w *world.World) {
	paper(w, "found-east", "found")
	bundle(w, "found-base", "elsewhere", "good")
	bundle(w, "found-app", "found", "good", on("found-bse"))
	waits(w, "found-app", `spec.dependsOn[0]: workspace fleet-default has no bundle "found-bse"; did you mean "found-base"?`)
	bundle(w, "found-app", "found", "good", on("found-base"))
	waits(w, "found-app", "spec.dependsOn[0]: bundle found-base does not go to this cluster")
	bundle(w, "found-app", "found", "good", fleet.BundleRef{Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"tier": "none"}}})
	waits(w, "found-app", "spec.dependsOn[0]: no bundle with labels tier=none goes to this cluster")
	bundle(w, "found-base", "found", "good")
	bundle(w, "found-app", "found", "good", on("found-base"))
	ordered(w, "found-base", "found-east", "")
	reports(w, "found-base", "found-east", fleet.Ready)
	ordered(w, "found-app", "found-east", "")
}

func bySelector(w *world.World) {
	paper(w, "labels-east", "labels")
	bundle(w, "labels-a", "labels", "good")
	bundle(w, "labels-b", "labels", "good")
	bundle(w, "labels-app", "labels", "good", fleet.BundleRef{Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"set": "labels"}}})
	ordered(w, "labels-a", "labels-east", "")
	ordered(w, "labels-b", "labels-east", "")
	reports(w, "labels-a", "labels-east", fleet.Ready)
	waits(w, "labels-app", "[labels-b: WaitApplied]")
	still(w, "labels-app", "labels-east", "")
	reports(w, "labels-b", "labels-east", fleet.Ready)
	ordered(w, "labels-app", "labels-east", "")
}
