package apply

import (
	"cmp"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"flotilla.io/flotilla/agent/plan"
	"flotilla.io/flotilla/agent/tenant"
	"flotilla.io/flotilla/api/v1alpha1"
	"flotilla.io/flotilla/bundle/layer"
)

// ConflictField is a field that somebody else manages.
type ConflictField struct {
	Path    string // as the API server writes it: .spec.replicas
	Manager string
}

// ConflictError says that fields we want are managed by others, and never were ours.
type ConflictError struct {
	Key    layer.Key
	Fields []ConflictField
}

func (e *ConflictError) Error() string {
	var what []string
	for _, f := range e.Fields[:min(3, len(e.Fields))] {
		what = append(what, fmt.Sprintf("%s is managed by %q", f.Path, f.Manager))
	}
	if more := len(e.Fields) - len(what); more > 0 {
		what = append(what, fmt.Sprintf("%d more", more))
	}
	return fmt.Sprintf("%s: %s; drop the field from the bundle, or set helm.takeOwnership or helm.force to take it",
		e.Key, strings.Join(what, ", "))
}

// OwnedError says that an object belongs to another deployment, of this hub or of another.
type OwnedError struct {
	Key   layer.Key
	Owner string
}

func (e *OwnedError) Error() string {
	return fmt.Sprintf("%s belongs to %s; remove it from one of the two, or set helm.takeOwnership to take it over", e.Key, e.Owner)
}

// ImmutableError says that a field cannot be changed in place.
type ImmutableError struct {
	Key    layer.Key
	Fields []string
	Heal   bool // it was to be put back
}

func (e *ImmutableError) Error() string {
	text := fmt.Sprintf("%s: %s cannot be changed in place", e.Key, strings.Join(e.Fields, ", "))
	switch {
	case plan.Protected(e.Key):
		return text + "; it holds what would be lost, so it is never re-created: put the field back, or give it a new name"
	case e.Heal:
		return text + "; set correctDrift.force to have the object re-created"
	}
	return text + "; set helm.force to have the object re-created, or give it a new name"
}

// GoingError says that an object is being deleted: it can be applied when it is gone.
type GoingError struct{ Key layer.Key }

func (e *GoingError) Error() string {
	return fmt.Sprintf("%s is being deleted; it is applied again once it is gone", e.Key)
}

// AbsentError says that an object that a bundle only adds fields to is not there.
type AbsentError struct{ Key layer.Key }

func (e *AbsentError) Error() string {
	return fmt.Sprintf("%s does not exist; a bundle adds fields to a %s and never makes one, so this waits until it is there", e.Key, e.Key.Kind)
}

func ownerOf(live *unstructured.Unstructured) string {
	return cmp.Or(live.GetAnnotations()[v1alpha1.OwnerAnnotation], "nobody")
}

// sameAgent tells whether two owners are of one cluster namespace: then Claims has decided between them.
func sameAgent(a, b string) bool {
	nsA, _, _ := strings.Cut(a, "/")
	nsB, _, _ := strings.Cut(b, "/")
	return nsA == nsB
}

func isConflict(err error) bool {
	return apierrors.HasStatusCause(err, metav1.CauseTypeFieldManagerConflict)
}

// isRace tells that an object moved between our read and a forced apply or a delete that was bound to it.
func isRace(err error) bool { return apierrors.IsConflict(err) && !isConflict(err) }

// isStaleKind tells that the resource itself is not there, where we thought that it is.
func isStaleKind(err error) bool {
	var status apierrors.APIStatus
	if !apierrors.IsNotFound(err) || !errors.As(err, &status) {
		return false
	}
	details := status.Status().Details
	return details == nil || details.Name == ""
}

var byManager = regexp.MustCompile(`conflict with "([^"]*)"`)

func conflictFields(err error) []ConflictField {
	var list []ConflictField
	for _, cause := range causes(err) {
		if cause.Type != metav1.CauseTypeFieldManagerConflict {
			continue
		}
		manager := "another manager"
		if m := byManager.FindStringSubmatch(cause.Message); m != nil {
			manager = m[1]
		}
		list = append(list, ConflictField{cause.Field, manager})
	}
	slices.SortFunc(list, func(a, b ConflictField) int { return cmp.Compare(a.Path, b.Path) })
	return list
}

func causes(err error) []metav1.StatusCause {
	var status apierrors.APIStatus
	if !errors.As(err, &status) || status.Status().Details == nil {
		return nil
	}
	return status.Status().Details.Causes
}

var immutable = regexp.MustCompile(`(?i)immutable|updates to statefulset spec for fields other than|may not change once set`)

func isImmutable(err error) bool {
	return apierrors.IsInvalid(err) && immutable.MatchString(err.Error())
}

// Explain is what Apply makes of the API server's answer to a request about an object.
func Explain(key layer.Key, err error) error { return explain(key, err) }

// explain turns the API server's answer into an error that names the object and says what to do, without any value.
func explain(key layer.Key, err error) error {
	var conflict *ConflictError
	var owned *OwnedError
	var going *GoingError
	var absent *AbsentError
	switch {
	case errors.As(err, &conflict), errors.As(err, &owned), errors.As(err, &going), errors.As(err, &absent):
		return err
	case tenant.IsNotServed(err):
		return fmt.Errorf("%s: %w; it is tried again until the kind is there (is its CustomResourceDefinition in a bundle?)", key, err)
	case isImmutable(err):
		return &ImmutableError{Key: key, Fields: invalidFields(err)}
	case apierrors.IsInvalid(err):
		return fmt.Errorf("%s is invalid: %s", key, strings.Join(invalidFields(err), ", "))
	case apierrors.IsForbidden(err):
		return fmt.Errorf("%s: %s; give the bundle's service account the right, or drop the object", key, quiet(key, err.Error()))
	case apierrors.IsNotFound(err):
		return fmt.Errorf("%s: %s; add the Namespace to a bundle, or leave createNamespace on", key, quiet(key, err.Error()))
	}
	return fmt.Errorf("applying %s: %w", key, &quietError{quiet(key, err.Error()), err})
}

// quietError keeps the cause for whoever tells errors apart, and shows only what may be shown.
type quietError struct {
	text  string
	cause error
}

func (e *quietError) Error() string { return e.text }
func (e *quietError) Unwrap() error { return e.cause }

// invalidFields lists the fields that an answer is about, each with what is wrong but not with the value.
func invalidFields(err error) []string {
	var list []string
	for _, cause := range causes(err) {
		what := cause.Message
		switch cause.Type {
		case metav1.CauseTypeFieldValueInvalid, metav1.CauseTypeFieldValueDuplicate, metav1.CauseTypeFieldValueNotSupported:
			what = withoutValue(cause.Message)
		}
		what, _, _ = strings.Cut(what, "\n") // below it some answers show both objects
		list = append(list, strings.TrimSpace(cause.Field+" ("+what+")"))
	}
	slices.Sort(list)
	if list = slices.Compact(list); len(list) > 3 {
		list = append(list[:3], fmt.Sprintf("%d more", len(list)-3))
	}
	if len(list) == 0 {
		list = []string{"the object"}
	}
	return list
}

// withoutValue cuts the value out of `Invalid value: "x": field is immutable`. What stands behind the value is told from
// the value by being the last part, and by having no double quote: what is left of a value that was cut would have one.
func withoutValue(message string) string {
	head, rest, found := strings.Cut(message, ": ")
	if !found {
		return head
	}
	if strings.HasPrefix(message, "Invalid value") {
		if i := strings.LastIndex(rest, ": "); i >= 0 && !strings.Contains(rest[i:], `"`) {
			return strings.ToLower(head[:1]) + head[1:] + ": " + rest[i+2:]
		}
	}
	return strings.ToLower(head[:1]) + head[1:]
}

var quoted = regexp.MustCompile(`(?s)(Invalid value|Duplicate value|Unsupported value): .*|got &?[\[{].*|unrecognized type: .*`)

// quiet cuts from a text of the API server what may quote an object's content; of a Secret it keeps the first phrase.
func quiet(key layer.Key, text string) string {
	text = quoted.ReplaceAllString(text, "$1 (hidden)")
	text, _, _ = strings.Cut(text, "\n")
	if key.Group == "" && key.Kind == "Secret" {
		if i := strings.IndexAny(text, ":;"); i > 0 && !strings.Contains(text, "is forbidden") {
			text = text[:i]
		}
	}
	const most = 512
	if len(text) > most {
		text = text[:most] + "…"
	}
	return text
}
