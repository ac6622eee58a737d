package plan

import (
	"slices"
	"testing"

	"flotilla.io/flotilla/agent/inventory"
	"flotilla.io/flotilla/api/v1alpha1"
	"flotilla.io/flotilla/bundle/layer"
)

func TestEachObjectGetsTheActionItNeeds(t *testing.T) {
	key := layer.Key{Kind: "ConfigMap", Namespace: "ns", Name: "x"}
	namespace := layer.Key{Kind: "Namespace", Name: "x"}
	node := layer.Key{Kind: "Node", Name: "x"}
	crd := layer.Key{Group: "apiextensions.k8s.io", Kind: "CustomResourceDefinition", Name: "x"}
	wanted := []Wanted{{Key: key, Version: "v1", Digest: "d"}}
	item := func(key layer.Key, digest string) inventory.Inventory {
		return inventory.Inventory{key: {Key: key, Version: "v1", UID: "u", Digest: digest, Fingerprint: "f"}}
	}
	as := func(fingerprint string) Live {
		return Live{Covered: true, Present: true, UID: "u", Fingerprint: fingerprint}
	}
	for _, row := range []struct {
		rule   string
		wanted []Wanted
		inv    inventory.Inventory
		live   Live
		looked string
		crds   bool
		claims func(*Claims)
		want   Action
	}{
		{"a new object is applied", wanted, nil, Live{}, "", false, nil, Apply},
		{"one whose creation was not confirmed is applied", wanted, inventory.Inventory{key: {Key: key}}, Live{}, "", false, nil, Apply},
		{"a changed object is applied", wanted, item(key, "old"), as("f"), "", false, nil, Apply},
		{"an unchanged one with its fingerprint is skipped", wanted, item(key, "d"), as("f"), "", false, nil, Skip},
		{"one that no watch covers is skipped", wanted, item(key, "d"), Live{}, "", false, nil, Skip},
		{"another fingerprint is looked at", wanted, item(key, "d"), as("g"), "", false, nil, Look},
		{"a fingerprint is looked at once", wanted, item(key, "d"), as("g"), Seen("u", "g"), false, nil, Skip},
		{"and the next one again", wanted, item(key, "d"), as("h"), Seen("u", "g"), false, nil, Look},
		{"another object by the name is looked at", wanted, item(key, "d"), Live{Covered: true, Present: true, UID: "v", Fingerprint: "f"}, "", false, nil, Look},
		{"an unchanged one under other rules is looked at", wanted, item(key, "d r"), as("f"), "", false, nil, Look},
		{"an unchanged one that somebody asks for again is applied", wanted, item(key, "d"), as("f"), "again", false, nil, Apply},
		{"a missing object is looked at", wanted, item(key, "d"), Live{Covered: true}, "", false, nil, Look},
		{"a missing object is looked at once", wanted, item(key, "d"), Live{Covered: true}, Missing, false, nil, Skip},
		{"a change within the grain of the time is looked at", wanted, item(key, "d"),
			Live{Covered: true, Present: true, UID: "u", Fingerprint: "f", Suspect: true}, "", false, nil, Look},
		{"one that another has and wants is refused", wanted, nil, Live{}, "", false, func(c *Claims) {
			c.Want("other", wanted)
			c.Hold("other", key)
		}, Refuse},
		{"one that another has and wants no more is applied", wanted, nil, Live{}, "", false, func(c *Claims) {
			c.Want("other", nil)
			c.Hold("other", key)
		}, Apply},
		{"one that another has is refused until it is known what that one wants", wanted, nil, Live{}, "", false, func(c *Claims) {
			c.Announce("other")
			c.Hold("other", key)
		}, Refuse},
		{"what left the bundle is pruned", nil, item(key, "d"), as("f"), "", false, nil, Prune},
		{"what left the bundle and another wants is handed over", nil, item(key, "d"), as("f"), "", false, func(c *Claims) { c.Want("other", wanted) }, HandOver},
		{"a Namespace that left the bundle is kept", nil, item(namespace, "d"), as("f"), "", false, nil, Keep},
		{"a CustomResourceDefinition that left the bundle is kept", nil, item(crd, "d"), as("f"), "", false, nil, Keep},
		{"unless its deletion was asked for", nil, item(crd, "d"), as("f"), "", true, nil, Prune},
		{"a Node that left the bundle is kept", nil, item(node, "d"), as("f"), "", true, nil, Keep},
		{"which does not count for a Namespace", nil, item(namespace, "d"), as("f"), "", true, nil, Keep},
	} {
		t.Run(row.rule, func(t *testing.T) {
			claims := &Claims{}
			if row.claims != nil {
				row.claims(claims)
			}
			steps := Make(Input{
				Self: "self", Wanted: row.wanted, Inventory: row.inv, Claims: claims, DeleteCRDs: row.crds,
				Live: func(layer.Key) Live { return row.live }, Looked: func(layer.Key) string { return row.looked }, Again: func(layer.Key) bool { return row.looked == "again" },
			})
			if len(steps) != 1 || steps[0].Action != row.want {
				t.Errorf("steps = %v, want %s", steps, row.want)
			}
		})
	}
}

func TestWhatIsAppliedOnceIsAppliedForItsSpecAlone(t *testing.T) {
	key := layer.Key{Group: "batch", Kind: "Job", Namespace: "ns", Name: "x"}
	here := Live{Covered: true, Present: true, UID: "u", Fingerprint: "f"}
	gone := Live{Covered: true}
	for _, row := range []struct {
		rule       string
		spec, rest string // of what was made; "s" and "d" are wanted
		end        v1alpha1.OnceResult
		live       Live
		again      bool
		back       bool
		want       Action
	}{
		{"one with another spec is applied", "old", "old", v1alpha1.OnceComplete, gone, false, false, Apply},
		{"but not where a revision is put back", "old", "old", v1alpha1.OnceComplete, gone, false, true, Skip},
		{"one that is over and gone is not applied", "s", "d", v1alpha1.OnceComplete, gone, false, false, Skip},
		{"nor when all is applied again", "s", "d", v1alpha1.OnceComplete, gone, true, false, Skip},
		{"nor when another label is wanted", "s", "old", v1alpha1.OnceFailed, gone, false, false, Skip},
		{"nor before it is known whether it is there", "s", "old", v1alpha1.OnceGone, Live{}, false, false, Skip},
		{"nor where another object has its name", "s", "old", v1alpha1.OnceComplete, Live{Covered: true, Present: true, UID: "v"}, false, false, Skip},
		{"as long as it is there another label is applied", "s", "old", v1alpha1.OnceComplete, here, false, false, Apply},
		{"and what somebody changed is looked at", "s", "d", v1alpha1.OnceComplete, Live{Covered: true, Present: true, UID: "u", Fingerprint: "g"}, false, false, Look},
		{"one that is gone before its end is looked at", "s", "d", "", gone, false, false, Look},
		{"one of which the spec was not noted is like any other", "", "d", "", here, false, false, Skip},
	} {
		t.Run(row.rule, func(t *testing.T) {
			steps := Make(Input{
				Self: "self", Wanted: []Wanted{{Key: key, Version: "v1", Digest: "d", Once: "s"}}, Claims: &Claims{}, Back: row.back,
				Inventory: inventory.Inventory{key: {Key: key, Version: "v1", UID: "u", Digest: row.rest, Fingerprint: "f", Once: row.spec, End: row.end}},
				Live:      func(layer.Key) Live { return row.live }, Looked: func(layer.Key) string { return "" }, Again: func(layer.Key) bool { return row.again },
			})
			if len(steps) != 1 || steps[0].Action != row.want {
				t.Errorf("steps = %v, want %s", steps, row.want)
			}
		})
	}
}

func TestOfTwoThatTakeAtOnceOneGetsIt(t *testing.T) {
	key := layer.Key{Kind: "ConfigMap", Name: "x"}
	c := &Claims{}
	c.Want("a", []Wanted{{Key: key}})
	c.Want("b", []Wanted{{Key: key}})
	if _, ok := c.Take("a", key); !ok {
		t.Error("a free object was refused")
	}
	if other, ok := c.Take("b", key); ok || other != "a" {
		t.Errorf("Take = %q, %v", other, ok)
	}
	if got := c.Contested("a"); len(got) != 1 || got[0].Other != "b" {
		t.Errorf("Contested = %v", got)
	}
	if got := c.Want("a", nil); !slices.Equal(got, []string{"b"}) {
		t.Errorf("giving it up wakes %v, want b", got)
	}
	if _, ok := c.Take("b", key); !ok {
		t.Error("what nobody wants any more was refused")
	}
	c.Forget("b")
	if got := c.Holder(key); got != "" {
		t.Errorf("Holder = %q after b was forgotten", got)
	}
}

func TestNothingIsUnopenedOnceAllWereHeard(t *testing.T) {
	c := &Claims{}
	c.Announce("a")
	c.Announce("b")
	c.Want("a", nil)
	if got := c.Unopened(); !slices.Equal(got, []string{"b"}) {
		t.Errorf("Unopened = %v", got)
	}
	c.Want("b", nil)
	c.Announce("b")
	if got := c.Unopened(); len(got) != 0 {
		t.Errorf("Unopened = %v", got)
	}
}
