package apply

import (
	"context"
	"fmt"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"flotilla.io/flotilla/agent/tenant"
)

// isReserved tells whether a namespace is one of those that are never deleted, whoever asks for it.
func isReserved(name string) bool {
	for _, prefix := range []string{"kube-", "fleet-", "cattle-fleet-"} {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return name == "default"
}

// DeleteNamespace deletes a namespace if we made it and nothing is left in it but what every namespace has. If it stays, why
// says what keeps it.
func DeleteNamespace(ctx context.Context, t *tenant.Tenant, name string) (outcome Outcome, why string, err error) {
	if isReserved(name) {
		return Kept, "a namespace of this name is never deleted", nil
	}
	objects := t.Object(namespaceKind, "")
	live, err := objects.Get(ctx, name, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		return Gone, "", nil
	case apierrors.IsForbidden(err):
		return Kept, "its service account may not read it", nil
	case err != nil:
		return "", "", fmt.Errorf("deleting Namespace %s: %w", name, err)
	case live.GetDeletionTimestamp() != nil:
		return Going, "", nil
	case live.GetAnnotations()[createdAnnotation] != "true":
		return Kept, "it was not made for a bundle", nil
	}
	left, err := contentOf(ctx, t, name)
	if err != nil {
		return "", "", fmt.Errorf("deleting Namespace %s: %w", name, err)
	}
	switch {
	case left.why != "":
		return Kept, left.why, nil
	case left.going:
		return Going, "", nil
	}
	err = objects.Delete(ctx, name, deleteOptions(live))
	switch {
	case apierrors.IsNotFound(err):
		return Gone, "", nil
	case apierrors.IsForbidden(err):
		return Kept, "its service account may not delete it", nil
	case err != nil && !isRace(err):
		return "", "", fmt.Errorf("deleting Namespace %s: %w", name, err)
	}
	return Going, "", nil
}

// content is what is left in a namespace.
type content struct {
	why   string // something that stays, or why that is not known; "" for nothing
	going bool   // something is on its way out
}

// contentOf lists all that is in a namespace, by name only.
func contentOf(ctx context.Context, t *tenant.Tenant, namespace string) (content, error) {
	kinds, err := t.Kinds.Listable()
	if err != nil {
		return content{}, err
	}
	all := map[types.UID]metav1.PartialObjectMetadata{}
	for _, kind := range kinds {
		list, err := t.Meta(kind, namespace).List(ctx, metav1.ListOptions{})
		switch {
		case apierrors.IsForbidden(err):
			return content{why: "its service account may not list the " + kind.Resource.Resource + " in it"}, nil
		case apierrors.IsNotFound(err) || apierrors.IsMethodNotSupported(err):
			continue // it is served no more
		case err != nil:
			return content{}, fmt.Errorf("listing the %s in it: %w", kind.Resource.Resource, err)
		}
		for _, m := range list.Items {
			m.Kind = kind.Kind
			if !everywhere(kind.Resource.GroupResource(), m) {
				all[m.UID] = m
			}
		}
	}
	return judge(t, all), nil
}

// judge tells what stays from what goes: what is being deleted, and what belongs to something that is gone.
func judge(t *tenant.Tenant, all map[types.UID]metav1.PartialObjectMetadata) content {
	var c content
	for _, m := range all {
		switch {
		case ownedBy(m, all):
			continue // its owner tells
		case m.DeletionTimestamp != nil || collected(t, m):
			c.going = true
		default:
			if name := m.Kind + " " + m.Name + " is in it"; c.why == "" || name < c.why {
				c.why = name
			}
		}
	}
	return c
}

func ownedBy(m metav1.PartialObjectMetadata, all map[types.UID]metav1.PartialObjectMetadata) bool {
	return slices.ContainsFunc(m.OwnerReferences, func(o metav1.OwnerReference) bool {
		_, there := all[o.UID]
		return there
	})
}

// collected tells whether the garbage collector takes an object none of whose owners is in its namespace: they are gone,
// unless one is of a kind that lives in no namespace.
func collected(t *tenant.Tenant, m metav1.PartialObjectMetadata) bool {
	for _, owner := range m.OwnerReferences {
		gv, err := schema.ParseGroupVersion(owner.APIVersion)
		if err != nil {
			return false
		}
		if kind, err := t.Kinds.Of(gv.WithKind(owner.Kind)); err == nil && !kind.Namespaced {
			return false
		}
	}
	return len(m.OwnerReferences) > 0
}

// everywhere tells whether an object is one of those that every namespace has, or that come and go by themselves.
func everywhere(resource schema.GroupResource, m metav1.PartialObjectMetadata) bool {
	switch resource.String() {
	case "serviceaccounts":
		return m.Name == "default"
	case "configmaps":
		return m.Name == "kube-root-ca.crt"
	case "secrets":
		return m.Annotations["kubernetes.io/service-account.name"] == "default"
	case "events", "events.events.k8s.io", "endpoints": // endpoints are those of a Service, which is listed too
		return true
	}
	return resource.Group == "metrics.k8s.io"
}
