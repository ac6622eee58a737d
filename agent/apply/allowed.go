package apply

import (
	"context"
	"errors"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"flotilla.io/flotilla/agent/tenant"
	"flotilla.io/flotilla/bundle/layer"
)

// AllowedNamespace checks the labels that a namespace has on this cluster against what the workspace's rules allow to be
// deployed into. What cannot be checked is not allowed.
func AllowedNamespace(ctx context.Context, t *tenant.Tenant, place Placement, allowed *metav1.LabelSelector) error {
	selector, err := metav1.LabelSelectorAsSelector(allowed)
	if err != nil {
		return fmt.Errorf("allowedTargetNamespaceSelector: %w", err)
	}
	if place.Forced == "" {
		return errors.New("the workspace's rules allow namespaces by their labels (" + selector.String() +
			"), so one must be named; set targetNamespace of the GitRepo, or the option namespace")
	}
	live, err := t.Object(namespaceKind, "").Get(ctx, place.Forced, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		return fmt.Errorf("Namespace %s does not exist; the workspace's rules allow only namespaces that exist with labels %s", place.Forced, selector)
	case apierrors.IsForbidden(err):
		return fmt.Errorf("Namespace %s: whether it has labels %s, as the workspace's rules want, cannot be checked: %s may not read it; give it the right",
			place.Forced, selector, t)
	case err != nil:
		return explain(layer.Key{Kind: "Namespace", Name: place.Forced}, err)
	case !selector.Matches(labels.Set(live.GetLabels())):
		return fmt.Errorf("Namespace %s does not have labels %s, which the workspace's rules want of a namespace to deploy into; label it, or deploy into another",
			place.Forced, selector)
	}
	return nil
}
