// Package others decides what of an object is left to others: the fields that diff.comparePatches names, and those that
// something on the cluster is known to write, such as an autoscaler's replicas.
//
// A field that is left to others is applied like any other until another manager owns it. From then on it is not sent any
// more, and the API server lets it stay; it is never given up while we are its only owner, which would remove it. What is
// left to others is no drift, and is not put back.
//
// The package is pure: options, objects and their managedFields in, pointers and objects out.
package others

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"path"
	"regexp"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"flotilla.io/flotilla/api/v1alpha1"
	"flotilla.io/flotilla/bundle/layer"
)

// Rules say what is left to others in the objects of one deployment. The zero value leaves nothing.
type Rules struct {
	patches []v1alpha1.ComparePatch
	scalers []scaler
}

// New takes the rules from a deployment's options and from its objects, each in the namespace that it ends up in.
func New(o v1alpha1.BundleDeploymentOptions, objects []*unstructured.Unstructured) Rules {
	r := Rules{scalers: scalers(objects)}
	if o.Diff != nil {
		r.patches = o.Diff.ComparePatches
	}
	return r
}

// Absent tells whether it is no drift that a wanted object does not exist.
func (r Rules) Absent(wanted *unstructured.Unstructured) bool {
	for _, p := range r.patches {
		if !concerns(p, keyOf(wanted)) {
			continue
		}
		for _, op := range p.Operations {
			if op.Op == v1alpha1.IgnoreOp {
				return true
			}
		}
	}
	return expires(wanted)
}

// Of is what is left to others in one object, given how it is live.
func (r Rules) Of(wanted, live *unstructured.Unstructured) Part {
	part := Part{pointers: r.defaults(wanted, live)}
	for _, p := range r.patches {
		if concerns(p, keyOf(wanted)) {
			part.pointers = append(part.pointers, p.JsonPointers...)
			part.operations = append(part.operations, p.Operations)
		}
	}
	return part
}

// concerns tells whether a patch is about an object: all of group, kind, namespace and name match. What is empty matches
// all; the version does not count.
func concerns(p v1alpha1.ComparePatch, key layer.Key) bool {
	return matches(group(p.APIVersion), key.Group) && matches(p.Kind, key.Kind) &&
		matches(p.Namespace, key.Namespace) && matches(p.Name, key.Name)
}

func keyOf(u *unstructured.Unstructured) layer.Key {
	gvk := u.GroupVersionKind()
	return layer.Key{Group: gvk.Group, Kind: gvk.Kind, Namespace: u.GetNamespace(), Name: u.GetName()}
}

// Digest sums up the rules that an object is under, "" if there is none.
func (r Rules) Digest(key layer.Key) string {
	var under []any
	for _, p := range r.patches {
		if concerns(p, key) {
			under = append(under, p)
		}
	}
	for _, s := range r.scalers {
		if s.target == key {
			under = append(under, []int64{s.min, s.max})
		}
	}
	if len(under) == 0 {
		return ""
	}
	text, err := json.Marshal(under)
	if err != nil {
		return ""
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:8])
}

// group is the pattern for the group in an apiVersion: "v1" is the group without a name, which "" would not say.
func group(apiVersion string) string {
	if apiVersion == "" || apiVersion == "*" {
		return ""
	}
	gv, err := schema.ParseGroupVersion(apiVersion)
	if err == nil && gv.Group == "" {
		return none
	}
	return apiVersion[:max(0, strings.LastIndexByte(apiVersion, '/'))]
}

// none is a pattern that matches the empty text only.
const none = "^$"

// matches tells whether a pattern is a text, or matches it as a glob (web-*), or, as Fleet has it for names, as a regular
// expression. A pattern without any meaning as an expression is taken as it stands.
func matches(pattern, text string) bool {
	if pattern == "" || pattern == text {
		return true
	}
	if ok, err := path.Match(pattern, text); err == nil && ok {
		return true
	}
	if !strings.ContainsAny(pattern, `^$.|+()[]\`) {
		return false
	}
	expression, err := regexp.Compile("^(?:" + pattern + ")$")
	return err == nil && expression.MatchString(text)
}
