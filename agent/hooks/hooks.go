// Package hooks runs the hooks of a bundle: objects that Helm's annotations mark as steps before or after an install, an
// upgrade or a deletion, such as a Job that migrates a database.
//
// Hooks of a revision run once. What was started is recorded before it is created, so that an agent that is killed and
// starts again waits for the hook that runs, and never runs it twice. They are in no inventory: they do not drift, are not
// pruned, and are deleted only as their own policies say.
package hooks

import (
	"bytes"
	"cmp"
	"encoding/json"
	"slices"
	"strconv"
	"strings"

	"flotilla.io/flotilla/bundle/layer"
)

// Event is when a hook runs.
type Event string

const (
	PreInstall  Event = "pre-install"
	PostInstall Event = "post-install"
	PreUpgrade  Event = "pre-upgrade"
	PostUpgrade Event = "post-upgrade"
	PreDelete   Event = "pre-delete"
	PostDelete  Event = "post-delete"
)

// policy says when a hook is deleted.
type policy string

const (
	beforeCreation policy = "before-hook-creation" // the default
	succeeded      policy = "hook-succeeded"
	failed         policy = "hook-failed"
)

// Helm's annotations.
const (
	eventAnnotation  = "helm.sh/hook"
	weightAnnotation = "helm.sh/hook-weight"
	policyAnnotation = "helm.sh/hook-delete-policy"
)

// Hook is one hook of a bundle. Its object stays in the layer until it is needed.
type Hook struct {
	Key    layer.Key // as the layer has it
	events []Event
	weight int
	delete []policy
}

func (h Hook) has(p policy) bool { return slices.Contains(h.delete, p) }

// Split tells the hooks among entries from what is deployed.
func Split(entries []layer.Entry) (objects []layer.Entry, hooks []Hook) {
	for i, e := range entries {
		hook, ok := read(e)
		switch {
		case ok && hooks == nil:
			objects, hooks = slices.Clone(entries[:i]), []Hook{hook}
		case ok:
			hooks = append(hooks, hook)
		case hooks != nil:
			objects = append(objects, e)
		}
	}
	if hooks == nil {
		return entries, nil
	}
	return objects, hooks
}

// Is tells whether an entry is a hook.
func Is(e layer.Entry) bool {
	_, is := read(e)
	return is
}

// read finds out whether an entry is a hook. Objects in layers are canonical, so a look at the bytes spares the most.
func read(e layer.Entry) (Hook, bool) {
	if !bytes.Contains(e.Object, []byte(`"`+eventAnnotation+`":`)) {
		return Hook{}, false
	}
	var object struct {
		Metadata struct {
			Annotations map[string]string `json:"annotations"`
		} `json:"metadata"`
	}
	if json.Unmarshal(e.Object, &object) != nil {
		return Hook{}, false
	}
	annotations := object.Metadata.Annotations
	if _, is := annotations[eventAnnotation]; !is {
		return Hook{}, false
	}
	h := Hook{Key: e.Key}
	h.weight, _ = strconv.Atoi(annotations[weightAnnotation])
	for _, event := range words(annotations[eventAnnotation]) {
		h.events = append(h.events, Event(event))
	}
	for _, p := range words(annotations[policyAnnotation]) {
		h.delete = append(h.delete, policy(p))
	}
	if len(h.delete) == 0 {
		h.delete = []policy{beforeCreation}
	}
	return h, true
}

func words(list string) []string {
	var words []string
	for word := range strings.SplitSeq(list, ",") {
		if word = strings.ToLower(strings.TrimSpace(word)); word != "" {
			words = append(words, word)
		}
	}
	return words
}

// Has tells whether any of the hooks runs at one of these events.
func Has(hooks []Hook, events ...Event) bool {
	return slices.ContainsFunc(events, func(e Event) bool { return len(at(hooks, e)) > 0 })
}

// at lists the hooks of an event as Helm orders them: by weight, then name, then kind.
func at(hooks []Hook, event Event) []Hook {
	var due []Hook
	for _, h := range hooks {
		if slices.Contains(h.events, event) {
			due = append(due, h)
		}
	}
	slices.SortStableFunc(due, func(a, b Hook) int {
		return cmp.Or(cmp.Compare(a.weight, b.weight), cmp.Compare(a.Key.Name, b.Key.Name), cmp.Compare(rank(a.Key), rank(b.Key)), a.Key.Compare(b.Key))
	})
	return due
}

// kinds in the order in which Helm installs them; others come last.
var kinds = []string{
	"PriorityClass", "Namespace", "NetworkPolicy", "ResourceQuota", "LimitRange", "PodSecurityPolicy", "PodDisruptionBudget",
	"ServiceAccount", "Secret", "ConfigMap", "StorageClass", "PersistentVolume", "PersistentVolumeClaim",
	"CustomResourceDefinition", "ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding", "Service", "DaemonSet", "Pod",
	"ReplicationController", "ReplicaSet", "Deployment", "HorizontalPodAutoscaler", "StatefulSet", "Job", "CronJob",
	"IngressClass", "Ingress", "APIService",
}

func rank(key layer.Key) int {
	if i := slices.Index(kinds, key.Kind); i >= 0 {
		return i
	}
	return len(kinds)
}
