package bundle

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sort"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	agentapi "flotilla.io/flotilla/api/flotilla/v1alpha1"
	fleet "flotilla.io/flotilla/api/v1alpha1"
	"flotilla.io/flotilla/bundle/layer"
	"flotilla.io/flotilla/bundle/reader"
	"flotilla.io/flotilla/bundle/render"
	"flotilla.io/flotilla/bundle/target"
	"flotilla.io/flotilla/controller/content"
	"flotilla.io/flotilla/controller/output"
	"flotilla.io/flotilla/controller/policy"
	"flotilla.io/flotilla/controller/rollout"
	"flotilla.io/flotilla/controller/status"
)

// run is what one walk learns; it dies with it.
type run struct {
	bundle *fleet.Bundle // as on the hub
	rules  *policy.Rules // of its workspace
	whole  *fleet.Bundle // with its values, and what the rules add
	files  map[string][]byte
	notes  []string // fields that are not served and change nothing that could go wrong

	clusters []fleet.Cluster
	agents   map[string]*agentapi.Agent // by cluster namespace
	groups   map[string][]fleet.ClusterGroup
	have     []fleet.BundleDeployment
	siblings []fleet.Bundle  // other Bundles of the same GitRepo
	lost     map[string]bool // layers of theirs that the hub does not have any more

	inputs *output.Inputs          // nil: the bundle has none
	given  map[string]target.Given // what it takes on each cluster, by "namespace/name"
	orders []fleet.OutputOrder     // what agents report of it for others

	places []*place // one for each cluster that is a target, sorted by cluster

	byNamespace map[string]*fleet.Cluster // clusters and places by cluster namespace
	placeAt     map[string]*place

	rendered  map[string]*rendering // new ones that came to new objects, by render key
	aliases   []fleet.RenderAlias   // new ones that came to objects that are deployed already
	shared    []layer.Layer
	sharedNow []string // what status.sharedLayers becomes; nil: as it is

	closed   map[string]string       // by cluster namespace: what clusters off schedule wait for
	leaving  []string                // clusters that the bundle is taken from when their window opens
	sees     string                  // a name for the clusters and rules of the workspace
	holds    map[string]rollout.Hold // by cluster; "" is the whole bundle
	unTarget *rollout.UnTarget
	nearest  string // the nearest miss when nothing matched
	again    time.Duration
}

// place is one cluster that should have the bundle.
type place struct {
	cluster *fleet.Cluster
	caps    *render.Capabilities
	match   *target.Match           // nil where something is wrong, and where inputs are missing
	copies  []layer.Entry           // of ConfigMaps and Secrets of the workspace
	have    *fleet.BundleDeployment // nil: not there yet
	err     error                   // concerns this cluster alone; it keeps what it has
	waits   waiting                 // what keeps it from getting something new
	behind  string                  // why it does not have the newest order; "" it has
	wrote   int64                   // the sequence of the order that this walk wrote

	base   string
	key    string // render key
	asked  []fleet.CapabilityAnswer
	given  target.Given
	twin   *fleet.BundleDeployment // a BundleDeployment whose rendering is the same: its layers serve here too
	output *rendering
}

func (p *place) name() string { return p.cluster.Namespace + "/" + p.cluster.Name }

// rendering is one rendered set of objects, and where it came to lie.
type rendering struct {
	base     string
	asked    []fleet.CapabilityAnswer
	key      string
	manifest string                  // the digest of its objects
	twin     *fleet.BundleDeployment // one that has the same objects
	entries  []layer.Entry
	clusters int
	own      layer.Layer
	layers   []layer.Layer // shared, then own
	refs     []layer.Ref
}

// observe reads Clusters, Agents, ClusterGroups and BundleDeployments, all from the cache.
func (r *Reconciler) observe(ctx context.Context, in *run) error {
	namespaces, err := Workspaces(ctx, r.Client, in.bundle)
	if err != nil {
		return err
	}
	in.groups, in.closed = map[string][]fleet.ClusterGroup{}, map[string]string{}
	for _, ns := range namespaces {
		clusters, groups := &fleet.ClusterList{}, &fleet.ClusterGroupList{}
		if err := r.Client.List(ctx, clusters, client.InNamespace(ns)); err != nil {
			return err
		}
		if err := r.Client.List(ctx, groups, client.InNamespace(ns)); err != nil {
			return err
		}
		in.groups[ns] = groups.Items
		windows, err := r.windows(ctx, ns, groups.Items)
		if err != nil {
			return err
		}
		for _, c := range clusters.Items {
			if c.DeletionTimestamp.IsZero() && !anothers(&c) {
				in.clusters = append(in.clusters, c)
			}
			if message := windows.Of(&c).Waits; message != "" {
				in.closed[c.Status.Namespace] = message
			}
		}
	}
	sort.Slice(in.clusters, func(i, j int) bool {
		a, b := &in.clusters[i], &in.clusters[j]
		return a.Namespace+"/"+a.Name < b.Namespace+"/"+b.Name
	})
	in.byNamespace = make(map[string]*fleet.Cluster, len(in.clusters))
	for i := range in.clusters {
		in.byNamespace[in.clusters[i].Status.Namespace] = &in.clusters[i]
	}
	return r.observeDeployments(ctx, in)
}

// anothers tells whether a Cluster is another manager's and never was ours: there is nowhere to write to.
func anothers(c *fleet.Cluster) bool {
	return c.Labels[fleet.ClusterManagementLabel] != "" && c.Status.Namespace == ""
}

// windows are the maintenance windows of a workspace as they are now, whatever the statuses of its Clusters say.
func (r *Reconciler) windows(ctx context.Context, namespace string, groups []fleet.ClusterGroup) (*rollout.Windows, error) {
	schedules := &fleet.ScheduleList{}
	if err := r.Client.List(ctx, schedules, client.InNamespace(namespace), client.UnsafeDisableDeepCopy); err != nil {
		return nil, err
	}
	return rollout.NewWindows(schedules.Items, groups, r.Clock.Now()), nil
}

func (r *Reconciler) observeDeployments(ctx context.Context, in *run) error {
	agents := &agentapi.AgentList{}
	if err := r.Client.List(ctx, agents); err != nil {
		return err
	}
	in.agents = make(map[string]*agentapi.Agent, len(agents.Items))
	for i := range agents.Items {
		in.agents[agents.Items[i].Namespace] = &agents.Items[i]
	}
	have, err := r.deployments(ctx, in.bundle)
	if err != nil {
		return err
	}
	if !r.written.shown(client.ObjectKeyFromObject(in.bundle), have) {
		return &wait{Reason: "the cache does not show yet what was written", After: 50 * time.Millisecond}
	}
	in.have = have
	if repo := in.bundle.Labels[fleet.RepoLabel]; repo != "" {
		list := &fleet.BundleList{}
		if err := r.Client.List(ctx, list, client.InNamespace(in.bundle.Namespace), client.MatchingLabels{fleet.RepoLabel: repo}); err != nil {
			return err
		}
		in.siblings = list.Items
	}
	return nil
}

// deployments are the BundleDeployments that carry the bundle's name and namespace, sorted as the cache has them.
func (r *Reconciler) deployments(ctx context.Context, b *fleet.Bundle) ([]fleet.BundleDeployment, error) {
	list := &fleet.BundleDeploymentList{}
	err := r.Client.List(ctx, list, client.MatchingFields{status.BundleIndex: b.Namespace + "/" + b.Name})
	return list.Items, err
}

// files are the bundle's own: sealed in Content, or inline in a Bundle that a person wrote.
func (r *Reconciler) files(ctx context.Context, in *run) (map[string][]byte, error) {
	b := in.bundle
	if b.Spec.ContentsID == "" {
		files, err := reader.Resources(b)
		if err != nil {
			return nil, &stop{status.ConditionRendered, "InvalidResources", err}
		}
		return files, nil
	}
	id, chunks, err := content.ParseID(b.Spec.ContentsID)
	if err != nil {
		return nil, &stop{status.ConditionRendered, "InvalidContents", fmt.Errorf("spec.contentsId: %w", err)}
	}
	files, err := r.Store.Files(ctx, id, chunks)
	if content.IsLost(err) {
		return nil, r.loseFiles(ctx, in, id, chunks, err)
	}
	return files, err
}

// plan is what the roll-up has to know besides the BundleDeployments: who should have one, and who cannot.
func (in *run) plan() status.Plan {
	p := status.Plan{
		Errors: map[string]string{}, Nearest: in.nearest, Waiting: map[string]string{}, Behind: map[string]string{},
		Written: map[string]int64{}, Seen: in.sees,
	}
	for _, pl := range in.places {
		p.Desired++
		switch {
		case pl.err != nil:
			p.Errors[pl.name()], pl.behind = pl.err.Error(), pl.err.Error()
		case pl.have == nil:
			p.Pending = append(p.Pending, pl.name())
			pl.behind = cmp.Or(pl.behind, "it is not written yet")
		}
		if pl.behind != "" {
			p.Behind[pl.name()] = pl.behind
		}
		if pl.waiting() {
			p.Waiting[pl.name()] = pl.waits.message
		}
		if pl.wrote != 0 {
			p.Written[pl.name()] = pl.wrote
		}
	}
	return p
}

// waiting tells whether the place has to wait for something new.
func (p *place) waiting() bool {
	return p.err == nil && p.waits.message != "" && p.behind == p.waits.message
}

// condition is the bundle's condition of one kind after this walk; "" leaves it as it is.
func (in *run) condition(kind string, s *stop) (value corev1.ConditionStatus, reason, message string) {
	if s != nil && s.Condition == kind {
		return falseOf(kind), s.Reason, s.Err.Error() + in.running()
	}
	if s != nil {
		return "", "", ""
	}
	switch kind {
	case status.ConditionNotServed:
		if len(in.notes) > 0 {
			return "True", "Ignored", strings.Join(in.notes, "; ")
		}
		return "False", "", ""
	case fleet.ConditionAccepted:
		return "True", "", ""
	case status.ConditionTargeted:
		if in.nearest != "" {
			return "False", "NoTargets", in.nearest
		}
		return "True", "", ""
	case status.ConditionWaiting:
		return in.waitingCondition()
	case status.ConditionHeld:
		if h := in.holdMessage(); h != "" {
			return "True", "Held", h
		}
		return "False", "", ""
	}
	if failed := in.failures(); len(failed) > 0 {
		return "False", in.reason(), sampleOf(failed) + in.running()
	}
	return "True", "", ""
}

// reason is that of the first failure: what the renderer found, or RenderFailed.
func (in *run) reason() string {
	first := in.places[slices.IndexFunc(in.places, func(p *place) bool { return p.err != nil })]
	var wrong *render.Error
	if errors.As(first.err, &wrong) {
		return wrong.Reason
	}
	return render.ReasonRenderFailed
}

// sentence says what is wrong with a place. The renderer names files as the bundle has them: in which directory that is
// stands in front.
func (in *run) sentence(err error) string {
	var wrong *render.Error
	dir := in.bundle.Annotations[fleet.PathAnnotation]
	if dir == "" || dir == "." || !errors.As(err, &wrong) {
		return err.Error()
	}
	return "in " + dir + ": " + err.Error()
}

// falseOf: NotServed and Held are bad when True, the others when False.
func falseOf(kind string) corev1.ConditionStatus {
	if kind == status.ConditionNotServed || kind == status.ConditionHeld || kind == status.ConditionWaiting {
		return "True"
	}
	return "False"
}

// failures are the distinct errors of single clusters, with the first cluster that has each.
func (in *run) failures() []string {
	count, first := map[string]int{}, map[string]string{}
	var order []string
	for _, p := range in.places {
		if p.err == nil {
			continue
		}
		m := in.sentence(p.err)
		if count[m]++; count[m] == 1 {
			first[m] = p.name()
			order = append(order, m)
		}
	}
	out := make([]string, 0, len(order))
	for _, m := range order {
		if count[m] == len(in.places) {
			out = append(out, m)
			continue
		}
		out = append(out, fmt.Sprintf("%s (%d of %d clusters, first %s)", m, count[m], len(in.places), first[m]))
	}
	return out
}

func sampleOf(in []string) string {
	if len(in) <= 3 {
		return strings.Join(in, "; ")
	}
	return fmt.Sprintf("%s; and %d more", strings.Join(in[:3], "; "), len(in)-3)
}

func joinKeys(set map[string]bool) string {
	keys := make([]string, 0, len(set))
	for k := range set {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	return strings.Join(keys, ", ")
}
