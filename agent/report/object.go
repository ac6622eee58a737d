package report

import (
	"fmt"
	"strings"

	"flotilla.io/flotilla/agent/health"
	"flotilla.io/flotilla/api/v1alpha1"
	"flotilla.io/flotilla/bundle/layer"
)

func (o Object) apiVersion() string {
	if o.Key.Group == "" {
		return o.Version
	}
	return o.Key.Group + "/" + o.Version
}

func (o Object) nonReadyStatus() v1alpha1.NonReadyStatus {
	return v1alpha1.NonReadyStatus{
		UID: o.UID, Kind: o.Key.Kind, APIVersion: o.apiVersion(), Namespace: o.Key.Namespace, Name: o.Key.Name,
		Summary: v1alpha1.Summary{
			State:         string(o.Health.State),
			Error:         o.Health.State == health.Failed,
			Transitioning: o.Health.State != health.Failed,
			Message:       []string{o.Health.Message},
		},
	}
}

func (o Object) modifiedStatus() v1alpha1.ModifiedStatus {
	return v1alpha1.ModifiedStatus{
		Kind: o.Key.Kind, APIVersion: o.apiVersion(), Namespace: o.Key.Namespace, Name: o.Key.Name,
		Create: o.Missing, Exist: o.Replaced, Patch: o.patch(),
	}
}

// patch says what changed, in one line: /spec/replicas 3 → 5 by kubectl.
func (o Object) patch() string {
	var what []string
	for _, f := range o.Fields[:min(3, len(o.Fields))] {
		what = append(what, change(f))
	}
	if more := len(o.Fields) - len(what); more > 0 {
		what = append(what, fmt.Sprintf("%d more", more))
	}
	if o.Fight != "" {
		what = append(what, o.Fight)
	}
	return strings.Join(what, ", ")
}

func change(f v1alpha1.DriftedField) string {
	text := f.Path
	switch {
	case f.Found == "":
		text += " removed"
	case f.Wanted == "":
		text += " added"
	case f.Wanted == f.Found: // both hidden
		text += " changed"
	default:
		text += " " + f.Wanted + " → " + f.Found
	}
	if f.Manager != "" {
		text += " by " + f.Manager
	}
	return text
}

// drifted lists the fields; a missing object is one entry without a path.
func (o Object) drifted() []v1alpha1.DriftedField {
	if o.Missing {
		return []v1alpha1.DriftedField{{
			Kind: o.Key.Kind, APIVersion: o.apiVersion(), Namespace: o.Key.Namespace, Name: o.Key.Name,
		}}
	}
	return o.Fields
}

// name is how a line of Fleet's calls an object, without its version: deployment.apps ns/web, configmap.v1 ns/web.
func name(key layer.Key) string {
	group := key.Group
	if group == "" {
		group = "v1"
	}
	object := key.Name
	if key.Namespace != "" {
		object = key.Namespace + "/" + key.Name
	}
	return strings.ToLower(key.Kind) + "." + group + " " + object
}
