package badinput

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	fleet "flotilla.io/flotilla/api/v1alpha1"
	"flotilla.io/flotilla/integrationtests/world"
)

// lostContents: Content that somebody deleted or damaged is made again by the hub, and an agent that could not fetch it
// says so meanwhile and keeps what it has.
func lostContents(t *testing.T, w *world.World) {
	gitRepo(w, "lost", w.Repo("lost", in("app", plain("lost", "start"))), nil)
	settled(w, "lost-app")
	for _, row := range []struct {
		rule string
		do   func(*world.World)
	}{
		{"a layer that was deleted is written again", layerDeleted},
		{"a layer that was damaged is written again", layerDamaged},
		{"a layer that nobody has open any more is rendered again", layerForgotten},
		{"what is lost meanwhile is told, and the last good stays", lossIsTold},
		{"files that were deleted are read from Git again", filesDeleted},
	} {
		t.Run(row.rule, func(t *testing.T) { row.do(of(t, w)) })
	}
}

// unseen pushes a revision while no agent runs, and returns the layers that its order names.
func unseen(w *world.World, text string) []fleet.LayerRef {
	w.T.Helper()
	w.Agents[production].Process.Stop()
	before := deployments(w, "lost-app")[production].Spec.DeploymentID
	w.Push("lost", in("app", plain("lost", text)))
	var layers []fleet.LayerRef
	w.Eventually("the new order", func() error {
		bd := deployments(w, "lost-app")[production]
		if bd.Spec.DeploymentID == before {
			return fmt.Errorf("it is the one before")
		}
		layers = bd.Spec.Layers
		return nil
	})
	return layers
}

func deleteContent(w *world.World, name string) {
	w.T.Helper()
	c := &fleet.Content{}
	c.Name = name
	w.Check(w.Hub.Client.Delete(context.Background(), c))
}

func exists(w *world.World, name string) bool {
	w.T.Helper()
	err := w.Hub.Client.Get(context.Background(), client.ObjectKey{Name: name}, &fleet.Content{})
	w.Check(client.IgnoreNotFound(err))
	return !apierrors.IsNotFound(err)
}

func layerDeleted(w *world.World) {
	for _, l := range unseen(w, "deleted") {
		deleteContent(w, l.ID)
	}
	w.Check(w.Agents[production].Start())
	says(w, "lost", "state", "deleted")
	settled(w, "lost-app")
}

func layerDamaged(w *world.World) {
	for _, l := range unseen(w, "damaged") {
		c := &fleet.Content{}
		w.Check(w.Hub.Client.Get(context.Background(), client.ObjectKey{Name: l.ID}, c))
		c.Content[len(c.Content)/2] ^= 1
		w.Check(w.Hub.Client.Update(context.Background(), c))
	}
	w.Check(w.Agents[production].Start())
	says(w, "lost", "state", "damaged")
	settled(w, "lost-app")
}

// restartController starts the controller anew: it knows nothing but what stands on the hub.
func restartController(w *world.World) {
	w.T.Helper()
	w.Hub.Process.Stop()
	w.Check(w.Hub.StartController(context.Background()))
}

func layerForgotten(w *world.World) {
	layers := unseen(w, "forgotten")
	restartController(w)
	rendered := renderings(w)
	for _, l := range layers {
		deleteContent(w, l.ID)
	}
	w.Check(w.Agents[production].Start())
	says(w, "lost", "state", "forgotten")
	settled(w, "lost-app")
	if renderings(w) == rendered {
		w.T.Error("the layer came back without a rendering: this tests nothing")
	}
}

// renderings counts the renderings that the controller's log tells of.
func renderings(w *world.World) int {
	w.T.Helper()
	log, err := os.ReadFile(w.Hub.LogPath())
	w.Check(err)
	return strings.Count(string(log), "rendered bundle")
}

// lossIsTold: with the controller away nothing is mended, and the agent tells.
func lossIsTold(w *world.World) {
	for _, l := range unseen(w, "told") {
		deleteContent(w, l.ID)
	}
	w.Hub.Process.Stop()
	w.Check(w.Agents[production].Start())
	w.T.Log(tells(w, "the BundleDeployment", func() string { return deploymentRow(w, "lost-app") },
		"Error: revision ", "is not on the hub; the hub is told and makes it again", "stays"))
	still(w, "lost", "state", "forgotten")
	w.Check(w.Hub.StartController(context.Background()))
	says(w, "lost", "state", "told")
	settled(w, "lost-app")
	home := clusterNamespace(w, production)
	if c := condition(w, "bundledeployment", home, "lost-app", fleet.ConditionPulled); c != "" {
		w.T.Errorf("condition Pulled stayed: %q", c)
	}
}

// filesDeleted: the files of one bundle go, and after so many other bundles no memory of them is left.
func filesDeleted(w *world.World) {
	const others = 20
	files := map[string]string{}
	for i := range others {
		files = merged(files, in(fmt.Sprintf("app%02d", i), plain("many", fmt.Sprint(i))))
	}
	gitRepo(w, "many", w.Repo("many", files), func(s *fleet.GitRepoSpec) { s.Targets = []fleet.GitTarget{{ClusterName: "nobody"}} })
	b := &fleet.Bundle{}
	w.Eventually("the bundles", func() error {
		return w.Hub.Client.Get(context.Background(), client.ObjectKey{Namespace: world.Workspace, Name: fmt.Sprintf("many-app%02d", others-1)}, b)
	})
	w.Check(w.Hub.Client.Get(context.Background(), client.ObjectKey{Namespace: world.Workspace, Name: "lost-app"}, b))
	deleteContent(w, b.Spec.ContentsID)
	for i := range others {
		other := &fleet.Bundle{ObjectMeta: metav1.ObjectMeta{Namespace: world.Workspace, Name: fmt.Sprintf("many-app%02d", i)}}
		hold := client.RawPatch(types.MergePatchType, fmt.Appendf(nil, `{"metadata":{"annotations":{%q:"so that it is walked"}}}`, fleet.HoldAnnotation))
		w.Check(w.Hub.Client.Patch(context.Background(), other, hold))
	}
	for i := range others {
		bundleTells(w, fmt.Sprintf("many-app%02d", i), "Held")
	}
	flotilla(w, "hold", "bundle/lost-app")
	bundleTells(w, "lost-app", "Held")
	if !exists(w, b.Spec.ContentsID) {
		w.T.Error("the bundle's files are not on the hub again")
	}
	flotilla(w, "resume", "bundle/lost-app")
	settled(w, "lost-app")
	if c := condition(w, "bundle", world.Workspace, "lost-app", "Rendered"); c != "True : " {
		w.T.Errorf("condition Rendered is %q", c)
	}
}
