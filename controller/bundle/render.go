package bundle

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/sync/errgroup"
	ctrl "sigs.k8s.io/controller-runtime"

	fleet "flotilla.io/flotilla/api/v1alpha1"
	"flotilla.io/flotilla/bundle/layer"
	"flotilla.io/flotilla/bundle/render"
)

// rendersAtOnce bounds how many renderings one bundle asks the pool for at a time.
const rendersAtOnce = 4

// render gives each place a rendering: the one it has, one that another cluster has, or a new one.
//
// Clusters with the same options have the same base. Of one base there are as many renderings as there are different
// answers to the questions that the templates asked about the cluster, most often one.
func (r *Reconciler) render(ctx context.Context, in *run) error {
	byBase := map[string][]*place{}
	var order []string
	for _, p := range in.places {
		if p.err != nil || p.match == nil || p.cluster.Status.Namespace == "" {
			continue // a cluster whose namespace is still being made has nowhere to keep what would be rendered
		}
		if byBase[p.base] == nil {
			order = append(order, p.base)
		}
		byBase[p.base] = append(byBase[p.base], p)
	}
	known := in.twins()
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(rendersAtOnce)
	results := make([][]*rendering, len(order))
	for i, base := range order {
		group.Go(func() error {
			results[i] = r.renderBase(ctx, in, byBase[base], known[base])
			return ctx.Err()
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	r.sort(in, results)
	return nil
}

// sort tells new objects from those that are deployed already: a change of files that comes to the same objects costs
// an alias in the bundle's status, and no cluster anything.
func (r *Reconciler) sort(in *run, results [][]*rendering) {
	in.rendered = map[string]*rendering{}
	deployed := in.byManifest()
	for _, some := range results {
		for _, out := range some {
			out.manifest = "s-" + strings.TrimPrefix(r.Store.Secret().Layer(out.entries).ID, "l-")
			if twin := deployed[out.manifest]; twin != nil {
				in.aliases = append(in.aliases, fleet.RenderAlias{Base: out.base, Asked: out.asked, Manifest: out.manifest})
				out.twin = twin
				continue
			}
			in.rendered[out.key] = out
		}
	}
	for _, p := range in.places {
		if p.output != nil && p.output.twin != nil {
			p.twin, p.output = p.output.twin, nil
		}
	}
}

func (in *run) byManifest() map[string]*fleet.BundleDeployment {
	out := map[string]*fleet.BundleDeployment{}
	for i := range in.have {
		if bd := &in.have[i]; bd.Spec.Deletion == nil && bd.Spec.DeploymentID != "" && !in.lacks(bd) {
			out[manifestOf(bd)] = bd
		}
	}
	return out
}

// bases computes the render base of each place, once for equal options.
func (r *Reconciler) bases(_ context.Context, in *run) error {
	cache := map[string]string{}
	for _, p := range in.places {
		if p.err != nil || p.match == nil {
			continue
		}
		options, err := json.Marshal(p.match.Options)
		if err != nil {
			return fmt.Errorf("encoding the options of cluster %s: %w", p.name(), err)
		}
		base, ok := cache[string(options)]
		if !ok {
			if base, err = render.Base(in.input(p)); err != nil {
				p.err = err
				continue
			}
			cache[string(options)] = base
		}
		p.base = r.withCopies(r.withInputs(base, p.given), p.copies)
	}
	return nil
}

func (in *run) input(p *place) render.Input {
	return render.Input{Bundle: in.bundle.Name, Files: in.files, Options: p.match.Options}
}

// twin is a BundleDeployment whose layers serve every cluster that gives the same answers.
type twin struct {
	asked []fleet.CapabilityAnswer
	bd    *fleet.BundleDeployment
}

// twins indexes BundleDeployments by render base, one for each render key, and by the aliases of earlier walks.
func (in *run) twins() map[string][]twin {
	out, seen := map[string][]twin{}, map[string]bool{}
	for i := range in.have {
		bd := &in.have[i]
		key := bd.Spec.RenderBase + "/" + bd.Spec.RenderKey
		if bd.Spec.RenderKey == "" || bd.Spec.Deletion != nil || seen[key] || in.lacks(bd) {
			continue
		}
		seen[key] = true
		out[bd.Spec.RenderBase] = append(out[bd.Spec.RenderBase], twin{bd.Spec.Asked, bd})
	}
	deployed := in.byManifest()
	for _, a := range in.bundle.Status.RenderAliases {
		if bd := deployed[a.Manifest]; bd != nil {
			out[a.Base] = append(out[a.Base], twin{a.Asked, bd})
		}
	}
	return out
}

// aliasesNow are the aliases that still say something: those of bases that places have, the newest first and bounded.
func (in *run) aliasesNow() []fleet.RenderAlias {
	const most = 64
	live := map[string]bool{}
	for _, p := range in.places {
		live[p.base] = true
	}
	var out []fleet.RenderAlias
	for _, a := range append(in.aliases, in.bundle.Status.RenderAliases...) {
		if live[a.Base] && len(out) < most {
			out = append(out, a)
		}
	}
	return out
}

// renderBase serves the places of one base. It returns the renderings that had to be made.
func (r *Reconciler) renderBase(ctx context.Context, in *run, places []*place, known []twin) []*rendering {
	var made []*rendering
	var failed error // a rendering that fails without having asked anything fails for all alike
	for _, p := range places {
		if t := answersLike(known, p.caps); t != nil {
			p.twin, p.asked, p.key = t.bd, t.asked, render.Key(p.base, t.asked)
			continue
		}
		if out := madeFor(made, p.caps); out != nil {
			p.output, p.asked, p.key = out, out.asked, out.key
			out.clusters++
			continue
		}
		if p.waits.message != "" {
			continue // rendered when its turn has come
		}
		if failed != nil {
			p.err = failed
			continue
		}
		out, err := r.renderOne(ctx, in, p)
		if err != nil {
			p.err = err
			if !errors.Is(err, render.ErrNotReported) {
				failed = err
			}
			continue
		}
		p.output, p.asked, p.key = out, out.asked, out.key
		made = append(made, out)
	}
	return made
}

func (r *Reconciler) renderOne(ctx context.Context, in *run, p *place) (*rendering, error) {
	out, err := r.Renderer.Render(ctx, in.input(p), p.caps)
	if errors.Is(err, render.ErrNotReported) {
		return nil, fmt.Errorf("waiting for the agent's first report: the templates depend on what the cluster offers: %w", err)
	}
	if err != nil {
		return nil, err
	}
	ctrl.LoggerFrom(ctx).Info("rendered bundle", "objects", len(out.Objects), "base", p.base)
	res := &rendering{base: p.base, asked: out.Asked, key: render.Key(p.base, out.Asked), clusters: 1}
	for _, obj := range out.Objects {
		entry, err := layer.NewEntry(obj)
		if err != nil {
			return nil, err
		}
		res.entries = append(res.entries, entry)
	}
	return res, res.with(p.copies)
}

// answersLike finds a BundleDeployment whose questions this cluster answers in the same way.
func answersLike(known []twin, caps *render.Capabilities) *twin {
	for i := range known {
		if answers(known[i].asked, caps) {
			return &known[i]
		}
	}
	return nil
}

func madeFor(made []*rendering, caps *render.Capabilities) *rendering {
	for _, m := range made {
		if answers(m.asked, caps) {
			return m
		}
	}
	return nil
}

func answers(asked []fleet.CapabilityAnswer, caps *render.Capabilities) bool {
	for _, a := range asked {
		if got, err := render.Answer(a.Question, caps); err != nil || got != a.Answer {
			return false
		}
	}
	return true
}
