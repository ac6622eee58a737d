package apply

import (
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"flotilla.io/flotilla/bundle/layer"
)

func TestNoErrorQuotesAnObject(t *testing.T) {
	gk := schema.GroupKind{Group: "apps", Kind: "Deployment"}
	path := field.NewPath("spec", "x")
	for _, row := range []struct {
		rule string
		err  error
		want string
	}{
		{"an invalid value is left out, what is wrong with it stays", apierrors.NewInvalid(gk, "web", field.ErrorList{field.Invalid(path, "canary", "must be short")}), "spec.x (invalid value: must be short)"},
		{"also where the value looks like the end of a sentence", apierrors.NewInvalid(gk, "web", field.ErrorList{field.Invalid(path, "a: canary", "")}), "spec.x"},
		{"a duplicate is left out", apierrors.NewInvalid(gk, "web", field.ErrorList{field.Duplicate(path, "canary")}), "spec.x (duplicate value)"},
		{"an unsupported value is left out", apierrors.NewInvalid(gk, "web", field.ErrorList{field.NotSupported(path, "canary", []string{"a"})}), "spec.x (unsupported value)"},
		{"a missing value is named", apierrors.NewInvalid(gk, "web", field.ErrorList{field.Required(path, "is needed")}), "spec.x (Required value: is needed)"},
		{"a type that does not fit is named", apierrors.NewBadRequest(`.spec.x: expected list, got &{map[a:canary]}`), ".spec.x: expected list"},
		{"a comparison of both objects is left out", apierrors.NewInvalid(gk, "web", field.ErrorList{field.Forbidden(path, "may not change\n- canary")}), "spec.x (Forbidden: may not change)"},
		{"an immutable field is named", apierrors.NewInvalid(gk, "web", field.ErrorList{field.Invalid(path, map[string]string{"a": "canary"}, "field is immutable")}), "cannot be changed in place"},
	} {
		got := explain(layer.Key{Group: "apps", Kind: "Deployment", Namespace: "ns", Name: "web"}, row.err).Error()
		if strings.Contains(got, "canary") || !strings.Contains(got, row.want) || !strings.Contains(got, "Deployment.apps ns/web") {
			t.Errorf("%s: %s", row.rule, got)
		}
	}
}

func TestAConflictNamesFieldsAndManagers(t *testing.T) {
	err := apierrors.NewApplyConflict([]metav1.StatusCause{
		{Type: metav1.CauseTypeFieldManagerConflict, Message: `conflict with "kubectl" using apps/v1`, Field: ".spec.replicas"},
	}, "conflict")
	fields := conflictFields(err)
	if len(fields) != 1 || fields[0] != (ConflictField{".spec.replicas", "kubectl"}) || !isConflict(err) || isRace(err) {
		t.Errorf("fields = %v", fields)
	}
}
