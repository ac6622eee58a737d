package render

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/client-go/kubernetes/scheme"
)

// retype gives scalars that patches set the type of the field that they stand in: a template gives text, and text is what no
// API server takes for a number. The type is the one that Kubernetes gives the field, in its own kinds and in the metadata of
// all; elsewhere that of the value which was there before. What neither tells stays as it was written, and so does what no patch
// touched. It modifies after, and returns it.
func retype(before, after map[string]any) (map[string]any, error) {
	typed, err := retyped("", before, after, typeOf(after))
	if err != nil {
		return nil, err
	}
	return typed.(map[string]any), nil
}

// anyObject is what is known of kinds that are not Kubernetes' own.
type anyObject struct {
	metav1.TypeMeta
	Metadata metav1.ObjectMeta `json:"metadata"`
}

func typeOf(content map[string]any) reflect.Type {
	u := unstructured.Unstructured{Object: content}
	if known, err := scheme.Scheme.New(u.GroupVersionKind()); err == nil {
		return reflect.TypeOf(known).Elem()
	}
	return reflect.TypeFor[anyObject]()
}

// retyped is the value at a path; t is nil where nothing is known of it, before nil where nothing was.
func retyped(path string, before, after any, t reflect.Type) (any, error) {
	for t != nil && t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch after := after.(type) {
	case map[string]any:
		was, _ := before.(map[string]any)
		for _, key := range slices.Sorted(maps.Keys(after)) {
			var err error
			if after[key], err = retyped(path+"."+key, was[key], after[key], fieldType(t, key)); err != nil {
				return nil, err
			}
		}
		return after, nil
	case []any:
		was, _ := before.([]any)
		if len(was) != len(after) { // entries came or went: which was which is not known
			was = make([]any, len(after))
		}
		for i := range after {
			var err error
			if after[i], err = retyped(fmt.Sprintf("%s[%d]", path, i), was[i], after[i], elementType(t)); err != nil {
				return nil, err
			}
		}
		return after, nil
	}
	if after == nil || reflect.DeepEqual(before, after) {
		return after, nil
	}
	wanted := wantedBy(t)
	if wanted == asWritten {
		wanted = like(before)
		typed, _ := wanted.of(after)
		return typed, nil
	}
	typed, ok := wanted.of(after)
	if !ok {
		return nil, fmt.Errorf("%s: want %s", strings.TrimPrefix(path, "."), wanted)
	}
	return typed, nil
}

// fieldType is the type of a field of a struct or of the values of a map.
func fieldType(t reflect.Type, key string) reflect.Type {
	switch {
	case t == nil:
		return nil
	case t.Kind() == reflect.Map:
		return t.Elem()
	case t.Kind() != reflect.Struct:
		return nil
	}
	for i := range t.NumField() {
		field := t.Field(i)
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		if name == key {
			return field.Type
		}
		if field.Anonymous && name == "" {
			if inner := fieldType(field.Type, key); inner != nil {
				return inner
			}
		}
	}
	return nil
}

func elementType(t reflect.Type) reflect.Type {
	if t == nil || t.Kind() != reflect.Slice {
		return nil
	}
	return t.Elem()
}

// scalar is what a field takes, in words.
type scalar string

const (
	asWritten   scalar = "" // whatever is written
	textual     scalar = "text"
	wholeNumber scalar = "a whole number"
	number      scalar = "a number"
	truth       scalar = "true or false"
	wholeOrText scalar = "a whole number or text"
)

var bytesType = reflect.TypeFor[[]byte]()

// wantedBy is what a field of a type takes. Of those that decode themselves, only times are known to be text.
func wantedBy(t reflect.Type) scalar {
	switch t {
	case nil:
		return asWritten
	case reflect.TypeFor[intstr.IntOrString]():
		return wholeOrText
	case reflect.TypeFor[metav1.Time](), reflect.TypeFor[metav1.MicroTime](), bytesType:
		return textual
	}
	switch t.Kind() {
	case reflect.String:
		return textual
	case reflect.Int, reflect.Int32, reflect.Int64:
		return wholeNumber
	case reflect.Float32, reflect.Float64:
		return number
	case reflect.Bool:
		return truth
	}
	return asWritten
}

// like is what a field takes whose value was this.
func like(before any) scalar {
	switch before.(type) {
	case string:
		return textual
	case int64:
		return wholeNumber
	case float64:
		return number
	case bool:
		return truth
	}
	return asWritten
}

// of is a value as such a scalar; ok is false when it cannot be one.
func (s scalar) of(value any) (typed any, ok bool) {
	written, isText := value.(string)
	written = strings.TrimSpace(written)
	switch s {
	case textual:
		return fmt.Sprint(value), true
	case wholeNumber, wholeOrText:
		if !isText {
			_, whole := value.(int64)
			return value, whole
		}
		if n, err := strconv.ParseInt(written, 10, 64); err == nil {
			return n, true
		}
		return value, s == wholeOrText
	case number:
		if isText {
			n, err := strconv.ParseFloat(written, 64)
			if err != nil {
				return value, false
			}
			return n, true
		}
		_, isBool := value.(bool)
		return value, !isBool
	case truth:
		if written == "true" || written == "false" {
			return written == "true", true
		}
		_, isBool := value.(bool)
		return value, isBool
	}
	return value, true
}
