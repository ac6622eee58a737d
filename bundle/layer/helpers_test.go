package layer

import (
	"fmt"
	"math/rand"
	"reflect"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// testSecret is fixed, so that what must not change over releases can be written down.
var testSecret = HubSecret("0123456789abcdef0123456789abcdef")

// seeded is a source of randomness whose seed a failing test prints.
func seeded(t testing.TB) *rand.Rand {
	seed := time.Now().UnixNano()
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("seed %d", seed)
		}
	})
	return rand.New(rand.NewSource(seed))
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func message(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func same(a, b any) bool { return reflect.DeepEqual(a, b) }

func object(t testing.TB, text string) *unstructured.Unstructured {
	t.Helper()
	u := &unstructured.Unstructured{Object: map[string]any{}}
	must(t, decodeKubernetes([]byte(text), &u.Object))
	return u
}

// config is a ConfigMap with one value.
func config(t testing.TB, name, value string) Entry {
	t.Helper()
	e, err := NewEntry(&unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "v1", "kind": "ConfigMap",
		"metadata": map[string]any{"name": name, "namespace": "prod"},
		"data":     map[string]any{"value": value},
	}})
	must(t, err)
	return e
}

// configs are n ConfigMaps of one value, config-0 and so on.
func configs(t testing.TB, n int, value string) []Entry {
	t.Helper()
	entries := make([]Entry, n)
	for i := range entries {
		entries[i] = config(t, fmt.Sprintf("config-%d", i), value)
	}
	return entries
}
