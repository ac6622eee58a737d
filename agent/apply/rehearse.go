package apply

import (
	"context"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"flotilla.io/flotilla/api/v1alpha1"
)

// Live reads the object of the request; nil if it does not exist.
func (r Request) Live(ctx context.Context) (*unstructured.Unstructured, error) {
	kind, err := r.Tenant.Kinds.Of(r.Object.GroupVersionKind())
	if err != nil {
		return nil, explain(r.Key, err)
	}
	live, err := r.Tenant.Object(kind, r.Object.GetNamespace()).Get(ctx, r.Object.GetName(), metav1.GetOptions{})
	if apierrors.IsNotFound(err) && !isStaleKind(err) {
		return nil, nil
	}
	if err != nil {
		return nil, explain(r.Key, err)
	}
	return live, nil
}

// Rehearse finds out whether the object could be created, before anything is done for it: its creation is asked for as a dry run, by
// another name where one is there by this name.
func Rehearse(ctx context.Context, r Request, there bool) error {
	kind, err := r.Tenant.Kinds.Of(r.Object.GroupVersionKind())
	if err != nil {
		return explain(r.Key, err)
	}
	u := r.Object.DeepCopy()
	if there {
		u.SetGenerateName(u.GetName() + "-")
		u.SetName("")
	}
	_, err = r.Tenant.Object(kind, u.GetNamespace()).Create(ctx, u, metav1.CreateOptions{
		DryRun: []string{metav1.DryRunAll}, FieldManager: v1alpha1.AgentFieldManager, FieldValidation: metav1.FieldValidationStrict,
	})
	if err == nil || strings.Contains(err.Error(), "does not support dry run") { // a webhook, which is asked again in earnest
		return nil
	}
	return explain(r.Key, err)
}
