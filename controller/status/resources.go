package status

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	fleet "flotilla.io/flotilla/api/v1alpha1"
)

// Bounds of what a GitRepo or HelmOp shows of objects; their counts are exact.
const (
	resourceBytes = 32 << 10 // objects, without the clusters
	clusterBytes  = 16 << 10 // the clusters of all objects
	countsBytes   = 20 << 10 // counts of single clusters
	reportedMost  = 10       // objects that an agent's report has of what is wrong; with so many there may be more
)

// The states of an object on a cluster, besides those of deployments.
const (
	objectMissing  = "Missing"
	objectOrphaned = "Orphaned"
)

// objectRank orders the states of objects, the worst highest. Words of agents that are not in it count as NotReady.
var objectRank = map[string]int{
	string(fleet.ErrApplied): 10, string(fleet.WaitApplied): 9, objectMissing: 8, string(fleet.Modified): 7, objectOrphaned: 6,
	string(fleet.OutOfSync): 5, string(fleet.Pending): 4, string(fleet.NotReady): 3, string(fleet.Unknown): 2, string(fleet.Ready): 1,
}

func rankOf(state string) int {
	if rank, ok := objectRank[state]; ok {
		return rank
	}
	return objectRank[string(fleet.NotReady)]
}

// objects are the objects of a source's deployments by what they are.
type objects map[fleet.ResourceKey]*object

// object is one of them on all clusters.
type object struct {
	resource fleet.Resource
	cluster  string // the first cluster in the worst state
	clusters map[string][]string
}

// seen is what one cluster says about one object.
type seen struct {
	state                string
	message              []string
	failed, transitional bool
}

// add takes in the objects of one deployment. On a lost cluster their state is Unknown; where the report was cut, that of
// the objects that it does not name is.
func (o objects) add(bd *fleet.BundleDeployment, state fleet.BundleState, cluster string) {
	st := &bd.Status
	cut := st.IncompleteState && (len(st.NonReadyStatus) >= reportedMost || len(st.ModifiedStatus) >= reportedMost)
	otherwise := string(state)
	if state == fleet.NotReady || state == fleet.Modified { // which objects make it so, stands below
		otherwise = string(fleet.Ready)
		if cut {
			otherwise = string(fleet.Unknown)
		}
	}
	named := wrongObjects(bd, state)
	for _, r := range st.Resources {
		key := fleet.ResourceKey{Kind: r.Kind, APIVersion: r.APIVersion, Namespace: r.Namespace, Name: r.Name}
		s, ok := named[key]
		if !ok {
			s.state = otherwise
		}
		delete(named, key)
		o.see(key, s, cluster, st.IncompleteState)
	}
	for key, s := range named {
		o.see(key, s, cluster, st.IncompleteState)
	}
}

// wrongObjects are the objects of which a report says that they are not as they should be.
func wrongObjects(bd *fleet.BundleDeployment, state fleet.BundleState) map[fleet.ResourceKey]seen {
	st := &bd.Status
	if state == fleet.Unknown || len(st.NonReadyStatus)+len(st.ModifiedStatus) == 0 {
		return nil
	}
	named := map[fleet.ResourceKey]seen{}
	for _, n := range st.NonReadyStatus {
		named[fleet.ResourceKey{Kind: n.Kind, APIVersion: n.APIVersion, Namespace: n.Namespace, Name: n.Name}] = seen{
			state: string(fleet.NotReady), message: n.Summary.Message, failed: n.Summary.Error, transitional: n.Summary.Transitioning}
	}
	for _, m := range st.ModifiedStatus {
		named[fleet.ResourceKey{Kind: m.Kind, APIVersion: m.APIVersion, Namespace: m.Namespace, Name: m.Name}] = seen{state: stateOfModified(m), message: []string{m.Patch}}
	}
	return named
}

func stateOfModified(m fleet.ModifiedStatus) string {
	switch {
	case m.Create:
		return objectMissing
	case m.Delete:
		return objectOrphaned
	}
	return string(fleet.Modified)
}

func (o objects) see(key fleet.ResourceKey, s seen, cluster string, incomplete bool) {
	have := o[key]
	if have == nil {
		have = &object{clusters: map[string][]string{}, resource: fleet.Resource{
			APIVersion: key.APIVersion, Kind: key.Kind, Namespace: key.Namespace, Name: key.Name, Type: typeOf(key), ID: idOf(key),
		}}
		o[key] = have
	}
	r := &have.resource
	r.IncompleteState = r.IncompleteState || incomplete
	r.Error, r.Transitioning = r.Error || s.failed, r.Transitioning || s.transitional
	have.clusters[s.state] = append(have.clusters[s.state], cluster)
	by := cmp.Or(rankOf(s.state)-rankOf(r.State), strings.Compare(have.cluster, cluster))
	if r.State == "" || by > 0 {
		have.cluster, r.State, r.Message = cluster, s.state, fleet.Clip(strings.Join(s.message, ", "), wordsBytes/2)
	}
}

// typeOf is Rancher's spelling: apps.deployment, configmap.
func typeOf(key fleet.ResourceKey) string {
	group, _, _ := strings.Cut(key.APIVersion, "/")
	if group == "v1" || group == "" {
		return strings.ToLower(key.Kind)
	}
	return group + "." + strings.ToLower(key.Kind)
}

func idOf(key fleet.ResourceKey) string {
	if key.Namespace == "" {
		return key.Name
	}
	return key.Namespace + "/" + key.Name
}

// list is status.resources: by type and ID. Where not all fit, those that are as they should be are left out first; where
// not all clusters do, incompleteState says so.
func (o objects) list() []fleet.Resource {
	all := slices.SortedFunc(maps.Values(o), func(a, b *object) int {
		return cmp.Or(rankOf(b.resource.State)-rankOf(a.resource.State), byID(a, b))
	})
	room := resourceBytes
	for i, one := range all {
		if room -= encodedSize(one.resource); room < 0 {
			all = all[:i]
			break
		}
	}
	slices.SortFunc(all, byID)
	var out []fleet.Resource
	for _, one := range all {
		one.place(clusterBytes / len(all))
		out = append(out, one.resource)
	}
	return out
}

func byID(a, b *object) int {
	return cmp.Or(strings.Compare(a.resource.Type+"/"+a.resource.ID, b.resource.Type+"/"+b.resource.ID),
		strings.Compare(a.resource.APIVersion, b.resource.APIVersion))
}

// place names the clusters by state, the worst state first, as many as there is room for.
func (o *object) place(room int) {
	states := slices.SortedFunc(maps.Keys(o.clusters), func(a, b string) int { return cmp.Or(rankOf(b)-rankOf(a), strings.Compare(a, b)) })
	for _, state := range states {
		clusters := o.clusters[state]
		slices.Sort(clusters)
		clusters = slices.Compact(clusters) // two deployments may want one object
		for i, cluster := range clusters {
			if room -= len(cluster) + len(`"",`); room < 0 {
				o.resource.IncompleteState = true
				clusters = clusters[:i]
				break
			}
		}
		if list := listFor(&o.resource.PerClusterState, state); len(clusters) > 0 {
			*list = append(*list, clusters...)
		}
	}
}

// listFor is where a state's clusters stand. Fleet has no list for two states: what could not be applied waits to be, and
// what is out of sync with the next revision is ready.
func listFor(s *fleet.PerClusterState, state string) *[]string {
	switch state {
	case string(fleet.Ready), string(fleet.OutOfSync):
		return &s.Ready
	case string(fleet.WaitApplied), string(fleet.ErrApplied):
		return &s.WaitApplied
	case string(fleet.Pending):
		return &s.Pending
	case string(fleet.Modified):
		return &s.Modified
	case objectOrphaned:
		return &s.Orphaned
	case objectMissing:
		return &s.Missing
	case string(fleet.Unknown):
		return &s.Unknown
	}
	return &s.NotReady
}

// countsOf are the counts that a deployment adds: on a lost cluster nobody knows of any object, and what is ready of an
// earlier revision is not ready.
func countsOf(bd *fleet.BundleDeployment, state fleet.BundleState) fleet.ResourceCounts {
	c := bd.Status.ResourceCounts
	switch {
	case state == fleet.Unknown:
		return fleet.ResourceCounts{DesiredReady: c.DesiredReady, Unknown: c.DesiredReady}
	case bd.Status.AppliedDeploymentID != bd.Spec.DeploymentID:
		c.WaitApplied, c.Ready = c.WaitApplied+c.Ready, 0
	}
	return c
}

func addCounts(sum *fleet.ResourceCounts, c fleet.ResourceCounts) {
	sum.Ready += c.Ready
	sum.DesiredReady += c.DesiredReady
	sum.WaitApplied += c.WaitApplied
	sum.Modified += c.Modified
	sum.Orphaned += c.Orphaned
	sum.Missing += c.Missing
	sum.Unknown += c.Unknown
	sum.NotReady += c.NotReady
}

// boundCounts keeps the counts of as many clusters as there is room for, those first that are not all ready.
func boundCounts(counts map[string]*fleet.ResourceCounts) map[string]*fleet.ResourceCounts {
	names := slices.SortedFunc(maps.Keys(counts), func(a, b string) int {
		return cmp.Or(allReady(counts[a])-allReady(counts[b]), strings.Compare(a, b))
	})
	out, room := map[string]*fleet.ResourceCounts{}, countsBytes
	for _, name := range names {
		if room -= len(name) + len(`"":,`) + encodedSize(counts[name]); room < 0 {
			break
		}
		out[name] = counts[name]
	}
	if len(out) == 0 {
		return nil
	}
	return out
}

// allReady is 1 for a cluster with nothing to look at.
func allReady(c *fleet.ResourceCounts) int {
	if c.Ready == c.DesiredReady {
		return 1
	}
	return 0
}
