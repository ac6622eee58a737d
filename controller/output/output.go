// Package output hands values over between clusters: it finds what the inputs of a bundle are on each cluster, from the outputs of other
// bundles and from what is known of clusters.
//
// It reads what agents reported and keeps nothing of it, so that it says the same after a restart, but for clusters that were left out
// and get another revision. What is sensitive comes sealed,
// is opened here, and goes on into sealed layers only.
package output

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/controller-runtime/pkg/client"

	agentapi "flotilla.io/flotilla/api/flotilla/v1alpha1"
	fleet "flotilla.io/flotilla/api/v1alpha1"
	"flotilla.io/flotilla/bundle/expression"
	"flotilla.io/flotilla/bundle/fleetyaml/nearest"
	"flotilla.io/flotilla/bundle/layer"
	"flotilla.io/flotilla/bundle/target"
	"flotilla.io/flotilla/controller/keys"
	"flotilla.io/flotilla/controller/status"
)

// Giver finds the inputs of bundles. Its fields are set before it is used; it is safe for concurrent use.
type Giver struct {
	Client client.Client // cached
	Reader client.Reader // live: Secrets
	Keys   *keys.Keys

	circles   circles
	mu        sync.Mutex
	generated map[string]any // values that were made, by Secret and output: they never change
	verdicts  map[client.ObjectKey]Verdict
}

// Inputs are those of one bundle, for all clusters.
type Inputs struct {
	bundle  *fleet.Bundle
	sources []*source
	circles *circles
}

// source is an input with all that there is to take for it.
type source struct {
	fleet.Input
	producer  client.ObjectKey
	sensitive bool
	missing   string  // why there is nothing on any cluster
	value     any     // one for all, of a value that was made
	made      bool    // value counts
	from      []given // by cluster, sorted by namespace and name
}

// given is what one cluster has to give.
type given struct {
	cluster *fleet.Cluster
	value   any
	each    map[string]any // by consumer, "namespace/name"
	why     string         // there is no value
}

// For prepares the inputs of a bundle; nil if it has none. agents are those of all clusters, by cluster namespace.
func (g *Giver) For(ctx context.Context, b *fleet.Bundle, agents map[string]*agentapi.Agent) (*Inputs, error) {
	g.circles.forget(client.ObjectKeyFromObject(b))
	if len(b.Spec.Inputs) == 0 {
		return nil, nil
	}
	in := &Inputs{bundle: b, circles: &g.circles}
	for _, input := range b.Spec.Inputs {
		s := &source{Input: input, producer: Producer(b, &input)}
		in.sources = append(in.sources, s)
		selector, err := selectorOf(input.ClusterSelector)
		if err != nil {
			s.missing = fmt.Sprintf("inputs (%s): clusterSelector: %s", input.Name, err)
			continue
		}
		if input.From.Fact != "" {
			err = g.facts(ctx, b, s, selector, agents)
		} else {
			err = g.outputs(ctx, b, s, selector, agents)
		}
		if err != nil {
			return nil, err
		}
	}
	return in, nil
}

func selectorOf(s *metav1.LabelSelector) (labels.Selector, error) {
	if s == nil {
		return labels.Everything(), nil
	}
	return metav1.LabelSelectorAsSelector(s)
}

// facts evaluates an expression over each cluster of the workspace.
func (g *Giver) facts(ctx context.Context, b *fleet.Bundle, s *source, selector labels.Selector, agents map[string]*agentapi.Agent) error {
	compiled, err := expression.Compile(s.From.Fact, expression.Cluster)
	if err != nil {
		s.missing = fmt.Sprintf("inputs (%s): from.fact: %s", s.Name, err)
		return nil
	}
	list := &fleet.ClusterList{}
	if err := g.Client.List(ctx, list, client.InNamespace(b.Namespace), client.MatchingLabelsSelector{Selector: selector}); err != nil {
		return err
	}
	for i := range list.Items {
		c := &list.Items[i]
		if !c.DeletionTimestamp.IsZero() {
			continue
		}
		v := given{cluster: c}
		if v.value, err = compiled.Value(ctx, map[string]any{expression.Cluster: Seen(c, agents[c.Status.Namespace])}); err != nil {
			v.why = err.Error()
		}
		if s.Healthy && Lost(c) {
			v.leave(lost)
		}
		s.from = append(s.from, v)
	}
	return nil
}

// outputs gathers what the clusters of another bundle have to give.
func (g *Giver) outputs(ctx context.Context, b *fleet.Bundle, s *source, selector labels.Selector, agents map[string]*agentapi.Agent) error {
	key, producer := s.producer, &fleet.Bundle{}
	if err := g.Client.Get(ctx, key, producer); err != nil {
		s.missing = fmt.Sprintf("workspace %s has no bundle %q%s", key.Namespace, key.Name, g.hint(ctx, b, key))
		return client.IgnoreNotFound(err)
	}
	i := slices.IndexFunc(producer.Spec.Outputs, func(o fleet.Output) bool { return o.Name == s.From.Output })
	if i < 0 {
		var names []string
		for _, o := range producer.Spec.Outputs {
			names = append(names, o.Name)
		}
		s.missing = fmt.Sprintf("bundle %s has no output %q%s", key.Name, s.From.Output, nearest.Hint(s.From.Output, names))
		return nil
	}
	output := &producer.Spec.Outputs[i]
	if !granted(output, producer, b) {
		s.missing = fmt.Sprintf("bundle %s of workspace %s does not grant its output %s to bundle %s of workspace %s", key.Name, key.Namespace, output.Name, b.Name, b.Namespace)
		return nil
	}
	s.sensitive = target.IsSensitive(output)
	if output.Generate != nil {
		var err error
		s.value, err = g.make(ctx, producer, output)
		s.made = err == nil
		return err
	}
	return g.reported(ctx, s, output, producer, selector, agents)
}

// hint names a bundle that may have been meant, of the workspace that asks only.
func (g *Giver) hint(ctx context.Context, b *fleet.Bundle, key client.ObjectKey) string {
	list := &fleet.BundleList{}
	if key.Namespace != b.Namespace || g.Client.List(ctx, list, client.InNamespace(key.Namespace), client.UnsafeDisableDeepCopy) != nil {
		return ""
	}
	var names []string
	for i := range list.Items {
		if list.Items[i].Name != b.Name {
			names = append(names, list.Items[i].Name)
		}
	}
	return nearest.Hint(key.Name, names)
}

// granted tells whether a bundle may take an output: those of the same workspace where nothing else was said.
func granted(o *fleet.Output, producer, consumer *fleet.Bundle) bool {
	if len(o.Grants) == 0 {
		return producer.Namespace == consumer.Namespace
	}
	return slices.ContainsFunc(o.Grants, func(grant fleet.OutputGrant) bool {
		workspace := grant.Workspace
		if workspace == "" {
			workspace = producer.Namespace
		}
		return workspace == consumer.Namespace && (grant.Bundle == "" || grant.Bundle == consumer.Name)
	})
}

// reported takes what stands in the BundleDeployments of the producer.
func (g *Giver) reported(ctx context.Context, s *source, o *fleet.Output, producer *fleet.Bundle, selector labels.Selector, agents map[string]*agentapi.Agent) error {
	list := &fleet.BundleDeploymentList{}
	err := g.Client.List(ctx, list, client.MatchingFields{status.BundleIndex: client.ObjectKeyFromObject(producer).String()}, client.UnsafeDisableDeepCopy)
	if err != nil {
		return err
	}
	for i := range list.Items {
		bd := &list.Items[i]
		c := &fleet.Cluster{}
		key := client.ObjectKey{Namespace: bd.Labels[fleet.ClusterNamespaceLabel], Name: bd.Labels[fleet.ClusterLabel]}
		if err := g.Client.Get(ctx, key, c); apierrors.IsNotFound(err) {
			continue
		} else if err != nil {
			return err
		}
		if bd.Spec.Deletion != nil || !c.DeletionTimestamp.IsZero() || !selector.Matches(labels.Set(c.Labels)) {
			continue // a cluster that leaves takes its value with it
		}
		v := given{cluster: c, each: map[string]any{}}
		if o.Object == nil {
			err = g.evaluate(ctx, &v, o, producer, agents[bd.Namespace])
		} else {
			err = g.open(ctx, &v, bd, o)
		}
		if err != nil {
			return err
		}
		if s.Healthy {
			if why := g.unhealthy(c, bd); why != "" {
				v.leave(why)
			}
		}
		s.from = append(s.from, v)
	}
	slices.SortFunc(s.from, func(a, b given) int { return strings.Compare(nameOf(a.cluster), nameOf(b.cluster)) })
	return nil
}

func nameOf(c *fleet.Cluster) string { return c.Namespace + "/" + c.Name }

// evaluate computes an output that looks at no object.
func (g *Giver) evaluate(ctx context.Context, v *given, o *fleet.Output, producer *fleet.Bundle, agent *agentapi.Agent) error {
	see := map[string]any{expression.Cluster: Seen(v.cluster, agent)}
	names, members := []string{expression.Cluster}, []string{""}
	if o.ForEach != nil {
		var err error
		if members, err = g.Members(ctx, producer, o); err != nil {
			return err
		}
		names = append(names, expression.Each)
	}
	compiled, err := expression.Compile(o.Value, names...)
	if err != nil {
		v.why = err.Error()
		return nil
	}
	for _, each := range members {
		namespace, name, _ := strings.Cut(each, "/")
		see[expression.Each] = map[string]any{"namespace": namespace, "name": name}
		value, err := compiled.Value(ctx, see)
		switch {
		case err != nil:
			v.why = err.Error()
		case each == "":
			v.value = value
		default:
			v.each[each] = value
		}
	}
	return nil
}

// open takes an output as the agent reported it.
func (g *Giver) open(ctx context.Context, v *given, bd *fleet.BundleDeployment, o *fleet.Output) error {
	v.why = "its agent has not reported it yet"
	for _, reported := range bd.Status.Outputs {
		if reported.Name != o.Name {
			continue
		}
		value, err := g.plain(ctx, v.cluster, bd.Name, &reported)
		switch {
		case err != nil:
			v.why = err.Error()
		case value == nil:
			v.why = reported.Error
		case reported.Each == "":
			v.value, v.why = value, ""
		default:
			v.each[reported.Each] = value
		}
	}
	return nil
}

func (g *Giver) plain(ctx context.Context, c *fleet.Cluster, bundle string, v *fleet.OutputValue) (any, error) {
	var raw json.RawMessage
	switch {
	case v.Value != nil:
		raw = v.Value.Raw
	case v.Sealed != nil:
		key, err := g.Keys.Of(ctx, g.Reader, c)
		if err != nil {
			return nil, err
		}
		if raw, err = layer.OpenValue(key, layer.ValueName(bundle, v.Name, v.Each), v.Sealed); err != nil {
			return nil, err
		}
	default:
		return nil, nil
	}
	var value any
	return value, json.Unmarshal(raw, &value)
}

// Members are the clusters of the bundle's workspace that get a value of their own, as "namespace/name", sorted.
func (g *Giver) Members(ctx context.Context, b *fleet.Bundle, o *fleet.Output) ([]string, error) {
	selector, err := selectorOf(o.ForEach.ClusterSelector)
	if err != nil {
		return nil, nil // fleet.yaml was refused for it
	}
	list := &fleet.ClusterList{}
	err = g.Client.List(ctx, list, client.InNamespace(b.Namespace), client.MatchingLabelsSelector{Selector: selector}, client.UnsafeDisableDeepCopy)
	var out []string
	for i := range list.Items {
		if list.Items[i].DeletionTimestamp.IsZero() {
			out = append(out, nameOf(&list.Items[i]))
		}
	}
	slices.Sort(out)
	return out, err
}

// Orders are the outputs of a bundle that agents report.
func (g *Giver) Orders(ctx context.Context, b *fleet.Bundle) ([]fleet.OutputOrder, error) {
	var orders []fleet.OutputOrder
	for i := range b.Spec.Outputs {
		o := &b.Spec.Outputs[i]
		if o.Object == nil {
			continue
		}
		order := fleet.OutputOrder{Name: o.Name, Object: *o.Object, Value: o.Value, Sensitive: o.Sensitive}
		if o.ForEach != nil {
			var err error
			if order.Each, err = g.Members(ctx, b, o); err != nil {
				return nil, err
			}
			if len(order.Each) == 0 {
				continue
			}
		}
		orders = append(orders, order)
	}
	return orders, nil
}

// Seen is what expressions see of a cluster.
func Seen(c *fleet.Cluster, a *agentapi.Agent) map[string]any {
	text := func(in map[string]string) map[string]any {
		out := make(map[string]any, len(in))
		for k, v := range in {
			out[k] = v
		}
		return out
	}
	seen := map[string]any{
		"name": c.Name, "namespace": c.Namespace, "labels": text(c.Labels), "annotations": text(c.Annotations),
		"values": map[string]any{}, "facts": map[string]any{},
	}
	if v := c.Spec.TemplateValues; v != nil && v.Data != nil {
		seen["values"] = maps.Clone(v.Data)
	}
	facts := map[string]any{}
	if a != nil {
		if data, err := json.Marshal(a.Status.Facts); err == nil && a.Status.Facts != nil {
			_ = json.Unmarshal(data, &facts)
		}
		if a.Status.KubernetesVersion != "" {
			facts["kubernetesVersion"] = a.Status.KubernetesVersion
		}
		if len(a.Status.APIs) > 0 {
			facts["apis"] = a.Status.APIs
		}
	}
	seen["facts"] = facts
	return seen
}
