package bundle

import (
	"context"
	"fmt"
	"hash/fnv"
	"slices"
	"sort"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/controller-runtime/pkg/client"

	fleet "flotilla.io/flotilla/api/v1alpha1"
	"flotilla.io/flotilla/bundle/fleetyaml/nearest"
	"flotilla.io/flotilla/controller/rollout"
	"flotilla.io/flotilla/controller/status"
)

// waiting is why a place keeps what it has for now, and needs no person to go on.
type waiting struct{ reason, message string }

// depend finds what each place waits for: its maintenance window, and the bundles that this one depends on. A place that waits is
// written as long as that brings it nothing new, and gets what is new when what it waits for has come, of which an event tells.
func (r *Reconciler) depend(ctx context.Context, in *run) error {
	for _, p := range in.places {
		if message := in.closed[p.cluster.Status.Namespace]; message != "" {
			p.wait(fleet.ReasonOffSchedule, message)
		}
	}
	if len(in.bundle.Spec.DependsOn) == 0 {
		if len(r.dependents(ctx, in.bundle)) > 0 {
			in.seen()
		}
		return nil
	}
	in.seen()
	if message, err := r.beingWritten(ctx, in.bundle); message != "" || err != nil {
		in.wait(fleet.ReasonDependsOn, message)
		return err
	}
	g, err := r.newGraph(ctx, in)
	if err != nil {
		return err
	}
	if cycle := rollout.Cycle(in.bundle.Name, g.on); cycle != "" {
		in.wait(fleet.ReasonDependencyCycle, fmt.Sprintf("dependsOn goes in a circle: %s; take one of them out of the other's dependsOn", cycle))
		return nil
	}
	for _, p := range in.places {
		needs, awaited, err := g.needs(ctx, p)
		if err != nil {
			return err
		}
		message := rollout.Dependencies(needs)
		if message == "" {
			continue
		}
		if circle := r.Outputs.Awaits(in.bundle, p.cluster, awaited); circle != "" {
			p.wait(fleet.ReasonInputCycle, "dependsOn and inputs go in a circle: "+circle+"; take the output from a bundle that needs none of them")
			continue
		}
		p.wait(fleet.ReasonDependsOn, message)
	}
	return nil
}

// wait has all places wait.
func (in *run) wait(reason, message string) {
	for _, p := range in.places {
		if message != "" {
			p.wait(reason, message)
		}
	}
}

func (p *place) wait(reason, message string) {
	if p.waits.message != "" {
		reason, message = p.waits.reason, p.waits.message+"; "+message
	}
	p.waits = waiting{reason, message}
}

// beingWritten: the GitRepo writes its Bundles one after the other. Until it is through, nobody knows which of those that this one
// depends on its commit changes too.
func (r *Reconciler) beingWritten(ctx context.Context, b *fleet.Bundle) (string, error) {
	walk, err := strconv.ParseInt(b.Annotations[fleet.WalkAnnotation], 10, 64)
	if err != nil || b.Labels[fleet.RepoLabel] == "" {
		return "", nil // no GitRepo wrote it
	}
	repo := &fleet.GitRepo{}
	err = r.Client.Get(ctx, client.ObjectKey{Namespace: b.Namespace, Name: b.Labels[fleet.RepoLabel]}, repo)
	if apierrors.IsNotFound(err) || err == nil && repo.Status.Walk >= walk {
		return "", nil
	}
	return fmt.Sprintf("GitRepo %s has not written all bundles of this commit yet", b.Labels[fleet.RepoLabel]), err
}

// graph is the Bundles of a workspace and what they depend on.
type graph struct {
	r       *Reconciler
	in      *run
	bundles map[string]*fleet.Bundle
	names   []string // sorted
	known   map[client.ObjectKey]*dependency
}

func (r *Reconciler) newGraph(ctx context.Context, in *run) (*graph, error) {
	list := &fleet.BundleList{}
	if err := r.Client.List(ctx, list, client.InNamespace(in.bundle.Namespace), client.UnsafeDisableDeepCopy); err != nil {
		return nil, err
	}
	g := &graph{r: r, in: in, bundles: map[string]*fleet.Bundle{}, known: map[client.ObjectKey]*dependency{}}
	for i := range list.Items {
		g.bundles[list.Items[i].Name] = &list.Items[i]
		g.names = append(g.names, list.Items[i].Name)
	}
	g.bundles[in.bundle.Name] = in.bundle // it may be newer than the list
	sort.Strings(g.names)
	return g, nil
}

// on tells what a bundle depends on, sorted.
func (g *graph) on(name string) []string {
	b := g.bundles[name]
	if b == nil {
		return nil
	}
	var out []string
	for _, ref := range b.Spec.DependsOn {
		out = append(out, g.found(b, &ref)...)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// found are the bundles of the workspace that an entry of dependsOn means: where it has a name and a selector, both must hold. A
// bundle that its own selector picks is not meant.
func (g *graph) found(b *fleet.Bundle, ref *fleet.BundleRef) []string {
	var out []string
	selector := selectorOf(ref)
	for _, name := range g.names {
		named := ref.Name == name || ref.Name == "" && name != b.Name
		if named && selector.Matches(labelsOf(g.bundles[name])) {
			out = append(out, name)
		}
	}
	return out
}

// labelsOf are those by which a selector knows a bundle: as in Fleet, what its BundleDeployments bear.
func labelsOf(b *fleet.Bundle) labels.Set {
	out := labels.Set{fleet.BundleLabel: b.Name, fleet.BundleNamespaceLabel: b.Namespace}
	for k, v := range b.Labels {
		if _, own := out[k]; !own {
			out[k] = v
		}
	}
	return out
}

// selectorOf picks everything where an entry has a name alone, and nothing where its selector is not valid.
func selectorOf(ref *fleet.BundleRef) labels.Selector {
	if ref.Selector == nil && ref.Name != "" {
		return labels.Everything()
	}
	selector, err := metav1.LabelSelectorAsSelector(ref.Selector)
	if err != nil {
		return labels.Nothing()
	}
	return selector
}

// needs are the entries of dependsOn on one cluster, and which bundles are awaited there.
func (g *graph) needs(ctx context.Context, p *place) (out []rollout.Need, awaited []client.ObjectKey, err error) {
	for i, ref := range g.in.bundle.Spec.DependsOn {
		if ref.Name == "" && ref.Selector == nil {
			continue // says nothing, as in Fleet
		}
		need := rollout.Need{Accepted: ref.AcceptedStates}
		keys, err := g.meant(ctx, p, &ref)
		if err != nil {
			return nil, nil, err
		}
		for _, key := range keys {
			d, err := g.dependency(ctx, key)
			if err != nil {
				return nil, nil, err
			}
			at, goes := d.at(p)
			if !goes {
				continue
			}
			need.Found = append(need.Found, at)
			if at.Pending(need.Accepted) {
				awaited = append(awaited, key)
			}
		}
		if len(need.Found) == 0 {
			need.Missing = g.missing(i, &ref)
		}
		out = append(out, need)
	}
	return out, awaited, nil
}

// meant are the bundles that an entry means on a cluster. As in Fleet, a selector also picks bundles of other workspaces that are
// deployed there.
func (g *graph) meant(ctx context.Context, p *place, ref *fleet.BundleRef) ([]client.ObjectKey, error) {
	var out []client.ObjectKey
	for _, name := range g.found(g.in.bundle, ref) {
		out = append(out, client.ObjectKey{Namespace: g.in.bundle.Namespace, Name: name})
	}
	if ref.Name != "" {
		return out, nil
	}
	list := &fleet.BundleDeploymentList{}
	err := g.r.Client.List(ctx, list, client.MatchingFields{status.ClusterIndex: p.name()}, client.UnsafeDisableDeepCopy)
	selector := selectorOf(ref)
	for i := range list.Items {
		l := list.Items[i].Labels
		if l[fleet.BundleNamespaceLabel] != g.in.bundle.Namespace && selector.Matches(labels.Set(l)) {
			out = append(out, client.ObjectKey{Namespace: l[fleet.BundleNamespaceLabel], Name: l[fleet.BundleLabel]})
		}
	}
	return out, err
}

// missing says that an entry finds no bundle on a cluster.
func (g *graph) missing(i int, ref *fleet.BundleRef) string {
	field := fmt.Sprintf("spec.dependsOn[%d]", i)
	switch {
	case ref.Name == "":
		return fmt.Sprintf("%s: no bundle with labels %s goes to this cluster", field, metav1.FormatLabelSelector(ref.Selector))
	case g.bundles[ref.Name] == nil:
		return fmt.Sprintf("%s: workspace %s has no bundle %q%s", field, g.in.bundle.Namespace, ref.Name, nearest.Hint(ref.Name, g.others()))
	}
	return fmt.Sprintf("%s: bundle %s does not go to this cluster", field, ref.Name)
}

// others are the names of all bundles but the one that depends.
func (g *graph) others() []string {
	return slices.DeleteFunc(slices.Clone(g.names), func(name string) bool { return name == g.in.bundle.Name })
}

// dependency is a bundle that this one depends on, on all clusters.
type dependency struct {
	name, revision string
	behind         string // on every cluster
	plan           status.Plan
	on             map[string]*fleet.BundleDeployment // by cluster namespace
}

func (g *graph) dependency(ctx context.Context, key client.ObjectKey) (*dependency, error) {
	if d := g.known[key]; d != nil {
		return d, nil
	}
	b := g.bundles[key.Name]
	d := &dependency{name: key.Name, on: map[string]*fleet.BundleDeployment{}}
	if key.Namespace != g.in.bundle.Namespace {
		d.name, b = key.String(), &fleet.Bundle{}
		if err := g.r.Client.Get(ctx, key, b); client.IgnoreNotFound(err) != nil {
			return nil, err
		}
	}
	d.revision = short(b.Labels[fleet.CommitLabel])
	var planned bool
	d.plan, planned = g.r.Plans.Of(key)
	switch sees := d.plan.Seen; {
	case !b.DeletionTimestamp.IsZero():
		d.behind = "is being taken away"
	case planned && d.plan.Stopped != "":
		d.behind = strings.TrimSpace(d.revision + " is not deployed: " + d.plan.Stopped)
	case fleet.ConditionIs(b.Status.Conditions, status.ConditionSource, "False"):
		d.behind = "its directory cannot be read"
	case !planned, b.Status.ObservedGeneration < b.Generation, b.Namespace == g.in.bundle.Namespace && sees != "" && sees != g.in.seen():
		d.behind = strings.TrimSpace(d.revision + " is being worked out")
	}
	list, err := g.r.deployments(ctx, &fleet.Bundle{ObjectMeta: metav1.ObjectMeta{Namespace: key.Namespace, Name: key.Name}})
	for i := range list {
		d.on[list[i].Namespace] = &list[i]
	}
	g.known[key] = d
	return d, err
}

// at is the dependency on one cluster; goes is false where it is not deployed and will not be.
func (d *dependency) at(p *place) (at rollout.Dependency, goes bool) {
	at = rollout.Dependency{Name: d.name, Revision: d.revision, Behind: d.behind}
	bd, cluster := d.on[p.cluster.Status.Namespace], p.name()
	written, isWritten := d.plan.Written[cluster]
	switch why, behind := d.plan.Behind[cluster]; {
	case at.Behind != "":
		return at, true
	case behind:
		at.Behind = strings.TrimSpace(d.revision + " is not there yet: " + why)
		return at, true
	case bd == nil && isWritten, bd != nil && bd.Spec.Sequence < written:
		at.Behind = strings.TrimSpace(d.revision + " is on its way")
		return at, true
	case bd == nil:
		return at, false
	case bd.Spec.Deletion != nil:
		at.Behind = "is being taken away from this cluster"
		return at, true
	}
	at.State = status.StateOf(bd)
	staged := bd.Spec.StagedDeploymentID != "" && bd.Spec.StagedDeploymentID != bd.Spec.DeploymentID
	at.WasReady = bd.Status.ReadyDeploymentID != "" && bd.Status.ReadyDeploymentID == bd.Spec.DeploymentID && !staged
	return at, true
}

// seen names the clusters and rules of the bundle's workspace as this walk took them: two walks that come to the same name were
// made on the same ground.
func (in *run) seen() string {
	if in.sees != "" {
		return in.sees
	}
	sum := fnv.New64a()
	note := func(obj client.Object) {
		fmt.Fprintf(sum, "%s %d %v %v;", obj.GetUID(), obj.GetGeneration(), obj.GetLabels(), obj.GetAnnotations())
	}
	for i := range in.clusters {
		if in.clusters[i].Namespace == in.bundle.Namespace {
			note(&in.clusters[i])
		}
	}
	groups := slices.Clone(in.groups[in.bundle.Namespace])
	slices.SortFunc(groups, func(a, b fleet.ClusterGroup) int { return strings.Compare(a.Name, b.Name) })
	for i := range groups {
		note(&groups[i])
	}
	fmt.Fprint(sum, in.rules)
	in.sees = strconv.FormatUint(sum.Sum64(), 36)
	return in.sees
}

// waitingCondition says which clusters wait for what, and at which revision they stay meanwhile.
func (in *run) waitingCondition() (value corev1.ConditionStatus, reason, message string) {
	on, order := map[waiting][]string{}, []waiting(nil)
	add := func(w waiting, cluster string) {
		if on[w] == nil {
			order = append(order, w)
		}
		on[w] = append(on[w], cluster)
	}
	for _, p := range in.places {
		if p.waiting() {
			add(p.waits, p.name())
		}
	}
	for _, cluster := range in.leaving {
		add(waiting{fleet.ReasonOffSchedule, "is taken away when its maintenance window opens"}, cluster)
	}
	if len(order) == 0 {
		return "False", "", ""
	}
	var parts []string
	for _, w := range order[:min(len(order), 3)] {
		parts = append(parts, fmt.Sprintf("%s: %s", rollout.Sample(on[w]), w.message))
	}
	if more := len(order) - 3; more > 0 {
		parts = append(parts, fmt.Sprintf("and %d more reasons to wait", more))
	}
	message = strings.Join(parts, "; ")
	if commit := in.bundle.Labels[fleet.CommitLabel]; commit != "" {
		message = short(commit) + " waits on " + message
	}
	return "True", order[0].reason, message + in.running()
}
