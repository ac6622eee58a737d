package bundle

import (
	"context"
	"testing"

	fleet "flotilla.io/flotilla/api/v1alpha1"
	"flotilla.io/flotilla/bundle/layer"
	"flotilla.io/flotilla/bundle/render"
	"flotilla.io/flotilla/bundle/target"
	"flotilla.io/flotilla/controller/content"
)

// counting renders, and counts.
type counting struct{ n int }

func (c *counting) Render(ctx context.Context, in render.Input, caps *render.Capabilities) (*render.Output, error) {
	c.n++
	return render.Render(ctx, in, caps)
}

func (c *counting) Fill(context.Context, target.Job) []target.Filled { return nil }

func TestAClusterWithoutItsNamespaceIsNotRenderedFor(t *testing.T) {
	t.Parallel()
	in := &run{bundle: &fleet.Bundle{}, files: map[string][]byte{
		"c.yaml": []byte("apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: c\n"),
	}}
	in.bundle.Name = "app"
	fresh, there := &fleet.Cluster{}, &fleet.Cluster{}
	there.Status.Namespace = "cluster-there"
	for base, c := range map[string]*fleet.Cluster{"one": fresh, "two": there} {
		in.places = append(in.places, &place{cluster: c, base: base, match: &target.Match{}, caps: &render.Capabilities{}})
	}
	made := &counting{}
	if err := (&Reconciler{Renderer: made, Store: content.NewStore(nil, nil, layer.NewHubSecret())}).render(t.Context(), in); err != nil {
		t.Fatal(err)
	}
	if made.n != 1 {
		t.Errorf("%d renderings, want one: the other would be thrown away, and made again once there is a place to write it to", made.n)
	}
}
