package apply

import (
	"crypto/sha1"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"flotilla.io/flotilla/agent/once"
	"flotilla.io/flotilla/agent/plan"
	"flotilla.io/flotilla/agent/tenant"
	"flotilla.io/flotilla/api/v1alpha1"
	"flotilla.io/flotilla/bundle/layer"
)

// Owner is who objects belong to: a BundleDeployment of a cluster namespace.
type Owner struct{ ClusterNamespace, Deployment string }

func (o Owner) String() string { return o.ClusterNamespace + "/" + o.Deployment }

// setID names the deployment in Fleet's form. Fleet puts the agent's default namespace in front, which is "default", and
// has one name for the bundles that deploy an agent.
func (o Owner) setID() string {
	if strings.HasPrefix(o.Deployment, v1alpha1.AgentBundlePrefix) {
		return v1alpha1.AgentBundlePrefix + "-bootstrap"
	}
	return v1alpha1.SafeConcatName("default", o.Deployment)
}

// Placement says in which namespace objects go.
type Placement struct {
	Default string // for objects that name none
	Forced  string // for all objects; none may be without namespace scope
}

// PlacementOf reads it from a deployment's options.
func PlacementOf(o v1alpha1.BundleDeploymentOptions) Placement {
	p := Placement{Default: "default", Forced: o.TargetNamespace}
	if o.DefaultNamespace != "" {
		p.Default = o.DefaultNamespace
	}
	if p.Forced != "" {
		p.Default = p.Forced
	}
	return p
}

// Resolve finds out what an object of a layer is on this cluster: its scope decides its namespace. The entry's content is
// read for the API version only.
func Resolve(kinds *tenant.Kinds, e layer.Entry, place Placement, owner Owner) (plan.Wanted, error) {
	gvk, err := kindOf(e)
	if err != nil {
		return plan.Wanted{}, err
	}
	kind, err := kinds.Of(gvk)
	if err != nil {
		return plan.Wanted{}, explain(e.Key, err)
	}
	key := e.Key
	switch {
	case !kind.Namespaced && place.Forced != "":
		return plan.Wanted{}, fmt.Errorf("%s has no namespace scope, but the option namespace puts every object into %q; drop the object or use defaultNamespace",
			key, place.Forced)
	case !kind.Namespaced:
		key.Namespace = ""
	case place.Forced != "":
		key.Namespace = place.Forced
	case key.Namespace == "":
		key.Namespace = place.Default
	}
	return plan.Wanted{Key: key, Version: gvk.Version, Digest: plan.Digest(e.Digest, key.Namespace, owner.String()), Once: once.Digest(e)}, nil
}

func kindOf(e layer.Entry) (schema.GroupVersionKind, error) {
	var head struct {
		APIVersion string `json:"apiVersion"`
	}
	if err := json.Unmarshal(e.Object, &head); err != nil {
		return schema.GroupVersionKind{}, fmt.Errorf("reading %s: it is no JSON object", e.Key)
	}
	gv, err := schema.ParseGroupVersion(head.APIVersion)
	if err != nil {
		return schema.GroupVersionKind{}, fmt.Errorf("reading %s: apiVersion: %w", e.Key, err)
	}
	return gv.WithKind(e.Key.Kind), nil
}

// Prepare makes the object that is sent: in its namespace, and with the labels and annotations that say whose it is.
func Prepare(e layer.Entry, wanted plan.Wanted, owner Owner) (*unstructured.Unstructured, error) {
	u := &unstructured.Unstructured{}
	if err := u.UnmarshalJSON(e.Object); err != nil {
		return nil, fmt.Errorf("reading %s: it is no Kubernetes object", e.Key)
	}
	u.SetNamespace(wanted.Key.Namespace)
	u.SetUID("")
	u.SetResourceVersion("")
	u.SetManagedFields(nil)
	sum := sha1.Sum([]byte(owner.setID()))
	u.SetLabels(with(u.GetLabels(), map[string]string{
		v1alpha1.ObjectSetHashLabel: hex.EncodeToString(sum[:]),
		v1alpha1.OwnedLabel:         "true",
	}))
	u.SetAnnotations(with(u.GetAnnotations(), map[string]string{
		v1alpha1.ObjectSetIDAnnotation: owner.setID(),
		v1alpha1.OwnerAnnotation:       owner.String(),
	}))
	if wanted.Once != "" {
		u.SetAnnotations(with(u.GetAnnotations(), map[string]string{v1alpha1.SpecDigestAnnotation: wanted.Once}))
	}
	return u, nil
}

func with(have, more map[string]string) map[string]string {
	if have == nil {
		return more
	}
	for k, v := range more {
		have[k] = v
	}
	return have
}
