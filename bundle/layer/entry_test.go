package layer

import (
	"encoding/json"
	"fmt"
	"math"
	"math/rand"
	"strconv"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	utiljson "k8s.io/apimachinery/pkg/util/json"
	"sigs.k8s.io/yaml"
)

func TestCanonicalForm(t *testing.T) {
	for _, row := range []struct{ name, in, want string }{
		{"keys stand in byte order and spaces go", `{"kind": "K", "b": 1, "a": {"d": [1, 2], "c": 3}}`, `{"a":{"c":3,"d":[1,2]},"b":1,"kind":"K"}`},
		{"a whole number has no point", `{"a": 1.0, "b": 1e3, "c": -2.50}`, `{"a":1,"b":1000,"c":-2.5}`},
		{"zero has no sign", `{"a": -0.0, "b": -0}`, `{"a":0,"b":0}`},
		{"a number beyond 2^53 keeps every digit", `{"a": 9007199254740993, "b": 9223372036854775807, "c": -9223372036854775808}`, `{"a":9007199254740993,"b":9223372036854775807,"c":-9223372036854775808}`},
		{"a number beyond int64 is the float64 that Kubernetes makes of it", `{"a": 9223372036854775808, "b": 18446744073709551615}`, `{"a":9223372036854776000,"b":18446744073709552000}`},
		{"a fraction is as short as it can be", `{"a": 0.1000, "b": 1e-9, "c": 2.5e300}`, `{"a":0.1,"b":1e-09,"c":2.5e+300}`},
		{"markup and line separators stand for themselves", "{\"a\": \"<b>&\u2028é\"}", "{\"a\":\"<b>&\u2028é\"}"},
		{"quotes, backslashes and control characters are escaped", `{"a": "\"\\/\n\r\t\b\u0000"}`, `{"a":"\"\\/\n\r\t\u0008\u0000"}`},
		{"status goes", `{"a": 1, "status": {"phase": "Active"}}`, `{"a":1}`},
		{"a status below the top stays", `{"spec": {"status": 1}}`, `{"spec":{"status":1}}`},
		{"a null creationTimestamp goes, also from a template", `{"metadata": {"creationTimestamp": null, "name": "a"}, "spec": {"template": {"metadata": {"creationTimestamp": null}}}}`, `{"metadata":{"name":"a"},"spec":{"template":{"metadata":{}}}}`},
		{"a creationTimestamp with a value stays", `{"metadata": {"creationTimestamp": "2020-01-01T00:00:00Z"}}`, `{"metadata":{"creationTimestamp":"2020-01-01T00:00:00Z"}}`},
		{"another null stays, and so do empty maps and lists", `{"a": null, "b": {}, "c": []}`, `{"a":null,"b":{},"c":[]}`},
	} {
		t.Run(row.name, func(t *testing.T) {
			for _, decode := range []func([]byte, *map[string]any) error{decodeKubernetes, decodeNumbers, decodeYAML} {
				var object map[string]any
				must(t, decode([]byte(row.in), &object))
				got, err := canonicalObject(object)
				must(t, err)
				if string(got) != row.want {
					t.Errorf("got  %s\nwant %s", got, row.want)
				}
				if !json.Valid(got) {
					t.Errorf("%s is no JSON", got)
				}
			}
		})
	}
}

func decodeKubernetes(b []byte, v *map[string]any) error { return utiljson.Unmarshal(b, v) }

func decodeYAML(b []byte, v *map[string]any) error {
	asJSON, err := yaml.YAMLToJSON(b)
	if err != nil {
		return err
	}
	return utiljson.Unmarshal(asJSON, v)
}

func decodeNumbers(b []byte, v *map[string]any) error {
	d := json.NewDecoder(strings.NewReader(string(b)))
	d.UseNumber()
	return d.Decode(v)
}

func TestCanonicalFormRefuses(t *testing.T) {
	for _, row := range []struct {
		name string
		in   any
		want string
	}{
		{"a number that is none", math.NaN(), "spec.list.1.x: NaN is no number in JSON"},
		{"an endless number", math.Inf(-1), "spec.list.1.x: -Inf is no number in JSON"},
		{"a number out of every range", json.Number("1e999"), `spec.list.1.x: "1e999" is no number that Kubernetes can hold`},
		{"text that is not UTF-8", "a\xff", "spec.list.1.x: the text is not valid UTF-8; put bytes into binaryData or base64"},
		{"a key that is not UTF-8", map[string]any{"\xff": 1}, `spec.list.1.x."\xff": the text is not valid UTF-8; put bytes into binaryData or base64`},
		{"a Go type that JSON has not", struct{}{}, "spec.list.1.x: a value of Go type struct {} has no place in an object"},
	} {
		t.Run(row.name, func(t *testing.T) {
			_, err := canonicalObject(map[string]any{"spec": map[string]any{"list": []any{"", map[string]any{"x": row.in}}}})
			if err == nil || err.Error() != row.want {
				t.Errorf("got  %v\nwant %s", err, row.want)
			}
		})
	}
}

func TestNewEntry(t *testing.T) {
	const apps = `{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"web","namespace":"prod"}}`
	for _, row := range []struct {
		name, in string
		want     Key
		err      string
	}{
		{"the key has no version", apps, Key{"apps", "Deployment", "prod", "web"}, ""},
		{"the core group is empty", `{"apiVersion":"v1","kind":"Namespace","metadata":{"name":"prod"}}`, Key{"", "Namespace", "", "prod"}, ""},
		{"a missing kind is named", `{"apiVersion":"v1","metadata":{"name":"a"}}`, Key{}, `reading an object named "a": apiVersion is "v1" and kind is ""; both are needed`},
		{"a missing apiVersion is named", `{"kind":"Pod","metadata":{"name":"a"}}`, Key{}, `reading an object named "a": apiVersion is "" and kind is "Pod"; both are needed`},
		{"an apiVersion of three parts is named", `{"apiVersion":"a/b/c","kind":"Pod","metadata":{"name":"a"}}`, Key{}, "reading Pod a: apiVersion: unexpected GroupVersion string: a/b/c"},
		{"a missing name is named", `{"apiVersion":"v1","kind":"Pod"}`, Key{}, "reading a Pod: metadata.name is missing"},
		{"generateName is refused", `{"apiVersion":"v1","kind":"Pod","metadata":{"generateName":"a-"}}`, Key{}, "reading Pod a-…: metadata.generateName makes a new object at each apply; give it a metadata.name"},
	} {
		t.Run(row.name, func(t *testing.T) {
			got, err := NewEntry(object(t, row.in))
			if message(err) != row.err || got.Key != row.want {
				t.Errorf("got  %+v, %v\nwant %+v, %s", got.Key, err, row.want, row.err)
			}
		})
	}
	got, err := NewEntry(object(t, apps))
	must(t, err)
	if string(got.Object) != apps || got.Digest != "454249953d74a7c29fc0a285ee1953fe2634d2c39b09a23ea0f28e0f037bca00" {
		t.Errorf("a new release must not change a digest: %s, %s", got.Object, got.Digest)
	}
}

// Whatever an object holds, and whether its numbers came as int64, float64 or text: one canonical form, which reads back
// to the same, and NewEntry leaves its argument alone.
func TestCanonicalFormIsOne(t *testing.T) {
	rng := seeded(t)
	for range 2000 {
		u := &unstructured.Unstructured{Object: map[string]any{
			"apiVersion": "v1", "kind": "Thing", "status": map[string]any{"a": int64(1)},
			"metadata": map[string]any{"name": "a", "creationTimestamp": nil},
			"spec":     randomValue(rng, 4),
		}}
		before := runtime.DeepCopyJSON(u.Object)
		entry, err := NewEntry(u)
		must(t, err)
		if !same(u.Object, before) {
			t.Fatalf("NewEntry changed its argument from\n%v to\n%v", before, u.Object)
		}
		u.Object["spec"] = respell(rng, u.Object["spec"])
		again, err := NewEntry(u)
		must(t, err)
		back, err := NewEntry(object(t, string(entry.Object)))
		must(t, err)
		for _, other := range []Entry{again, back} {
			if string(other.Object) != string(entry.Object) || other.Digest != entry.Digest {
				t.Fatalf("two forms of one object:\n%s\n%s", entry.Object, other.Object)
			}
		}
	}
}

// randomValue is what a manifest may hold.
func randomValue(rng *rand.Rand, depth int) any {
	switch kind := rng.Intn(9); {
	case depth > 0 && kind < 2:
		m := map[string]any{}
		for range rng.Intn(5) {
			m[randomText(rng)] = randomValue(rng, depth-1)
		}
		return m
	case depth > 0 && kind == 2:
		list := make([]any, rng.Intn(4))
		for i := range list {
			list[i] = randomValue(rng, depth-1)
		}
		return list
	case kind == 3:
		return int64(rng.Uint64())
	case kind == 4:
		return math.Float64frombits(rng.Uint64() &^ (1 << 62)) // never NaN or Inf
	case kind == 5:
		return float64(rng.Int63() - rng.Int63())
	case kind == 6:
		return rng.Intn(2) == 0
	case kind == 7:
		return nil
	default:
		return randomText(rng)
	}
}

func randomText(rng *rand.Rand) string {
	alphabet := []rune("ab\"\\<&\n\x00\u007f\u2028é😀\ufffd")
	text := make([]rune, rng.Intn(6))
	for i := range text {
		text[i] = alphabet[rng.Intn(len(alphabet))]
	}
	return string(text)
}

// respell changes the Go types of numbers and keeps their values.
func respell(rng *rand.Rand, v any) any {
	switch v := v.(type) {
	case map[string]any:
		m := map[string]any{}
		for k, e := range v {
			m[k] = respell(rng, e)
		}
		return m
	case []any:
		list := make([]any, len(v))
		for i, e := range v {
			list[i] = respell(rng, e)
		}
		return list
	case int64:
		if f := float64(v); int64(f) == v && math.Abs(f) < 1<<62 {
			return f
		}
		return json.Number(fmt.Sprint(v))
	case float64:
		if v == math.Trunc(v) && math.Abs(v) < 1<<62 {
			return int64(v)
		}
		return json.Number(strconv.FormatFloat(v, 'e', -1, 64))
	default:
		return v
	}
}

func TestKeyReadsLikeAnObject(t *testing.T) {
	for want, key := range map[string]Key{
		"Deployment.apps prod/web": {"apps", "Deployment", "prod", "web"},
		"Namespace prod":           {"", "Namespace", "", "prod"},
	} {
		if key.String() != want {
			t.Errorf("got %q, want %q", key, want)
		}
	}
}
