package snapshot

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"sigs.k8s.io/controller-runtime/pkg/client"

	fleet "flotilla.io/flotilla/api/v1alpha1"
)

// Hub is where a snapshot is taken.
type Hub struct {
	Client client.Client
	// System is the namespace of the controller; Namespace that of the clusters and groups that are looked at.
	System, Namespace string
}

// Take takes a snapshot at a moment, which is now.
func (h Hub) Take(ctx context.Context, now time.Time) (*Snapshot, error) {
	s := &Snapshot{Timestamp: now.UTC().Format(time.RFC3339)}
	for what, collect := range map[string]func(context.Context, *Snapshot, time.Time) error{
		"the controller's pods": h.controller, "GitRepos": h.gitRepos, "Bundles": h.bundles, "BundleDeployments": h.deployments,
		"Contents": h.contents, "Clusters": h.clusters, "ClusterGroups": h.groups, "Secrets": h.secrets, "events": h.events,
		"the namespace several times": h.consistency,
	} {
		if err := collect(ctx, s, now); err != nil {
			return nil, fmt.Errorf("reading %s: %w", what, err)
		}
	}
	s.OrphanedSecrets, s.ContentIssues = orphaned(s), lost(s)
	s.Diagnostics = Diagnose(s)
	return s, nil
}

func metaOf(o metav1.Object) Meta {
	m := Meta{o.GetNamespace(), o.GetName(), string(o.GetUID()), o.GetGeneration(), "", o.GetFinalizers()}
	if at := o.GetDeletionTimestamp(); at != nil {
		m.DeletionTimestamp = stamp(*at)
	}
	return m
}

func stamp(t metav1.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

func stateOf(conditions []fleet.GenericCondition, o metav1.Object) State {
	s := State{Hold: o.GetAnnotations()[fleet.HoldAnnotation]}
	if _, held := o.GetAnnotations()[fleet.HoldAnnotation]; held && s.Hold == "" {
		s.Hold = "no reason given"
	}
	if c := fleet.Condition(conditions, fleet.ConditionReady); c != nil {
		if s.Ready = c.Status == "True"; !s.Ready {
			s.ReadyMessage, s.Reason = c.Message, c.Reason
		}
	}
	return s
}

func (h Hub) controller(ctx context.Context, s *Snapshot, _ time.Time) error {
	pods := &corev1.PodList{}
	if err := h.Client.List(ctx, pods, client.InNamespace(h.System), client.MatchingLabels{"app.kubernetes.io/name": "flotilla"}); err != nil {
		return err
	}
	for _, p := range pods.Items {
		pod := Pod{Name: p.Name, Status: string(p.Status.Phase)}
		if p.Status.StartTime != nil {
			pod.StartTime = stamp(*p.Status.StartTime)
		}
		for _, c := range p.Status.ContainerStatuses {
			pod.Restarts += c.RestartCount
		}
		s.Controller = append(s.Controller, pod)
	}
	return nil
}

func (h Hub) gitRepos(ctx context.Context, s *Snapshot, _ time.Time) error {
	list := &fleet.GitRepoList{}
	if err := h.Client.List(ctx, list); err != nil {
		return err
	}
	for i := range list.Items {
		r := &list.Items[i]
		found := GitRepo{
			Meta: metaOf(r), State: stateOf(r.Status.Conditions, r), ObservedGeneration: r.Status.ObservedGeneration,
			Commit: r.Status.Commit, PollingCommit: r.Status.PollingCommit, WebhookCommit: r.Status.WebhookCommit,
			ForceSyncGeneration: r.Spec.ForceSyncGeneration,
		}
		if c := fleet.Condition(r.Status.Conditions, fleet.ConditionGitPolling); c != nil && c.Status == "False" {
			found.Unreachable = cmp.Or(c.Message, c.Reason, "unknown")
		}
		s.GitRepos = append(s.GitRepos, found)
	}
	return nil
}

func (h Hub) bundles(ctx context.Context, s *Snapshot, _ time.Time) error {
	list := &fleet.BundleList{}
	if err := h.Client.List(ctx, list); err != nil {
		return err
	}
	for i := range list.Items {
		b := &list.Items[i]
		data, err := json.Marshal(b)
		if err != nil {
			return err
		}
		found := Bundle{
			Meta: metaOf(b), State: stateOf(b.Status.Conditions, b), ObservedGeneration: b.Status.ObservedGeneration,
			Commit: b.Labels[fleet.CommitLabel], RepoName: b.Labels[fleet.RepoLabel], Labels: b.Labels,
			ForceSyncGeneration: b.Spec.ForceSyncGeneration, SizeBytes: int64(len(data)), ValuesHash: b.Spec.ValuesHash,
		}
		if bad := b.Status.Summary.NonReadyResources; len(bad) > 0 {
			found.ErrorMessage = bad[0].Message
		}
		for _, c := range b.Status.Conditions {
			if c.Reason == fleet.ReasonContentMissing {
				found.ContentLost = cmp.Or(c.Message, c.Reason)
			}
		}
		s.Bundles = append(s.Bundles, found)
	}
	return nil
}

func (h Hub) deployments(ctx context.Context, s *Snapshot, _ time.Time) error {
	list := &fleet.BundleDeploymentList{}
	if err := h.Client.List(ctx, list); err != nil {
		return err
	}
	for i := range list.Items {
		d := &list.Items[i]
		found := BundleDeployment{
			Meta: metaOf(d), State: stateOf(d.Status.Conditions, d), Health: string(d.Status.Health), Commit: d.Labels[fleet.CommitLabel],
			ForceSyncGeneration: d.Spec.Options.ForceSyncGeneration, SyncGeneration: d.Status.SyncGeneration,
			DeploymentID: d.Spec.DeploymentID, StagedDeploymentID: d.Spec.StagedDeploymentID, AppliedDeploymentID: d.Status.AppliedDeploymentID,
			Labels: d.Labels, BundleName: d.Labels[fleet.BundleLabel], BundleNamespace: d.Labels[fleet.BundleNamespaceLabel],
		}
		if hold := d.Status.Hold; hold != nil {
			found.Hold = cmp.Or(hold.Message, hold.Reason)
		}
		if bad := d.Status.NonReadyStatus; len(bad) > 0 {
			found.ErrorMessage = strings.Join(bad[0].Summary.Message, ", ")
		}
		for _, l := range d.Spec.Layers {
			found.Contents = append(found.Contents, contentNames(l)...)
		}
		s.BundleDeployments = append(s.BundleDeployments, found)
	}
	return nil
}

// contentNames are the Contents of a layer: one by its name, or a number of them.
func contentNames(l fleet.LayerRef) (names []string) {
	if l.Chunks <= 1 {
		return []string{l.ID}
	}
	for i := range l.Chunks {
		names = append(names, fmt.Sprintf("%s-%d", l.ID, i))
	}
	return names
}

// contents reads names only: what they hold may be many gigabytes.
func (h Hub) contents(ctx context.Context, s *Snapshot, _ time.Time) error {
	return h.names(ctx, "Content", fleet.GroupVersion.String(), func(m *metav1.PartialObjectMetadata) {
		s.Contents = append(s.Contents, Content{metaOf(m)})
	})
}

func (h Hub) secrets(ctx context.Context, s *Snapshot, _ time.Time) error {
	ofValues := client.MatchingFieldsSelector{Selector: fields.OneTermEqualSelector("type", string(fleet.SecretTypeBundleValues))}
	return h.names(ctx, "Secret", "v1", func(m *metav1.PartialObjectMetadata) {
		s.BundleSecrets = append(s.BundleSecrets, Secret{metaOf(m), string(fleet.SecretTypeBundleValues), "Bundle", m.Name})
	}, ofValues)
}

func (h Hub) names(ctx context.Context, kind, version string, take func(*metav1.PartialObjectMetadata), options ...client.ListOption) error {
	list := &metav1.PartialObjectMetadataList{TypeMeta: metav1.TypeMeta{Kind: kind + "List", APIVersion: version}}
	if err := h.Client.List(ctx, list, options...); err != nil {
		return err
	}
	for i := range list.Items {
		take(&list.Items[i])
	}
	return nil
}

func (h Hub) clusters(ctx context.Context, s *Snapshot, now time.Time) error {
	list := &fleet.ClusterList{}
	if err := h.Client.List(ctx, list, client.InNamespace(h.Namespace)); err != nil {
		return err
	}
	for i := range list.Items {
		c := &list.Items[i]
		found := Cluster{
			Meta: metaOf(c), State: stateOf(c.Status.Conditions, c), AgentNamespace: c.Status.Agent.Namespace,
			AgentLastSeen: stamp(c.Status.Agent.LastSeen), DisplayState: c.Status.Display.State,
			BundleDeployments: c.Status.Summary.DesiredReady, ReadyBundleDeployments: c.Status.Summary.Ready,
		}
		if seen := c.Status.Agent.LastSeen; !seen.IsZero() {
			found.AgentLastSeenAge = now.Sub(seen.Time).Round(time.Second).String()
		}
		s.Clusters = append(s.Clusters, found)
	}
	return nil
}

func (h Hub) groups(ctx context.Context, s *Snapshot, _ time.Time) error {
	list := &fleet.ClusterGroupList{}
	if err := h.Client.List(ctx, list, client.InNamespace(h.Namespace)); err != nil {
		return err
	}
	for i := range list.Items {
		g := &list.Items[i]
		s.ClusterGroups = append(s.ClusterGroups, ClusterGroup{metaOf(g), g.Status.ClusterCount, metav1.FormatLabelSelector(g.Spec.Selector)})
	}
	return nil
}

// recent bounds the events of a snapshot.
const recent = 20

func (h Hub) events(ctx context.Context, s *Snapshot, _ time.Time) error {
	list := &corev1.EventList{}
	ofFleet := client.MatchingFieldsSelector{Selector: fields.OneTermEqualSelector("involvedObject.apiVersion", fleet.GroupVersion.String())}
	if err := h.Client.List(ctx, list, ofFleet); err != nil {
		return err
	}
	slices.SortFunc(list.Items, func(a, b corev1.Event) int { return last(a).Compare(last(b).Time) })
	for _, e := range list.Items[max(len(list.Items)-recent, 0):] {
		s.RecentEvents = append(s.RecentEvents, Event{
			e.Namespace, e.Type, e.Reason, e.Message, e.InvolvedObject.Kind, e.InvolvedObject.Name, e.Count, stamp(last(e)),
		})
	}
	return nil
}

func last(e corev1.Event) metav1.Time {
	if e.LastTimestamp.IsZero() {
		return metav1.Time{Time: e.EventTime.Time}
	}
	return e.LastTimestamp
}

// consistency reads the namespace three times: an API server that goes back in time answers with an older version.
func (h Hub) consistency(ctx context.Context, s *Snapshot, _ time.Time) error {
	if h.Namespace == "" {
		return nil
	}
	s.APIConsistency = &APIConsistency{Consistent: true}
	for range 3 {
		ns := &corev1.Namespace{}
		if err := h.Client.Get(ctx, client.ObjectKey{Name: h.Namespace}, ns); err != nil {
			return errors.Join(err, fmt.Errorf("--namespace names a workspace of the hub"))
		}
		s.APIConsistency.Versions = append(s.APIConsistency.Versions, ns.ResourceVersion)
	}
	s.APIConsistency.Consistent = len(slices.Compact(slices.Clone(s.APIConsistency.Versions))) == 1
	return nil
}
