package layer

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"unicode/utf8"
)

// The canonical form is written here, byte by byte, and not by encoding/json: layer IDs hang on it, and encoding/json
// has changed how it escapes strings between Go releases. An upgrade of the hub must not change a digest.

// canonicalObject writes a whole Kubernetes object: its status is what a cluster says, not what a source wants.
func canonicalObject(object map[string]any) ([]byte, error) {
	return appendMap(make([]byte, 0, 1024), object, func(key string, _ any) bool { return key == "status" })
}

// nullTimestamp picks what Go programs print for an object that was never created.
func nullTimestamp(key string, v any) bool { return key == "creationTimestamp" && v == nil }

func keepAll(string, any) bool { return false }

// appendMap writes a map with its keys in byte order, without those that drop picks.
func appendMap(b []byte, m map[string]any, drop func(key string, v any) bool) ([]byte, error) {
	b = append(b, '{')
	first := true
	for _, key := range slices.Sorted(maps.Keys(m)) {
		v := m[key]
		if drop(key, v) {
			continue
		}
		if !first {
			b = append(b, ',')
		}
		first = false
		var err error
		if b, err = appendString(b, key); err != nil {
			return nil, below(strconv.Quote(key), err)
		}
		b = append(b, ':')
		if metadata, ok := v.(map[string]any); ok && key == "metadata" {
			b, err = appendMap(b, metadata, nullTimestamp)
		} else {
			b, err = appendValue(b, v)
		}
		if err != nil {
			return nil, below(key, err)
		}
	}
	return append(b, '}'), nil
}

func appendValue(b []byte, v any) ([]byte, error) {
	switch v := v.(type) {
	case nil:
		return append(b, "null"...), nil
	case bool:
		return strconv.AppendBool(b, v), nil
	case string:
		return appendString(b, v)
	case map[string]any:
		return appendMap(b, v, keepAll)
	case []any:
		return appendList(b, v)
	default:
		return appendNumber(b, v)
	}
}

func appendList(b []byte, list []any) ([]byte, error) {
	b = append(b, '[')
	for i, v := range list {
		if i > 0 {
			b = append(b, ',')
		}
		var err error
		if b, err = appendValue(b, v); err != nil {
			return nil, below(strconv.Itoa(i), err)
		}
	}
	return append(b, ']'), nil
}

func appendNumber(b []byte, v any) ([]byte, error) {
	switch v := v.(type) {
	case int64:
		return strconv.AppendInt(b, v, 10), nil
	case float64:
		return appendFloat(b, v)
	case int:
		return strconv.AppendInt(b, int64(v), 10), nil
	case int32:
		return strconv.AppendInt(b, int64(v), 10), nil
	case json.Number:
		if i, err := strconv.ParseInt(string(v), 10, 64); err == nil {
			return strconv.AppendInt(b, i, 10), nil
		}
		f, err := strconv.ParseFloat(string(v), 64)
		if err != nil {
			return nil, &fieldError{what: fmt.Sprintf("%q is no number that Kubernetes can hold", string(v))}
		}
		return appendFloat(b, f)
	default:
		return nil, &fieldError{what: fmt.Sprintf("a value of Go type %T has no place in an object", v)}
	}
}

// appendFloat writes a whole number as the int64 of the same value would be, so that 1, 1.0 and 1e0 are one; others in
// the shortest form that reads back the same.
func appendFloat(b []byte, f float64) ([]byte, error) {
	const beyondInt64 = 1 << 63
	switch size := math.Abs(f); {
	case math.IsNaN(f) || math.IsInf(f, 0):
		return nil, &fieldError{what: fmt.Sprintf("%v is no number in JSON", f)}
	case f == math.Trunc(f) && size < beyondInt64:
		return strconv.AppendInt(b, int64(f), 10), nil
	case size < 1e-6 || size >= 1e21:
		return strconv.AppendFloat(b, f, 'e', -1, 64), nil
	default:
		return strconv.AppendFloat(b, f, 'f', -1, 64), nil
	}
}

// appendString escapes what JSON demands and nothing else.
func appendString(b []byte, s string) ([]byte, error) {
	if !utf8.ValidString(s) {
		return nil, &fieldError{what: "the text is not valid UTF-8; put bytes into binaryData or base64"}
	}
	const hex = "0123456789abcdef"
	b = append(b, '"')
	plain := 0 // where the run of characters begins that stand for themselves
	for i := range len(s) {
		c := s[i]
		if c >= ' ' && c != '"' && c != '\\' {
			continue
		}
		b = append(b, s[plain:i]...)
		plain = i + 1
		switch c {
		case '"', '\\':
			b = append(b, '\\', c)
		case '\n':
			b = append(b, '\\', 'n')
		case '\r':
			b = append(b, '\\', 'r')
		case '\t':
			b = append(b, '\\', 't')
		default:
			b = append(b, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		}
	}
	b = append(b, s[plain:]...)
	return append(b, '"'), nil
}

// fieldError is what is wrong with one field, path inwards: "data.password: …".
type fieldError struct {
	path, what string
}

func (e *fieldError) Error() string { return e.path + ": " + e.what }

// below puts a step in front of the path of err.
func below(step string, err error) error {
	var field *fieldError
	if !errors.As(err, &field) {
		return err
	}
	if field.path == "" {
		return &fieldError{path: step, what: field.what}
	}
	return &fieldError{path: step + "." + field.path, what: field.what}
}
