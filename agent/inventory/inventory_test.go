package inventory

import (
	"fmt"
	"reflect"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"flotilla.io/flotilla/bundle/layer"
)

func many(n int) Inventory {
	inv := Inventory{}
	for i := range n {
		key := layer.Key{Group: "apps", Kind: "Deployment", Namespace: "ns", Name: fmt.Sprint("d-", i)}
		inv[key] = Item{Key: key, Version: "v1", UID: "u", Digest: "d", Fingerprint: "f", Created: 1e9, Once: "o", End: "Failed", Why: "w"}
	}
	return inv
}

func TestWhatIsStoredIsRead(t *testing.T) {
	for _, n := range []int{0, 1, few, few + 1, 1000} {
		got := Inventory{}
		for _, items := range Shards(many(n), 0) {
			packed, err := Encode(items)
			if err != nil {
				t.Fatal(err)
			}
			if err := DecodeInto(got, packed); err != nil {
				t.Fatal(err)
			}
		}
		if !reflect.DeepEqual(got, many(n)) {
			t.Errorf("%d items: %d were read", n, len(got))
		}
	}
}

func TestAnItemThatComesOrGoesMovesNoOther(t *testing.T) {
	for _, row := range []struct {
		rule            string
		n, before, want int
	}{
		{"a small inventory is one shard", 10, 0, 1},
		{"a large one is many", few + 1, 1, manyShards},
		{"and stays so when it shrinks", 10, manyShards, manyShards},
	} {
		if got := len(Shards(many(row.n), row.before)); got != row.want {
			t.Errorf("%s: %d shards, want %d", row.rule, got, row.want)
		}
	}
	a, b := Shards(many(1000), 16), Shards(many(1001), 16)
	changed := 0
	for i := range a {
		if !reflect.DeepEqual(a[i], b[i]) {
			changed++
		}
	}
	if changed != 1 {
		t.Errorf("one item more changed %d shards", changed)
	}
}

func TestAConfirmedItemWinsOverOneThatIsBeingCreated(t *testing.T) {
	key := layer.Key{Kind: "ConfigMap", Name: "x"}
	confirmed, _ := Encode([]Item{{Key: key, UID: "u"}})
	creating, _ := Encode([]Item{{Key: key}})
	for _, order := range [][][]byte{{confirmed, creating}, {creating, confirmed}} {
		inv := Inventory{}
		for _, packed := range order {
			if err := DecodeInto(inv, packed); err != nil {
				t.Fatal(err)
			}
		}
		if inv[key].UID != "u" {
			t.Errorf("item = %+v", inv[key])
		}
	}
	if err := DecodeInto(Inventory{}, []byte("not gzip")); err == nil {
		t.Error("a damaged inventory was read")
	}
}

func TestTheFingerprintMovesWithOurEntryOnly(t *testing.T) {
	at := metav1.NewTime(time.Unix(1e9, 0))
	object := func(change func(*metav1.ObjectMeta)) *metav1.ObjectMeta {
		m := &metav1.ObjectMeta{Generation: 1, ManagedFields: []metav1.ManagedFieldsEntry{
			{Manager: Manager, Operation: metav1.ManagedFieldsOperationApply, Time: &at, APIVersion: "v1", FieldsV1: metav1.NewFieldsV1(`{"f:data":{}}`)},
			{Manager: "kubectl", Operation: metav1.ManagedFieldsOperationUpdate, Time: &at, APIVersion: "v1", FieldsV1: metav1.NewFieldsV1(`{"f:spec":{}}`)},
		}}
		change(m)
		return m
	}
	base := Fingerprint(object(func(*metav1.ObjectMeta) {}))
	later := metav1.NewTime(at.Add(time.Second))
	for _, row := range []struct {
		rule   string
		change func(*metav1.ObjectMeta)
		same   bool
	}{
		{"another's field does not move it", func(m *metav1.ObjectMeta) { m.ManagedFields[1].FieldsV1 = nil }, true},
		{"labels and resourceVersion do not move it", func(m *metav1.ObjectMeta) { m.ResourceVersion, m.Labels = "9", map[string]string{"a": "b"} }, true},
		{"a field that we lose moves it", func(m *metav1.ObjectMeta) { m.ManagedFields[0].FieldsV1 = metav1.NewFieldsV1(`{}`) }, false},
		{"the time of our entry moves it", func(m *metav1.ObjectMeta) { m.ManagedFields[0].Time = &later }, false},
		{"the generation moves it", func(m *metav1.ObjectMeta) { m.Generation = 2 }, false},
		{"losing the entry moves it", func(m *metav1.ObjectMeta) { m.ManagedFields = nil }, false},
		{"an update under our name is not our entry", func(m *metav1.ObjectMeta) {
			m.ManagedFields[0].Operation = metav1.ManagedFieldsOperationUpdate
		}, false},
	} {
		if got := Fingerprint(object(row.change)); (got == base) != row.same {
			t.Errorf("%s: it is %q, was %q", row.rule, got, base)
		}
	}
}
