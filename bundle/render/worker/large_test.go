package worker

import (
	"fmt"
	"math/rand/v2"
	"os"
	"testing"
	"time"

	"flotilla.io/flotilla/api/v1alpha1"
	"flotilla.io/flotilla/bundle/render"
)

// large is a bundle of plain manifests, 5,000 objects in 50 MB of text that no compression makes small.
func large() render.Input {
	const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+/"
	random := rand.New(rand.NewPCG(1, 2))
	in := render.Input{Bundle: "large", Files: map[string][]byte{}}
	for i := range 5000 {
		data := make([]byte, 10_000)
		for j := range data {
			data[j] = letters[random.IntN(len(letters))]
		}
		in.Files[fmt.Sprintf("objects/%04d.yaml", i)] = fmt.Appendf(nil, "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: object-%d\ndata:\n  text: %s\n", i, data)
	}
	return in
}

// TestLargeBundlesAreRendered: with the limits of a hub, 5,000 objects in 50 MB.
func TestLargeBundlesAreRendered(t *testing.T) {
	p := New(Options{Exe: os.Args[0], Args: []string{"render-worker"}, Children: 1})
	t.Cleanup(p.Close)
	in := large()
	in.Options.Kustomize = &v1alpha1.KustomizeOptions{Patches: []v1alpha1.KustomizePatch{
		{Target: &v1alpha1.KustomizeSelector{Name: "object-7"}, Patch: "[{op: add, path: /data/more, value: x}]"},
	}}
	out, err := p.Render(t.Context(), in, nil)
	if err != nil || len(out.Objects) != 5000 {
		t.Fatal(err)
	}
	for _, o := range out.Objects {
		if data := o.Object["data"].(map[string]any); (data["more"] == "x") != (o.GetName() == "object-7") {
			t.Errorf("%s has %v", o.GetName(), data["more"])
		}
	}
	if len(p.idle) != 0 {
		t.Error("a child with large limits is not kept")
	}
}

func TestLimitsGrowWithTheInput(t *testing.T) {
	p := New(Options{Exe: os.Args[0], Children: 1})
	for _, c := range []struct {
		rule    string
		size    int
		memory  int64
		timeout time.Duration
		large   bool
	}{
		{"a bundle as they are gets what the pool has", 1 << 20, 512 << 20, 30 * time.Second, false},
		{"a bundle of 50 MiB gets 16 times that on top, and two seconds for each", 50 << 20, (512 + 800) << 20, 130 * time.Second, true},
	} {
		t.Run(c.rule, func(t *testing.T) {
			o, large := p.optionsFor(render.Input{Files: map[string][]byte{"a": make([]byte, c.size)}})
			if o.Memory != c.memory || o.Timeout != c.timeout || large != c.large {
				t.Errorf("memory %d, time %s, large %t", o.Memory, o.Timeout, large)
			}
		})
	}
}
